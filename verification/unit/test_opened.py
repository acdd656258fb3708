# SPDX-License-Identifier: Apache-2.0
"""What is inside of a component can be named and taken out, and what is not there is said to be missing."""

import pytest
from amaranth.hdl import Assert, Module, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from tepin_testbench.formal import Refuted, prove
from tepin_testbench.opened import Opened


class Toggle(Component):
    """Two states, a memory that is never written, and what is read from it."""

    enable: In(1)
    o: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=4, depth=2, init=[5, 5])
        read = memory.read_port(domain="comb")
        pulses = Signal(4)
        with m.FSM():
            with m.State("OFF"):
                with m.If(self.enable):
                    m.next = "ON"
            with m.State("ON"):
                m.d.sync += pulses.eq(pulses + 1)
                m.next = "OFF"
        m.d.comb += self.o.eq(read.data)
        return m


class Claim(Component):
    """A claim about an opened `Toggle`."""

    enable: In(1)

    def __init__(self, claim):
        self._claim = claim
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        toggle = Toggle()
        m.submodules.toggle = opened = Opened(toggle)
        m.d.comb += [toggle.enable.eq(self.enable), Assert(self._claim(m, toggle, opened))]
        return m


def test_registers_and_states():
    with pytest.raises(Refuted):
        prove(Claim(lambda m, toggle, opened: opened["pulses"] < 2), depth=6)
    with pytest.raises(Refuted):
        prove(Claim(lambda m, toggle, opened: opened.ongoing("OFF")), depth=2)
    prove(Claim(lambda m, toggle, opened: opened.ongoing("OFF") | opened.ongoing("ON")), depth=1)


def test_parts_can_be_replaced():
    def claim(m, toggle, opened):
        (port,) = opened.cut("memory").read_ports
        m.d.comb += port.data.eq(7)
        return toggle.o == 7

    prove(Claim(claim), depth=1)


def test_what_is_not_there():
    with pytest.raises(Refuted):  # `Opened` warns if it is made and never used.
        prove(Claim(_looks_for_nothing), depth=1)


def _looks_for_nothing(m, toggle, opened):
    with pytest.raises(KeyError, match="0 signals are called nothing"):
        opened["nothing"]
    with pytest.raises(KeyError, match="no submodule is called nothing"):
        opened.cut("nothing")
    return toggle.o == 0
