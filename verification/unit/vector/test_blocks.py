# SPDX-License-Identifier: Apache-2.0
"""Blocks of the vector unit in Amaranth's simulator: reductions with many lanes, random words, parameters."""

import numpy as np
import pytest
from amaranth.hdl import Module

from tepin.vector.buffer import ReservedFifo
from tepin.vector.engine import VectorEngine
from tepin.vector.random import RandomLane, RandomSequencer
from tepin.vector.reduce import FixedSumReducer, MaximumReducer
from tepin.vector.sum import SumReducer
from tepin_reference import float32
from tepin_reference.random import threefry
from tepin_testbench.pysim import simulate


async def send_row(ctx, dut, row, *, slow, interval=1):
    """Send a row as beats; lanes without an element carry noise."""
    lanes = len(dut.i)
    step = 1 if slow else lanes
    for start in range(0, len(row), step):
        words = [0x7FC00000] * lanes
        mask = 0
        for offset, value in enumerate(row[start : start + step]):
            lane = (start + offset) % lanes
            words[lane] = int(float32.bits(value))
            mask |= 1 << lane
        ctx.set(dut.i, words)
        ctx.set(dut.i_beat, {"mask": mask, "last": int(start + step >= len(row))})
        ctx.set(dut.i_valid, 1)
        await ctx.tick()
        ctx.set(dut.i_valid, 0)
        for _ in range(interval - 1):
            await ctx.tick()


def rows_of(rng, lanes, scale):
    lengths = [1, 1, 2, lanes, lanes + 1, 65, 130, 3]
    return [float32.flush((scale * rng.standard_normal(n)).astype(np.float32)) for n in lengths]


def run_reducer(dut, rows, *, serial=False, **settings):
    """Send rows, each after the result of the one before if `serial`, and return (value, index) of each row.

    `settings` are inputs of the reducer that stay.
    """
    results = []

    async def monitor(ctx):
        async for _, _, valid, value, index in ctx.tick().sample(dut.o_valid, dut.o.value, dut.o.index):
            if valid:
                results.append((value, index))

    async def stimulus(ctx):
        for name, value in settings.items():
            ctx.set(getattr(dut, name), value)
        for count, row in enumerate(rows, start=1):
            await send_row(
                ctx, dut, row, slow=settings.get("slow", False), interval=getattr(dut, "interval", 1)
            )
            while serial and len(results) < count:
                await ctx.tick()
        while len(results) < len(rows):
            await ctx.tick()

    simulate(dut, stimulus, background=[monitor], cycles=20_000)
    return results


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_sum(lanes, slow, rng):
    """With many lanes, more slots than there are pass in the latency of an adder: beats come `interval` cycles apart."""
    rows = rows_of(rng, lanes, 10.0)
    found = run_reducer(SumReducer(lanes=lanes), rows, slow=slow, serial=True)
    assert [value for value, _ in found] == [int(float32.bits(float32.sum64(row))) for row in rows]


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_fixed_sum(lanes, rng):
    """Rows follow each other in consecutive cycles; one of them has an element that does not belong there."""
    rows = [np.abs(np.clip(row, -3, 3)) for row in rows_of(rng, lanes, 1.0)]
    rows[5][64] = 4.0
    found = run_reducer(FixedSumReducer(lanes=lanes), rows)
    assert [value for value, _ in found] == [int(float32.bits(float32.fixed_sum(row))) for row in rows]
    assert found[5][0] == 0x7FC00000


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_maximum(lanes, slow, absolute, rng):
    """Few different values, so that many are equal; among them both zeros, infinities and NaN."""
    pool = np.array([-np.inf, -1, -0.0, 0.0, 1, 1, np.inf, float32.NAN], np.float32)
    rows = [rng.choice(pool[: rng.integers(1, len(pool) + 1)], len(row)) for row in rows_of(rng, lanes, 1.0)]
    results = run_reducer(MaximumReducer(lanes=lanes), rows, slow=slow, absolute=absolute)
    for row, (value, index) in zip(rows, results, strict=True):
        keyed = np.abs(row) if absolute else row
        best = int(float32.argmax(keyed))
        assert (value, index) == (int(float32.bits(float32.maximum(keyed[best], keyed[best]))), best)


def test_random_lane(rng):
    """Words of several keys and counters, one after the other."""
    lane, sequencer = RandomLane(), RandomSequencer()
    m = Module()
    m.submodules.lane, m.submodules.sequencer = lane, sequencer
    m.d.comb += lane.step.eq(sequencer.step)

    async def stimulus(ctx):
        for _ in range(20):
            key0, key1, counter, index = (int(x) for x in rng.integers(1 << 32, size=4))
            ctx.set(lane.key, [key0, key1])
            ctx.set(lane.counter, counter)
            ctx.set(lane.index, index)
            ctx.set(sequencer.start, 1)
            await ctx.tick()
            ctx.set(sequencer.start, 0)
            cycles = 1
            while not ctx.get(sequencer.done):
                await ctx.tick()
                cycles += 1
            assert cycles == sequencer.latency
            with np.errstate(over="ignore"):
                word, _ = threefry(
                    (np.uint32(key0), np.uint32(key1)), (np.uint32(counter) + np.uint32(index), np.uint32(0))
                )
            assert ctx.get(lane.o) == int(word)

    simulate(m, stimulus)


@pytest.mark.parametrize("lanes", [0, 3, 32, "4"])
def test_init_wrong_lanes(lanes):
    with pytest.raises(ValueError, match=f"Lanes must be 1, 2, 4, 8 or 16, not {lanes!r}"):
        VectorEngine(lanes=lanes, line_bytes=64)


@pytest.mark.parametrize("line_bytes", [8, 24])
def test_init_wrong_line_bytes(line_bytes):
    message = f"Line bytes must be a power of two, at least 16 for 4 lanes, not {line_bytes}"
    with pytest.raises(ValueError, match=message):
        VectorEngine(lanes=4, line_bytes=line_bytes)


@pytest.mark.parametrize("depth", [0, 1, 6])
def test_init_wrong_depth(depth):
    with pytest.raises(ValueError, match="Depth of a ReservedFifo must be a power of two, at least 2"):
        ReservedFifo(shape=8, depth=depth)
