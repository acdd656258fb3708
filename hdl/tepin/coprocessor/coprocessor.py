# SPDX-License-Identifier: Apache-2.0
"""The coprocessor from its serial line inwards: what a small board is built from.

rx, tx -- SerialHost -- memory -- CoprocessorCore
              |
          registers -- Refusal
"""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import Component, In, Out, connect

from tepin.coprocessor.core import CoprocessorCore
from tepin.coprocessor.job import Shape
from tepin.dma.axi import AXI4LiteSignature, Response
from tepin.io.protocol import BAUD
from tepin.io.serial_host import SerialHost

__all__ = ["Coprocessor", "Refusal"]


class Refusal(Component):
    """Registers of which there are none: answers every access with DECERR, one at a time.

    Members
    -------
    s_axil : In(AXI4LiteSignature(addr_width=16))
    """

    s_axil: In(AXI4LiteSignature(addr_width=16))

    def elaborate(self, platform):
        m = Module()
        bus = self.s_axil
        m.d.comb += [bus.r.payload.resp.eq(Response.DECERR), bus.b.payload.resp.eq(Response.DECERR)]
        m.d.comb += [
            bus.ar.ready.eq(~bus.r.valid),
            bus.aw.ready.eq(bus.aw.valid & bus.w.valid & ~bus.b.valid),
            bus.w.ready.eq(bus.aw.ready),
        ]
        with m.If(bus.r.valid):
            m.d.sync += bus.r.valid.eq(~bus.r.ready)
        with m.Else():
            m.d.sync += bus.r.valid.eq(bus.ar.valid)
        with m.If(bus.b.valid):
            m.d.sync += bus.b.valid.eq(~bus.b.ready)
        with m.Else():
            m.d.sync += bus.b.valid.eq(bus.aw.valid & bus.w.valid)
        return m


class Coprocessor(Component):
    """Core and host link in one clock domain, `sync`. Nothing in it depends on the board.

    To the host it is the device of `tepin.io.protocol` that a chip is, with memory and without registers; its identity has
    `Shape.hash` in the place of the hash.

    Parameters
    ----------
    shape : Shape
    clock_hz : int
        Frequency of `sync`.
    baud : int
        Of the serial line.

    Members
    -------
    rx : In(1)
        Serial line from the host, asynchronous.
    tx : Out(1)
        Serial line to the host.
    leds : Out(2)
        From the lowest: a job is under way; something comes from the host.
    """

    def __init__(self, shape, *, clock_hz, baud=BAUD):
        if not isinstance(shape, Shape):
            raise TypeError(f"Shape of a coprocessor must be a Shape, not {shape!r}")
        self._shape, self._clock_hz = shape, clock_hz
        self._host = SerialHost(
            clock_hz=clock_hz,
            baud=baud,
            config_hash=shape.hash,
            memory_bytes=shape.memory_bytes,
            data_width=8 * shape.columns,
        )
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "leds": Out(2)})

    @property
    def shape(self):
        """Of array and memory."""
        return self._shape

    @property
    def clock_hz(self):
        """Frequency of the clock."""
        return self._clock_hz

    @property
    def baud(self):
        """Bits per second of the serial line."""
        return self._host.baud

    def elaborate(self, platform):
        m = Module()
        m.submodules.host = host = self._host
        m.submodules.core = core = CoprocessorCore(self._shape)
        m.submodules.refusal = refusal = Refusal()
        connect(m, host.memory, core.s_axi)
        connect(m, host.registers, refusal.s_axil)
        heard = Signal()
        m.d.sync += heard.eq(~self.rx)
        m.d.comb += [host.rx.eq(self.rx), self.tx.eq(host.tx)]
        m.d.sync += self.leds.eq(Cat(core.busy, heard))
        return m
