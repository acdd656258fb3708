# SPDX-License-Identifier: Apache-2.0
"""The sending half of a link: words into frames, kept until the other side has let go of them."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from tepin.link.frame import CRC, HUNT_IDLES, IDLE, MAX_WORDS, SEQUENCE_BITS, UNIT, Header, Kind, check_bits

__all__ = ["Sender"]

_SHORT_RUN = 6  # idle units that let a receiver that hunts find its place
_FRAME_END = 3  # units after the payload until a receiver knows that the frame is none
_REPEAT = 256  # units after which an ACK, and a POLL if there were no words, is sent in any case
_GROW_WORDS = 128  # words without a complaint after which frames may be twice as long
_LEAST_WORDS = 2  # in a frame, however bad the line is


class Sender(Component):
    """Frames from words, and the frames without payload.

    Words are numbered modulo 256 and wait in a memory of `window` words until the peer's ACK says that they have left
    its buffer: that is acknowledgement and credit in one, so the peer always has room for what is sent, and the
    sender never holds fewer words than may have to be sent again.

    Between two frames the sender decides what is next: idle units that are due, HELLO while the link is not up, NAK,
    POLL after going back, an ACK that the peer may be waiting for, words, any other ACK. If none was sent for 256 to
    512 units, an ACK is due, and likewise a POLL if there were no words. A frame takes the words that are there, up
    to a limit that is halved by each NAK and doubled again after 128 words without one.

    A NAK that comes in makes the sender go back to the word it names: first idle units, then POLL, then the words.
    The fifth NAK in a row for the same word gets more idle units than the longest frame has, so that a peer that has
    taken payload for a header is certain to be out of that again.

    Latency from a word at `i` to the header at `unit`: 2 cycles. Cost: a memory of `window` words.

    Parameters
    ----------
    word_bits : int
    window : int
        Words under way, a power of two.
    frame_words : int
        Most words in a frame, a power of two.

    Members
    -------
    i : In stream of words
    ready : In(1)
        The line takes a unit in this cycle.
    unit : Out(16)
        Holds until `ready`.
    nonce : In(8)
        Of this side.
    join, up : In(1)
        Send HELLOs; send all but HELLOs. Neither: only idle units.
    hello : In(5)
        `detail` of a HELLO.
    ack, nak : In(1)
        A frame has come in with this `number`.
    number : In(8)
    consumed, expected : In(8)
        What the next ACK and NAK will say.
    complain : In(1)
        A NAK is due.
    complained : Out(1)
        It has been begun.
    """

    def __init__(self, *, word_bits, window, frame_words):
        self._word_bits = word_bits
        self._window = window
        self._frame_words = frame_words
        super().__init__(
            {
                "i": In(stream.Signature(word_bits)),
                "ready": In(1),
                "unit": Out(UNIT),
                "nonce": In(SEQUENCE_BITS),
                "join": In(1),
                "up": In(1),
                "hello": In(5),
                "ack": In(1),
                "nak": In(1),
                "number": In(SEQUENCE_BITS),
                "consumed": In(SEQUENCE_BITS),
                "expected": In(SEQUENCE_BITS),
                "complain": In(1),
                "complained": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parts = self._word_bits // UNIT
        number = SEQUENCE_BITS

        # Words come in. All numbers are those of words: `head` of the next one to come, `next_word` of the next one to be
        # sent, `acked` of the oldest one that is kept.
        head = Signal(number)
        next_word = Signal(number)
        acked = Signal(number)
        m.submodules.memory = memory = Memory(shape=self._word_bits, depth=self._window, init=[])
        write_port = memory.write_port()
        read_port = memory.read_port(transparent_for=[write_port])
        full = (head - acked)[self._window.bit_length() - 1]
        m.d.comb += [
            self.i.ready.eq(~full),
            write_port.addr.eq(head),
            write_port.data.eq(self.i.payload),
            write_port.en.eq(self.i.valid & self.i.ready),
        ]
        with m.If(write_port.en):
            m.d.sync += head.eq(head + 1)
        with m.If(self.ack):
            m.d.sync += acked.eq(self.number)

        # How many of them the next frame takes. `available` is right whenever a frame may begin, but for words that have just
        # come; those that it counts have left the memory by the time that they are needed.
        available = Signal(number)
        with m.If(self.ready):
            m.d.sync += available.eq(head - next_word + write_port.en)
        limit = Signal(
            range(MAX_WORDS), init=self._frame_words - 1
        )  # less one, so all ones below a power of two
        many = Signal()
        last_word = Signal(range(MAX_WORDS))
        m.d.comb += [
            many.eq(available[len(limit) :].any() | (available[: len(limit)] & ~limit).any()),
            last_word.eq(Mux(many, limit, available - 1)),
        ]

        # What else there is to send.
        long_run = MAX_WORDS * parts + _FRAME_END + HUNT_IDLES
        run = Signal(range(long_run + 1))
        poll = Signal()
        overdue = Signal()
        reported = Signal(number)
        due = Signal(number)  # words that the peer does not know to be gone
        m.d.comb += due.eq(self.consumed - reported)
        report = Signal()
        urgent = Signal()
        m.d.sync += [report.eq(due.any()), urgent.eq((due >> (self._window.bit_length() - 3)).any())]

        begin = Signal()
        payload = Signal()
        kind = Signal(Kind)
        with m.If(run.any()):
            pass
        with m.Elif(self.join):
            m.d.comb += [begin.eq(1), kind.eq(Kind.HELLO)]
        with m.Elif(~self.up):
            pass
        with m.Elif(self.complain):
            m.d.comb += [begin.eq(1), kind.eq(Kind.NAK)]
        with m.Elif(poll):
            m.d.comb += [begin.eq(1), kind.eq(Kind.POLL)]
        with m.Elif(urgent | overdue):
            m.d.comb += [begin.eq(1), kind.eq(Kind.ACK)]
        with m.Elif(available.any()):
            m.d.comb += [begin.eq(1), payload.eq(1)]
        with m.Elif(report):
            m.d.comb += [begin.eq(1), kind.eq(Kind.ACK)]

        header = Signal(Header)
        numbers = {
            Kind.ACK: self.consumed,
            Kind.NAK: self.expected,
            Kind.POLL: next_word,
            Kind.HELLO: self.nonce,
        }
        control_number = Array(numbers[kind] for kind in Kind)[kind]
        m.d.comb += [
            header.number.eq(Mux(payload, next_word, control_number)),
            header.detail.eq(Mux(payload, last_word, Cat(kind, Mux(kind == Kind.HELLO, self.hello[2:], 0)))),
            header.control.eq(~payload),
            header.check.eq(check_bits(header)),
        ]

        # Units, with what they are for the CRC.
        plain = Signal(UNIT, init=IDLE)  # the unit, unless it is of the CRC
        first = Signal()
        body = Signal()
        low = Signal()
        high = Signal()
        control = Signal()  # `first` has no payload
        nonce = Signal()  # the nonce is in its CRC
        read = Signal(number)
        part = Signal(range(parts))
        words_left = Signal(range(MAX_WORDS))
        word = Signal(self._word_bits)
        m.d.comb += [read_port.addr.eq(read), read_port.en.eq(self.ready)]
        # What the peer has to know is said at least once in a while, since it may have been lost.
        timer = Signal(range(_REPEAT))
        said_ack = Signal()
        said_next = Signal()
        with m.If(self.ready):
            m.d.sync += timer.eq(timer + 1)
            # At different times, so that a word never waits for both.
            with m.If(timer == 0):
                m.d.sync += [overdue.eq(~said_ack), said_ack.eq(0)]
            with m.If(timer == _REPEAT // 2):
                m.d.sync += [poll.eq(poll | ~said_next), said_next.eq(0)]
            m.d.sync += word.eq(read_port.data)
            m.d.sync += [first.eq(0), body.eq(0), low.eq(0), high.eq(0)]
            with m.FSM():
                with m.State("BETWEEN"):
                    m.d.sync += [plain.eq(IDLE), read.eq(next_word), words_left.eq(last_word), part.eq(0)]
                    with m.If(run.any()):
                        m.d.sync += run.eq(run - 1)
                    with m.If(begin):
                        m.d.comb += self.complained.eq(self.complain & (kind == Kind.NAK) & ~payload)
                        m.d.sync += [
                            plain.eq(header),
                            first.eq(1),
                            control.eq(~payload),
                            nonce.eq(payload | (kind != Kind.HELLO)),
                        ]
                        m.next = "LOW"
                        with m.If(payload):
                            m.d.sync += [
                                next_word.eq(next_word + last_word + 1),
                                read.eq(read),
                                said_next.eq(1),
                            ]
                            m.next = "WORDS"
                        with m.Elif(kind == Kind.HELLO):
                            m.d.sync += run.eq(_SHORT_RUN)
                        with m.Elif(kind == Kind.ACK):
                            m.d.sync += [reported.eq(self.consumed), overdue.eq(0), said_ack.eq(1)]
                        with m.Elif(kind == Kind.POLL):
                            m.d.sync += poll.eq(0)
                with m.State("WORDS"):
                    m.d.sync += [
                        plain.eq(word.word_select(part, UNIT)),
                        body.eq(1),
                        part.eq(part + 1),
                    ]
                    # From the address to `word` it is two steps.
                    with m.If(part == parts - 3):
                        m.d.sync += read.eq(read + 1)
                    with m.If(part == parts - 1):
                        m.d.sync += words_left.eq(words_left - 1)
                        with m.If(words_left == 0):
                            m.next = "LOW"
                with m.State("LOW"):
                    m.d.sync += [low.eq(1), read.eq(next_word)]
                    m.next = "HIGH"
                with m.State("HIGH"):
                    m.d.sync += [high.eq(1), read.eq(next_word)]
                    m.next = "BETWEEN"

        m.submodules.crc = crc = CRC.create()
        m.d.comb += [
            crc.start.eq(first),
            crc.valid.eq(self.ready & (first | body)),
            crc.data.eq(plain ^ Mux(first & nonce, self.nonce, 0)),
        ]
        m.d.comb += self.unit.eq(Mux(low, crc.crc[:UNIT], Mux(high, crc.crc[UNIT:], plain)))

        # An error makes the sender go back. This comes last because it has the last word on these registers.
        complaint = Signal(number)  # the last one
        repeated = Signal(2)
        since = Signal(range(2 * _GROW_WORDS))  # words since the last complaint, or since frames grew
        least = min(_LEAST_WORDS, self._frame_words) - 1
        with m.If(self.ready & first & ~control):
            m.d.sync += since.eq(since[:-1] + words_left + 1)
            with m.If(since[-1]):
                m.d.sync += limit.eq(Cat(Const(1, 1), limit) & (self._frame_words - 1))
        with m.If(self.nak):
            m.d.sync += [
                next_word.eq(self.number),
                poll.eq(1),
                run.eq(Mux(repeated.all(), long_run, _SHORT_RUN)),
                limit.eq((limit >> 1) | least),
                since.eq(0),
                complaint.eq(self.number),
                repeated.eq(Mux(self.number == complaint, repeated + ~repeated.all(), 0)),
            ]
        return m
