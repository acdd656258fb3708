# SPDX-License-Identifier: Apache-2.0
"""The way of whole weight tiles for proofs: from their requests to their rows, and the claim that those which say that they
are certain come without a pause.

Reader, gearbox and dequantiser are those of the chip; their queues only count. Every request is one of a whole tile, since
by the time that the first row of a tile is there, all before it have passed. Between tiles requests come whenever they
like, and within one in every cycle, as `RequestGenerator` brings them. Reads are granted, and rows taken, at any time.

Rows and lines are numbered in the order in which they pass; the numbers of those that have passed the places on their way
say what is where.
"""

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal

from tepin.isa import WeightSource
from tepin.matmul.dequantiser import Dequantiser
from tepin.matmul.gearbox import RowGearbox
from tepin.matmul.requests import row_meta
from tepin.matmul.weight_reader import WeightReader
from tepin.memory.ports import ReadPort
from tepin_testbench.formal import implies
from tepin_testbench.opened import Opened
from verification.formal.matmul.claims import Claims
from verification.formal.matmul.queues import Counted

__all__ = ["Certainty"]

_ROWS, _COLUMNS = 4, 4
_WORD, _LINE = 4, 8
_LINES = _ROWS * _COLUMNS // _LINE
_DEPTH = 4
_PLACE = 2  # bits of the place of a row in its tile
_ROW_BITS, _LINE_BITS = 6, 5  # of the numbers: as many tiles


class Certainty(Claims):
    """Requests of whole tiles, and their rows."""

    BUGS = {
        "soon": "a tile is certain as soon as its last line was granted",
        "asked": "a tile is certain when its last line was asked for, granted or not",
        "kept": "a tile remains certain when it has passed, for the next one",
    }
    COVERED = {"certain": 24, "uncertain": 24, "next": 24}
    DEPTH, SEARCH = 11, 20

    def __init__(self, *, bug=None):
        flags = ("request", "last", "address", "grant", "take")
        super().__init__(dict.fromkeys(flags, 1), bug=bug)

    def elaborate(self, platform):
        m = Module()
        reader = WeightReader(
            columns=_COLUMNS, word_bytes=_WORD, line_bytes=_LINE, tile_rows=_ROWS, depth=_DEPTH
        )
        gearbox = RowGearbox(
            word_bytes=_WORD, row_bytes=_COLUMNS, sources=2, meta=row_meta(_COLUMNS, tiles=True)
        )
        dequantiser = Dequantiser(columns=_COLUMNS, tiles=True)
        m.submodules.reader = in_reader = Opened(reader)
        m.submodules.gearbox = in_gearbox = Opened(gearbox)
        m.submodules.dequantiser = in_dequantiser = Opened(dequantiser)
        queues = {
            name: Counted(m, part.cut(name), name)
            for part, names in (
                (in_reader, ("queue", "reads", "words")),
                (in_gearbox, ("plans", "rows")),
                (in_dequantiser, ("weights",)),
            )
            for name in names
        }
        self._seed(m, in_reader, queues)

        # How many rows have passed each place, and how many lines.
        def passed(shape, name, event):
            number = Signal(shape, name=f"{name}_passed")
            m.d.sync += number.eq(number + event)
            return number

        rows = {
            "reader": passed(_ROW_BITS, "reader", queues["queue"].push),
            "queue": passed(_ROW_BITS, "queue", queues["queue"].pop),
            "plans": passed(_ROW_BITS, "plans", queues["plans"].pop),
            "rows": passed(_ROW_BITS, "rows", queues["rows"].pop),
            "weights": passed(_ROW_BITS, "weights", queues["weights"].pop),
        }
        lines = {
            "asked": passed(_LINE_BITS, "asked", queues["reads"].push),
            "granted": passed(_LINE_BITS, "granted", queues["reads"].pop),
            "come": passed(_LINE_BITS, "come", queues["words"].push),
            "used": passed(_LINE_BITS, "used", queues["words"].pop),
        }

        # Requests, as the generator brings them.
        request, place = reader.i.payload, rows["reader"][:_PLACE]
        m.d.comb += [
            reader.i.valid.eq(self.request),
            Assume((place == 0) | self.request),
            request.source.eq(WeightSource.SCRATCHPAD),
            request.size.eq(_COLUMNS),
            request.meta.width.eq(_COLUMNS),
            request.meta.whole.eq(place == 0),
            request.meta.end.eq(place == _ROWS - 1),
            request.last.eq(self.last & request.meta.end),
            reader.i_addresses.valid.eq(self.address),
        ]
        # The scratchpad.
        under_way = Signal(ReadPort.LATENCY)
        m.d.sync += under_way.eq(Cat(queues["reads"].pop, under_way))
        m.d.comb += [
            reader.scratchpad.request.ready.eq(self.grant),
            reader.scratchpad.response_valid.eq(under_way[-1]),
        ]
        # From part to part.
        m.d.comb += [
            gearbox.i_requests.valid.eq(reader.o.valid),
            gearbox.i_requests.payload.eq(reader.o.payload),
            reader.o.ready.eq(gearbox.i_requests.ready),
            gearbox.i[1].valid.eq(reader.o_words.valid),
            reader.o_words.ready.eq(gearbox.i[1].ready),
            dequantiser.i.valid.eq(gearbox.o.valid),
            dequantiser.i.payload.eq(gearbox.o.payload),
            gearbox.o.ready.eq(dequantiser.i.ready),
            dequantiser.certain.eq(reader.certain),
            dequantiser.o.ready.eq(self.take),
        ]
        if self._bug != "kept":
            m.d.comb += reader.passed.eq(dequantiser.passed)
        self._fill(m, queues, rows, lines)

        # What is claimed.
        flags = queues["weights"].follow(m, in_dequantiser["summed_certain"], "flag")
        taken, place = queues["weights"].pop, rows["weights"][:_PLACE]
        promised = Signal()
        with m.If(taken):
            m.d.sync += promised.eq((promised | ((place == 0) & flags[0])) & (place != _ROWS - 1))
        m.d.comb += implies(promised, dequantiser.o.valid)
        if self._bug is None:
            self._help(m, in_reader, in_dequantiser, queues, rows, lines, under_way, flags, promised)
        first = taken & (place == 0)
        m.d.comb += [
            self.certain.eq(first & flags[0]),
            self.uncertain.eq(first & ~flags[0]),
            self.next.eq(first & flags[0] & (rows["weights"] == _ROWS)),
        ]
        return m

    def _seed(self, m, inside, queues):
        """Put the bug in."""
        reads = queues["reads"]
        if self._bug == "soon":
            late = inside["granted_6"]
            inside.release(late)
            m.d.sync += late.eq(reads.pop & reads.queue.o.payload.last)
        elif self._bug == "asked":
            early = inside["granted_1"]
            inside.release(early)
            m.d.sync += early.eq(reads.push & reads.queue.i.payload.last)

    def _fill(self, m, queues, rows, lines):
        """What the items of the queues are: said of those that leave, claimed of those that come."""
        end = lambda number: number[:_PLACE] == _ROWS - 1  # noqa: E731
        last = lambda number: number[: (_LINES - 1).bit_length()] == _LINES - 1  # noqa: E731
        queue, plans, items = (queues[name].queue for name in ("queue", "plans", "rows"))
        reads, words = queues["reads"].queue, queues["words"].queue
        m.d.comb += [
            implies(
                queue.i.valid, queue.i.payload.meta.whole & (queue.i.payload.meta.end == end(rows["reader"]))
            ),
            queue.o.payload.size.eq(_COLUMNS),
            queue.o.payload.source.eq(WeightSource.SCRATCHPAD),
            implies(plans.i.valid, plans.i.payload.needs_word),
            plans.o.payload.needs_word.eq(1),
            plans.o.payload.source.eq(WeightSource.SCRATCHPAD),
            items.o.payload.meta.whole.eq(1),
            items.o.payload.meta.end.eq(end(rows["rows"])),
            implies(reads.i.valid, reads.i.payload.whole & (reads.i.payload.last == last(lines["asked"]))),
            reads.o.payload.whole.eq(1),
            reads.o.payload.last.eq(last(lines["granted"])),
            implies(words.i.valid, words.i.payload.whole),
            words.o.payload.whole.eq(1),
        ]

    def _help(self, m, in_reader, in_dequantiser, queues, rows, lines, under_way, flags, promised):
        """What the induction needs to know: where rows and lines are, and what is known of a tile that is certain."""
        level = {name: queue.level for name, queue in queues.items()}
        count = lambda bits: sum(bits[index] for index in range(len(bits)))  # noqa: E731
        valid, summed = in_dequantiser["valid"], in_dequantiser["summed"]
        behind = in_reader["lines"]
        tile = lambda number: number[_PLACE:]  # noqa: E731
        granted = lambda number: (lines["granted"] - _LINES * (tile(number) + 1))[:_LINE_BITS]  # noqa: E731
        delayed = [in_reader[f"granted_{age}"] for age in range(1, 7)]
        started = Mux(rows["reader"][:_PLACE] != 0, tile(rows["reader"]) + 1, tile(rows["reader"]))
        m.d.comb += [
            Assert(in_reader["left"] == 0),
            Assert(in_reader["position"][: _LINE.bit_length() - 1] == 0),
            Assert(in_reader["inside"] == (rows["reader"][:_PLACE] != 0)),
            Assert(level["queue"] == (rows["reader"] - rows["queue"])[:_ROW_BITS]),
            Assert(level["plans"] == (rows["queue"] - rows["plans"])[:_ROW_BITS]),
            Assert(level["rows"] == (rows["plans"] - rows["rows"])[:_ROW_BITS]),
            Assert(valid + summed + level["weights"] == (rows["rows"] - rows["weights"])[:_ROW_BITS]),
            Assert(level["reads"] == (lines["asked"] - lines["granted"])[:_LINE_BITS]),
            Assert(count(under_way) == (lines["granted"] - lines["come"])[:_LINE_BITS]),
            Assert(level["words"] == (lines["come"] - lines["used"])[:_LINE_BITS]),
            Assert(in_reader["reserved"] == (lines["asked"] - lines["used"])[:_LINE_BITS]),
            Assert(in_reader["reserved"] <= _DEPTH),
            Assert(behind < _LINES),
            Assert((_LINES * started - behind)[:_LINE_BITS] == lines["asked"]),
            Assert((lines["used"] * (_LINE // _WORD) + in_reader["word"])[:_ROW_BITS] == rows["plans"]),
            Assert(
                in_reader["tiles"]
                == (lines["granted"] // _LINES - count(Cat(delayed)) - tile(rows["rows"]))[
                    : _ROW_BITS - _PLACE
                ]
            ),
        ]
        # Of a tile that is certain all lines have been granted.
        ahead = rows["rows"] - 1
        for flag, number in (
            (valid & in_dequantiser["certain"], ahead),
            (summed & in_dequantiser["summed_certain"], ahead - valid),
            ((level["weights"] > 0) & flags[0], rows["weights"]),
            ((level["weights"] > 1) & flags[1], rows["weights"] + 1),
        ):
            m.d.comb += implies(flag & (number[:_PLACE] == 0), ~granted(number[:_ROW_BITS])[-1])
        m.d.comb += implies(promised, ~granted(rows["weights"])[-1])
