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
    "rows, columns, activation_width, architecture, tiles",
    [
        (2, 8, 8, "generic", False),
        (8, 4, 8, "generic", True),
        (4, 4, 16, "generic", False),
        (3, 2, 16, "ecp5-model", False),
    ],
)
def test_systolic_array(rows, columns, activation_width, architecture, tiles):
    arguments = {"rows": rows, "columns": columns, "activation_width": activation_width}
    run_cocotb(
        SystolicArray(**arguments, tag=TAG_WIDTH, architecture=architecture, tiles=tiles),
        top="systolic_array",
        test_module=__name__,
        parameters={**arguments, "latency": rows + 4, "tiles": tiles},
    )


class Bench:
    """Feeds tiles, collects sums and the cycles in which passes go in and come out."""

    def __init__(self, dut, *, weight_pause=0.0, pause=0.0):
        arguments = parameters()
        self.latency = arguments.pop("latency")
        self.tiles = arguments.pop("tiles", False)
        self.rows, self.columns = arguments["rows"], arguments["columns"]
        columns = arguments.pop("columns")
        self._low = -(1 << arguments["activation_width"] - 1)
        self._sums = array_sums(**arguments, columns=columns, tag=TAG_WIDTH)
        self._weights = StreamSource(
            dut, "i_weights", shape=weight_row(columns, tiles=self.tiles), pause=weight_pause
        )
        self._passes = StreamSource(dut, "i", shape=array_pass(**arguments, tag=TAG_WIDTH), pause=pause)
        self._certain = self.tiles and not weight_pause
        self._tag = 0
        self.expected = []
        self.weights_taken = []
        self.results = []
        self.entered = []
        self.left = []
        check_streams(dut)
        cocotb.start_soon(self._monitor(dut))

    def tile(self, rng, height, passes, edges=0.3, certain=None):
        """Sends a random tile with random passes, some numbers at their limits; it is `certain`, or may be."""
        limits = [self._low, -1, 0, -self._low - 1]
        weights = rng.integers(-128, 128, (height, self.columns))
        weights = np.where(rng.random(weights.shape) < edges, rng.choice([-128, 127], weights.shape), weights)
        activations = np.zeros((passes, self.rows), int)
        activations[:, :height] = rng.integers(self._low, -self._low, (passes, height))
        at_limit = rng.random((passes, height)) < edges
        activations[:, :height][at_limit] = rng.choice(limits, at_limit.sum())
        if certain is None:
            certain = self._certain and rng.random() < 0.7
        flags = {"certain": int(certain)} if self.tiles else {}
        self._weights.send(
            {"weights": row.tolist(), "last": number == height - 1, **flags}
            for number, row in enumerate(weights)
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
            if dut.i_weights__valid.value == 1 and dut.i_weights__ready.value == 1:
                self.weights_taken.append(cycle)
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
        bench.tile(rng, bench.rows, passes, certain=bench.tiles)
    await bench.finish()
    firsts = np.diff(bench.entered[::passes])
    assert firsts.tolist() == [max(bench.rows, passes)] * 11


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(height=[1, 2, 8])
async def a_certain_tile_begins_early(dut, height):
    """Its first pass enters in the cycle after its first row; that of any other in the cycle after its last one."""
    await start(dut)
    rng = options.generator("early", height)
    bench = Bench(dut)
    height = min(height, bench.rows)
    certain = [bench.tiles, False, bench.tiles, bench.tiles]
    for early in certain:
        bench.tile(rng, height, 1, certain=early)
    await bench.finish()
    for number, early in enumerate(certain):
        rows = bench.weights_taken[number * height : (number + 1) * height]
        assert bench.entered[number] == (rows[0] if early else rows[-1]) + 1
