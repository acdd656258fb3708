# SPDX-License-Identifier: Apache-2.0
"""The protocol's CRC-32, a bit per cycle: a third of the logic of one that takes bytes, and quick enough for a line."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from tepin.io.protocol import CRC

__all__ = ["SerialCrc"]


class SerialCrc(Component):
    """CRC over bytes.

    A byte takes 8 cycles after it has been accepted. `crc` and `match` mean something while `i.ready` is high.

    Members
    -------
    i : In stream of bytes
    start : In(1)
        Begins anew. Only while `i.ready` is high, and not together with a byte.
    crc : Out(32)
        Of the bytes since the start.
    match : Out(1)
        Whether the last four of them were the CRC of those before, lowest byte first.
    """

    i: In(stream.Signature(8))
    start: In(1)
    crc: Out(32)
    match: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.processor = processor = CRC.algorithm(1).create()
        # The bits to come, and a one behind them. Without a bit to come that one is left.
        bits = Signal(9, init=1)
        m.d.comb += [
            self.i.ready.eq(bits == 1),
            processor.start.eq(self.start),
            processor.data.eq(bits[0]),
            processor.valid.eq(~self.i.ready),
            self.crc.eq(processor.crc),
            self.match.eq(processor.match_detected),
        ]
        with m.If(~self.i.ready):
            m.d.sync += bits.eq(bits >> 1)
        with m.Elif(self.i.valid):
            m.d.sync += bits.eq(self.i.payload | 0x100)
        return m
