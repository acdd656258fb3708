# SPDX-License-Identifier: Apache-2.0
"""Share of the pins' bandwidth that bursts get, over several refreshes; docs/sdram.md shows what these tests print."""

import cocotb
import pytest
from cocotb.triggers import RisingEdge

from tepin.memory.sdram_parts import PARTS
from tepin_testbench import options
from tepin_testbench.runner import parameters
from verification.testbenches.sdram.bench import CLOCK_HZ, Bench, run
from verification.testbenches.sdram.traffic import Traffic

SETTLE = 1500


def rates(board, bundles, test_filter=None):
    """Measures over a whole number of refresh bundles of the real part."""
    part = PARTS[board]
    timing = part.timing(CLOCK_HZ)
    cycles = bundles * timing.postponed * timing.refresh_interval
    run(__name__, settings={"part": part}, test_filter=test_filter, board=board, cycles=cycles)


def test_rates():
    rates("ulx3s", 3, "burst=16|burst=256")


@pytest.mark.slow
@pytest.mark.parametrize("board", ["ulx3s", "colorlight"])
def test_rates_for_longer(board):
    rates(board, 12)


async def measure(dut, what, least, offer):
    """Compares the beats that were answered with the cycles; `offer(traffic, cycle)` fills the queues."""
    bench = Bench(dut)
    await bench.start(master=False)
    await bench.initialised()
    traffic = Traffic(dut, bench.beat)
    begin = 0
    cycles = parameters()["cycles"]
    for cycle in range(SETTLE + cycles):
        if cycle == SETTLE:
            begin = traffic.read_beats + traffic.written_beats
        offer(traffic, cycle)
        await RisingEdge(dut.clk)
    share = 100 * (traffic.read_beats + traffic.written_beats - begin) / cycles
    dut._log.info(f"{parameters()['board']}, {what}: {share:.2f} % of the pins' bandwidth")
    assert share >= least


class Linear:
    """Keeps a queue filled with bursts of a linear run through the part."""

    def __init__(self, burst):
        self._burst = burst
        self._address = 0

    def fill(self, traffic, queue):
        while len(queue) < 2:
            queue.append((self._address, self._burst))
            self._address = (self._address + self._burst * traffic.beat) % parameters()["bytes"]


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(burst=[16, 64, 256])
async def reading(dut, burst):
    stream = Linear(burst)
    await measure(
        dut, f"reading, bursts of {burst}", 98.5, lambda traffic, _: stream.fill(traffic, traffic.reads)
    )


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(burst=[16, 64, 256])
async def writing(dut, burst):
    stream = Linear(burst)
    await measure(
        dut, f"writing, bursts of {burst}", 97.5, lambda traffic, _: stream.fill(traffic, traffic.writes)
    )


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(burst=[16, 64, 256])
async def decoding(dut, burst):
    """Weights, and in every 1024 cycles a load of 16 beats and stores of 16 and of 8 beats, all anywhere."""
    rng = options.generator("decoding", burst)
    stream = Linear(burst)

    def offer(traffic, cycle):
        if cycle % 1024 == 0:
            load, store, other = (
                int(page) << 10 for page in rng.integers(parameters()["bytes"] >> 10, size=3)
            )
            traffic.reads.append((load + 64, 16))
            traffic.writes.extend([(store, 16), (other + 128, 8)])
        stream.fill(traffic, traffic.reads)

    await measure(dut, f"decode mix, weights in bursts of {burst}", 97.0, offer)
