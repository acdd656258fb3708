# SPDX-License-Identifier: Apache-2.0
"""AXI bursts cut into segments: words that lie in one row of the SDRAM."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tepin.dma.axi import Burst, Response

__all__ = ["Segmenter", "segment_layout"]


def segment_layout(part, id_width):
    """A segment: `left + 1` words from `column` on, all in one row; `last` if it ends its burst.

    With another `resp` than OKAY no word is touched: that is the answer.
    """
    return data.StructLayout(
        {
            "write": 1,
            "id": id_width,
            "resp": Response,
            "last": 1,
            "bank": part.bank_bits,
            "row": part.row_bits,
            "column": part.column_bits,
            "left": 8,
        }
    )


class Segmenter(wiring.Component):
    """Cuts bursts at the ends of rows: one segment per cycle, the first one offered a cycle after the burst.

    DECERR answers bursts that start beyond the part, SLVERR those of several beats that are not INCR or whose beats are
    narrower than the bus.

    Parameters
    ----------
    part : `SdramPart`
        A row must hold at least 256 words, so that a burst is at most two segments.
    address : `data.StructLayout`
        Payload of an address channel of `AXI4Signature`.
    write : bool
        What `write` of the segments says.

    Members
    -------
    i : In stream of `address`
    o : Out stream of `segment_layout(part, id_width)`
    """

    def __init__(self, *, part, address, write):
        if part.column_bits < 8:
            raise ValueError(f"A row must have at least 8 column bits, not {part.column_bits}")
        self._part = part
        self._write = write
        self._layout = segment_layout(part, address["id"].width)
        super().__init__(
            {"i": In(stream.Signature(address)), "o": Out(stream.Signature(self._layout))},
        )

    def elaborate(self, platform):
        m = Module()
        part = self._part
        word_bits = (part.data_width // 8).bit_length() - 1
        capacity_bits = (part.bytes - 1).bit_length()
        valid = Signal()
        more = Signal()
        rest = Signal(8)
        segment = Signal(self._layout)
        m.d.comb += [
            self.i.ready.eq(~valid | (self.o.ready & ~more)),
            self.o.valid.eq(valid),
            self.o.payload.eq(segment),
            self.o.payload.write.eq(self._write),
            self.o.payload.last.eq(~more),
        ]

        with m.If(self.o.ready & more):
            after = Cat(segment.bank, segment.row) + 1
            m.d.sync += [
                more.eq(0),
                Cat(segment.bank, segment.row).eq(after),
                segment.column.eq(0),
                segment.left.eq(rest),
            ]
        burst = self.i.payload
        word = burst.addr[word_bits:capacity_bits]
        column = word[: part.column_bits]
        room = Signal(part.column_bits)
        crosses = Signal()
        odd = (burst.burst != Burst.INCR) | (burst.size != word_bits)
        m.d.comb += [room.eq(~column), crosses.eq(burst.len > room)]
        with m.If(self.i.ready):
            m.d.sync += [
                valid.eq(self.i.valid),
                more.eq(crosses),
                rest.eq(burst.len - room - 1),
                segment.id.eq(burst.id),
                Cat(segment.column, segment.bank, segment.row).eq(word),
                segment.left.eq(Mux(crosses, room, burst.len)),
                segment.resp.eq(Response.OKAY),
            ]
            with m.If(burst.addr[capacity_bits:].any()):
                m.d.sync += segment.resp.eq(Response.DECERR)
            with m.Elif(odd & (burst.len != 0)):
                m.d.sync += segment.resp.eq(Response.SLVERR)
        return m
