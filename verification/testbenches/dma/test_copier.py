# SPDX-License-Identifier: Apache-2.0
"""The copier against AxiRam of cocotbext-axi: every byte of memory, with pauses on all five channels."""

import logging

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiRam

from tepin.dma.copier import Copier, CopyRun
from tepin.isa import ErrorCode
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import StreamSource, check_streams, start

SIZE = 1 << 14
HALF = SIZE // 2
SHAPES = {
    "usual": {"data_width": 64, "burst_beats": 16, "outstanding": 16, "buffer_beats": 256},
    "narrow": {"data_width": 16, "burst_beats": 4, "outstanding": 3, "buffer_beats": 16},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_copier(shape):
    run_cocotb(
        Copier(**SHAPES[shape]),
        top="copier",
        test_module=__name__,
        parameters={"shape": shape, **SHAPES[shape]},
    )


class Bench:
    """The copier between a source of runs and a memory full of noise.

    Attributes
    ----------
    expected : bytearray
        What the memory has to hold when the runs that were sent are done.
    done : int
        Runs that are.
    """

    def __init__(self, dut, rng, pause):
        self.dut, self.rng, self.done = dut, rng, 0
        logging.getLogger(f"cocotb.{dut._name}.m_axi").setLevel(logging.WARNING)
        check_streams(dut)
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=SIZE)
        self.expected = bytearray(rng.bytes(SIZE))
        self.ram.write(0, bytes(self.expected))
        for channel in (
            *(self.ram.read_if.ar_channel, self.ram.read_if.r_channel),
            *(self.ram.write_if.aw_channel, self.ram.write_if.w_channel, self.ram.write_if.b_channel),
        ):
            channel.set_pause_generator(iter(lambda: bool(rng.random() < pause), None))
        self.runs = StreamSource(dut, "i", shape=CopyRun, pause=pause / 2)
        for name, value in (("read_base", 0), ("read_limit", SIZE - 1), ("write_base", HALF)):
            getattr(dut, name).value = value
        dut.write_limit.value = SIZE - 1
        cocotb.start_soon(self._count())

    async def _count(self):
        while True:
            await RisingEdge(self.dut.clk)
            self.done += int(self.dut.done.value)

    def send(self, runs):
        """Copy; the runs do not meet each other."""
        for source, destination, length in runs:
            self.expected[destination : destination + length] = self.expected[source : source + length]
        self.runs.send(
            {"source": source, "destination": destination, "length": length}
            for source, destination, length in runs
        )

    def contents(self):
        return bytearray(self.ram.read(0, SIZE))


def random_runs(rng, count, most):
    """From anywhere in the lower half of the memory to places in the upper one, a few bytes apart."""
    place = HALF
    for _ in range(count):
        length = int(rng.integers(1, most + 1))
        place += int(rng.integers(5))
        if place + length > SIZE:
            return
        yield int(rng.integers(HALF - length)), place, length
        place += length


@cocotb.test(timeout_time=3, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.3, 0.7])
async def random_copies(dut, pause):
    """Any alignment and length; one long run crosses a 4 KiB boundary on both sides."""
    rng = options.generator("copies", parameters()["shape"], pause)
    await start(dut)
    bench = Bench(dut, rng, pause)
    most = 40 * parameters()["data_width"] // 8
    runs = [(HALF - 4200 + 3, HALF + 1, 4150), *((s, d + 4160, n) for s, d, n in random_runs(rng, 30, most))]
    runs = [run for run in runs if run[1] + run[2] <= SIZE]
    bench.send(runs)
    while bench.done < len(runs):
        await RisingEdge(dut.clk)
    await ClockCycles(dut.clk, 20)
    assert bench.done == len(runs) > 10
    assert bench.contents() == bench.expected
    assert int(dut.error.value) == ErrorCode.NONE.value
