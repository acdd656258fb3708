# SPDX-License-Identifier: Apache-2.0
"""StreamFifo against a Python queue: order, rate, latency, level and clear, registers and memory alike."""

from collections import deque

import pytest
from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from tepin.stream import StreamFifo
from tepin_testbench.pysim import simulate

DEPTHS = [1, 2, 3, 4, 7, 8, 65, 128]


@pytest.mark.parametrize("push_rate, pop_rate", [(0.9, 0.3), (0.3, 0.9), (0.8, 0.8)])
@pytest.mark.parametrize("depth", DEPTHS)
def test_matches_queue(depth, push_rate, pop_rate, rng):
    """Random valid, ready and clear: in every cycle the ports are those of a queue in Python."""
    dut = StreamFifo(shape=unsigned(16), depth=depth)
    seen_levels = set()

    async def testbench(ctx):
        held = deque()
        offered = None
        for cycle in range(1000):
            if offered is None and rng.random() < push_rate:
                offered = int(rng.integers(1 << 16))
            clear = rng.random() < 0.01
            ready = rng.random() < pop_rate
            ctx.set(dut.i.valid, offered is not None)
            ctx.set(dut.i.payload, offered if offered is not None else int(rng.integers(1 << 16)))
            ctx.set(dut.o.ready, ready)
            ctx.set(dut.clear, clear)
            assert ctx.get(dut.level) == len(held), cycle
            assert ctx.get(dut.i.ready) == (len(held) < depth), cycle
            valid = ctx.get(dut.o.valid)
            # The oldest item is on offer once it has been inside for `latency` cycles.
            assert valid == bool(held and cycle - held[0][1] >= dut.latency), cycle
            if valid:
                assert ctx.get(dut.o.payload) == held[0][0], cycle
            seen_levels.add(len(held))
            if valid and ready:
                held.popleft()
            if offered is not None and ctx.get(dut.i.ready):
                held.append((offered, cycle))
                offered = None
            if clear:
                held.clear()
            await ctx.tick()

    simulate(dut, testbench)
    assert 0 in seen_levels and max(seen_levels) >= min(depth, 2)


@pytest.mark.parametrize("depth", DEPTHS)
def test_full_rate(depth):
    """With both sides always willing, one item passes per cycle; one in two cycles if the depth is 1."""
    dut = StreamFifo(shape=unsigned(8), depth=depth)

    async def testbench(ctx):
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(10)
        passed = 0
        for _ in range(20):
            passed += ctx.get(dut.o.valid)
            await ctx.tick()
        assert passed == (10 if depth == 1 else 20)

    simulate(dut, testbench)


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize(
    "shape, items",
    [
        (signed(5), [-16, 15, -1]),
        (data.StructLayout({"a": 3, "b": signed(4)}), [{"a": 5, "b": -8}, {"a": 2, "b": 7}]),
        (data.ArrayLayout(unsigned(2), 3), [[1, 2, 3], [3, 0, 2]]),
    ],
)
def test_shapes(shape, items, depth):
    """The payload comes out with the shape, and so the sign and the fields, with which it went in."""
    dut = StreamFifo(shape=shape, depth=depth)

    def plain(value):
        if isinstance(shape, data.StructLayout):
            return {"a": value.a, "b": value.b}
        return list(value) if isinstance(shape, data.ArrayLayout) else value

    async def testbench(ctx):
        for item in items:
            ctx.set(dut.i.payload, item)
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.o.valid)
            assert plain(ctx.get(dut.o.payload)) == item
            ctx.set(dut.o.ready, 1)
            await ctx.tick()
            ctx.set(dut.o.ready, 0)

    simulate(dut, testbench)


def test_init_wrong_depth():
    with pytest.raises(TypeError, match=r"^Depth of a StreamFifo must be an integer, not 'x'$"):
        StreamFifo(shape=8, depth="x")
    with pytest.raises(ValueError, match=r"^Depth of a StreamFifo must be at least 1, not 0$"):
        StreamFifo(shape=8, depth=0)
