# SPDX-License-Identifier: Apache-2.0
"""Clock gating in Verilog: what rests stands still, what does not loses no clock edge, and a reset reaches both."""

import shutil

import cocotb
import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib.wiring import Component, In, Out
from cocotb.triggers import RisingEdge

from tepin.clock import add_clock_gated
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import start


class Counter(Component):
    """Counts, always."""

    o: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.o + 1)
        return m


class Gated(Component):
    """A counter that says that it rests while `rest` is high, which is not true, so that the gate can be seen.

    `clear` is a reset of the surroundings; `delayed` was `rest` one cycle ago, from a register that is not gated.
    """

    rest: In(1)
    clear: In(1)
    o: Out(8)
    delayed: Out(1)

    def elaborate(self, platform):
        m = Module()
        inner = Module()
        counter = Counter()
        resting = Signal()
        inner.d.sync += resting.eq(self.rest)
        inner.d.comb += [self.o.eq(counter.o), self.delayed.eq(resting)]
        add_clock_gated(inner, platform, "counter", counter, resting=resting)
        m.submodules.inner = ResetInserter(self.clear)(inner)
        return m


@pytest.mark.parametrize("clock_gates", [True, False])
def test_clock_gate(clock_gates, **form):
    shape = {"clock_gates": clock_gates}
    run_cocotb(Gated(), top="gated", test_module=__name__, parameters=shape, clock_gates=clock_gates, **form)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")
def test_exported_clock_gate():
    """The same in what `tepin verilog --clock-gates` writes."""
    test_clock_gate(True, exported=True, sim="icarus")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counts_unless_it_rests(dut):
    rng = options.generator("rest")
    await start(dut)
    gated = parameters()["clock_gates"]
    count, reset = 0, 0
    for cycle in range(500):
        await RisingEdge(dut.clk)
        resting, clear, now = int(dut.delayed.value), int(dut.clear.value), int(dut.o.value)
        if cycle > 2:  # What was before the first one is not known.
            assert now == count, cycle
        # A reset of the surroundings arrives one cycle late behind a gate, and opens it.
        arrives, reset = (reset, clear) if gated else (clear, 0)
        count = 0 if arrives else (now + (not resting or not gated)) % 256
        dut.rest.value = int(rng.random() < 0.5)
        dut.clear.value = int(rng.random() < 0.02)
