# SPDX-License-Identifier: Apache-2.0
"""Collects results that lie side by side into one write per scratchpad line."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory.ports import WritePort
from ..stream import StreamFifo

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

    Words wait in a line buffer until one comes that cannot be merged, or an end. Lines go to the port through a short queue,
    so that whether a write is granted decides about nothing else. One item per cycle while writes are granted, but
    three cycles for an end that finds something to write.

    Cost: three times the registers of a line.

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

        # A line leaves when an item comes that does not belong to it.
        request = self.o.request
        write = data.StructLayout(
            {"line": len(line), "data": 8 * self.line_bytes, "words": len(words), "note": 2}
        )
        m.submodules.writes = writes = StreamFifo(shape=write, depth=2)
        head = writes.o.payload
        m.d.comb += [
            writes.i.valid.eq(self.i.valid & valid & ~item.merge),
            writes.i.payload.line.eq(line),
            writes.i.payload.data.eq(Cat(words)),
            writes.i.payload.words.eq(present),
            writes.i.payload.note.eq(note),
            self.i.ready.eq(
                Mux(item.end, ~valid & (writes.level == 0), ~valid | item.merge | writes.i.ready)
            ),
            self.done.eq(self.i.valid & item.end & ~valid & (writes.level == 0)),
            self.done_note.eq(item.note),
            request.valid.eq(writes.o.valid),
            writes.o.ready.eq(request.ready),
            request.payload.address.eq(head.line << line_bits),
            request.payload.data.eq(head.data),
            request.payload.mask.eq(Cat(head.words[index // 4] for index in range(self.line_bytes))),
        ]
        with m.If(writes.i.valid & writes.i.ready):
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
        m.d.sync += [self.fault_address.eq(request.payload.address), self.fault_note.eq(head.note)]
        m.d.comb += self.fault.eq(self.o.fault)
        return m
