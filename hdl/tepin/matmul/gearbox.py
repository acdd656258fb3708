# SPDX-License-Identifier: Apache-2.0
"""From words of the weight FIFO to rows of any number of bytes."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

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

    Latency 1 cycle from request and word to row, one row per cycle. There is a combinational path from `o.ready` to
    the inputs' `ready`. Cost: one word register, one row register, a byte shifter of `row_bytes` x 2 `word_bytes`.

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
        request = self.i_requests.payload

        # The source in turn.
        word = Signal(8 * self.word_bytes)
        word_valid = Signal()
        for number, source in enumerate(self.i):
            with m.If(request.source == number):
                m.d.comb += [word.eq(source.payload), word_valid.eq(source.valid)]

        # `head` is the word in use; its last `left` bytes are yet to be handed out.
        head = Signal(8 * self.word_bytes)
        left = Signal(range(self.word_bytes + 1))
        start = Signal(range(self.word_bytes + 1))
        needs_word = Signal()
        fire = Signal()
        m.d.comb += [
            start.eq(self.word_bytes - left),
            needs_word.eq(request.size > left),
            fire.eq(self.i_requests.valid & (~needs_word | word_valid) & (~self.o.valid | self.o.ready)),
            self.i_requests.ready.eq(fire),
        ]
        for number, source in enumerate(self.i):
            m.d.comb += source.ready.eq(fire & needs_word & (request.source == number))

        with m.If(fire):
            window = Cat(head, word)
            m.d.sync += [
                self.o.payload.bytes.eq(window.bit_select(Cat(Const(0, 3), start), 8 * self.row_bytes)),
                Value.cast(self.o.payload.meta).eq(Value.cast(request.meta)),
                left.eq(left - request.size + Mux(needs_word, self.word_bytes, 0)),
            ]
            with m.If(needs_word):
                m.d.sync += head.eq(word)
            with m.If(request.last):
                m.d.sync += left.eq(0)
        with m.If(fire):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
