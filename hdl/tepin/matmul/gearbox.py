# SPDX-License-Identifier: Apache-2.0
"""From words of the weight FIFO to rows of any number of bytes."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..stream import StreamFifo

__all__ = ["RowGearbox", "gearbox_request"]


def gearbox_request(*, row_bytes, sources, meta):
    """What a `RowGearbox` is asked for.

    Members: `size`, bytes of the row, 1 to `row_bytes`; `source`, number of the input that it comes from; `last`, throw
    away what this leaves of its word; `meta`, anything, handed on with the row.
    """
    return data.StructLayout(
        {"size": range(row_bytes + 1), "source": range(max(2, sources)), "last": 1, "meta": meta}
    )


class RowGearbox(wiring.Component):
    """Cuts streams of words into rows whose sizes are asked for one by one, at one row per cycle.

    Rows follow each other without gaps, whatever their sizes, until a request says `last`; the row after that starts at
    byte 0 of the next word. A word is taken from its source only together with a request that needs a byte of it, so
    that nothing is ever read ahead of the requests; `source` may change only after `last`.

    Latency 2 cycles from a request and 1 from its word to the row, one row per cycle. Cost: one word register, two row
    registers, a byte shifter of `row_bytes` x 2 `word_bytes`.

    Parameters
    ----------
    word_bytes : int
        Bytes per input word, a power of two.
    row_bytes : int
        Most bytes of a row, 1 to `word_bytes`.
    sources : int
        Number of inputs.
    meta : shape-like
        What accompanies a request to its row.

    Members
    -------
    i_requests : In stream of `gearbox_request(...)`
    i : In array of `sources` streams of words, byte 0 lowest
    o : Out stream of `bytes` (8 x `row_bytes` bits; those past the size asked for mean nothing) and `meta`
    """

    def __init__(self, *, word_bytes, row_bytes, sources=1, meta=0):
        if word_bytes < 1 or word_bytes & (word_bytes - 1):
            raise ValueError(f"word_bytes must be a power of two, not {word_bytes}")
        if not 1 <= row_bytes <= word_bytes:
            raise ValueError(f"row_bytes must be 1 to word_bytes ({word_bytes}), not {row_bytes}")
        if sources < 1:
            raise ValueError(f"sources must be at least 1, not {sources}")
        self.word_bytes = word_bytes
        self.row_bytes = row_bytes
        self.sources = sources
        self._meta = meta
        request = gearbox_request(row_bytes=row_bytes, sources=sources, meta=meta)
        super().__init__(
            {
                "i_requests": In(stream.Signature(request)),
                "i": In(stream.Signature(8 * word_bytes)).array(sources),
                "o": Out(stream.Signature(data.StructLayout({"bytes": 8 * row_bytes, "meta": meta}))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Where a row starts follows from the requests before it alone. `left` bytes of the word in use are left over.
        asked = self.i_requests.payload
        bits = (self.word_bytes - 1).bit_length()
        plan = data.StructLayout(
            {"source": asked.source.shape(), "needs_word": 1, "start": bits + 1, "meta": self._meta}
        )
        m.submodules.plans = plans = StreamFifo(shape=plan, depth=2)
        left = Signal(range(self.word_bytes))
        m.d.comb += [
            plans.i.valid.eq(self.i_requests.valid),
            self.i_requests.ready.eq(plans.i.ready),
            plans.i.payload.source.eq(asked.source),
            plans.i.payload.needs_word.eq(asked.size > left),
            plans.i.payload.start.eq(self.word_bytes - left),
            Value.cast(plans.i.payload.meta).eq(Value.cast(asked.meta)),
        ]
        with m.If(self.i_requests.valid & self.i_requests.ready):
            m.d.sync += left.eq(Mux(asked.last, 0, left - asked.size))

        # The source in turn.
        request = plans.o.payload
        word = Signal(8 * self.word_bytes)
        word_valid = Signal()
        for number, source in enumerate(self.i):
            with m.If(request.source == number):
                m.d.comb += [word.eq(source.payload), word_valid.eq(source.valid)]

        # `head` is the word in use.
        head = Signal(8 * self.word_bytes, reset_less=True)
        fire = Signal()
        m.submodules.rows = rows = StreamFifo(shape=self.o.payload.shape(), depth=2)
        wiring.connect(m, rows.o, wiring.flipped(self.o))
        m.d.comb += [
            rows.i.valid.eq(plans.o.valid & (~request.needs_word | word_valid)),
            fire.eq(rows.i.valid & rows.i.ready),
            plans.o.ready.eq(fire),
        ]
        for number, source in enumerate(self.i):
            m.d.comb += source.ready.eq(fire & request.needs_word & (request.source == number))

        window = Cat(head, word)
        m.d.comb += [
            rows.i.payload.bytes.eq(window.bit_select(Cat(Const(0, 3), request.start), 8 * self.row_bytes)),
            Value.cast(rows.i.payload.meta).eq(Value.cast(request.meta)),
        ]
        with m.If(fire & request.needs_word):
            m.d.sync += head.eq(word)
        return m
