# SPDX-License-Identifier: Apache-2.0
"""Bits of one variable that depend on each other: what is written for them is right in simulators that go event by event."""

import shutil

import cocotb
import pytest
from amaranth.back import rtlil as amaranth_rtlil
from amaranth.hdl import Module
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from cocotb.triggers import Timer

from tepin import verilog
from tepin.export import rtlil
from tepin.export.cycles import break_cycles, cycles
from tepin_testbench import options
from tepin_testbench.runner import run_cocotb

LAYOUT = data.StructLayout({"both": 1, "one": 1, "count": 3, "done": 1})


class Entangled(Component):
    """`both` follows from `one`, which stands behind it, and `done` from a signal that follows from `count`."""

    a: In(4)
    b: In(4)
    o: Out(LAYOUT)

    def elaborate(self, platform):
        m = Module()
        full = self.o.count[:2] == 3
        m.d.comb += [self.o.both.eq(self.o.one & self.b[0]), self.o.one.eq(self.a[0])]
        with m.If(self.b[1]):
            m.d.comb += [self.o.count.eq(self.a), self.o.done.eq(full)]
        with m.Elif(self.b[2]):
            m.d.comb += [self.o.one.eq(self.a[1]), self.o.done.eq(self.o.both)]
        return m


def test_no_cycle_is_left():
    flat = verilog.Flat(Entangled(), {})
    text = amaranth_rtlil.convert(flat, name="top", ports=flat.ports, emit_src=False)
    modules = rtlil.parse(text)
    ((_, before),) = cycles(modules, "top")
    assert "\\o" in before
    break_cycles(modules, "top")
    assert cycles(modules, "top") == []


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")
def test_behaviour():
    run_cocotb(Entangled(), top="entangled", test_module=__name__, exported=True, sim="icarus", family="")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_bit(dut):
    rng = options.generator("entangled")
    for _ in range(200):
        a, b = (int(value) for value in rng.integers(0, 16, 2))
        dut.a.value, dut.b.value = a, b
        await Timer(1, "ns")
        one = a >> 1 & 1 if b & 6 == 4 else a & 1
        both = one & b & 1
        count = a & 7 if b & 2 else 0
        done = count & 3 == 3 if b & 2 else both & b >> 2
        assert int(dut.o.value) == both | one << 1 | count << 2 | int(done) << 5, (a, b)
