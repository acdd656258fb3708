# SPDX-License-Identifier: Apache-2.0
"""Both sides of a link for proofs: what one side hears is what the other one says.

Two `Channel`s crossed. Before `right` rises, the lines do anything, and the sides go down and up; from then on each unit
arrives as it was sent, in the cycle in which it was sent, and both sides are up.
"""

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from tepin.link.frame import IDLE, SEQUENCE_BITS, UNIT, Header, Kind
from tepin_testbench.formal import implies
from verification.formal.link.channel import BETWEEN, HIGH, LOW, WORD_BITS, WORDS, Channel, distance
from verification.formal.link.recovery import LONG_RUN

__all__ = ["CHIP", "Pair", "Way"]

CHIP = {"window": 128, "frame_words": 32, "patience": 256}


class Way(Channel):
    """A direction whose ACKs and NAKs come from the other direction. Payload is noise: where words are is proven elsewhere.

    After `watch` there are, besides the registers of both halves (`s`, `r`):

    step : the receiver is where the sender is
    moved : a frame of words is accepted in this cycle
    data, number : a frame of words is on the line, and its first one
    polls, naks : rows of (is it there?, number) for frames on the line: one that begins, one that is coming in
    """

    def elaborate(self, platform):
        m = Module()
        self.noise = Signal(WORD_BITS)
        m.submodules.sender = self.s = self._build_sender(m)
        m.submodules.receiver = self.r = self._build_receiver(m)
        self.sender, self.receiver = self._sender, self._receiver
        self._follow_frames(m)
        self._name_numbers()
        self._claim_room(m)
        self._claim_numbers(m)
        self._claim_sender(m)
        self._claim_receiver(m)
        self._claim_more(m)
        return m

    def _keep(self, m, memory, noise, lost=None):
        (read,) = memory.read_ports
        m.d.comb += read.data.eq(self.noise)
        return None, None

    def _bound_reports(self, m):
        """What comes back is no assumption here, see `claim_reports`."""

    def _claim_more(self, m):
        s, r, place = self.s, self.r, self.r["place"]
        header, behind = Header(s["plain"]), distance(self.receiver.expected, self.receiver.number)
        none = ~(s["first"] | s["body"] | s["low"] | s["high"])
        known = ((place == LOW) & ~r["control"]) | (place == HIGH) | r["check"]
        hello = header.detail[:2] == Kind.HELLO
        m.d.comb += [
            implies(none, s["plain"] == IDLE),
            implies(s["first"] & s["control"], (header.detail[2:] == 0) | hello),
            implies(r["check"], place == BETWEEN),
            Assert(s["run"] <= LONG_RUN),
            Assert(r["patience"] <= self._patience),
            implies(known, r["in_order"] == (behind == 0)),
            implies(known, r["ahead"] == behind[-1]),
        ]

    def watch(self, m, back):
        """Define what this class says there is; `back` is the other direction."""
        self.back = back
        s, r, place, receiver = self.s, self.r, self.r["place"], self.receiver
        header = Header(s["plain"])
        self.step, self.number = Signal(), Signal(SEQUENCE_BITS)
        inside = Mux(s["body"], place == WORDS, Mux(s["low"], place == LOW, place == HIGH))
        payload = (s["low"] | s["high"]) & ~s["control"]
        within = s["body"] | s["low"] | s["high"]
        m.d.comb += [
            self.step.eq(Mux(within, inside & self._intact, place == BETWEEN) & (~r["check"] | self._intact)),
            self.number.eq(Mux(s["first"], header.number, receiver.number)),
        ]
        self.data = (s["first"] & ~s["control"]) | s["body"] | payload
        self.moved = r["check"] & ~r["control"] & r["in_order"]
        self.polls, self.naks = self._of_kind(Kind.POLL), back._of_kind(Kind.NAK)

    def _of_kind(self, kind):
        s, r, place, header = self.s, self.r, self.r["place"], Header(self.s["plain"])
        coming = ((place == LOW) | (place == HIGH) | r["check"]) & r["control"]
        return (
            (s["first"] & s["control"] & (header.detail == kind), header.number),
            (coming & (self.receiver.detail[:2] == kind), self.receiver.number),
        )

    def claim_reports(self, m, back):
        """What comes back is in order, and never ahead of what is so."""
        acked, reported = self.s["acked"], back.s["reported"]
        since = lambda number: distance(number, acked)  # noqa: E731
        m.d.comb += [
            Assert(~(self.ack & self.nak)),
            Assert(since(reported) <= since(self.receiver.consumed)),
        ]
        for kind in (Kind.ACK, Kind.NAK):
            (begins, first), (comes, later) = back._of_kind(kind)
            comes &= back._intact
            m.d.comb += [
                implies(begins, self._may_come(kind, first)),
                implies(comes, self._may_come(kind, later)),
            ]
            if kind == Kind.ACK:
                m.d.comb += [
                    implies(begins, since(first) <= since(reported)),
                    implies(comes, since(later) <= since(reported)),
                ]
            (_, _), (acks, earlier) = back._of_kind(Kind.ACK)
            m.d.comb += implies(begins & acks & back._intact, since(earlier) <= since(first))

    def claim_polls(self, m):
        """A POLL says what comes behind it, unless the sender has gone back since."""
        s, r = self.s, self.r
        (begins, first), (comes, number) = self.polls
        comes &= self._intact
        follows = (s["first"] & ~s["control"]) | begins
        went = s["run"] != 0
        m.d.comb += [
            implies(begins, (s["next_word"] == first) | went),
            implies(comes & ~r["check"], (s["next_word"] == number) | went),
            implies(comes & r["check"] & follows, Header(s["plain"]).number == number),
        ]


class Pair(Component):
    """Sides a and b, and the claims about their registers that hold whatever the lines have done.

    A subclass says more in `_claim`, with `ab` and `ba`, the `Way`s, and `right`.

    Parameters
    ----------
    bug : str or None
        "deaf": senders do not hear complaints.
    outputs : iterable of str
        Of the subclass, one bit each.
    size
        As of `Channel`.
    """

    def __init__(self, *, bug=None, outputs=(), **size):
        self._size, self._bug = size, bug
        flags = ("valid", "ready", "sent", "come", "up", "enable", "join")
        side = dict.fromkeys(flags, 1) | {"hello": 5, "unit": UNIT, "noise": WORD_BITS, "crc": 2 * UNIT}
        inputs = {f"{name}_{side_}": In(width) for side_ in "ab" for name, width in side.items()}
        super().__init__({**inputs, "now": In(1), "mark": In(1), **{name: Out(1) for name in outputs}})

    def elaborate(self, platform):
        m = Module()
        self.ab, self.ba = ab, ba = Way(**self._size), Way(**self._size)
        m.submodules.ab, m.submodules.ba = ab.elaborate(platform), ba.elaborate(platform)
        self.right = Signal()
        m.d.sync += self.right.eq(self.right | self.now)
        self._join(m, "a", "b", ab, ba)
        self._join(m, "b", "a", ba, ab)
        for way, back in ((ab, ba), (ba, ab)):
            way.watch(m, back)
        for way, back in ((ab, ba), (ba, ab)):
            way.claim_reports(m, back)
            way.claim_polls(m)
        self._claim(m)
        return m

    def _join(self, m, side, other, way, back):
        """The sender of a side, and what its receiver tells it."""
        right, free = self.right, lambda name, of=side: getattr(self, f"{name}_{of}")
        heard, up, peer_up = back.receiver, right | free("up"), right | free("up", other)
        m.d.comb += [
            way.i.valid.eq(free("valid")),
            way.o.ready.eq(free("ready", other)),
            way.sent.eq(right | free("sent")),
            way.come.eq(right | free("come")),
            way.unit.eq(Mux(right, way.sender.unit, free("unit"))),
            way.ack.eq(heard.ack & up),
            way.nak.eq(heard.nak & up & (self._bug != "deaf")),
            way.number.eq(heard.number),
            way.consumed.eq(heard.consumed),
            way.expected.eq(heard.expected),
            way.complain.eq(heard.complain),
            back.complained.eq(way.sender.complained),
            way.up_a.eq(up),
            way.up_b.eq(peer_up),
            way.enable.eq(peer_up | free("enable", other)),
            way.join.eq(~right & free("join")),
            way.hello.eq(free("hello")),
            way.crc.eq(free("crc")),
            way.noise.eq(free("noise")),
        ]
