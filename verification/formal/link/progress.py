# SPDX-License-Identifier: Apache-2.0
"""No word waits for ever: a number that falls in every cycle until words move.

That is about a `Pair` whose lines are right, with both receivers where their senders are, from any state that the claims of
`Pair` allow: frames may be missing, complaints under way, old ones too. The other direction is *quiet*, as each one is in the
end: its receiver misses nothing, and no complaint of it is under way. Being in step, and being quiet, last for ever.
"""

from amaranth.hdl import Cat, Mux, Signal

from tepin.link.frame import SEQUENCE_BITS, Header
from tepin_testbench.formal import implies
from verification.formal.link.channel import HIGH, LOW, WORDS, distance
from verification.formal.link.pair import Pair
from verification.formal.link.recovery import LONG_RUN

__all__ = ["BUGS", "COVERED", "Progress"]

COVERED = {"complained": 60, "moved": 60}
"""What can happen when the other direction is quiet, and within how many cycles from reset."""

BUGS = {
    "deaf": {"bug": "deaf"},  # a sender does not hear that it should go back
    "impatient": {"patience": LONG_RUN},  # complaints come as often as the idle units behind them take
}

_FLYING = 1 << 24  # more than what the numbers below reach


class Progress(Pair):
    """While words of side a have not come to side b, or b complains, `rank` falls in every cycle in which no frame of words
    is accepted.

    Parameters are those of `Pair`.
    """

    def __init__(self, **parameters):
        super().__init__(outputs=COVERED, **parameters)

    def _claim(self, m):
        way = self.ab
        steady, quiet = Signal(), Signal()
        in_step = self.ab.step & self.ba.step
        exact, other = (self._exact(m, each) for each in (self.ab, self.ba))
        rests = other & self._rests(self.ba)
        m.d.sync += [
            steady.eq(steady | (self.right & in_step & self.mark)),
            quiet.eq(quiet | (steady & rests & self.mark)),
        ]
        rank = self._rank(m, way, exact, steady)
        waits = (way.s["head"] != way.receiver.expected) | way.r["waiting"]
        before, was = Signal.like(rank), Signal()
        m.d.sync += [before.eq(rank), was.eq(quiet & waits & ~way.moved)]
        m.d.comb += [
            implies(steady, self.right),
            implies(steady, in_step),
            implies(quiet, steady),
            implies(quiet, rests),
            implies(was & waits & ~way.moved, rank < before),
            self.complained.eq(quiet & way.nak),
            self.moved.eq(quiet & way.moved),
        ]

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

    def _rank(self, m, way, exact, steady):
        """Parts, most significant first:

        1. complaints under way that name another word than the one that is missing: there will be no more of them;
        2. a POLL that ends a complaint though the sender has gone back behind that word meanwhile;
        3. what has to happen: something that shows the gap; a complaint that arrives; a POLL behind it; the words;
        4. how long that takes.
        """
        s, r = way.s, way.r
        expected, next_word = way.receiver.expected, s["next_word"]
        naks = sum(there for there, _ in way.naks)
        stale = sum(there & (number != expected) for there, number in way.naks)
        told = [there & (number == expected) for there, number in way.polls]
        begins_words = s["first"] & ~s["control"]
        in_time = Mux(begins_words, Header(s["plain"]).number, next_word) == expected
        odd = (told[0] | told[1]) & ~in_time
        coming = (told[0] | told[1]) & in_time
        poll_steps = Mux(told[1], self._steps(r), 4)
        gone_back = ((next_word == expected) & s["poll"]) | coming

        until_words = self._until_words(m, s, steady)
        again = 16 * LONG_RUN  # to wait for what a complaint does to the sender
        share = -(-again // way._patience)  # of it, earned in each cycle between two complaints
        patient = way._patience - r["patience"]
        words = Mux(way.data, self._words_left(way), _FLYING + until_words + naks * (64 * LONG_RUN + 256))
        poll = Mux(coming, poll_steps, _FLYING + 16 * self._left(s) + share * patient + again * naks)
        stage = Mux(exact, 0, Mux(r["waiting"], Mux(gone_back, 1, 2), 3))
        part, value = Signal(3), Signal(32)
        m.d.comb += part.eq(Mux(odd, 4, stage))
        with m.Switch(part):
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
        rank = Signal(37)
        m.d.comb += rank.eq(Cat(value, part, stale[:2]))
        return rank

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
        waits = Mux(patience == 0, self._left(back.s), 0)
        return Cat(
            Mux(there, Mux(comes, self._steps(back.r), 4), waits)[:12], Mux(there, 0, patience)[:9], ~there
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
