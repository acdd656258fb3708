# SPDX-License-Identifier: Apache-2.0
"""Receivers find their places again: a number that falls in every cycle until a receiver is in step with its sender.

That is about a `Pair` whose lines have been right for some cycles, from any state that its claims allow: receivers that hunt,
or take payload for frames; complaints and words under way; each side in step or not.
"""

from amaranth.hdl import Cat, Mux, Signal

from tepin.link.frame import HUNT_IDLES
from tepin_testbench.formal import implies
from verification.formal.link.channel import BETWEEN, HIGH, HUNT, LOW, PARTS, WORDS, distance
from verification.formal.link.pair import Pair
from verification.formal.link.recovery import LONG_RUN

__all__ = ["COVERED", "InStep"]

COVERED = {"found": 60, "asked": 60}
"""What can happen once the lines are right, and within how many cycles from reset."""

_LINES = 3  # cycles until all that is on the lines was sent while they were right


class InStep(Pair):
    """While the receiver of side b is not in step with the sender of side a, `rank` falls in every cycle.

    If side a is in step with side b, it hears complaints, and in the end answers with so many idle units that b is in step.
    If none is, both sides hear nothing: they run out of window, and send little but idle units.

    Parameters are those of `Pair`.
    """

    def __init__(self, **parameters):
        super().__init__(outputs=COVERED, **parameters)

    def _claim(self, m):
        way, back = self.ab, self.ba
        lines = Signal(range(_LINES + 1))
        m.d.sync += lines.eq(Mux(self.right & (lines != _LINES), lines + 1, lines))
        later = lines == _LINES
        for each in (way, back):
            self._claim_place(m, each, lines)
        rank = Cat(Mux(back.step, self._with_complaints(m), self._without(m, later)), ~back.step)
        before, was = Signal.like(rank), Signal()
        stepped = Signal()
        m.d.sync += [
            before.eq(rank),
            was.eq(later & ~way.step),
            stepped.eq(stepped | (later & back.step)),
        ]
        hunted = Signal()
        m.d.sync += hunted.eq(hunted | (later & ~way.step))
        m.d.comb += [
            implies(lines != 0, self.right),
            implies(stepped, self.right),
            implies(stepped, back.step),
            implies(was, lines == _LINES),
            implies(was & ~way.step, rank < before),
            self.found.eq(hunted & way.step),
            self.asked.eq(hunted & ~way.step & way.nak),
        ]

    def _claim_place(self, m, way, lines):
        s, r, place = way.s, way.r, way.r["place"]
        heard = ((place == WORDS) | (place == LOW) | (place == HIGH) | r["check"]) & way._intact
        control, hunts = s["control"], place == HUNT
        m.d.comb += [
            implies(place == HUNT, r["waiting"]),
            implies(heard & self.right, way.step),
            implies(s.ongoing("BETWEEN") & (s["urgent"] | s["report"]), s["due"] != 0),
            implies(((place == LOW) | (place == HIGH)), r["part"] == 0),
            implies((lines >= 2) & hunts & control & s["low"], r["idles"] == 0),
            implies((lines >= 3) & hunts & control & s["high"], r["idles"] <= 1),
        ]

    # What receivers and senders still have to go through, in units.

    @staticmethod
    def _frame_left(s):
        """Of the frame that is being sent."""
        words = PARTS * s["words_left"] + (PARTS - s["part"]) + 2
        ending = Mux(s.ongoing("HIGH"), 1, Mux(s.ongoing("LOW"), 2, words))
        return Mux(s.ongoing("BETWEEN"), 0, ending + 1) + s["high"]

    @staticmethod
    def _false_left(r):
        """Of the frame that the receiver takes it for."""
        place = r["place"]
        words = PARTS * r["words_left"] + (PARTS - r["part"]) + 2
        return Mux(place == WORDS, words, Mux(place == LOW, 2, Mux(place == HIGH, 1, 0)))

    def _needs(self, r):
        """Idle units in a row until the receiver knows its place."""
        inside = (r["place"] != HUNT) & ((r["place"] != BETWEEN) | r["check"])
        return Mux(
            r["place"] == HUNT, HUNT_IDLES - r["idles"], Mux(inside, self._false_left(r) + HUNT_IDLES + 1, 0)
        )

    # Side a hears complaints.

    def _with_complaints(self, m):
        """Parts, most significant first:

        1. a receiver that does not complain finds out that what it takes for a frame is none;
        2. complaints under way that name another word than the one that is missing: there will be no more of them;
        3. complaints until one is answered with `LONG_RUN` idle units;
        4. whether the idle units that are due are enough;
        5. if so, how long that takes, otherwise the time to the next complaint.
        """
        way, back = self.ab, self.ba
        s, r, expected = way.s, way.r, way.receiver.expected
        frame, needs = self._frame_left(s), self._needs(r)
        dirty = (r["place"] == BETWEEN) & ~r["check"]
        unaware = Mux(r["waiting"], 0, Mux(dirty, 256 + frame, 1 + self._false_left(r)))
        stale = sum(there & (number != expected) for there, number in way.naks)
        answers = Mux(s["complaint"] == expected, 3 - s["repeated"], 4)
        enough = Mux(frame != 0, s["run"] == LONG_RUN, s["run"] + 1 >= needs)
        (begins, _), (comes, _) = way.naks
        there = begins | comes
        patience = r["patience"]
        left = self._frame_left(back.s) + back.s["run"]
        steps = Mux(back.r["check"], 1, Mux(back.r["place"] == HIGH, 2, 3))
        complaint = Cat(
            Mux(there, Mux(comes, steps, 4), Mux(patience == 0, left, 0))[:12],
            Mux(there, 0, patience)[:9],
            ~there,
        )
        time = Mux(enough, 512 * frame + needs, complaint)
        value = Signal(48)
        m.d.comb += value.eq(
            Cat(Mux(unaware != 0, 0, time)[:24], ~enough, answers[:3], stale[:2], unaware[:10])
        )
        return value

    # None hears anything.

    def _without(self, m, later):
        """Parts, most significant first:

        1. side a begins to complain;
        2. what side a has to acknowledge, words that it may still accept, those that it has to send: nothing brings more;
        3. the last frame of words; a false one that the receiver is in;
        4. time until four idle units have come: 64 for a unit, 1024 for a frame without payload.
        """
        way, back = self.ab, self.ba
        s, r, timer = way.s, way.r, way.s["timer"]
        reports = distance(back.receiver.expected, s["reported"])
        room = way._window - distance(s["head"], s["acked"])
        unsent = distance(s["head"], s["next_word"])
        settled = s.ongoing("BETWEEN") & (s["run"] == 0)
        frame, hunts = self._frame_left(s), r["place"] == HUNT
        waits = back.r["waiting"]
        m.d.comb += implies(later & settled, s["available"] == unsent)
        frames = s["poll"] + s["overdue"]
        timers = distance(timer, 129) + distance(timer, 1)
        patient = Mux(waits, way._patience - back.r["patience"], 0)
        soon = 64 * (frame + s["run"]) + 1024 * frames + 4 * (timers + patient)
        idles = soon + 64 * Mux(frame == 0, HUNT_IDLES - r["idles"], HUNT_IDLES)
        dirty = (r["place"] == BETWEEN) & ~r["check"]
        quiet = Mux(hunts, idles, Mux(dirty, (2 << 16) + frame, (1 << 16) + self._false_left(r)))
        quiet = Mux(way.data, (3 << 16) + frame, quiet)
        value = Signal(48)
        m.d.comb += value.eq(Cat(Mux(unsent == 0, quiet, soon)[:20], unsent, room[:8], reports, ~waits))
        return value
