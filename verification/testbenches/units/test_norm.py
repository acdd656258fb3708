# SPDX-License-Identifier: Apache-2.0
"""The norm unit in Verilog against the numpy model, in every bit, and against float64 mathematics."""

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from tepin.units.norm import NormUnit
from tepin.vector.sum import tree_latency
from tepin_reference import float32, kernels, units
from tepin_testbench import options
from tepin_testbench.runner import run_cocotb
from tepin_testbench.stream import StreamSource, check_streams
from verification.testbenches.units.bench import UnitBench
from verification.testbenches.units.rows import beats, odd_rows, parameter_beats, parse

MAX_LENGTH = 160
EPSILON = 1e-5


@pytest.mark.parametrize("lanes", [1, 4])
def test_norm(lanes):
    unit = NormUnit(lanes=lanes, max_length=MAX_LENGTH, architecture="ecp5-model")
    run_cocotb(unit, top="norm", test_module=__name__, parameters={"lanes": lanes})


class Bench(UnitBench):
    """Sends rows and parameters, and compares what comes back with the model."""

    def __init__(self, dut, *, pause):
        super().__init__(dut, pause=pause)
        self.parameters = StreamSource(dut, "i_parameters", pause=pause)

    async def configure(self, n, gain, bias, *, centre):
        self.dut.centre.value = int(centre)
        self.dut.share.value = int(float32.bits(np.float32(1 / n)))
        self.dut.epsilon.value = int(float32.bits(np.float32(EPSILON)))
        self.parameters.send(parameter_beats(gain, bias, self.lanes))
        await self.parameters.drained()

    async def run(self, rows, rng, *, centre):
        """Send rows of one length, with gains and biases of the generator, and compare with the model."""
        n = len(rows[0])
        gain, bias = rng.standard_normal((2, n)).astype("<f4")
        await self.configure(n, gain, bias, centre=centre)
        for row in rows:
            self.source.send(beats(row, self.lanes))
        found = parse(await self.sink.receive(-(-n // self.lanes) * len(rows)), self.lanes)
        for row, result in zip(rows, found, strict=True):
            with np.errstate(all="ignore"):
                expected = (
                    units.layer_norm(row, gain, bias, EPSILON)
                    if centre
                    else units.rms_norm(row, gain, EPSILON)
                )
            assert result.tobytes() == expected.tobytes(), (row, result, expected)
        return found, gain, bias


@cocotb.test()
async def test_rows_of_many_lengths(dut):
    """Both norms, several rows of each length; close to float64, and a mean of 100 does not matter."""
    bench = await Bench.create(dut)
    rng = options.generator("lengths")
    for n in (1, 2, 3, 7, 8, 63, 64, 65, 130, MAX_LENGTH):
        for centre in (False, True):
            rows = [(rng.standard_normal(n) + offset).astype("<f4") for offset in (0, 100, -3)]
            found, gain, bias = await bench.run(rows, rng, centre=centre)
            for row, result in zip(rows, found, strict=True):
                exact = (
                    kernels.layer_norm(row[None], gain, bias, EPSILON)
                    if centre
                    else kernels.rms_norm(row[None], gain, EPSILON)
                )[0]
                assert np.abs(result - exact).max() <= 1e-6 * np.abs(exact).max()


@cocotb.test()
async def test_pauses_on_all_sides(dut):
    bench = await Bench.create(dut, pause=0.4)
    checkers = check_streams(dut)
    rng = options.generator("pauses")
    for n, source, sink in ((37, 0.4, 0.4), (MAX_LENGTH, 0.0, 0.8), (5, 0.7, 0.0)):
        bench.source.pause, bench.sink.pause = source, sink
        for centre in (True, False):
            rows = [(3 * rng.standard_normal(n)).astype("<f4") for _ in range(5)]
            await bench.run(rows, rng, centre=centre)
    assert all(checkers[name].transfers for name in ("i", "i_parameters", "o"))


@cocotb.test()
async def test_odd_rows(dut):
    """NaN and infinities stay in their row; rows of zeros give the bias, or zeros."""
    bench = await Bench.create(dut)
    rng = options.generator("odd")
    for n in (1, 6, 70):
        for centre in (True, False):
            odd = odd_rows(rng, n)
            found, _, bias = await bench.run(list(odd.values()), rng, centre=centre)
            results = dict(zip(odd, found, strict=True))
            assert np.array_equal(results["zeros"], bias if centre else np.zeros(n))
            assert np.isnan(results["NaN"]).all() and np.isnan(results["infinite"]).any()


@cocotb.test()
async def test_cycles(dut):
    """In a series, a row costs a cycle for each beat and those of a tree of sums, if there is room for 32 beats besides."""
    bench = await Bench.create(dut)
    n = {1: 128, 4: 32}[bench.lanes]
    for centre in (True, False):
        await bench.configure(n, np.ones(n, "<f4"), np.zeros(n, "<f4"), centre=centre)
        for _ in range(6):
            bench.source.send(beats(np.arange(n, dtype="<f4"), bench.lanes))
        ends, cycle = [], 0
        while len(ends) < 6:
            await RisingEdge(dut.clk)
            cycle += 1
            if int(dut.o__valid.value) and int(dut.o__payload.value) >> len(dut.o__payload) - 1:
                ends.append(cycle)
        count = n // bench.lanes
        dut._log.info(f"centre {centre}, {count} beats: a row in {ends[5] - ends[4]} cycles")
        assert ends[5] - ends[4] == count + tree_latency(bench.lanes) <= 2 * count + 64
        await bench.sink.receive(6 * count)


@cocotb.test()
async def test_a_row_that_is_too_long(dut):
    bench = await Bench.create(dut)
    rng = options.generator("long")
    await bench.run([np.ones(MAX_LENGTH, "<f4")], rng, centre=True)
    assert not int(dut.overflow.value)
    bench.source.send(beats(np.ones(MAX_LENGTH + bench.lanes, "<f4"), bench.lanes)[:-1])
    await bench.source.drained()
    await ClockCycles(dut.clk, 3)
    assert int(dut.overflow.value) and not int(dut.i__ready.value)
