# SPDX-License-Identifier: Apache-2.0
"""The systolic array in Verilog: tiles of any height and any number of passes, against numpy."""

import cocotb
import numpy as np
import pytest
from cocotb.triggers import RisingEdge

from tepin.matmul.array import SystolicArray, array_pass, array_sums
from tepin.matmul.dequantiser import weight_row
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import StreamSource, check_streams, start

TAG_WIDTH = 5


@pytest.mark.parametrize(
    "rows, columns, activation_width, architecture",
    [(2, 8, 8, "generic"), (8, 4, 8, "generic"), (4, 4, 16, "generic"), (3, 2, 16, "ecp5-model")],
)
def test_systolic_array(rows, columns, activation_width, architecture):
    arguments = {"rows": rows, "columns": columns, "activation_width": activation_width}
    run_cocotb(
        SystolicArray(**arguments, tag=TAG_WIDTH, architecture=architecture),
        top="systolic_array",
        test_module=__name__,
        parameters={**arguments, "latency": rows + 4},
    )


class Bench:
    """Feeds tiles, collects sums and the cycles in which passes go in and come out."""

    def __init__(self, dut, *, weight_pause=0.0, pause=0.0):
        arguments = parameters()
        self.latency = arguments.pop("latency")
        self.rows, self.columns = arguments["rows"], arguments["columns"]
        columns = arguments.pop("columns")
        self._low = -(1 << arguments["activation_width"] - 1)
        self._sums = array_sums(**arguments, columns=columns, tag=TAG_WIDTH)
        self._weights = StreamSource(dut, "i_weights", shape=weight_row(columns), pause=weight_pause)
        self._passes = StreamSource(dut, "i", shape=array_pass(**arguments, tag=TAG_WIDTH), pause=pause)
        self._tag = 0
        self.expected = []
        self.results = []
        self.entered = []
        self.left = []
        check_streams(dut)
        cocotb.start_soon(self._monitor(dut))

    def tile(self, rng, height, passes, edges=0.3):
        """Sends a random tile with random passes, some numbers at their limits."""
        limits = [self._low, -1, 0, -self._low - 1]
        weights = rng.integers(-128, 128, (height, self.columns))
        weights = np.where(rng.random(weights.shape) < edges, rng.choice([-128, 127], weights.shape), weights)
        activations = np.zeros((passes, self.rows), int)
        activations[:, :height] = rng.integers(self._low, -self._low, (passes, height))
        at_limit = rng.random((passes, height)) < edges
        activations[:, :height][at_limit] = rng.choice(limits, at_limit.sum())
        self._weights.send(
            {"weights": row.tolist(), "last": number == height - 1} for number, row in enumerate(weights)
        )
        for number, row in enumerate(activations):
            tag = self._tag = (self._tag + 1) % (1 << TAG_WIDTH)
            self._passes.send([{"activations": row.tolist(), "first": number == 0, "tag": tag}])
            self.expected.append(((row[:height] @ weights).tolist(), tag))

    async def finish(self):
        await self._passes.drained()
        for _ in range(self.latency + 2):
            await RisingEdge(self._clock)
        assert self.results == self.expected
        # A pass is never held up inside.
        assert [cycle - self.latency for cycle in self.left] == self.entered

    async def _monitor(self, dut):
        self._clock = dut.clk
        cycle = 0
        while True:
            await RisingEdge(dut.clk)
            cycle += 1
            if dut.i__valid.value == 1 and dut.i__ready.value == 1:
                self.entered.append(cycle)
            if dut.o__valid.value == 1:
                self.left.append(cycle)
                result = self._sums.from_bits(int(dut.o__payload.value))
                self.results.append(([result.sums[column] for column in range(self.columns)], result.tag))


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(weight_pause=[0.0, 0.6], pause=[0.0, 0.6])
async def random_tiles(dut, weight_pause, pause):
    await start(dut)
    rng = options.generator("tiles", weight_pause, pause)
    bench = Bench(dut, weight_pause=weight_pause, pause=pause)
    for _ in range(40):
        bench.tile(rng, int(rng.integers(1, bench.rows + 1)), int(rng.integers(1, 2 * bench.rows + 2)))
    await bench.finish()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def all_at_their_limits(dut):
    """The largest sums that there are."""
    await start(dut)
    rng = options.generator("limits")
    bench = Bench(dut)
    for _ in range(10):
        bench.tile(rng, bench.rows, 8, edges=1.0)
    await bench.finish()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(surplus=[-1, 0, 3])
async def no_gaps(dut, surplus):
    """Back to back, a tile takes max(rows, passes) cycles."""
    await start(dut)
    rng = options.generator("gaps", surplus)
    bench = Bench(dut)
    passes = max(1, bench.rows + surplus)
    for _ in range(12):
        bench.tile(rng, bench.rows, passes)
    await bench.finish()
    firsts = np.diff(bench.entered[::passes])
    assert firsts.tolist() == [max(bench.rows, passes)] * 11
