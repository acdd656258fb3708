# SPDX-License-Identifier: Apache-2.0
"""A system with the ports of a real one, that takes seconds to build: it echoes bytes, and twiddles the pins."""

from dataclasses import replace

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from tepin.memory.sdram_parts import PARTS
from tepin.memory.sdram_pins import SdramPins
from tepin_fpga.board import find_board
from tepin_fpga.primitives import Primitives

__all__ = ["EXPECTED", "SmallSystem", "small_board"]

EXPECTED = {"multiplier": Primitives(1, 0), "memory": Primitives(0, 1)}
"""DSPs and block RAMs, by submodule."""


class SmallSystem(Component):
    """Multiplies what comes from the SDRAM's pins with what a memory holds.

    The flip-flops behind the pins are of every kind that a controller may have: with reset to either value, with enable,
    without anything, one for several pins. `long` adds a chain of that many adders between two registers.
    """

    def __init__(self, long=0):
        self._long = long
        super().__init__({"sdram": Out(SdramPins(PARTS["ulx3s"])), "rx": In(1), "tx": Out(1), "leds": Out(8)})

    def elaborate(self, platform):
        m = Module()
        pins = self.sdram
        m.submodules.memory = memory = _Table()
        m.submodules.multiplier = multiplier = _Multiplier()
        count = Signal(32)
        received, line = Signal(16), Signal(2)
        m.d.sync += [
            line.eq(Cat(self.rx, line[0])),
            self.tx.eq(line[1]),
            count.eq(count + 1),
            received.eq(pins.dq_i),
            pins.cke.eq(1),
            pins.cs_n.eq(count[3]),
            Cat(pins.ras_n, pins.cas_n, pins.we_n).eq(count[4:7]),
            pins.ba.eq(count[7:9]),
            pins.dqm.eq(Mux(count[9], 0b11, 0)),
            pins.dq_oe.eq(count[:4] == 3),
            self.leds.eq(multiplier.o >> 16),
        ]
        with m.If(count[2]):
            m.d.sync += [pins.a.eq(count[10:]), pins.dq_o.eq(multiplier.o)]
        m.d.comb += [memory.address.eq(received), memory.data.eq(count), multiplier.a.eq(received)]
        m.d.comb += multiplier.b.eq(memory.o)
        if self._long:
            value, total = received, Signal(32)
            for _ in range(self._long):
                value = ((value + count) ^ (value << 3))[:32]
            m.d.sync += total.eq(value)
            with m.If(total[31]):
                m.d.sync += self.tx.eq(total[5])
        return m


class _Table(Component):
    address: In(10)
    data: In(16)
    o: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Memory(shape=16, depth=1024, init=[])
        write, read = words.write_port(), words.read_port()
        m.d.comb += [write.en.eq(self.data[0]), write.addr.eq(self.data[1:11]), write.data.eq(self.data)]
        m.d.comb += [read.addr.eq(self.address), self.o.eq(read.data)]
        return m


class _Multiplier(Component):
    a: In(signed(16))
    b: In(signed(16))
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        a, b = Signal(signed(16)), Signal(signed(16))
        m.d.sync += [a.eq(self.a), b.eq(self.b), self.o.eq(a * b)]
        return m


def small_board(name="ulx3s-12f", *, long=0, **changes):
    """A board that runs a `SmallSystem`."""
    changes = {"clock_hz": 50_000_000, "system": lambda config, clock_hz: SmallSystem(long)} | changes
    return replace(find_board(name), **changes)
