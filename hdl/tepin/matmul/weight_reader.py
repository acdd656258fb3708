# SPDX-License-Identifier: Apache-2.0
"""Weights that lie in the scratchpad: reads exactly the words that the gearbox is going to ask for."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..isa import WeightSource
from ..memory.ports import ReadPort
from ..stream import StreamFifo
from .requests import row_request

__all__ = ["WeightAddress", "WeightReader"]


class WeightAddress(data.Struct):
    """Where the weights of a job begin in the scratchpad, a multiple of 4; and whose they are, for faults."""

    address: 32
    slot: 2


class WeightReader(wiring.Component):
    """Passes requests on to the gearbox, and reads the words they need if their source is the scratchpad.

    The requests on their way to the gearbox wait in a queue, which is how far reading runs ahead of use. A request that
    needs no new word, or one from the FIFO, passes in one cycle. Words are read one after the other from the address of
    the job; the last access of a job may extend past the end of its data by less than a word.

    Latency of a request 2 cycles. One request per cycle while reads are granted, up to the word that it needs.

    Parameters
    ----------
    columns : int
        Columns of the array.
    word_bytes : int
        Bytes of a word, at least `columns` and at most `line_bytes`.
    line_bytes : int
        Bytes of a scratchpad line.
    depth : int
        Requests in the queue, and words read ahead: a power of two.

    Members
    -------
    i_addresses : In stream of `WeightAddress`
        One for each job whose source is the scratchpad.
    i, o : streams of `row_request(columns)`
    o_words : Out stream of words
    scratchpad : Out `ReadPort`
    fault, fault_address, fault_slot : Out
        A word was out of range; high for one cycle.
    """

    def __init__(self, *, columns, word_bytes, line_bytes, depth=16):
        if not columns <= word_bytes <= line_bytes:
            raise ValueError(
                f"word_bytes must be at least columns ({columns}) and at most line_bytes ({line_bytes}), "
                f"not {word_bytes}"
            )
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two, at least 2, not {depth!r}")
        self.word_bytes = word_bytes
        self.depth = depth
        self._request = row_request(columns)
        super().__init__(
            {
                "i_addresses": In(stream.Signature(WeightAddress)),
                "i": In(stream.Signature(self._request)),
                "o": Out(stream.Signature(self._request)),
                "o_words": Out(stream.Signature(8 * word_bytes)),
                "scratchpad": Out(ReadPort(line_bytes=line_bytes)),
                "fault": Out(1),
                "fault_address": Out(32),
                "fault_slot": Out(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = StreamFifo(shape=self._request, depth=self.depth)
        m.submodules.words = words = StreamFifo(shape=8 * self.word_bytes, depth=self.depth)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        wiring.connect(m, words.o, wiring.flipped(self.o_words))

        m.submodules.reads = reads = StreamFifo(shape=WeightAddress, depth=2)
        request = self.i.payload
        in_scratchpad = request.source == WeightSource.SCRATCHPAD
        started = Signal()  # the present job is the one in `position`
        position = Signal(WeightAddress)  # of the next word
        left = Signal(range(self.word_bytes + 1))  # bytes of the last word read that nobody has asked for
        reserved = Signal(range(self.depth + 1))  # words in the queue or on their way to it
        needs_word = Signal()
        have_address = Signal()
        read = Signal()
        step = Signal()
        current = Signal(WeightAddress)
        m.d.comb += [
            needs_word.eq(in_scratchpad & (request.size > left)),
            have_address.eq(started | self.i_addresses.valid),
            current.eq(Mux(started, position, self.i_addresses.payload)),
            reads.i.payload.eq(current),
            # The word is asked for first; `left` then serves the request. Both happen in one cycle.
            reads.i.valid.eq(self.i.valid & needs_word & have_address & ~reserved[-1] & queue.i.ready),
            read.eq(reads.i.valid & reads.i.ready),
            self.scratchpad.request.valid.eq(reads.o.valid),
            self.scratchpad.request.payload.eq(reads.o.payload.address),
            reads.o.ready.eq(self.scratchpad.request.ready),
            queue.i.payload.eq(request),
            queue.i.valid.eq(self.i.valid & (~needs_word | read)),
            step.eq(queue.i.valid & queue.i.ready),
            self.i.ready.eq(step),
            self.i_addresses.ready.eq(read & ~started),
        ]
        with m.If(read):
            m.d.sync += [
                position.address.eq(current.address + self.word_bytes),
                position.slot.eq(current.slot),
                started.eq(1),
            ]
        with m.If(step & in_scratchpad):
            m.d.sync += left.eq(left - request.size + Mux(needs_word, self.word_bytes, 0))
            with m.If(request.last):
                m.d.sync += [left.eq(0), started.eq(0)]

        taken = words.o.valid & words.o.ready
        with m.If(read & ~taken):
            m.d.sync += reserved.eq(reserved + 1)
        with m.Elif(taken & ~read):
            m.d.sync += reserved.eq(reserved - 1)
        m.d.comb += [
            words.i.valid.eq(self.scratchpad.response_valid),
            words.i.payload.eq(self.scratchpad.response[: 8 * self.word_bytes]),
            self.fault.eq(self.scratchpad.response_valid & self.scratchpad.fault),
        ]
        requested = [
            Signal(WeightAddress, name=f"requested_{age}", reset_less=True)
            for age in range(1, ReadPort.LATENCY + 1)
        ]
        for older, newer in zip(requested, [reads.o.payload, *requested], strict=False):
            m.d.sync += older.eq(newer)
        m.d.comb += [
            self.fault_address.eq(requested[-1].address),
            self.fault_slot.eq(requested[-1].slot),
        ]
        return m
