# SPDX-License-Identifier: Apache-2.0
"""Frames of `tepin.io.protocol` in hardware: between bytes on a line and bodies."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from tepin.io.crc import SerialCrc
from tepin.io.protocol import CRC_BYTES, ESCAPE, ESCAPED, FLAG

__all__ = ["FrameReceiver", "FrameTransmitter"]


class FrameReceiver(Component):
    """Takes frames apart: unescapes them and checks their CRC.

    The bytes of a frame, CRC included, leave as they come, since only its end tells whether it is good; whoever takes them
    must keep them without effect until then. A flag that ends nothing gives an end that is not good.

    Latency 1 cycle, one byte in 9 cycles.

    Members
    -------
    i : In stream of bytes
        The line.
    o : Out stream of {data: 8, end: 1, good: 1}
        A byte of a frame; or, with `end` set, its end, and whether its CRC was right.
    """

    i: In(stream.Signature(8))
    o: Out(stream.Signature(data.StructLayout({"data": 8, "end": 1, "good": 1})))

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = SerialCrc()
        escaped = Signal()
        byte = Signal(8)
        m.d.comb += [
            self.i.ready.eq(~self.o.valid & crc.i.ready),
            byte.eq(Mux(escaped, self.i.payload ^ ESCAPED, self.i.payload)),
            crc.i.payload.eq(byte),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [escaped.eq(0), self.o.payload.data.eq(byte)]
            with m.If(self.i.payload == FLAG):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.payload.end.eq(1),
                    self.o.payload.good.eq(crc.match & ~escaped),
                ]
            with m.Elif(~escaped & (self.i.payload == ESCAPE)):
                m.d.sync += escaped.eq(1)
            with m.Else():
                m.d.comb += crc.i.valid.eq(1)
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.payload.end.eq(0),
                    self.o.payload.good.eq(0),
                ]
        return m


class FrameTransmitter(Component):
    """Puts bodies into frames: flags, escapes, CRC.

    Latency from the first byte of a body to the flag before it: 1 cycle; a byte in 9 cycles.

    Members
    -------
    i : In stream of {data: 8, last: 1}
        Bodies of at least one byte.
    o : Out stream of bytes
        The line.
    """

    i: In(stream.Signature(data.StructLayout({"data": 8, "last": 1})))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = SerialCrc()
        byte = Signal(8)
        escaping = Signal()  # the escape is out, the byte itself is not
        special = Signal()
        sent = Signal()  # `byte` goes out in this cycle, be it escaped
        index = Signal(range(CRC_BYTES))
        m.d.comb += [
            special.eq((byte == FLAG) | (byte == ESCAPE)),
            crc.i.payload.eq(self.i.payload.data),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        def send_escaped():
            """Statements of a state that sends `byte` as soon as the line takes it."""
            m.d.sync += self.o.valid.eq(1)
            with m.If(special & ~escaping):
                m.d.sync += [self.o.payload.eq(ESCAPE), escaping.eq(1)]
            with m.Else():
                m.d.comb += sent.eq(1)
                m.d.sync += [self.o.payload.eq(Mux(escaping, byte ^ ESCAPED, byte)), escaping.eq(0)]

        with m.FSM():
            with m.State("BEGIN"):
                with m.If(self.i.valid & ~self.o.valid):
                    m.d.comb += crc.start.eq(1)
                    m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                    m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += byte.eq(self.i.payload.data)
                with m.If(self.i.valid & ~self.o.valid & crc.i.ready):
                    send_escaped()
                    m.d.comb += [self.i.ready.eq(sent), crc.i.valid.eq(sent)]
                    with m.If(sent & self.i.payload.last):
                        m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += byte.eq(crc.crc.word_select(index, 8))
                with m.If(~self.o.valid & crc.i.ready):
                    send_escaped()
                    with m.If(sent):
                        m.d.sync += index.eq(index + 1)
                        with m.If(index == CRC_BYTES - 1):
                            m.next = "END"
            with m.State("END"):
                with m.If(~self.o.valid):
                    m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                    m.next = "BEGIN"
        return m
