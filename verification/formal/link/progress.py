# SPDX-License-Identifier: Apache-2.0
"""No word waits for ever: a number that falls in every cycle until words move.

That is about a `Pair` whose lines are right, with both receivers where their senders are, from any state that the claims of
`Pair` allow: frames of both directions may be missing, complaints of both under way, old ones too. Being in step lasts for
ever.
"""

from amaranth.hdl import Cat, Mux, Signal

from tepin.link.frame import SEQUENCE_BITS, Header
from tepin_testbench.formal import implies
from verification.formal.link.channel import HIGH, LOW, WORDS, distance
from verification.formal.link.pair import Pair
from verification.formal.link.recovery import LONG_RUN

__all__ = ["BUGS", "COVERED", "Progress"]

COVERED = {"complained": 60, "recovered": 60}
"""What can happen, and within how many cycles from reset: a complaint when the other direction is quiet; words that move both
ways after complaints both ways."""

BUGS = {
    "deaf": {"bug": "deaf"},  # a sender does not hear that it should go back
    "impatient": {"patience": LONG_RUN},  # complaints come as often as the idle units behind them take
}

_FLYING = 1 << 24  # more than what the numbers below reach


class Progress(Pair):
    """While words of side a have not come to side b, or b complains, `rank` falls in every cycle in which no frame of words
    is accepted by any side: a link never stands still.

    Nor does the other direction's traffic keep this one's waiting once the other one is *quiet*, as it is unless it loses its
    order for ever: then `rank` falls until side b accepts a frame of words. Being quiet lasts for ever, too: the receiver
    misses nothing, and no complaint of it is under way.

    Parameters are those of `Pair`.
    """

    def __init__(self, **parameters):
        super().__init__(outputs=COVERED, **parameters)

    def _claim(self, m):
        ways = way, back = self.ab, self.ba
        steady, quiet = Signal(), Signal()
        in_step = way.step & back.step
        exact, other = (self._exact(m, each) for each in ways)
        rests = other & self._rests(back)
        m.d.sync += [
            steady.eq(steady | (self.right & in_step & self.mark)),
            quiet.eq(quiet | (steady & rests & self.mark)),
        ]
        stages = [
            self._stage(each, each_exact) for each, each_exact in zip(ways, (exact, other), strict=True)
        ]
        rank = Cat(self._time(m, way, stages[0][0], steady), *stages[0], *stages[1])
        waits = (way.s["head"] != way.receiver.expected) | way.r["waiting"]
        stands = ~way.moved & (quiet | (steady & ~back.moved))
        before, was = Signal.like(rank), Signal()
        m.d.sync += [before.eq(rank), was.eq(stands & waits)]
        m.d.comb += [
            implies(steady, self.right),
            implies(steady, in_step),
            implies(quiet, steady),
            implies(quiet, rests),
            implies(was & stands & waits, rank < before),
            self.complained.eq(quiet & way.nak),
        ]
        missing = [steady & (each.s["head"] != each.receiver.expected) & each.r["waiting"] for each in ways]
        missed, moved = Signal(), Signal()
        m.d.sync += [missed.eq(missed | (missing[0] & missing[1])), moved.eq(moved | (missed & way.moved))]
        m.d.comb += self.recovered.eq(moved & back.moved)

    @staticmethod
    def _exact(m, way):
        """Whether the receiver misses nothing: what is under way, or comes next, is what it expects."""
        s, r, expected = way.s, way.r, Signal(SEQUENCE_BITS)
        exact = Signal()
        m.d.comb += expected.eq(Mux(way.moved, r["write"], way.receiver.expected))
        fits = Mux(way.data, way.number, s["next_word"]) == expected
        for there, number in way.polls:
            fits &= ~there | (number == expected)
        m.d.comb += exact.eq(~r["waiting"] & ~(r["check"] & ~r["control"] & r["ahead"]) & fits)
        return exact

    @staticmethod
    def _rests(way):
        """Whether a direction that misses nothing will never go back again."""
        ends = distance(way._frame + way._frame_last, 0) + 1
        (begins, _), (comes, _) = way.naks
        return ~begins & ~comes & (~way.data | (way.s["next_word"] == ends[:SEQUENCE_BITS]))

    @staticmethod
    def _left(s):
        """Units until a sender can begin something new."""
        run = s["run"]
        words = 4 * s["words_left"] + (4 - s["part"]) + 2
        ending = Mux(s.ongoing("HIGH"), 1, Mux(s.ongoing("LOW"), 2, words))
        return run + Mux(s.ongoing("BETWEEN"), 0, ending)

    def _until_words(self, m, s, steady):
        """Falls with each unit until words are sent, if there are any.

        64 for a unit that has to pass. A POLL or an ACK takes three, which the 256 that it is worth pay for; what makes
        it due earns these meanwhile: timers by one in a cycle, words that have gone by 6 each.
        """
        timer, due = s["timer"], distance(s["due"], 0)
        settled = s.ongoing("BETWEEN") & (s["run"] == 0)
        m.d.comb += [
            implies(steady & settled, s["available"] == distance(s["head"], s["next_word"])),
            implies(s.ongoing("BETWEEN") & s["urgent"], due >= 32),
        ]
        timers = distance(timer, 129) + distance(timer, 1)
        return 64 * self._left(s) + 256 * s["poll"] + 256 * s["overdue"] + timers + 6 * due

    @staticmethod
    def _patient(way):
        """Cycles since the last complaint, of a receiver that will complain again."""
        return Mux(way.r["waiting"], way._patience - way.r["patience"], 0)

    def _stage(self, way, exact):
        """Of a direction: what has to happen next, and complaints under way that name another word than the one that is
        missing. Both only fall until words move."""
        s, r, expected = way.s, way.r, way.receiver.expected
        told, odd = self._told(way)
        gone_back = ((s["next_word"] == expected) & s["poll"]) | ((told[0] | told[1]) & ~odd)
        stage = Mux(exact, 0, Mux(r["waiting"], Mux(gone_back, 1, 2), 3))
        stale = sum(there & (number != expected) for there, number in way.naks)
        return Mux(odd, 2 + 2 * (told[0] + told[1]) + ~r["waiting"], stage)[:3], stale[:2]

    @staticmethod
    def _told(way):
        """Whether POLLs on the line say that the missing word is next, and whether that is no longer so."""
        s, expected = way.s, way.receiver.expected
        told = [there & (number == expected) for there, number in way.polls]
        words = s["first"] & ~s["control"]
        in_time = Mux(words, Header(s["plain"]).number, s["next_word"]) == expected
        return told, (told[0] | told[1]) & ~in_time

    def _time(self, m, way, stage, steady):
        """How long a stage takes."""
        s, r = way.s, way.r
        naks = sum(there for there, _ in way.naks)
        told, odd = self._told(way)
        coming = (told[0] | told[1]) & ~odd
        poll_steps = Mux(told[1], self._steps(r), 4)
        until_words = self._until_words(m, s, steady) + self._patient(way.back)
        again = 16 * LONG_RUN  # to wait for what a complaint does to the sender
        share = -(-again // way._patience)  # of it, earned in each cycle between two complaints
        patient = way._patience - r["patience"]
        words = Mux(way.data, self._words_left(way), _FLYING + until_words + naks * (64 * LONG_RUN + 256))
        poll = Mux(
            coming,
            poll_steps,
            _FLYING + 16 * self._left(s) + share * patient + again * naks + self._patient(way.back),
        )
        value = Signal(40)
        with m.Switch(stage):
            with m.Case(0):
                m.d.comb += value.eq(words)
            with m.Case(1):
                m.d.comb += value.eq(poll)
            with m.Case(2):
                m.d.comb += value.eq(self._until_complaint(way))
            with m.Case(3):
                m.d.comb += value.eq(Cat(self._until_noticed(m, way, until_words), naks[:2]))
            with m.Default():
                m.d.comb += value.eq(poll_steps + 16 * told[0] + 16 * told[1])
        return value

    @staticmethod
    def _steps(r):
        """Cycles until a frame without payload that is coming in has been checked."""
        return Mux(r["check"], 1, Mux(r["place"] == HIGH, 2, 3))

    @staticmethod
    def _words_left(way):
        """The same of any frame, from its header on."""
        s, r, place = way.s, way.r, way.r["place"]
        whole = Mux(s["control"], 4, 4 * way._frame_last + 8)
        inside = 4 * r["words_left"] + (4 - r["part"]) + 3
        return Mux(s["first"], whole, Mux(place == WORDS, inside, Mux(place == LOW, 3, 2)))

    def _until_complaint(self, way):
        """One is on the line; or it has to become due, and then to be sent."""
        back, patience = way.back, way.r["patience"]
        (begins, _), (comes, _) = way.naks
        there = begins | comes
        again = 16 * LONG_RUN
        share = -(-again // way._patience)
        naks = sum(there for there, _ in back.naks)
        waits = Mux(patience == 0, 16 * self._left(back.s) + share * self._patient(back) + again * naks, 0)
        return Cat(
            Mux(there, Mux(comes, self._steps(back.r), 4), waits)[:20], Mux(there, 0, patience)[:9], ~there
        )

    def _until_noticed(self, m, way, until_words):
        """The receiver does not complain, but what comes next is not what it expects.

        The sender is behind that, and comes closer with each frame; or ahead, and has something to send that shows it; or has
        nothing to send, until a POLL is due; or that which shows it is on the line.
        """
        s, r, expected = way.s, way.r, way.receiver.expected
        ahead = lambda number: distance(expected, number)[-1]  # noqa: E731
        (begins, first), (comes, number) = way.polls
        shows = r["check"] & r["ahead"] & (~r["control"] | comes)
        flies = (
            (way.data & ahead(way.number)) | (begins & ahead(first)) | (comes & ~r["check"] & ahead(number))
        )
        next_word, timer = s["next_word"], s["timer"]
        idle = ~s["poll"] & (s["head"] == next_word)
        # A whole window ahead, the sender may still be taking in words, until there seem to be none.
        fills = ~s["poll"] & (distance(next_word, expected) == way._window)
        kind, closer, time = Signal(2), Signal(SEQUENCE_BITS), Signal(20)
        m.d.comb += kind.eq(Mux(shows | flies, 0, Mux(ahead(next_word), 1, 2)))
        with m.Switch(kind):
            with m.Case(0):
                m.d.comb += time.eq(Mux(shows, 1, self._words_left(way)))
            with m.Case(1):
                m.d.comb += closer.eq(Mux(idle, 1, Mux(fills, 2, 0)))
                poll_due = Cat(distance(128, timer), s["said_next"])
                m.d.comb += time.eq(Mux(idle, poll_due, until_words))
            with m.Default():
                m.d.comb += [closer.eq(distance(expected, next_word)), time.eq(until_words)]
        return Cat(time, closer, kind)
