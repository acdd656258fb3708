# SPDX-License-Identifier: Apache-2.0
"""The writer of rows for proofs: items at any time that its credits allow, writes granted at any time.

Its queue is taken out; in its place is one that knows only how many writes it holds, and offers the oldest one whenever it
likes.
"""

from amaranth.hdl import Assert, Assume, Module, Signal

from tepin.matmul.row_writer import RowWriter
from tepin_testbench.formal import implies
from tepin_testbench.opened import Opened
from verification.formal.matmul.claims import Claims

__all__ = ["Writing"]

_DEPTH = 8


class Writing(Claims):
    """Items: the queue never refuses one, each becomes one write or end, and places come back."""

    BUGS = {
        "room": "there is room for one item more than the queue holds",
        "early": "a place is given back when a write is offered, not when it is accepted",
        "kept": "an end does not give its place back",
    }
    COVERED = {"full": 12, "written": 8, "ended": 8}
    DEPTH, SEARCH = 4, 24

    def __init__(self, *, bug=None):
        super().__init__(dict.fromkeys(("valid", "grant", "offer", "end"), 1), bug=bug)

    def elaborate(self, platform):
        m = Module()
        writer = RowWriter(drain_width=1, line_bytes=4)
        m.submodules.writer = inside = Opened(writer)
        queue = inside.cut("writes")
        level, came, left = Signal(range(_DEPTH + 2)), Signal(4), Signal(4)
        comes, request = self.valid & writer.room, writer.o.request
        push, pop = queue.i.valid, queue.o.valid & queue.o.ready
        m.d.comb += [
            writer.i.valid.eq(comes),
            request.ready.eq(self.grant),
            queue.o.valid.eq(self.offer & (level != 0)),
            queue.o.payload.item.end.eq(self.end),
        ]
        m.d.sync += level.eq(level + push - pop)
        m.d.sync += [came.eq(came + comes), left.eq(left + ((request.valid & request.ready) | writer.done))]
        # What the queue offers stays.
        waits, was_end = Signal(), Signal()
        m.d.sync += [waits.eq(queue.o.valid & ~queue.o.ready), was_end.eq(self.end)]
        m.d.comb += Assume(~waits | (self.offer & (self.end == was_end)))

        reserved, under_way = inside["reserved"], inside["valid_1"] + inside["valid_2"]
        self._seed(m, writer, inside, queue)
        m.d.comb += [
            implies(push, level != _DEPTH),
            Assert((came - left)[:4] == level + under_way),
            Assert(~(request.valid & writer.done)),
            # Nothing blocks for good: where there is no room, writes are on their way.
            implies(~writer.room, level + under_way != 0),
        ]
        if self._bug is None:
            m.d.comb += Assert(reserved == level + under_way)
        m.d.comb += [
            self.full.eq(~writer.room & (level == _DEPTH)),
            self.written.eq(request.valid & request.ready & (left == 2)),
            self.ended.eq(writer.done & (left == 2)),
        ]
        return m

    def _seed(self, m, writer, inside, queue):
        """Put the bug in."""
        if self._bug == "room":
            inside.release(writer.room)
            m.d.comb += writer.room.eq(inside["reserved"] <= _DEPTH)
        elif self._bug == "early":
            inside.release(inside["taken"])
            m.d.comb += inside["taken"].eq(queue.o.valid)
        elif self._bug == "kept":
            inside.release(inside["taken"])
            m.d.comb += inside["taken"].eq(queue.o.valid & queue.o.ready & ~self.end)
