# SPDX-License-Identifier: Apache-2.0
"""The receiving half of a link: frames into words, released when the CRC has shown them to be right."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from tepin.link.frame import CRC, HUNT_IDLES, IDLE, SEQUENCE_BITS, UNIT, Header, Kind, check_bits

__all__ = ["Receiver"]


class _Place(enum.Enum, shape=3):
    """What the next unit is."""

    HUNT = 0  # nobody knows
    BETWEEN = 1  # idle, or a header
    WORDS = 2
    LOW = 3  # half of a CRC
    HIGH = 4


class Receiver(Component):
    """Words from frames.

    A receiver that has lost its place (after a reset, a wrong CRC, a header that is none) waits for four idle units
    in a row; the next unit that is not idle is a header again. Payload is written behind the words that have been
    released, and becomes one of them when the CRC is right and the frame is the next one in order. A frame from
    before that order has come twice and is dropped. Whatever else goes wrong asks for a NAK: at once, and again every
    `patience` cycles until the sender is heard to have gone back.

    Latency from the last unit of a frame to its first word at `o`: 4 cycles. Cost: a memory of `window` words.

    Parameters
    ----------
    word_bits, window : int
        As of the `Sender` at the other end.
    patience : int
        Cycles after which a NAK is repeated.

    Members
    -------
    unit : In(16), valid : In(1)
        A unit has come in.
    o : Out stream of words
    enable : In(1)
        While it is low nothing is looked at.
    up : In(1)
        Words are released only while it is high, and it begins with a NAK.
    nonce : In(8)
        In the CRC of all frames but HELLO.
    synchronised : Out(1)
        The receiver knows its place.
    alive : Out(1)
        A frame was right.
    hello, ack, nak, other : Out(1)
        It is a HELLO; it is an ACK; a NAK; it is none of HELLO.
    number, detail : Out
        Of that frame.
    error : Out(1)
        A frame was wrong, or something that should be a header is none.
    consumed : Out(8)
        Number of the oldest word in the buffer.
    expected : Out(8)
        Number of the next word to come.
    complain : Out(1), complained : In(1)
        A NAK is due; it has been begun.
    """

    def __init__(self, *, word_bits, window, patience):
        self._word_bits = word_bits
        self._window = window
        self._patience = patience
        flags = ("synchronised", "alive", "hello", "other", "ack", "nak", "error", "complain")
        super().__init__(
            {
                "unit": In(UNIT),
                "valid": In(1),
                "o": Out(stream.Signature(word_bits)),
                "enable": In(1),
                "up": In(1),
                "nonce": In(SEQUENCE_BITS),
                **{name: Out(1) for name in flags},
                "number": Out(SEQUENCE_BITS),
                "detail": Out(5),
                "consumed": Out(SEQUENCE_BITS),
                "expected": Out(SEQUENCE_BITS),
                "complained": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parts = self._word_bits // UNIT

        # What the unit is if it is not payload.
        header = Signal(Header)
        idle = Signal()
        possible = Signal()
        is_hello = Signal()
        m.d.comb += [
            header.eq(self.unit),
            idle.eq(self.unit == IDLE),
            is_hello.eq(header.control & (header.detail[:2] == Kind.HELLO)),
            possible.eq(
                (header.check == check_bits(header)) & (~header.control | is_hello | (header.detail[2:] == 0))
            ),
        ]

        # Where in a frame the unit is.
        place = Signal(_Place)
        idles = Signal(range(HUNT_IDLES))
        control = Signal()
        part = Signal(range(parts))
        words_left = Signal(len(self.detail))
        ends = Signal()
        check = Signal()
        wrong = Signal()
        with m.If(self.valid):
            with m.Switch(place):
                with m.Case(_Place.HUNT):
                    m.d.sync += idles.eq(Mux(idle, idles + 1, 0))
                    with m.If(idle & (idles == HUNT_IDLES - 1)):
                        m.d.sync += place.eq(_Place.BETWEEN)
                with m.Case(_Place.BETWEEN):
                    m.d.sync += [
                        self.number.eq(header.number),
                        self.detail.eq(header.detail),
                        control.eq(header.control),
                        words_left.eq(header.detail),
                        part.eq(0),
                    ]
                    with m.If(~idle):
                        m.d.sync += place.eq(Mux(header.control, _Place.LOW, _Place.WORDS))
                    m.d.comb += wrong.eq(~idle & ~possible)
                with m.Case(_Place.WORDS):
                    m.d.sync += part.eq(part + 1)
                    with m.If(part == parts - 1):
                        m.d.sync += words_left.eq(words_left - 1)
                        with m.If(words_left == 0):
                            m.d.sync += place.eq(_Place.LOW)
                with m.Case(_Place.LOW):
                    m.d.sync += place.eq(_Place.HIGH)
                with m.Case(_Place.HIGH):
                    m.d.comb += ends.eq(1)
                    m.d.sync += place.eq(_Place.BETWEEN)
        m.d.sync += check.eq(ends & self.enable)

        m.submodules.crc = crc = CRC.create()
        m.d.comb += [
            crc.start.eq(place == _Place.BETWEEN),
            crc.valid.eq(self.valid),
            crc.data.eq(self.unit ^ Mux((place == _Place.BETWEEN) & ~is_hello, self.nonce, 0)),
        ]
        # The frame that ended in the last cycle. Its header is still there, though a new one may be coming in.
        good = Signal()
        kind = Signal(Kind)
        m.d.comb += [
            good.eq(check & crc.match_detected),
            self.error.eq((check & ~crc.match_detected) | (wrong & self.enable)),
            kind.eq(self.detail[:2]),
            self.alive.eq(good),
            self.hello.eq(good & control & (kind == Kind.HELLO)),
            self.other.eq(good & ~(control & (kind == Kind.HELLO))),
            self.ack.eq(good & control & (kind == Kind.ACK)),
            self.nak.eq(good & control & (kind == Kind.NAK)),
            self.synchronised.eq(place != _Place.HUNT),
        ]
        with m.If(self.error | ~self.enable):
            m.d.sync += [place.eq(_Place.HUNT), idles.eq(0)]

        # Words into the buffer. Numbers are those of words again.
        write = Signal(SEQUENCE_BITS)
        read = self.consumed
        m.submodules.memory = memory = Memory(shape=self._word_bits, depth=self._window, init=[])
        write_port = memory.write_port()
        read_port = memory.read_port()
        earlier = Signal(self._word_bits - UNIT)
        in_order = Signal()
        ahead = Signal()
        room = Signal()
        overrun = Signal()
        # These are settled long before the frame ends, and before its first word is complete.
        behind_by = Signal(SEQUENCE_BITS)
        filled = Signal(SEQUENCE_BITS)
        m.d.comb += [behind_by.eq(self.expected - self.number), filled.eq(write - read)]
        m.d.sync += [
            in_order.eq(behind_by == 0),
            ahead.eq(behind_by[-1]),
            room.eq(filled < self._window),
        ]
        word = Signal()
        m.d.comb += [
            word.eq(self.valid & (place == _Place.WORDS) & (part == parts - 1)),
            write_port.addr.eq(write),
            write_port.data.eq(Cat(earlier, self.unit)),
            # A header that is wrong in a way that its check bits do not show may be that of a longer frame, for which there
            # is no room: words that wait in the buffer must not suffer from that.
            write_port.en.eq(word & in_order & room),
        ]
        with m.If(self.valid):
            m.d.sync += earlier.eq(Cat(earlier, self.unit)[UNIT:])
            with m.If(place == _Place.BETWEEN):
                m.d.sync += [write.eq(header.number), overrun.eq(0)]
        with m.If(word):
            m.d.sync += [write.eq(write + 1), overrun.eq(overrun | ~room)]

        # Words are released.
        fetch = Signal()
        fetched = Signal()
        forward = Signal()
        with m.If(good & ~control & in_order & ~overrun & self.up):
            m.d.sync += self.expected.eq(write)
        m.d.comb += [
            forward.eq(~self.o.valid | self.o.ready),
            fetch.eq((read != self.expected) & (~fetched | forward)),
            read_port.addr.eq(read),
            read_port.en.eq(fetch),
        ]
        with m.If(forward):
            m.d.sync += [self.o.payload.eq(read_port.data), self.o.valid.eq(fetched)]
        with m.If(fetch):
            m.d.sync += [read.eq(read + 1), fetched.eq(1)]
        with m.Elif(forward):
            m.d.sync += fetched.eq(0)

        # Complaints: at once, and again if the sender is not heard to have gone back.
        waiting = Signal(init=1)
        patience = Signal(range(self._patience + 1))
        poll = Signal()
        m.d.comb += [
            poll.eq(control & (kind == Kind.POLL)),
            self.complain.eq(waiting & (patience == 0)),
        ]
        with m.If(self.complained):
            m.d.sync += patience.eq(self._patience)
        with m.Elif(patience != 0):
            m.d.sync += patience.eq(patience - 1)
        with m.If(good & (poll | ~control) & self.up):
            with m.If(in_order):
                m.d.sync += waiting.eq(0)
            with m.Elif(ahead & ~waiting):
                m.d.sync += [waiting.eq(1), patience.eq(0)]
        # An error outweighs a right frame that ended just before it.
        with m.If(~self.up | self.error):
            m.d.sync += waiting.eq(1)
        with m.If(~self.up | (self.error & ~waiting)):
            m.d.sync += patience.eq(0)
        return m
