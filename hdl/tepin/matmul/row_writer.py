# SPDX-License-Identifier: Apache-2.0
"""Writes integer results as they are, several at a time."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..memory.ports import WritePort
from ..stream import StreamFifo

__all__ = ["RowWriter", "row_item"]

_DEPTH = 8
"""Writes in the queue or on their way to it: as many as keep it going at one per cycle."""

_READING = 2
"""Cycles from an item to its sums."""


def row_item(drain_width):
    """Some results of a row, or with `end`, a note that is handed on when everything before it has been written.

    Members: `end`; `address`, a multiple of 4 x `drain_width`; `words`, which of the results are there, one bit each; `note`.
    """
    return data.StructLayout({"end": 1, "address": 32, "words": drain_width, "note": 2})


class RowWriter(wiring.Component):
    """Puts sums into writes: a write for each item, one per cycle while writes are granted.

    Sums come two cycles after their item, and an item only while there is `room`, so nothing is ever held up before the
    queue. Latency from an item to its write 4 cycles. Cost: a queue of 8 writes in distributed memory.

    Parameters
    ----------
    drain_width : int
        Results of an item, a power of two.
    line_bytes : int
        Bytes of a scratchpad line, at least 4 x `drain_width`.

    Members
    -------
    i : In stream of `row_item(drain_width)`, always ready
    room : Out, an item may come in this cycle
    sums : In, `drain_width` x 32 bits, two cycles after the item
    o : Out `WritePort`
    done, done_note : Out
        An end was reached: every item before it has been accepted as a write. High for one cycle.
    fault, fault_address, fault_note : Out
        A write was out of range; its address and note. High for one cycle.
    """

    def __init__(self, *, drain_width, line_bytes):
        if drain_width < 1 or drain_width & (drain_width - 1):
            raise ValueError(f"drain_width must be a power of two, not {drain_width}")
        if line_bytes < 4 * drain_width:
            raise ValueError(f"line_bytes must be at least {4 * drain_width}, not {line_bytes}")
        self.drain_width = drain_width
        self.line_bytes = line_bytes
        super().__init__(
            {
                "i": In(stream.Signature(row_item(drain_width), always_ready=True)),
                "room": Out(1),
                "sums": In(32 * drain_width),
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
        shape = row_item(self.drain_width)
        m.submodules.writes = writes = StreamFifo(
            shape=data.StructLayout({"item": shape, "sums": 32 * self.drain_width}), depth=_DEPTH
        )
        reserved = Signal(range(_DEPTH + 1))
        comes = self.i.valid
        taken = Signal()
        m.d.comb += [self.room.eq(~reserved[-1]), taken.eq(writes.o.valid & writes.o.ready)]
        with m.If(comes & ~taken):
            m.d.sync += reserved.eq(reserved + 1)
        with m.Elif(taken & ~comes):
            m.d.sync += reserved.eq(reserved - 1)

        valid, item = comes, self.i.payload
        for age in range(1, _READING + 1):
            valid_before, item_before = valid, item
            valid = Signal(name=f"valid_{age}")
            item = Signal(shape, name=f"item_{age}", reset_less=True)
            m.d.sync += [valid.eq(valid_before), item.eq(item_before)]
        head = writes.o.payload.item
        request = self.o.request
        m.d.comb += [
            writes.i.valid.eq(valid),
            writes.i.payload.item.eq(item),
            writes.i.payload.sums.eq(self.sums),
            request.valid.eq(writes.o.valid & ~head.end),
            request.payload.address.eq(head.address),
            request.payload.data.eq(writes.o.payload.sums),
            request.payload.mask.eq(Cat(head.words[index // 4] for index in range(4 * self.drain_width))),
            writes.o.ready.eq(head.end | request.ready),
            self.done.eq(writes.o.valid & head.end),
            self.done_note.eq(head.note),
            self.fault.eq(self.o.fault),
        ]
        # A fault belongs to the write accepted in the cycle before.
        m.d.sync += [self.fault_address.eq(head.address), self.fault_note.eq(head.note)]
        return m
