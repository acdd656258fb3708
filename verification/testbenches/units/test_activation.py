# SPDX-License-Identifier: Apache-2.0
"""The activation unit in Verilog against the numpy model, in every bit, and against float64 mathematics."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from tepin.units.activation import Activation, ActivationUnit
from tepin_reference import units
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import check_streams
from verification.testbenches.units.bench import UnitBench
from verification.testbenches.units.rows import beats, odd_rows, parse

MODELS = {Activation.SILU: units.silu, Activation.SIGMOID: units.sigmoid, Activation.GELU: units.gelu}


def test_activation():
    unit = ActivationUnit(lanes=2, architecture="ecp5-model")
    config = {"lanes": unit.lanes, "latency": unit.latency}
    run_cocotb(unit, top="activation", test_module=__name__, parameters=config)


class Bench(UnitBench):
    """Sends rows, and compares what comes back with the model."""

    async def run(self, rows, function):
        self.dut.function.value = function.value
        for row in rows:
            self.source.send(beats(row, self.lanes))
        await self.source.drained()  # The next function may come while these are under way.
        with np.errstate(all="ignore"):
            return [MODELS[function](row) for row in rows]

    async def compare(self, expected):
        count = sum(-(-len(row) // self.lanes) for row in expected)
        found = parse(await self.sink.receive(count), self.lanes)
        for row, result in zip(expected, found, strict=True):
            assert result.tobytes() == row.tobytes(), (result, row)
        return found


def exact(function, x):
    wide = x.astype(np.float64)
    if function == Activation.GELU:
        return wide * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3))) / 2
    return (1 if function == Activation.SIGMOID else wide) / (1 + np.exp(-wide))


@cocotb.test()
async def test_functions(dut):
    """All of them, the function changing while elements are under way; close to float64."""
    bench = await Bench.create(dut)
    rng = options.generator("functions")
    rows, expected, functions = [], [], []
    for round in range(6):
        for function in Activation:
            row = (2 ** (round - 2.0) * rng.standard_normal(50 + round)).astype("<f4")
            rows.append(row)
            functions.append(function)
            expected += await bench.run([row], function)
    for row, function, found in zip(rows, functions, await bench.compare(expected), strict=True):
        assert np.allclose(found, exact(function, row), rtol=3e-6, atol=1e-7)


@cocotb.test()
async def test_pauses_and_odd_rows(dut):
    """NaN gives NaN, +inf +inf or 1, and -inf a zero."""
    bench = await Bench.create(dut, pause=0.5)
    checkers = check_streams(dut)
    rng = options.generator("odd")
    for function in Activation:
        expected = await bench.run([row for n in (1, 20) for row in odd_rows(rng, n).values()], function)
        await bench.compare(expected)
    bench.sink.pause, bench.source.pause = 0.9, 0.0
    await bench.compare(await bench.run([rng.standard_normal(200).astype("<f4")], Activation.GELU))
    assert checkers["i"].transfers and checkers["o"].transfers


@cocotb.test()
async def test_cycles(dut):
    """A beat per cycle, each as many cycles later as the unit says."""
    bench = await Bench.create(dut)
    bench.source.send(beats(np.ones(400, "<f4"), bench.lanes))
    first = last = None
    outputs = cycle = 0
    while outputs < 400 // bench.lanes:
        await RisingEdge(dut.clk)
        if first is None and int(dut.i__valid.value) and int(dut.i__ready.value):
            first = cycle
        if int(dut.o__valid.value):
            if not outputs:
                assert cycle - first == parameters()["latency"]
            outputs, last = outputs + 1, cycle
        cycle += 1
    assert last - first == parameters()["latency"] + 400 // bench.lanes - 1
