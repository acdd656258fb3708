# SPDX-License-Identifier: Apache-2.0
"""One direction of a link for proofs: the sender of one side, the receiver of the other one, and a line that does anything.

Sender and receiver are those of the chip, of any window. Left out is what no solver can look through, each replaced by
something that may do more than it: a CRC is right exactly if every unit of the frame has come as it was sent (that is what
*detected* means); a memory keeps one word, wherever that may be, and all others are noise; the way back delivers any ACK
and NAK that may be under way on a line that keeps the order, at any time or never.
"""

from amaranth.hdl import Assert, Assume, Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.link.frame import MAX_WORDS, SEQUENCE_BITS, UNIT, Header, Kind, check_bits
from tepin.link.receiver import Receiver
from tepin.link.sender import Sender
from tepin_testbench.formal import implies
from tepin_testbench.opened import Opened

__all__ = ["BUGS", "COVERED", "Channel", "distance"]

WORD_BITS = 64
PARTS = WORD_BITS // UNIT
HUNT, BETWEEN, WORDS, LOW, HIGH = range(5)  # places of the receiver

BUGS = {
    "undetected": "a frame with a wrong unit passes the CRC",
    "credit": "an ACK is one word ahead of what has left the buffer",
    "window": "the receiver has half as many words as the sender counts on",
    "unstored": "the last word of a frame is not stored",
}

COVERED = {"delivered": 20, "resent": 40, "repeated": 30, "full": 8}
"""What can happen, and within how many cycles from reset."""


def distance(later, earlier):
    """How many words a number is after another one."""
    return (later - earlier)[:SEQUENCE_BITS]


class Channel(Component):
    """Words at `i`, words at `o`, and the claim that they are the same.

    Any one word may be marked when it is accepted. It comes out once, unchanged, after all words before it and no
    other; since it may be any word, that is so for all. No word comes out that has not been accepted, no frame that
    is in order finds the buffer full, and the words under way never exceed the window and the two of the output.

    The line takes a unit from the sender (`sent`) and gives one to the receiver (`come`), in the same cycle or not,
    the same unit or not. A line that takes time is no different: that is time that the way back may take.

    Parameters
    ----------
    window, frame_words, patience : int
        As of `Sender` and `Receiver`.
    bug : str or None
        One of `BUGS`.
    """

    def __init__(self, *, window, frame_words, patience=16, bug=None):
        self._window, self._frame_words, self._bug = window, frame_words, bug
        self._patience = patience
        word = stream.Signature(WORD_BITS)
        flags = (
            "sent", "come", "ack", "nak", "mark",
            "join", "up_a", "up_b", "enable", "complain", "complained",
        )  # fmt: skip
        super().__init__(
            {
                "i": In(word),
                "o": Out(word),
                **{name: In(1) for name in flags},
                "unit": In(UNIT),  # comes
                "number": In(SEQUENCE_BITS),  # of ACK and NAK
                "consumed": In(SEQUENCE_BITS),  # of the other direction
                "expected": In(SEQUENCE_BITS),
                "hello": In(5),
                "crc": In(2 * UNIT),
                "slot": In(range(window)),  # of the marked word
                "noise_a": In(WORD_BITS),
                "noise_b": In(WORD_BITS),
                **{name: Out(1) for name in COVERED},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.sender = self._build_sender(m)
        m.submodules.receiver = self._build_receiver(m)
        self._follow_frames(m)
        self._mark_words(m)
        self._name_numbers()
        self._claim_room(m)
        if self._bug is None:  # What the induction needs to know. A bug has to break what is claimed.
            self._claim_numbers(m)
            self._claim_mark(m)
            self._claim_sender(m)
            self._claim_receiver(m)
            self._claim_data(m)
        self._cover(m)
        return m

    def _build_sender(self, m):
        sender = Sender(word_bits=WORD_BITS, window=self._window, frame_words=self._frame_words)
        self._s = s = Opened(sender)
        self._sender = sender
        connect(m, flipped(self.i), sender.i)
        m.d.comb += [
            sender.ready.eq(self.sent),
            sender.ack.eq(self.ack),
            sender.nak.eq(self.nak),
            sender.number.eq(self.number + (self.ack if self._bug == "credit" else 0)),
            sender.join.eq(self.join),
            sender.up.eq(self.up_a),
            sender.hello.eq(self.hello),
            sender.consumed.eq(self.consumed),
            sender.expected.eq(self.expected),
            sender.complain.eq(self.complain),
            s.cut("crc").crc.eq(self.crc),
        ]
        self._stored_a, self._read_a = self._keep(m, s.cut("memory"), self.noise_a)
        return s

    def _keep(self, m, memory, noise, lost=Const(0)):
        """Drive the read port of a memory that is right in one place. Returns the word there, and what has been read."""
        (write,), (read,) = memory.write_ports, memory.read_ports
        word, data = Signal(len(write.data)), Signal(len(write.data))
        writes = write.en & (write.addr == self.slot) & ~lost
        with m.If(writes):
            m.d.sync += word.eq(write.data)
        new = Mux(writes, write.data, word) if write in read.transparent_for else word
        with m.If(read.en):
            m.d.sync += data.eq(Mux(read.addr == self.slot, new, noise))
        m.d.comb += read.data.eq(data)
        return word, data

    def _build_receiver(self, m):
        window = self._window // 2 if self._bug == "window" else self._window
        receiver = Receiver(word_bits=WORD_BITS, window=window, patience=self._patience)
        self._r = r = Opened(receiver)
        self._receiver = receiver
        connect(m, receiver.o, flipped(self.o))
        self._intact = Signal()  # all units of the frame have come as they were sent
        m.d.comb += [
            receiver.unit.eq(self.unit),
            receiver.valid.eq(self.come),
            receiver.enable.eq(self.enable),
            receiver.up.eq(self.up_b),
            receiver.complained.eq(self.complained),
            r.cut("crc").match_detected.eq(1 if self._bug == "undetected" else self._intact),
        ]
        lost = r["words_left"] == 0 if self._bug == "unstored" else Const(0)
        self._stored_b, self._read_b = self._keep(m, r.cut("memory"), self.noise_b, lost)
        self._consumed_before = Signal(SEQUENCE_BITS)
        m.d.sync += self._consumed_before.eq(receiver.consumed)
        self._bound_reports(m)
        return r

    def _bound_reports(self, m):
        """What may come back.

        Both numbers only grow, and frames keep their order: one that is sent after an ACK is not behind it, and says what
        was so a cycle ago at the latest.
        """
        m.d.comb += [
            Assume(~(self.ack & self.nak)),
            Assume(~self.ack | self._may_come(Kind.ACK, self.number)),
            Assume(~self.nak | self._may_come(Kind.NAK, self.number)),
        ]

    def _may_come(self, kind, number):
        last = self._consumed_before if kind == Kind.ACK else self._receiver.expected
        acked = self._s["acked"]
        return distance(number, acked) <= distance(last, acked)

    def _follow_frames(self, m):
        s, r = self._s, self._r
        place = r["place"]
        same = self.sent & self.come & (self.unit == self._sender.unit)
        with m.If(self._receiver.error | ~self.enable):
            m.d.sync += self._intact.eq(0)
        with m.Elif(self.sent | self.come):
            m.d.sync += self._intact.eq(same & Mux(place == BETWEEN, s["first"], self._intact))
        # The frame that the sender is sending, and how far it has ever been.
        self._frame, self._frame_last = Signal(SEQUENCE_BITS), Signal(5)
        self._top = top = Signal(SEQUENCE_BITS)
        next_word, count = s["next_word"], s["last_word"] + 1
        with m.If(self.sent & s.ongoing("BETWEEN") & s["begin"] & s["payload"]):
            m.d.sync += [self._frame.eq(next_word), self._frame_last.eq(s["last_word"])]
            with m.If(distance(top, next_word) < count):
                m.d.sync += top.eq(next_word + count)

    def _mark_words(self, m):
        """What is claimed: nothing here knows how a link works."""
        accepts, delivers = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        self._under_way = under_way = Signal(9)
        self._tracked, self._ahead, self._value = Signal(), Signal(9), Signal(WORD_BITS)
        self._marked = Signal(SEQUENCE_BITS)  # its number
        began, slot = Signal(), Signal.like(self.slot)
        m.d.sync += [
            under_way.eq(under_way + accepts - delivers),
            began.eq(1),
            slot.eq(self.slot),
        ]
        m.d.comb += Assume(~began | (slot == self.slot))
        with m.If(self._tracked & delivers):
            m.d.sync += [self._ahead.eq(self._ahead - 1), self._tracked.eq(self._ahead != 0)]
        marks = self.mark & accepts & ~self._tracked & (self._s["head"][: len(self.slot)] == self.slot)
        with m.If(marks):
            m.d.sync += [
                self._tracked.eq(1),
                self._ahead.eq(under_way - delivers),
                self._value.eq(self.i.payload),
                self._marked.eq(self._s["head"]),
            ]
        m.d.comb += [
            implies(self.o.valid, under_way != 0),
            implies(self._tracked & self.o.valid & (self._ahead == 0), self.o.payload == self._value),
            Assert(under_way <= self._window + 2),
        ]
        # Offered until accepted, unchanged.
        waits, held = Signal(), Signal(WORD_BITS)
        m.d.sync += [waits.eq(self.o.valid & ~self.o.ready), held.eq(self.o.payload)]
        m.d.comb += [implies(waits, self.o.valid), implies(waits, self.o.payload == held)]

    def _name_numbers(self):
        r, receiver = self._r, self._receiver
        place = r["place"]
        ends = (place == LOW) | (place == HIGH) | r["check"]
        self._delivered = distance(receiver.consumed, r["fetched"] + self.o.valid)
        self._data = (place == WORDS) | (ends & ~r["control"])
        self._in_order = self._intact & self._data & (receiver.number == receiver.expected)

    def _claim_room(self, m):
        """A frame that is in order has room: the credit is never more than the buffer."""
        m.d.comb += implies(self._in_order, ~self._r["overrun"])

    def _claim_numbers(self, m):
        """acked <= consumed <= expected <= top <= head <= acked + window."""
        s, receiver, top = self._s, self._receiver, self._top
        row = (self._consumed_before, receiver.consumed, receiver.expected, top, s["head"])
        ahead = [distance(number, s["acked"]) for number in row]
        m.d.comb += [
            *(Assert(earlier <= later) for earlier, later in zip(ahead, ahead[1:], strict=False)),
            Assert(ahead[-1] <= self._window),
            Assert(distance(top, s["next_word"]) <= self._window),
        ]

    def _claim_mark(self, m):
        """The marked word is among those that are under way."""
        m.d.comb += [
            Assert(self._under_way == distance(self._s["head"], self._delivered)),
            implies(self._tracked, distance(self._marked, self._delivered) == self._ahead),
            implies(self._tracked, self._ahead < self._under_way),
            implies(self._tracked, self._marked[: len(self.slot)] == self.slot),
        ]

    def _claim_sender(self, m):
        s, top = self._s, self._top
        between, words, low, high = (s.ongoing(name) for name in ("BETWEEN", "WORDS", "LOW", "HIGH"))
        first, body, control = s["first"], s["body"], s["control"]
        header = Header(s["plain"])
        settled = between & (s["run"] == 0)
        m.d.comb += [
            Assert((first + body + s["low"] + s["high"]) <= 1),
            implies(words, body | (first & ~control)),
            implies(low, body | (first & control)),
            Assert(high == s["low"]),
            implies(s["high"], between),
            implies(body, (words | low) & ~control),
            implies(first, Mux(control, low, words)),
            implies(low & body, s["part"] == 0),
            implies(low & body, s["words_left"] == MAX_WORDS - 1),
            implies(words, s["words_left"] <= self._frame_last),
            implies(words, first == ((s["part"] == 0) & (s["words_left"] == self._frame_last))),
            implies(first, header.check == check_bits(header)),
            implies(first, header.control == control),
            implies(first & ~control, (header.number == self._frame) & (header.detail == self._frame_last)),
            # A frame has only words that there are.
            Assert((s["limit"] & (s["limit"] + 1)) == 0),
            Assert(s["limit"] < self._frame_words),
            implies(settled, s["available"] <= distance(s["head"], top) + distance(top, s["next_word"])),
            implies(
                (first | body | s["low"] | s["high"]) & ~control,
                self._sent_before(self._frame, self._frame_last),
            ),
        ]

    def _sent_before(self, number, last, since=0):
        """Whether the frame with these words has been begun, and not too long ago for its number to tell."""
        return (distance(self._top, number) <= self._window + since) & (
            last + 1 <= distance(self._top, number)
        )

    def _claim_receiver(self, m):
        s, r, receiver = self._s, self._r, self._receiver
        place, part, words_left, control = r["place"], r["part"], r["words_left"], r["control"]
        number, detail, write, check = receiver.number, receiver.detail, r["write"], r["check"]
        body, low, high = place == WORDS, place == LOW, place == HIGH
        data = self._data
        late = (body & (part != 0)) | ((low | high | check) & ~control)
        m.d.comb += [
            Assert(place <= HIGH),
            implies(check, place == BETWEEN),
            implies(body, ~control),
            implies(body, words_left <= detail),
            implies(body, write == distance(number + detail, words_left)),
            implies(data & ~body, write == (number + detail + 1)[:SEQUENCE_BITS]),
            implies((low | high) & ~control, part == 0),
            implies(late, r["in_order"] == (number == receiver.expected)),
            implies(body & (part != 0), r["room"] == (distance(write, self._consumed_before) < self._window)),
            # In step with the sender.
            implies(self._intact, place != HUNT),
            implies(self._intact & body, s["body"]),
            implies(self._intact & low, s["low"]),
            implies(self._intact & high, s["high"]),
            implies(self._intact & (low | high), control == s["control"]),
            implies(self._intact & data & ~check, (number == self._frame) & (detail == self._frame_last)),
            implies(self._intact & body, part == (s["part"] - 1)[:2]),
            implies(
                self._intact & body,
                words_left == (s["words_left"] + (s["part"] == 0))[: len(s["words_left"])],
            ),
            implies(self._intact & data, self._sent_before(number, detail, Mux(check, self._frame_words, 0))),
        ]

    def _claim_data(self, m):
        """Where the marked word is."""
        s, r, receiver = self._s, self._r, self._receiver
        marked, tracked, value = self._marked, self._tracked, self._value
        head, acked, next_word = s["head"], s["acked"], s["next_word"]
        expected, consumed, write = receiver.expected, receiver.consumed, r["write"]
        wanted = tracked & (distance(marked, expected) < distance(head, expected))  # not received yet
        words, between = s.ongoing("WORDS"), s.ongoing("BETWEEN")
        part, current = s["part"], distance(self._frame + self._frame_last, s["words_left"])
        # `read` is two steps ahead of `word`.
        ahead = part == PARTS - 1
        fetches = words & ~(ahead & (s["words_left"] == 0))
        fetching = distance(current + ahead, 0)
        settled = between & (s["run"] == 0) & (s["available"] != 0)
        shown = Mux(words, distance(current, part == 0), distance(self._frame + self._frame_last, 0))
        earlier = r["earlier"]
        at_receiver = self._intact & (r["place"] == WORDS) & (write == marked) & wanted
        buffered = tracked & (distance(marked, consumed) < distance(expected, consumed))
        stores = r["write_port__en"] & (write[: len(self.slot)] == self.slot)
        written = self._in_order & (distance(marked, receiver.number) < distance(write, receiver.number))
        m.d.comb += [
            # In the sender: kept, fetched, sent.
            implies(tracked & (distance(marked, acked) < distance(head, acked)), self._stored_a == value),
            implies(s.ongoing("HIGH") & (s["run"] == 0), s["read"] == next_word),
            implies(between & (s["run"] <= 5), s["read"] == next_word),
            implies(settled & wanted & (next_word == marked), self._read_a == value),
            implies(words, s["read"] == distance(current + part[1], 0)),
            implies(fetches & wanted & (fetching == marked), self._read_a == value),
            implies(words & wanted & (current == marked), s["word"] == value),
            implies(
                s["body"] & wanted & (shown == marked), s["plain"] == value.word_select((part - 1)[:2], UNIT)
            ),
            # In the receiver: collected, stored, fetched, offered.
            *(
                implies(
                    at_receiver & (r["part"] == count),
                    earlier[len(earlier) - count * UNIT :] == value[: count * UNIT],
                )
                for count in range(1, PARTS)
            ),
            implies(buffered, ~stores),
            implies(written & wanted, ~stores),
            implies(written & wanted, self._stored_b == value),
            implies(buffered, self._stored_b == value),
            implies(tracked & r["fetched"] & (distance(consumed, 1) == marked), self._read_b == value),
            implies(tracked & self.o.valid & (self._delivered == marked), self.o.payload == value),
        ]

    def _cover(self, m):
        delivers = self.o.valid & self.o.ready & self._tracked & (self._ahead == 0)
        went_back = Signal()
        with m.If(self.nak & (self.number != self._s["next_word"])):
            m.d.sync += went_back.eq(1)
        m.d.comb += [
            self.delivered.eq(delivers),
            self.resent.eq(delivers & went_back),
            self.repeated.eq(self._r["check"] & self._intact & self._data & ~self._r["in_order"]),
            self.full.eq(self.i.valid & ~self.i.ready),
        ]
