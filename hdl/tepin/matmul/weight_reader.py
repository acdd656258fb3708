# SPDX-License-Identifier: Apache-2.0
"""Weights that lie in the scratchpad: reads exactly the words that the gearbox is going to ask for."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..isa import WeightSource
from ..memory.ports import ReadPort
from ..stream import StreamFifo
from .requests import row_request

__all__ = ["WeightAddress", "WeightReader"]

_TO_ROW = 1
"""Cycles from a word at the gearbox to its row behind it."""


class WeightAddress(data.Struct):
    """Where the weights of a job begin in the scratchpad, a multiple of 4; and whose they are, for faults."""

    address: 32
    slot: 2


class _TileRead(data.Struct):
    """A read of a word or, of a `whole` tile, of a line; and whether that is the `last` one of the tile."""

    address: 32
    slot: 2
    whole: 1
    last: 1


class WeightReader(wiring.Component):
    """Passes requests on to the gearbox, and reads the words they need if their source is the scratchpad.

    The requests on their way to the gearbox wait in a queue, which is how far reading runs ahead of use. A request that
    needs no new word, or one from the FIFO, passes in one cycle. Words are read one after the other from the address of
    the job; the last access of a job may extend past the end of its data by less than a word.

    Latency of a request 2 cycles. One request per cycle while reads are granted, up to the word that it needs.

    With `tile_rows`, a weight tile of that many rows of `columns` int8 weights is read as a *whole* if it begins with a word,
    at the address of a line: by lines, one per cycle while reads are granted, whether its requests have come or not. When all
    of them have been granted, and early enough, its rows are *certain* to follow the first one without a pause.

    Parameters
    ----------
    columns : int
        Columns of the array.
    word_bytes : int
        Bytes of a word, at least `columns` and at most `line_bytes`.
    line_bytes : int
        Bytes of a scratchpad line.
    tile_rows : int
        Rows of a tile that may be read as a whole, which together are some lines; or 0.
    depth : int
        Requests in the queue, and words or lines read ahead: a power of two.

    Members
    -------
    i_addresses : In stream of `WeightAddress`
        One for each job whose source is the scratchpad.
    i, o : streams of `row_request(columns, tiles=bool(tile_rows))`
    o_words : Out stream of words
    scratchpad : Out `ReadPort`
    fault, fault_address, fault_slot : Out
        A word was out of range; high for one cycle.
    certain : Out
        If the row that the gearbox offers is the first one of a whole tile, the others are certain.
    passed : In
        The last row of a whole tile is taken from the gearbox. This and `certain` only with `tile_rows`.
    """

    def __init__(self, *, columns, word_bytes, line_bytes, tile_rows=0, depth=16):
        if not columns <= word_bytes <= line_bytes:
            raise ValueError(
                f"word_bytes must be at least columns ({columns}) and at most line_bytes ({line_bytes}), "
                f"not {word_bytes}"
            )
        if tile_rows and (tile_rows < 2 or tile_rows * columns % line_bytes):
            raise ValueError(
                f"tile_rows must be 0, or at least 2 rows of {columns} bytes that fill lines of {line_bytes}, "
                f"not {tile_rows}"
            )
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two, at least 2, not {depth!r}")
        self.columns = columns
        self.word_bytes = word_bytes
        self.line_bytes = line_bytes
        self.tile_rows = tile_rows
        self.depth = depth
        self._request = row_request(columns, tiles=bool(tile_rows))
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
                **({"certain": Out(1), "passed": In(1)} if tile_rows else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tiles = bool(self.tile_rows)
        line = data.StructLayout({"bytes": 8 * self.line_bytes, "whole": 1})
        m.submodules.queue = queue = StreamFifo(shape=self._request, depth=self.depth)
        m.submodules.words = words = StreamFifo(
            shape=line if tiles else 8 * self.word_bytes, depth=self.depth
        )
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        if tiles:
            self._offer_words(m, words.o)
        else:
            wiring.connect(m, words.o, wiring.flipped(self.o_words))

        m.submodules.reads = reads = StreamFifo(shape=_TileRead if tiles else WeightAddress, depth=2)
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
            read.eq(reads.i.valid & reads.i.ready),
            self.scratchpad.request.valid.eq(reads.o.valid),
            self.scratchpad.request.payload.eq(reads.o.payload.address),
            reads.o.ready.eq(self.scratchpad.request.ready),
            queue.i.payload.eq(request),
            step.eq(queue.i.valid & queue.i.ready),
            self.i.ready.eq(step),
            self.i_addresses.ready.eq(read & ~started),
        ]
        # The word is asked for first; `left` then serves the request. Both happen in one cycle.
        asks = self.i.valid & needs_word & have_address & ~reserved[-1] & queue.i.ready
        passes = self.i.valid & (~needs_word | read)
        size, rest = self.word_bytes, left - request.size + Mux(needs_word, self.word_bytes, 0)
        if tiles:
            begins = in_scratchpad & request.meta.whole & (left == 0)
            begins &= ~current.address[: self.line_bytes.bit_length() - 1].any()
            pending, inside = self._read_tiles(m, begins, reads.i.payload, read, step)
            asks = Mux(pending, ~reserved[-1], asks & ~inside)
            passes = Mux(inside, self.i.valid & ~(pending & request.last), passes & ~pending)
            size, rest = Mux(reads.i.payload.whole, self.line_bytes, size), Mux(begins | inside, 0, rest)
            m.d.comb += queue.i.payload.meta.whole.eq(begins | inside)
            m.d.comb += [reads.i.payload.address.eq(current.address), reads.i.payload.slot.eq(current.slot)]
        else:
            m.d.comb += reads.i.payload.eq(current)
        m.d.comb += [reads.i.valid.eq(asks), queue.i.valid.eq(passes)]
        with m.If(read):
            m.d.sync += [
                position.address.eq(current.address + size),
                position.slot.eq(current.slot),
                started.eq(1),
            ]
        with m.If(step & in_scratchpad):
            m.d.sync += left.eq(rest)
            with m.If(request.last):
                m.d.sync += [left.eq(0), started.eq(0)]

        taken = Signal()
        m.d.comb += taken.eq(words.o.valid & words.o.ready)
        with m.If(read & ~taken):
            m.d.sync += reserved.eq(reserved + 1)
        with m.Elif(taken & ~read):
            m.d.sync += reserved.eq(reserved - 1)
        requested = [
            Signal(reads.o.payload.shape(), name=f"requested_{age}", reset_less=True)
            for age in range(1, ReadPort.LATENCY + 1)
        ]
        for older, newer in zip(requested, [reads.o.payload, *requested], strict=False):
            m.d.sync += older.eq(newer)
        response = self.scratchpad.response
        m.d.comb += [
            words.i.valid.eq(self.scratchpad.response_valid),
            words.i.payload.eq(
                Cat(response, requested[-1].whole) if tiles else response[: 8 * self.word_bytes]
            ),
            self.fault.eq(self.scratchpad.response_valid & self.scratchpad.fault),
            self.fault_address.eq(requested[-1].address),
            self.fault_slot.eq(requested[-1].slot),
        ]
        if tiles:
            self._count_certain(m, reads.o.valid & reads.o.ready & reads.o.payload.last, words.latency)
        return m

    @property
    def _lines(self):
        return self.tile_rows * self.columns // self.line_bytes

    def _read_tiles(self, m, begins, asked, read, step):
        """(lines of a whole tile are still to be read, the present request is of a whole tile but not its first one)."""
        lines = Signal(range(self._lines + 1))
        inside = Signal()
        pending = lines != 0
        m.d.comb += [
            asked.whole.eq(begins | pending),
            asked.last.eq(Mux(pending, lines == 1, begins & (self._lines == 1))),
        ]
        with m.If(read):
            m.d.sync += lines.eq(Mux(pending, lines - 1, Mux(begins, self._lines - 1, 0)))
        with m.If(step):
            m.d.sync += inside.eq((begins | inside) & ~self.i.payload.meta.end)
        return pending, inside

    def _offer_words(self, m, lines):
        """Of a line all words, of any other read the first one."""
        count = self.line_bytes // self.word_bytes
        word = Signal(range(count))
        m.d.comb += [
            self.o_words.valid.eq(lines.valid),
            self.o_words.payload.eq(lines.payload.bytes.word_select(word, 8 * self.word_bytes)),
            lines.ready.eq(self.o_words.ready & (word == Mux(lines.payload.whole, count - 1, 0))),
        ]
        with m.If(self.o_words.valid & self.o_words.ready):
            m.d.sync += word.eq(Mux(lines.ready, 0, word + 1))

    def _count_certain(self, m, granted, latency):
        """Tiles are certain from some cycles after their last line was granted until their last row has passed.

        Of N lines, the one before the last was granted a cycle before it at the latest, and so on. Each brings its first row
        `behind` cycles later. The first row of all may pass when no line can bring its own later than that is wanted.
        """
        behind = ReadPort.LATENCY + latency + _TO_ROW
        delay = 1
        for line in range(1, self._lines):
            wanted = line * self.line_bytes // self.columns  # rows after the first one
            delay = max(delay, behind - (self._lines - 1 - line) - wanted)
        for age in range(1, delay):
            later = Signal(name=f"granted_{age}")
            m.d.sync += later.eq(granted)
            granted = later
        tiles = Signal(range(2 * self.depth))
        m.d.comb += self.certain.eq(tiles != 0)
        with m.If(granted & ~self.passed):
            m.d.sync += tiles.eq(tiles + 1)
        with m.Elif(self.passed & ~granted):
            m.d.sync += tiles.eq(tiles - 1)
