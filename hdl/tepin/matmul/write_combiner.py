# SPDX-License-Identifier: Apache-2.0
"""Collects results that lie side by side into one write per scratchpad line."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory.ports import WritePort

__all__ = ["WriteCombiner", "WriteItem"]


class WriteItem(data.Struct):
    """A 32-bit word to write, or with `end`, a note that is handed on when everything before it has been written.

    `merge` says that the word lies in the same line as the one before it. `note` is anything; for a word, what to
    report if its address is out of range.
    """

    end: 1
    merge: 1
    address: 32
    data: 32
    note: 2


class WriteCombiner(wiring.Component):
    """Writes words to the scratchpad, as many at a time as lie in one line and follow each other.

    Words wait in a line buffer until one comes that cannot be merged, or an end. One item per cycle while writes are
    granted, but two cycles for an end that finds something to write.

    Parameters
    ----------
    line_bytes : int
        Bytes of a scratchpad line, a power of two, at least 4.

    Members
    -------
    i : In stream of `WriteItem`
    o : Out `WritePort`
    done, done_note : Out
        An end was reached: every word before it has been accepted. High for one cycle.
    fault, fault_address, fault_note : Out
        A write was out of range; address of its line, and the note of its first word. High for one cycle.
    """

    def __init__(self, *, line_bytes):
        if line_bytes < 4 or line_bytes & (line_bytes - 1):
            raise ValueError(f"line_bytes must be a power of two and at least 4, not {line_bytes}")
        self.line_bytes = line_bytes
        super().__init__(
            {
                "i": In(stream.Signature(WriteItem)),
                "o": Out(WritePort(line_bytes=line_bytes)),
                "done": Out(1),
                "done_note": Out(2),
                "fault": Out(1),
                "fault_address": Out(32),
                "fault_note": Out(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        line_bits = self.line_bytes.bit_length() - 1
        item = self.i.payload
        valid = Signal()
        line = Signal(32 - line_bits)
        note = Signal(2)
        words = [Signal(32, name=f"word_{index}", reset_less=True) for index in range(self.line_bytes // 4)]
        present = Signal(len(words))

        request = self.o.request
        m.d.comb += [
            request.valid.eq(self.i.valid & valid & ~item.merge),
            request.payload.address.eq(line << line_bits),
            request.payload.data.eq(Cat(words)),
            request.payload.mask.eq(Cat(present[index // 4] for index in range(self.line_bytes))),
            self.i.ready.eq(Mux(item.end, ~valid, ~valid | item.merge | request.ready)),
            self.done.eq(self.i.valid & item.end & ~valid),
            self.done_note.eq(item.note),
        ]
        with m.If(request.valid & request.ready):
            m.d.sync += valid.eq(0)
        with m.If(self.i.valid & self.i.ready & ~item.end):
            place = Signal(len(words))
            m.d.comb += place.eq(1 << item.address[2:line_bits])
            m.d.sync += [valid.eq(1), present.eq(Mux(item.merge, present | place, place))]
            for index, word in enumerate(words):
                with m.If(place[index]):
                    m.d.sync += word.eq(item.data)
            with m.If(~item.merge):
                m.d.sync += [line.eq(item.address[line_bits:]), note.eq(item.note)]

        # A fault belongs to the write accepted in the cycle before.
        m.d.sync += [self.fault_address.eq(request.payload.address), self.fault_note.eq(note)]
        m.d.comb += self.fault.eq(self.o.fault)
        return m
