# SPDX-License-Identifier: Apache-2.0
"""Command queues against lists: order, backpressure of one engine on the others, clearing."""

import pytest

from tepin.control.queue import CommandQueues
from tepin_testbench.pysim import simulate


@pytest.mark.parametrize("engines", [1, 3, 5])
def test_order(engines, rng):
    dut = CommandQueues(engines=engines, words=8)
    count = 400
    words = [(int(rng.integers(engines)), int(rng.integers(1 << 32))) for _ in range(count)]
    got = [[] for _ in range(engines)]

    async def source(ctx):
        for engine, word in words:
            while rng.random() < 0.2:
                await ctx.tick()
            ctx.set(dut.i.payload.engine, engine)
            ctx.set(dut.i.payload.word, word)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    def sink(index):
        async def take(ctx):
            output = dut.o[index]
            for engine, word in words:
                if engine != index:
                    continue
                while rng.random() < 0.6:
                    await ctx.tick()
                ctx.set(output.ready, 1)
                (value,) = await ctx.tick().sample(output.payload).until(output.valid)
                ctx.set(output.ready, 0)
                assert value == word
                got[index].append(value)

        return take

    simulate(dut, source, *map(sink, range(engines)))
    assert sum(map(len, got)) == count


def test_full_rate_and_latency():
    dut = CommandQueues(engines=2, words=8)

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o[0].ready, 1)
        assert ctx.get(dut.empty)
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.o[0].valid) and not ctx.get(dut.empty)
        await ctx.tick()
        for _ in range(20):
            assert ctx.get(dut.o[0].valid) and ctx.get(dut.i.ready)
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.empty)

    simulate(dut, testbench)


def test_clear_drops_what_is_queued_and_what_is_on_its_way():
    dut = CommandQueues(engines=2, words=8)

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload.engine, 1)
        await ctx.tick().repeat(20)
        assert not ctx.get(dut.i.ready) and ctx.get(dut.pending)
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.clear, 0b10)
        assert ctx.get(dut.o[1].valid) == 0
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.pending)
        ctx.set(dut.clear, 0)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.o[1].valid) and ctx.get(dut.empty)

    simulate(dut, testbench)


def test_clear_leaves_other_queues_alone():
    dut = CommandQueues(engines=2, words=8)

    async def testbench(ctx):
        ctx.set(dut.clear, 0b10)
        ctx.set(dut.i.valid, 1)
        for word in range(5):
            ctx.set(dut.i.payload.word, word)
            for engine in (0, 1):
                ctx.set(dut.i.payload.engine, engine)
                await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(4)
        ctx.set(dut.o[0].ready, 1)
        for word in range(5):
            assert ctx.get(dut.o[0].valid) and ctx.get(dut.o[0].payload) == word
            await ctx.tick()
        assert ctx.get(dut.empty)

    simulate(dut, testbench)


@pytest.mark.parametrize("engines", [0, 17])
def test_init_wrong_engines(engines):
    with pytest.raises(ValueError, match=f"engines must be 1 to 16, not {engines}"):
        CommandQueues(engines=engines, words=8)
