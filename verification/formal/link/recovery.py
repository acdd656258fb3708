# SPDX-License-Identifier: Apache-2.0
"""Parts of the answer to "can a link get stuck?", each for one half of it alone and any state that it may be in."""

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.link.frame import HUNT_IDLES, IDLE, MAX_WORDS, SEQUENCE_BITS, UNIT, Kind
from tepin.link.receiver import Receiver
from tepin.link.sender import Sender
from tepin_testbench.formal import implies
from tepin_testbench.opened import Opened

__all__ = ["ANSWER_UNITS", "CREDIT_UNITS", "Complaint", "Credit", "Idles", "LONG_RUN"]

WORD_BITS = 64
PARTS = WORD_BITS // UNIT
HUNT, BETWEEN, WORDS, LOW, HIGH = range(5)  # places of the receiver
BODY = MAX_WORDS * PARTS

LONG_RUN = BODY + 3 + HUNT_IDLES
"""Idle units in a row after which every receiver knows its place."""

ANSWER_UNITS = BODY + 2 + LONG_RUN
"""Units after which a NAK has begun: a frame that is being sent, and a run of idle units."""

_OVERDUE_UNITS = 513
_MOST_POTENTIAL = 64 * ANSWER_UNITS + 256 + 255

CREDIT_UNITS = _OVERDUE_UNITS + _MOST_POTENTIAL // 62
"""Units after which an ACK has begun."""


class Idles(Component):
    """After `LONG_RUN` idle units in a row a receiver knows its place, whatever it has taken for a frame before.

    Units, CRC, and the rest of the inputs are free.
    """

    unit: In(UNIT)
    come: In(1)
    right: In(1)
    up: In(1)
    complained: In(1)
    nonce: In(SEQUENCE_BITS)
    late: Out(1)  # one idle unit less was not enough
    o: Out(stream.Signature(WORD_BITS))

    def elaborate(self, platform):
        m = Module()
        receiver = Receiver(word_bits=WORD_BITS, window=4, patience=16)
        m.submodules.receiver = r = Opened(receiver)
        r.cut("memory")
        connect(m, receiver.o, flipped(self.o))
        m.d.comb += [
            r.cut("crc").match_detected.eq(self.right),
            receiver.unit.eq(self.unit),
            receiver.valid.eq(self.come),
            receiver.enable.eq(1),
            receiver.up.eq(self.up),
            receiver.complained.eq(self.complained),
            receiver.nonce.eq(self.nonce),
        ]
        idles = Signal(range(LONG_RUN + 1))
        with m.If(self.come):
            m.d.sync += idles.eq(Mux(self.unit != IDLE, 0, Mux(idles == LONG_RUN, idles, idles + 1)))
        # How many more it needs.
        place, check = r["place"], r["check"]
        tail = HUNT_IDLES + 1
        needs = Signal(range(2 * LONG_RUN))
        with m.Switch(place):
            with m.Case(HUNT):
                m.d.comb += needs.eq(HUNT_IDLES - r["idles"])
            with m.Case(BETWEEN):
                m.d.comb += needs.eq(Mux(check, tail, 0))
            with m.Case(WORDS):
                m.d.comb += needs.eq(PARTS * r["words_left"] + (PARTS - r["part"]) + 2 + tail)
            with m.Case(LOW):
                m.d.comb += needs.eq(2 + tail)
            with m.Case(HIGH):
                m.d.comb += needs.eq(1 + tail)
        m.d.comb += [
            Assert(place <= HIGH),
            implies(check, place == BETWEEN),
            implies((place == LOW) | (place == HIGH), r["part"] == 0),
            Assert(idles + needs <= LONG_RUN),
            implies(idles == LONG_RUN, (place == BETWEEN) & ~check),
            self.late.eq((idles == LONG_RUN - 1) & (place == HUNT)),
        ]
        return m


class _Sending(Component):
    """A sender of a link that is up. Words, what comes in and what there is to report are free."""

    i: In(stream.Signature(WORD_BITS))
    sent: In(1)
    ack: In(1)
    nak: In(1)
    number: In(SEQUENCE_BITS)
    consumed: In(SEQUENCE_BITS)
    expected: In(SEQUENCE_BITS)
    complain: In(1)
    long: Out(1)

    def __init__(self, *, limit):
        self._limit = limit
        super().__init__()

    def _build_sender(self, m):
        sender = Sender(word_bits=WORD_BITS, window=4, frame_words=4)
        m.submodules.sender = s = Opened(sender)
        s.cut("memory")
        s.cut("crc")
        connect(m, flipped(self.i), sender.i)
        m.d.comb += [
            sender.ready.eq(self.sent),
            sender.up.eq(1),
            sender.ack.eq(self.ack),
            sender.nak.eq(self.nak),
            sender.number.eq(self.number),
            sender.consumed.eq(self.consumed),
            sender.expected.eq(self.expected),
            sender.complain.eq(self.complain),
        ]
        return sender, s

    @staticmethod
    def _left(m, s):
        """Units until the sender can begin something new."""
        run = s["run"]
        left = Signal(range(2 * ANSWER_UNITS))
        with m.If(s.ongoing("BETWEEN")):
            m.d.comb += left.eq(run)
        with m.Elif(s.ongoing("HIGH")):
            m.d.comb += left.eq(1 + run)
        with m.Elif(s.ongoing("LOW")):
            m.d.comb += left.eq(2 + run)
        with m.Else():
            m.d.comb += left.eq(PARTS * s["words_left"] + (PARTS - s["part"]) + 2 + run)
        return left


class Complaint(_Sending):
    """A complaint that is due has begun after `limit` units at most, unless the other side complains, too."""

    def __init__(self, *, limit=ANSWER_UNITS):
        super().__init__(limit=limit)

    def elaborate(self, platform):
        m = Module()
        sender, s = self._build_sender(m)
        waited = Signal(range(2 * ANSWER_UNITS))
        with m.If(~self.complain | self.nak | sender.complained):
            m.d.sync += waited.eq(0)
        with m.Elif(self.sent):
            m.d.sync += waited.eq(waited + 1)
        m.d.comb += [
            Assert(s["run"] <= LONG_RUN),
            Assert(waited + self._left(m, s) <= ANSWER_UNITS),
            Assert(waited <= self._limit),
            self.long.eq(s["run"] == LONG_RUN),
        ]
        return m


class Credit(_Sending):
    """What has left the buffer is told: no more than `limit` units are between two ACKs, unless someone complains.

    However many words there are to send: an ACK is overdue 512 units after the last one at most. Then it waits for what is
    being sent, and for POLLs, of which one may become due every 256 units.
    """

    def __init__(self, *, limit=CREDIT_UNITS):
        super().__init__(limit=limit)

    def elaborate(self, platform):
        m = Module()
        _, s = self._build_sender(m)
        left, timer, overdue = self._left(m, s), s["timer"], s["overdue"]
        kind = Kind(s["kind"])
        begins = self.sent & s.ongoing("BETWEEN") & s["begin"] & ~s["payload"] & (kind == Kind.ACK)
        waited, late = Signal(range(2 * CREDIT_UNITS)), Signal(range(2 * CREDIT_UNITS))
        with m.If(self.nak | self.complain | begins):
            m.d.sync += [waited.eq(0), late.eq(0)]
        with m.Elif(self.sent):
            m.d.sync += [waited.eq(waited + 1), late.eq(Mux(overdue, late + 1, 0))]
        until = Signal(range(_OVERDUE_UNITS + 1))
        m.d.comb += until.eq(Mux(s["said_ack"], 257, 1) + (-timer)[:8])
        # It falls by at least 62 with each unit: 64 for what is being sent, 256 for a POLL; from one POLL to the time when
        # the next one may become due, it rises again by 255.
        potential = Signal(range(_MOST_POTENTIAL + 1))
        m.d.comb += potential.eq(64 * left + 256 * s["poll"] + (timer - 129)[:8])
        m.d.comb += [
            Assert(s["run"] <= LONG_RUN),
            Assert(left <= ANSWER_UNITS),
            Assert(~(overdue & s["said_ack"])),
            implies(~overdue, late == 0),
            implies(~overdue, waited + until <= _OVERDUE_UNITS),
            implies(overdue, 62 * late + potential <= _MOST_POTENTIAL),
            implies(overdue, waited <= _OVERDUE_UNITS + late),
            Assert(waited <= self._limit),
            self.long.eq((late == 9) & begins),
        ]
        return m
