# SPDX-License-Identifier: Apache-2.0
"""The softmax unit in Verilog against the numpy model, in every bit, and against float64 mathematics."""

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from tepin.units.softmax import SoftmaxUnit
from tepin_reference import kernels, units
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import check_streams
from verification.testbenches.units.bench import UnitBench
from verification.testbenches.units.rows import beats, odd_rows, parse

MAX_LENGTH = 64


@pytest.mark.parametrize("lanes, levels", [(1, None), (4, 127)])
def test_softmax(lanes, levels):
    unit = SoftmaxUnit(lanes=lanes, max_length=MAX_LENGTH, levels=levels, architecture="ecp5-model")
    config = {"lanes": lanes, "levels": levels}
    run_cocotb(unit, top="softmax", test_module=__name__, parameters=config)


class Bench(UnitBench):
    """Sends rows, and compares what comes back with the model."""

    def __init__(self, dut, *, pause):
        super().__init__(dut, pause=pause)
        self.levels = parameters()["levels"]

    def send(self, row, mask=None):
        self.source.send(beats(row, self.lanes, mask=mask, masks=True))

    async def receive(self, lengths):
        count = sum(-(-n // self.lanes) for n in lengths)
        return parse(await self.sink.receive(count), self.lanes, width=32 if self.levels is None else 8)

    async def run(self, rows, masks=None):
        """Send rows and compare what comes back with the model."""
        masks = masks or [None] * len(rows)
        for row, mask in zip(rows, masks, strict=True):
            self.send(row, mask)
        found = await self.receive([len(row) for row in rows])
        for row, mask, result in zip(rows, masks, found, strict=True):
            seen = row if mask is None else np.where(mask, np.float32(-np.inf), row)
            with np.errstate(all="ignore"):
                expected = units.softmax(seen, levels=self.levels)
            assert result.tobytes() == expected.tobytes(), (row, result, expected)
        return found


@cocotb.test()
async def test_rows_of_every_length(dut):
    """One after the other; so every row follows a shorter one, and then a longer one."""
    bench = await Bench.create(dut)
    rng = options.generator("lengths")
    lengths = [*range(1, MAX_LENGTH + 1), *range(MAX_LENGTH, 0, -7)]
    rows = [(4 * rng.standard_normal(n)).astype("<f4") for n in lengths]
    for row, found in zip(rows, await bench.run(rows), strict=True):
        exact = kernels.softmax(row[None])[0] * (bench.levels or 1)
        assert np.abs(found - exact).max() < (1e-6 if bench.levels is None else 0.5001)


@cocotb.test()
async def test_pauses_on_both_sides(dut):
    bench = await Bench.create(dut, pause=0.4)
    checkers = check_streams(dut)
    rng = options.generator("pauses")
    lengths = rng.integers(1, MAX_LENGTH + 1, 20)
    await bench.run([(10 * rng.standard_normal(n)).astype("<f4") for n in lengths])
    bench.sink.pause, bench.source.pause = 0.9, 0.0
    await bench.run([(0.1 * rng.standard_normal(n)).astype("<f4") for n in lengths[:6]])
    assert checkers["i"].transfers and checkers["o"].transfers


@cocotb.test()
async def test_masks_and_odd_rows(dut):
    """Masked elements become 0; a row without any other becomes zeros; NaN and +inf make their row NaN and no other."""
    bench = await Bench.create(dut)
    rng = options.generator("odd")
    for n in (1, 5, MAX_LENGTH):
        odd = odd_rows(rng, n)
        await bench.run(list(odd.values()))
        rows = [(5 * rng.standard_normal(n)).astype("<f4") for _ in range(4)]
        masks = [rng.random(n) < share for share in (0.3, 0.9, 1.0, 0.0)]
        found = await bench.run(rows, masks)
        assert not found[2].any()
        assert all(not row[mask].any() for row, mask in zip(found, masks, strict=True))


@cocotb.test()
async def test_cycles(dut):
    """In a series, a row costs two passes and 64 cycles, and 5 more if its output is int8: what docs/units.md promises."""
    bench = await Bench.create(dut)
    count = MAX_LENGTH // bench.lanes
    for _ in range(4):
        bench.send(np.arange(MAX_LENGTH, dtype="<f4") / 8)
    ends, cycle = [], 0
    while len(ends) < 4:
        await RisingEdge(dut.clk)
        cycle += 1
        if int(dut.o__valid.value) and int(dut.o__payload.value) >> len(dut.o__payload) - 1:
            ends.append(cycle)
    interval = ends[3] - ends[2]
    dut._log.info(f"{count} beats: a row in {interval} cycles")
    assert ends[2] - ends[1] == interval
    assert interval <= 2 * count + (64 if bench.levels is None else 69)

    await ClockCycles(dut.clk, 5)
    bench.send(np.ones(MAX_LENGTH, "<f4"))
    loaded = None
    while True:
        await RisingEdge(dut.clk)
        cycle += 1
        if int(dut.i__valid.value) and int(dut.i__ready.value):
            loaded = cycle
        if int(dut.o__valid.value) and int(dut.o__payload.value) >> len(dut.o__payload) - 1:
            break
    dut._log.info(f"{count} beats: {cycle - loaded} cycles from the last element to the last result")
    assert cycle - loaded <= 2 * count + (69 if bench.levels is None else 81)


@cocotb.test()
async def test_a_row_that_is_too_long(dut):
    """Up to the longest row there is no overflow; with an element more there is, for good."""
    bench = await Bench.create(dut)
    await bench.run([np.ones(MAX_LENGTH, "<f4")])
    assert not int(dut.overflow.value)
    bench.source.send(beats(np.ones(MAX_LENGTH + bench.lanes, "<f4"), bench.lanes, masks=True)[:-1])
    await bench.source.drained()
    await ClockCycles(dut.clk, 3)
    assert int(dut.overflow.value) and not int(dut.i__ready.value)
    await ClockCycles(dut.clk, 200)
    assert int(dut.overflow.value) and not int(dut.i__ready.value) and not int(dut.o__valid.value)
