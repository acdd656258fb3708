# SPDX-License-Identifier: Apache-2.0
"""Life and death of a program, the watchdog, the counters, the fetch unit."""

import pytest

from tepin.control.counters import Counters
from tepin.control.fetch import Fetch
from tepin.control.supervisor import Supervisor
from tepin.control.watchdog import Watchdog
from tepin.isa import ErrorCode
from tepin_testbench.pysim import simulate


async def start(ctx, dut):
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)
    assert ctx.get(dut.launch) and ctx.get(dut.running) and ctx.get(dut.busy)
    await ctx.tick()
    assert not ctx.get(dut.launch)


async def reset_phase(ctx, dut):
    """Counts the cycles of the reset, and sees that it is the last thing that happens."""
    for _ in range(Supervisor.RESET_CYCLES):
        assert ctx.get(dut.reset) and ctx.get(dut.halt) and ctx.get(dut.busy) and not ctx.get(dut.running)
        await ctx.tick()
    assert not ctx.get(dut.reset) and not ctx.get(dut.halt) and not ctx.get(dut.busy)


def test_good_end():
    dut = Supervisor(2)

    async def testbench(ctx):
        for _ in range(3):
            await start(ctx, dut)
            await ctx.tick().repeat(5)
            assert ctx.get(dut.running) and not ctx.get(dut.done)
            ctx.set(dut.ended, 1)
            await ctx.tick().repeat(2)
            await reset_phase(ctx, dut)
            ctx.set(dut.ended, 0)
            await ctx.tick()
            assert ctx.get(dut.done) and not ctx.get(dut.failed)
            assert ctx.get(dut.error.code) == ErrorCode.NONE

    simulate(dut, testbench)


@pytest.mark.parametrize("sources", [[0], [2], [1, 2], [0, 1, 2], []])
def test_error(sources):
    """The first source counts; no source at all is a stop by the host. An error counts for more than the end."""
    dut = Supervisor(3)

    async def testbench(ctx):
        await start(ctx, dut)
        ctx.set(dut.pc, 77)
        for index in range(3):
            ctx.set(dut.errors[index].code, ErrorCode.PARAMETER)
            ctx.set(dut.errors[index].pc, 10 + index)
            ctx.set(dut.errors[index].info, 100 + index)
        ctx.set(dut.error_valid, sum(1 << index for index in sources))
        ctx.set(dut.stop, 1)
        ctx.set(dut.ended, 1)
        await ctx.tick()
        # Nothing that happens from now on changes what is reported.
        ctx.set(dut.errors[0].info, 0)
        ctx.set(dut.error_valid, 7)
        await ctx.tick()
        for _ in range(10):
            assert ctx.get(dut.halt) and not ctx.get(dut.reset) and not ctx.get(dut.running)
            assert ctx.get(dut.failed) and ctx.get(dut.busy)
            await ctx.tick()
        ctx.set(dut.idle, 1)
        await ctx.tick()
        await reset_phase(ctx, dut)
        assert ctx.get(dut.failed) and not ctx.get(dut.done)
        error = ctx.get(dut.error)
        if sources:
            assert (error.code, error.pc, error.info) == (
                ErrorCode.PARAMETER,
                10 + sources[0],
                100 + sources[0],
            )
        else:
            assert (error.code, error.pc, error.info) == (ErrorCode.STOPPED, 77, 0)
        ctx.set(dut.error_valid, 0)
        ctx.set(dut.stop, 0)
        ctx.set(dut.ended, 0)
        await ctx.tick()
        await start(ctx, dut)
        assert not ctx.get(dut.failed) and ctx.get(dut.error.code) == ErrorCode.NONE

    simulate(dut, testbench)


def test_stop_without_a_program():
    dut = Supervisor(1)

    async def testbench(ctx):
        ctx.set(dut.stop, 1)
        ctx.set(dut.error_valid, 1)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.busy) and not ctx.get(dut.failed) and not ctx.get(dut.halt)

    simulate(dut, testbench)


@pytest.mark.parametrize("limit", [1, 7])
def test_watchdog(limit, rng):
    dut = Watchdog()

    async def testbench(ctx):
        ctx.set(dut.limit, limit)
        late = 3
        quiet, silent = [0] * (late + 1), 0  # quiet cycles up to each of the last ones; and since it barked
        barks = 0
        for _ in range(600):
            enable, progress = rng.random() < 0.95, rng.random() < 0.1
            ctx.set(dut.enable, enable)
            ctx.set(dut.progress, progress)
            await ctx.tick()
            quiet = [*quiet[1:], quiet[-1] + 1 if enable and not progress else 0]
            bark = ctx.get(dut.timeout)
            assert not bark or max(quiet) >= limit
            silent = 0 if bark or not quiet[-1] else silent + 1
            assert silent <= limit + late
            barks += bark
        assert barks > 3
        ctx.set(dut.limit, 0)
        ctx.set(dut.progress, 0)
        await ctx.tick().repeat(late)
        for _ in range(50):
            await ctx.tick()
            assert not ctx.get(dut.timeout)

    simulate(dut, testbench)


def test_counters(rng):
    dut = Counters(3)

    async def testbench(ctx):
        counts, before = [0] * 3, [0] * 3
        for _ in range(300):
            events, enable, clear = int(rng.integers(8)), rng.random() < 0.8, rng.random() < 0.02
            ctx.set(dut.events, events)
            ctx.set(dut.enable, enable)
            ctx.set(dut.clear, clear)
            await ctx.tick()
            for index in range(3):
                counts[index] = 0 if clear else counts[index] + before[index]
                before[index] = int(enable and events >> index & 1)
                assert ctx.get(dut.o[index]) == counts[index]

    simulate(dut, testbench)


def test_fetch_in_order_and_redirected(rng):
    words = 64
    dut = Fetch(words)
    content = [int(word) for word in rng.integers(0, 1 << 32, words)]

    async def testbench(ctx):
        for address, word in enumerate(content):
            ctx.set(dut.host_address, address)
            ctx.set(dut.host_data, word)
            ctx.set(dut.host_write, 1)
            await ctx.tick()
        ctx.set(dut.host_write, 0)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.host_word) == content[-1]

        ctx.set(dut.run, 1)
        expected = 0
        lost = 0
        for _ in range(600):
            redirect = rng.random() < 0.05
            target = int(rng.integers(words))
            ready = rng.random() < 0.7
            ctx.set(dut.redirect_valid, redirect)
            ctx.set(dut.redirect, target)
            ctx.set(dut.o.ready, ready)
            # Nobody writes while a program runs.
            ctx.set(dut.host_write, 1)
            valid = ctx.get(dut.o.valid)
            lost += not valid
            if valid:
                item = ctx.get(dut.o.payload)
                assert item.pc == expected and item.outside == (expected >= words)
                if not item.outside:
                    assert item.word == content[expected]
                expected += ready
            if redirect:
                expected = target
                redirects.append(target)
            await ctx.tick()
        # The first word after the start, and after each redirection, takes two cycles.
        assert lost <= 2 + 2 * len(redirects)
        ctx.set(dut.run, 0)
        ctx.set(dut.host_write, 0)
        await ctx.tick()
        assert not ctx.get(dut.o.valid)

    redirects = []
    simulate(dut, testbench)
    assert len(redirects) > 10


@pytest.mark.parametrize("words", [0, 100, 65536])
def test_fetch_init_wrong_words(words):
    with pytest.raises(ValueError, match=f"words must be a power of two, at most 32768, not {words}"):
        Fetch(words)
