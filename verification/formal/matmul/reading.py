# SPDX-License-Identifier: Apache-2.0
"""Readers of the scratchpad for proofs: any jobs, reads granted and answers used at any time.

An answer cannot be held up, so a reader asks only for what it has a place for. Its queues only count; in the place of the
one of requests is one that also knows which of them need no place.
"""

from amaranth.hdl import Assert, Cat, Module, Signal

from tepin.matmul.activations import ActivationReader
from tepin.matmul.weight_reader import WeightReader
from tepin.memory.ports import ReadPort
from tepin_testbench.formal import implies
from tepin_testbench.opened import Opened
from verification.formal.matmul.claims import Claims
from verification.formal.matmul.queues import Counted

__all__ = ["ReadingActivations", "ReadingTiles", "ReadingWords"]

_DEPTH = 4


class Reading(Claims):
    """A reader, and the claims that every answer finds its place, and that places are those of answers under way."""

    BUGS = {"offered": "a place is given back when an answer is offered, not when it is taken"}
    COVERED = {"full": 24, "again": 24}
    DEPTH, SEARCH = 10, 24
    ASKED = ""  # the queue of requests
    ANSWERS = ""

    def __init__(self, *, bug=None):
        super().__init__(dict.fromkeys(("job", "grant", "take", *self.INPUTS), 1) | self.FIELDS, bug=bug)

    def elaborate(self, platform):
        m = Module()
        reader = self.make()
        m.submodules.reader = inside = Opened(reader)
        asked = Counted(m, inside.cut(self.ASKED), self.ASKED)
        answers = Counted(m, inside.cut(self.ANSWERS), self.ANSWERS)
        self.drive(m, reader, inside, answers)
        port = reader.scratchpad
        # Whether the requests that wait, the oldest one first, and those under way need a place.
        needs = asked.follow(m, self.needs_place(asked.queue.i.payload), "needs")
        under_way, answered = Signal(ReadPort.LATENCY), Signal(ReadPort.LATENCY)
        m.d.sync += [
            answered.eq(Cat(asked.pop, answered)),
            under_way.eq(Cat(asked.pop & needs[0], under_way)),
        ]
        m.d.comb += [
            port.request.ready.eq(self.grant),
            port.response_valid.eq(answered[-1]),
            implies(answers.queue.i.valid, answers.level != _DEPTH),
            Assert(answers.push == under_way[-1]),
        ]
        self.say_which(m, asked, needs)
        waiting = (needs[0] & (asked.level > 0)) + (needs[1] & (asked.level > 1))
        places = waiting + sum(under_way[age] for age in range(len(under_way))) + answers.level
        if self._bug == "offered":
            inside.release(inside["taken"])
            m.d.comb += inside["taken"].eq(answers.queue.o.valid)
        elif self._bug is None:
            m.d.comb += Assert((inside["reserved"] == places) & (places <= _DEPTH))
        used = Signal(range(2 * _DEPTH + 1))
        m.d.sync += used.eq(used + (answers.pop & (used != 2 * _DEPTH)))
        m.d.comb += [
            self.full.eq(answers.level == _DEPTH),
            # All places have been used, and one of them once more.
            self.again.eq(used > _DEPTH),
        ]
        return m


class ReadingActivations(Reading):
    """Reads of activations have places, those of their scales need none."""

    BUGS = Reading.BUGS | {"scales": "answers with scales come to the queue, too"}
    COVERED = {"full": 24, "again": 30}
    INPUTS = ("int16", "has_scales")
    FIELDS = {"m": 2, "k": 3, "n": 4}
    ASKED, ANSWERS = "requests", "queue"

    def make(self):
        return ActivationReader(
            rows=2, columns=4, activation_width=8, accumulator_rows=2, line_bytes=4, depth=_DEPTH
        )

    def drive(self, m, reader, inside, answers):
        job = reader.i.payload
        m.d.comb += [
            reader.i.valid.eq(self.job),
            job.activations.eq(self.int16),
            job.has_scales.eq(self.has_scales),
            job.m.eq(self.m),
            job.k.eq(self.k),
            job.n.eq(self.n),
            reader.o.ready.eq(self.take),
        ]
        if self._bug == "scales":
            inside.release(answers.queue.i.valid)
            m.d.comb += answers.queue.i.valid.eq(reader.scratchpad.response_valid)

    def needs_place(self, request):
        return ~request.is_scale

    def say_which(self, m, asked, needs):
        m.d.comb += asked.queue.o.payload.is_scale.eq(~needs[0])


class ReadingWords(Reading):
    """Reads of words of weights."""

    INPUTS = ("source", "last", "address", "full_queue", "mark", "whole")
    FIELDS = {"size": 3}
    ASKED, ANSWERS = "reads", "words"
    TILE_ROWS = 0

    def make(self):
        return WeightReader(columns=4, word_bytes=4, line_bytes=8, tile_rows=self.TILE_ROWS, depth=_DEPTH)

    def drive(self, m, reader, inside, answers):
        request, queue = reader.i.payload, inside.cut("queue")
        m.d.comb += [
            reader.i.valid.eq(self.job),
            request.source.eq(self.source),
            request.size.eq(self.size),
            request.last.eq(self.last),
            request.meta.end.eq(self.mark),
            reader.i_addresses.valid.eq(self.address),
            queue.i.ready.eq(~self.full_queue),
            reader.o_words.ready.eq(self.take),
        ]
        if self.TILE_ROWS:
            m.d.comb += [request.meta.whole.eq(self.mark), answers.queue.o.payload.whole.eq(self.whole)]

    def needs_place(self, request):
        return 1

    def say_which(self, m, asked, needs):
        m.d.comb += [implies(asked.level > age, all_do) for age, all_do in enumerate(needs)]


class ReadingTiles(ReadingWords):
    """Reads of words and lines of weights, in any order."""

    TILE_ROWS = 4
