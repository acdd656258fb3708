# SPDX-License-Identifier: Apache-2.0
"""The engine for proofs, its parts in outline: whatever else waits, the oldest column tile is drained.

Weights and passes of column tiles meet in the array, which is the real one, as is what the engine has around it. In place of
the parts on either side are outlines of them, which move when the environment lets them, in any cycle or none:

* the decoder: the rows of each weight tile; behind the last one of a column tile its scales, if it has any;
* the reader: the passes of each weight tile;
* the accumulator: a column tile is closed some cycles after its last pass;
* the drain: takes scales of two column tiles, and releases the oldest one if it is closed and its scales are there.

A column tile has one or two weight tiles of one or two passes each, with or without scales. Column tiles have numbers, modulo
4: no part is further ahead of another. That a part moves when it may is about that part alone (`Reading...`, `Writing`), and
that each gets the jobs of every command is about the dispatcher (`Dispatching`).
"""

from types import SimpleNamespace

from amaranth.hdl import Array, Assert, Cat, Module, Mux, Signal

from tepin.matmul.engine import MatmulEngine
from tepin_testbench.formal import implies
from tepin_testbench.opened import Opened
from verification.formal.matmul.claims import Claims

__all__ = ["Draining"]

_ROWS = 2  # of a weight tile
_TILES = 4  # column tiles that are known at a time
_ADDING = 3  # cycles from the last pass of a column tile until it is closed

_PARTS = ("commands", "dispatcher", "decoder", "reader", "accumulator", "drain")


class _Place:
    """Where a part is: in column tile `column`, at its weight tile `tile`."""

    def __init__(self, column, tile):
        self.column, self.tile = column, tile

    def following(self, last):
        """The next one; `last` has the number of the last weight tile of each column tile."""
        ends = self.tile == last[self.column]
        return _Place((self.column + ends)[:2], Mux(ends, 0, self.tile + 1)[:1])

    def __eq__(self, other):
        return (self.column == other.column) & (self.tile == other.tile)

    def assign(self, other):
        return [self.column.eq(other.column), self.tile.eq(other.tile)]


def _place(name):
    return _Place(Signal(range(_TILES), name=f"{name}_column"), Signal(name=f"{name}_tile"))


class Draining(Claims):
    """A number that never rises, falls in each cycle in which the environment lets every part move, and is lowest where a
    column tile is released.
    """

    BUGS = {
        "held": "passes wait for a bank although their column tile has one",
        "waits": "weights wait for a pass that waits for them",
        "both": "a column tile is drained when the scales of the one behind it are there, too",
    }
    COVERED = {"banks_full": 24, "scales_full": 30, "again": 40}
    DEPTH, SEARCH = 3, 12

    def __init__(self, *, bug=None):
        flags = ("words", "reads", "writes", "two_tiles", "two_passes", "scales")
        super().__init__(dict.fromkeys(flags, 1), bug=bug)

    def elaborate(self, platform):
        m = Module()
        engine = MatmulEngine(
            rows=_ROWS, columns=4, activation_width=8, accumulator_rows=2, line_bytes=4, fifo_word_bytes=4
        )
        m.submodules.engine = inside = Opened(engine)
        parts = {name: inside.cut(name) for name in _PARTS}
        component = inside.cut("array")
        m.submodules.array = array = Opened(component)
        decoder, reader, drain = parts["decoder"], parts["reader"], parts["drain"]
        weights, passes = decoder.o, reader.o
        rows, inputs = component.i_weights, component.i

        # Of each column tile: its last weight tile, the last pass of each, whether it has scales.
        last_tile, last_pass, has_scales = (
            Array(Signal(name=f"{name}_{number}", init=init >> number & 1) for number in range(_TILES))
            for name, init in (("last_tile", 0b1010), ("last_pass", 0b1100), ("has_scales", 0b1101))
        )
        released = Signal(range(_TILES))  # the oldest column tile that has not been
        with m.If(drain.released):
            m.d.sync += [
                released.eq(released + 1),
                last_tile[released].eq(self.two_tiles),
                last_pass[released].eq(self.two_passes),
                has_scales[released].eq(self.scales),
            ]

        # The decoder.
        at, row, asks = _place("weights"), Signal(range(_ROWS)), Signal()
        stored = Signal(range(_TILES))  # column tiles whose scales are there
        taken, gives = weights.valid & weights.ready, Signal()
        m.d.comb += [
            weights.valid.eq(self.words & ~asks),
            weights.payload.last.eq(row == _ROWS - 1),
            decoder.o_scales.valid.eq(self.words & asks),
            drain.i_channel_scales.ready.eq(stored != 2),
            gives.eq(decoder.o_scales.valid & decoder.o_scales.ready),
        ]
        with m.If(taken):
            m.d.sync += row.eq(row + 1)
            with m.If(weights.payload.last):
                m.d.sync += row.eq(0)
                with m.If(has_scales[at.column] & (at.tile == last_tile[at.column])):
                    m.d.sync += asks.eq(1)
                with m.Else():
                    m.d.sync += at.assign(at.following(last_tile))
        with m.If(gives):
            m.d.sync += [asks.eq(0), *at.assign(at.following(last_tile))]

        # The reader: `number` passes of the present weight tile have entered.
        of, number, enters = _place("passes"), Signal(), engine.array_active
        ends = Signal()
        m.d.comb += [
            ends.eq(number == last_pass[of.column]),
            passes.valid.eq(self.reads),
            passes.payload.first.eq(number == 0),
            passes.payload.tag.open.eq((number == 0) & (of.tile == 0)),
            passes.payload.tag.close.eq(ends & (of.tile == last_tile[of.column])),
        ]
        with m.If(enters):
            m.d.sync += number.eq(~ends)
            with m.If(ends):
                m.d.sync += of.assign(of.following(last_tile))

        # The accumulator, and the drain.
        adding, closed = Signal(_ADDING), Signal(range(_TILES))
        there = (stored == 2) if self._bug == "both" else (stored != 0)
        m.d.sync += [
            adding.eq(Cat(enters & passes.payload.tag.close, adding)),
            closed.eq(closed + adding[-1] - drain.released),
            stored.eq(stored + gives - (drain.released & has_scales[released])),
        ]
        m.d.comb += drain.released.eq(self.writes & (closed != 0) & (there | ~has_scales[released]))

        complete, banks = array["complete"], inside["banks"]
        if self._bug == "held":
            inside.release(inputs.valid)
            inside.release(passes.ready)
            holds = banks != 0
            m.d.comb += [inputs.valid.eq(passes.valid & ~holds), passes.ready.eq(inputs.ready & ~holds)]
        elif self._bug == "waits":
            right = array.release(rows.ready)
            m.d.comb += rows.ready.eq(right & (enters | complete))

        # What is left until the oldest column tile is released.
        weights_left, passes_left, adding_left = Signal(3), Signal(3), Signal(range(_ADDING + 2))
        ahead = Signal(range(_TILES))
        m.d.comb += [ahead.eq(at.column - released), adding_left.eq(_ADDING + 1)]
        with m.If(ahead == 0):
            rows_left = Mux(last_tile[released] > at.tile, 2 * _ROWS, _ROWS) - row
            m.d.comb += weights_left.eq(Mux(asks, 1, rows_left + has_scales[released]))
        with m.If(of.column == released):
            each = last_pass[released] + 1
            m.d.comb += passes_left.eq(Mux(last_tile[released] > of.tile, each, 0) + each - number)
        for age in range(_ADDING):
            with m.If(adding[age]):
                m.d.comb += adding_left.eq(_ADDING - age)
        with m.If(closed != 0):
            m.d.comb += adding_left.eq(0)
        rank = weights_left + passes_left + adding_left
        before, ready, was = Signal.like(rank), Signal(), Signal()
        m.d.sync += [
            before.eq(rank),
            ready.eq(self.words & self.reads & self.writes & ~drain.released),
            was.eq(~drain.released),
        ]
        if self._bug is None:
            state = SimpleNamespace(
                at=at, row=row, asks=asks, stored=stored, of=of, number=number, ahead=ahead
            )
            state.adding, state.closed, state.released = adding, closed, released
            state.complete, state.banks = complete, banks
            state.last_tile, state.last_pass, state.has_scales = last_tile, last_pass, has_scales
            self._help(m, state)
        m.d.comb += [implies(was, rank <= before), implies(ready, rank < before)]
        m.d.comb += [
            self.banks_full.eq(passes.valid & complete & passes.payload.tag.open & (banks == 2)),
            self.scales_full.eq(asks & (stored == 2)),
            self.again.eq(drain.released & (released == 3)),
        ]
        return m

    @staticmethod
    def _help(m, s):
        """What the induction needs to know: where the parts are, compared to each other."""
        opened, closing = (Signal(range(_TILES), name=name) for name in ("opened", "closing"))
        # Weights are ahead of passes by the tile in use, and by the one that is complete.
        present, following = s.of, s.at.following(s.last_tile)
        for count in range(3):
            there = (s.complete + (s.number != 0)) == count
            m.d.comb += [
                implies(there & ~s.asks, s.at == present),
                implies(there & s.asks, following == present),
            ]
            present = present.following(s.last_tile)
        m.d.comb += [
            opened.eq(s.of.column + ((s.of.tile != 0) | (s.number != 0)) - s.released),
            closing.eq(s.of.column - s.released),
            Assert(s.banks == opened),
            Assert((closing <= opened) & (opened <= 2) & (closing <= s.ahead + s.asks)),
            Assert(closing == s.closed + sum(s.adding[age] for age in range(_ADDING))),
            implies(s.asks, (s.at.tile == s.last_tile[s.at.column]) & s.has_scales[s.at.column]),
            implies(s.asks, s.ahead != 3),
            implies(s.asks | s.complete, s.row == 0),
            Assert(
                s.stored == sum((s.ahead > age) & s.has_scales[(s.released + age)[:2]] for age in range(3))
            ),
            Assert(s.stored <= 2),
            implies(s.at.tile == 1, s.last_tile[s.at.column]),
            implies(s.of.tile == 1, s.last_tile[s.of.column]),
            implies(s.number == 1, s.last_pass[s.of.column]),
        ]
