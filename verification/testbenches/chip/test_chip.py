# SPDX-License-Identifier: Apache-2.0
"""The whole chip in Verilog among models that others have written: AxiRam and AxiLiteMaster of cocotbext-axi.

The compiled simulation has a memory and a host of our own, which may share a misunderstanding of AXI with the chip.
"""

import logging

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

from tepin.chip import Chip
from tepin.control.registers import register
from tepin.isa import ErrorCode
from tepin_host.compiler import Request, compile_model
from tepin_host.simulation import chip_verilog
from tepin_testbench import options
from tepin_testbench.random_model import random_model
from tepin_testbench.runner import run_cocotb
from tepin_testbench.stream import check_streams, start
from verification.testbenches.chip.runs import TINY, reference

SHAPE = {
    "dim": 8, "hidden_dim": 12, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1, "vocab_size": 12, "max_seq_len": 8,
}  # fmt: skip


def test_chip():
    run_cocotb(Chip(TINY), top="tepin", test_module=__name__, text=chip_verilog(TINY))


class Bench:
    """Memory, host and an observer of the probe port."""

    def __init__(self, dut, size, pause):
        self.dut = dut
        self.observed = []
        for bus in ("m_axi", "s_axil"):
            logging.getLogger(f"cocotb.tepin.{bus}").setLevel(logging.WARNING)
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=size)
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        rng = options.generator("pauses", pause)
        write, read = self.ram.write_if, self.ram.read_if
        host_write, host_read = self.host.write_if, self.host.read_if
        for channel in (
            *(write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel),
            *(host_write.aw_channel, host_write.w_channel, host_write.b_channel),
            *(host_read.ar_channel, host_read.r_channel),
        ):
            channel.set_pause_generator(iter(lambda: bool(rng.random() < pause), None))
        check_streams(dut)
        cocotb.start_soon(self._observe())

    async def _observe(self):
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            if dut.probe_valid.value == 1:
                self.observed.append(int(dut.probe_data.value))

    async def read(self, name):
        answer = await self.host.read(register(name).offset, 4)
        assert answer.resp == 0, f"reading {name}: {answer.resp!r}"
        return int.from_bytes(answer.data, "little")

    async def write(self, name, value):
        answer = await self.host.write(register(name).offset, int(value).to_bytes(4, "little"))
        assert answer.resp == 0, f"writing {name}: {answer.resp!r}"

    async def start(self, executable, request):
        """Fill memory and program memory, open the windows, start."""
        self.observed.clear()
        self.ram.write(0, executable.memory(request).tobytes())
        assert await self.read("CONFIG_HASH") == TINY.hash
        await self.write("PROGRAM_ADDRESS", 0)
        for word in executable.program:
            await self.write("PROGRAM_DATA", word)
        for name in ("READ", "WRITE"):
            await self.write(f"{name}_BASE", 0)
            await self.write(f"{name}_LIMIT", executable.memory_bytes - 1)
        await self.write("IRQ_STATUS", 7)
        await self.write("IRQ_ENABLE", 7)
        await self.write("CONTROL", 1)

    async def tokens(self):
        """Tokens up to the end of the program."""
        result = []
        while True:
            if self.dut.irq.value == 0:
                await First(RisingEdge(self.dut.irq), Timer(2, "ms"))
                assert self.dut.irq.value == 1, "no interrupt"
            word = await self.read("TOKEN")
            if word >> 31:
                result.append(word & 0x7FFF_FFFF)
            elif not await self.read("STATUS") & 0b1001:
                return result

    async def assert_generates(self, executable, request, scratchpad=None):
        """One generation as in the functional simulator, of which the scratchpad is returned."""
        await self.start(executable, request)
        tokens = await self.tokens()
        assert ErrorCode(await self.read("ERROR")) == ErrorCode.NONE
        expected = reference(executable, request, scratchpad=scratchpad)
        assert tokens == expected.tokens
        assert len(tokens) == request.tokens
        observed = np.array(self.observed, "<u4").reshape(expected.logits.shape)
        np.testing.assert_array_equal(observed, expected.logits.view("<u4"))
        memory = np.frombuffer(self.ram.read(0, executable.memory_bytes), np.uint8)
        np.testing.assert_array_equal(memory, expected.memory)
        return expected.scratchpad


async def prepared(dut, pause):
    executable = compile_model(random_model(options.seed(), **SHAPE), TINY)
    await start(dut)
    return Bench(dut, executable.memory_bytes, pause), executable


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.4])
async def generations(dut, pause):
    """Two, one after the other, of three positions each; every byte of memory is compared."""
    bench, executable = await prepared(dut, pause)
    scratchpad = await bench.assert_generates(executable, Request([5, 3], 2, stop=()))
    request = Request([1], 3, seed=7, temperature=1.0, stop=())
    await bench.assert_generates(executable, request, scratchpad)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_in_the_middle(dut):
    """A reset of chip and memory at any time is as good as switching them off and on."""
    bench, executable = await prepared(dut, 0.2)
    request = Request([5, 3], 2, stop=())
    rng = options.generator("reset")
    await bench.start(executable, request)
    await ClockCycles(dut.clk, int(rng.integers(1000, 4000)))
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    assert dut.m_axi_arvalid.value == dut.m_axi_awvalid.value == dut.m_axi_wvalid.value == 0
    dut.rst.value = 0
    assert await bench.read("STATUS") == 0
    assert await bench.read("READ_BASE") == 0xFFFF_FFFF
    await bench.start(executable, request)
    assert await bench.tokens() == reference(executable, request).tokens
