# SPDX-License-Identifier: Apache-2.0
"""Share of the pins' bandwidth that bursts get, over many refreshes; docs/sdram.md shows what these tests print."""

from collections import deque

import cocotb
import pytest
from cocotb.triggers import RisingEdge

from tepin.memory.sdram_parts import PARTS
from tepin_testbench import options
from tepin_testbench.runner import parameters
from verification.testbenches.sdram.bench import Bench, run

REFRESH_BUNDLES = 6


@pytest.mark.parametrize("board", ["ulx3s", "colorlight"])
def test_rates(board):
    part = PARTS[board]
    timing = part.timing(100_000_000)
    run(
        __name__,
        settings={"part": part, "cas_latency": 3},
        board=board,
        cycles=REFRESH_BUNDLES * timing.postponed * timing.refresh_interval,
    )


class Traffic:
    """Keeps queues of bursts at the controller and counts the beats that move. It is always ready for answers."""

    def __init__(self, dut, beat):
        self.dut = dut
        self.size = beat.bit_length() - 1
        self.reads = deque()  # (address, beats)
        self.writes = deque()
        self.read_beats = self.write_beats = self.answers = 0
        self.asked = deque()
        cocotb.start_soon(self._addresses("ar", self.reads, None))
        cocotb.start_soon(self._addresses("aw", self.writes, self._write_data()))
        cocotb.start_soon(self._count())

    async def _addresses(self, channel, queue, data):
        """Offers the addresses of a queue, and for writes the beats of each burst after its address."""
        dut = self.dut
        port = {
            name: getattr(dut, f"s_axi_{channel}{name}")
            for name in ("addr", "len", "size", "burst", "valid", "ready")
        }
        port["size"].value = self.size
        port["burst"].value = 1
        while True:
            if not queue:
                port["valid"].value = 0
                await RisingEdge(dut.clk)
                continue
            address, beats = queue.popleft()
            port["addr"].value = address
            port["len"].value = beats - 1
            port["valid"].value = 1
            await RisingEdge(dut.clk)
            while port["ready"].value == 0:
                await RisingEdge(dut.clk)
            if data is not None:
                self.asked.append(beats)

    async def _write_data_run(self):
        dut = self.dut
        dut.s_axi_wstrb.value = (1 << (1 << self.size)) - 1
        while True:
            dut.s_axi_wvalid.value = 0
            while not self.asked:
                await RisingEdge(dut.clk)
            for left in reversed(range(self.asked.popleft())):
                dut.s_axi_wvalid.value = 1
                dut.s_axi_wdata.value = left
                dut.s_axi_wlast.value = int(left == 0)
                await RisingEdge(dut.clk)
                while dut.s_axi_wready.value == 0:
                    await RisingEdge(dut.clk)

    def _write_data(self):
        cocotb.start_soon(self._write_data_run())
        return True

    async def _count(self):
        dut = self.dut
        dut.s_axi_rready.value = 1
        dut.s_axi_bready.value = 1
        while True:
            await RisingEdge(dut.clk)
            self.read_beats += int(dut.s_axi_rvalid.value)
            self.answers += int(dut.s_axi_bvalid.value)
            self.write_beats += int(dut.s_axi_wvalid.value) & int(dut.s_axi_wready.value)


async def measure(dut, offer, least, what):
    """Runs `offer`, which fills the queues in every cycle, and compares the beats that moved with the cycles."""
    bench = Bench(dut)
    await bench.start(master=False)
    await bench.initialised()
    traffic = Traffic(dut, bench.beat)
    beats = begin = cycle = 0
    settle = 2000
    for cycle in range(parameters()["cycles"] + settle):
        offer(traffic, cycle)
        if cycle == settle:
            begin = traffic.read_beats + traffic.write_beats
        await RisingEdge(dut.clk)
    beats = traffic.read_beats + traffic.write_beats - begin
    share = 100 * beats / parameters()["cycles"]
    dut._log.info(f"{parameters()['board']}, {what}: {share:.2f} % of the pins' bandwidth")
    assert share >= least


def linear(traffic, state, burst, limit):
    """Keeps the read queue filled with a linear run."""
    while len(traffic.reads) < 2:
        traffic.reads.append((state[0], burst))
        state[0] = (state[0] + (burst << traffic.size)) % limit


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(burst=[16, 256])
async def reading(dut, burst):
    state = [0]
    limit = parameters()["bytes"]
    await measure(
        dut, lambda traffic, cycle: linear(traffic, state, burst, limit), 98.5, f"reading, {burst} beats"
    )


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(burst=[16, 256])
async def writing(dut, burst):
    state = [0]
    limit = parameters()["bytes"]

    def offer(traffic, cycle):
        while len(traffic.writes) < 2:
            traffic.writes.append((state[0], burst))
            state[0] = (state[0] + (burst << traffic.size)) % limit

    await measure(dut, offer, 98.0, f"writing, {burst} beats")


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(burst=[16, 64, 256])
async def decoding(dut, burst):
    """Linear reads of weights; every 1024 cycles, a load of 16 beats and two stores of 8 and of 16 elsewhere."""
    rng = options.generator("decoding", burst)
    state = [0]
    limit = parameters()["bytes"]

    def offer(traffic, cycle):
        if cycle % 1024 == 0:
            load, store, other = (int(place) * 1024 for place in rng.integers(limit // 1024, size=3))
            traffic.reads.append((load + 64, 16))
            traffic.writes.extend([(store, 16), (other + 128, 8)])
        linear(traffic, state, burst, limit)

    await measure(dut, offer, 97.0, f"decode mix, {burst} beats")
