# SPDX-License-Identifier: Apache-2.0
"""The link: streams of words on one side, beats of the line on the other."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, Signature, connect, flipped

from tepin.link.frame import MAX_WORDS, UNIT
from tepin.link.receiver import Receiver
from tepin.link.sender import Sender
from tepin.link.session import LinkState, Session
from tepin.link.training import LANES, PATTERN_BEATS, Aligner, PatternGenerator, Trainer

__all__ = ["LineSignature", "SerialLink", "StatusSignature"]

_COUNTER_BITS = 16


class LineSignature(Signature):
    """Beats of a line: two bits per lane and beat, first bits of all lanes, then second bits.

    Parameters
    ----------
    lanes : int

    Members
    -------
    data : Out(2 * lanes)
    strobe : Out(1)
        There is a beat in this cycle.
    """

    def __init__(self, lanes):
        self._lanes = lanes
        super().__init__({"data": Out(2 * lanes), "strobe": Out(1)})

    @property
    def lanes(self):
        """Wires for data."""
        return self._lanes


class StatusSignature(Signature):
    """How a link is.

    Members
    -------
    up : Out(1)
        Words move.
    broken : Out(1)
        The peer has been reset, or is another one: words are lost. Only a reset of this side ends that.
    errors, replays, retrains : Out(16)
        Frames that were wrong, or units that should have been headers; complaints of the peer, which make this side
        go back; times the link went down. Modulo 2**16.
    """

    def __init__(self):
        counters = ("errors", "replays", "retrains")
        super().__init__({"up": Out(1), "broken": Out(1), **{name: Out(_COUNTER_BITS) for name in counters}})


class SerialLink(Component):
    """Words to another chip and from it: each one once, unchanged and in order, whatever the line does.

    Two of these, with the same parameters and their lines crossed, are a link. Both `i` may be used at the same time
    and do not hold up each other. Words that have been accepted wait until the link is up, also when it goes down in
    between. The only loss is that of a reset of one side, which the other side reports; see `Session`.

    Lanes may be connected in any order, inverted, and up to 7 bits apart. Beats in both directions may pause at any
    time (`strobe` of `rx`, `pause` for `tx`).

    Latency from accepting a word to offering it at the other end, on an idle link of 8 lanes: 14 cycles plus those of
    the line, and up to 3 while a frame without payload is on the line. Cost with 8 lanes: see docs/link.md; two
    memories of `window` words.

    Parameters
    ----------
    lanes : int
        1, 2, 4 or 8.
    word_bits : int
        64 or 128.
    frame_words : int
        Most words in a frame, a power of two, up to 32 and 256 bytes. Frames that are shorter let ACKs and NAKs
        through sooner.
    window : int
        Words under way, 32, 64 or 128. What the line carries in the time to the other end and back, twice the longest
        frame included, has to fit in.
    down_cycles : int
        Cycles without a frame that is right after which the link trains again; by default 4096 times what a unit
        takes.
    patience : int
        Cycles after which a NAK is repeated, somewhat more than to the other end and back; by default 256 times what
        a unit takes. At least 160 times that: the idle units that a NAK may ask for have to pass before the next one.
    pause : int
        0, or the period in beats in which one is left out. That makes the line slower than the clock: a peer whose
        own clock is not faster by more than one part in `pause`, nor slower, can keep up.

    Members
    -------
    i : In stream of words
    o : Out stream of words
    tx : Out(LineSignature(lanes))
        Out of flip-flops.
    rx : In(LineSignature(lanes))
        Has to come from flip-flops of the same clock, such as those of I/O cells.
    status : Out(StatusSignature())
    """

    def __init__(
        self,
        *,
        lanes=8,
        word_bits=64,
        frame_words=None,
        window=128,
        down_cycles=None,
        patience=None,
        pause=0,
    ):
        _check_choice("Lanes", lanes, LANES)
        _check_choice("Bits of a word", word_bits, (64, 128))
        most = min(MAX_WORDS, 256 * 8 // word_bits)
        if frame_words is None:
            frame_words = most
        _check_choice("Words in a frame", frame_words, [1 << bits for bits in range(most.bit_length())])
        _check_choice("Window in words", window, (32, 64, 128))
        unit_beats = UNIT // (2 * lanes)
        if down_cycles is None:
            down_cycles = 4096 * unit_beats
        if patience is None:
            patience = 256 * unit_beats
        for name, value, least in (
            ("Cycles until a link is down", down_cycles, 1024 * unit_beats),
            ("Cycles until a NAK is repeated", patience, 160 * unit_beats),
            ("Beats in which one is left out", pause, 0),
        ):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
        if pause == 1:
            raise ValueError("Beats in which one is left out must be 0 or at least 2, not 1")
        self._lanes = lanes
        self._word_bits = word_bits
        self._frame_words = frame_words
        self._window = window
        self._down_cycles = down_cycles
        self._patience = patience
        self._pause = pause
        super().__init__(
            {
                "i": In(stream.Signature(word_bits)),
                "o": Out(stream.Signature(word_bits)),
                "tx": Out(LineSignature(lanes)),
                "rx": In(LineSignature(lanes)),
                "status": Out(StatusSignature()),
            }
        )

    @property
    def lanes(self):
        """Wires for data in each direction."""
        return self._lanes

    @property
    def word_bits(self):
        """Bits of a word."""
        return self._word_bits

    @property
    def frame_words(self):
        """Most words in a frame."""
        return self._frame_words

    @property
    def window(self):
        """Words under way."""
        return self._window

    def elaborate(self, platform):
        m = Module()
        m.submodules.sender = sender = Sender(
            word_bits=self._word_bits, window=self._window, frame_words=self._frame_words
        )
        m.submodules.pattern = pattern = PatternGenerator(lanes=self._lanes)
        m.submodules.trainer = trainer = Trainer(lanes=self._lanes)
        m.submodules.aligner = aligner = Aligner(lanes=self._lanes)
        m.submodules.receiver = receiver = Receiver(
            word_bits=self._word_bits, window=self._window, patience=self._patience
        )
        m.submodules.session = session = Session(down_cycles=self._down_cycles)
        state = session.state
        training = (state == LinkState.TRAIN) | (state == LinkState.LOCKED)
        up = state == LinkState.UP

        # Out.
        connect(m, flipped(self.i), sender.i)
        beat = Signal(range(PATTERN_BEATS))
        unit_beats = UNIT // (2 * self._lanes)
        send = Signal()
        if self._pause:
            left = Signal(range(self._pause), init=self._pause - 1)
            m.d.comb += send.eq(left.any())
            m.d.sync += left.eq(Mux(send, left - 1, self._pause - 1))
        else:
            m.d.comb += send.eq(1)
        part = beat[: (unit_beats - 1).bit_length()]
        # The pattern ends where a unit begins.
        patterned = Signal(init=1)
        with m.If(send):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == PATTERN_BEATS - 1):
                m.d.sync += patterned.eq(training)
            m.d.sync += self.tx.data.eq(
                Mux(patterned, pattern.data, sender.unit.word_select(part, 2 * self._lanes))
            )
        m.d.sync += self.tx.strobe.eq(send)
        m.d.comb += [
            pattern.beat.eq(beat),
            pattern.locked.eq(state == LinkState.LOCKED),
            sender.ready.eq(send & (part == unit_beats - 1)),
            sender.join.eq(state == LinkState.JOIN),
            sender.up.eq(up),
            sender.nonce.eq(session.nonce),
            sender.hello.eq(session.hello_detail),
        ]

        # In.
        unit, unit_valid = aligner.o, aligner.o_valid
        if unit_beats > 1:
            unit, unit_valid = Signal(UNIT), Signal()
            with m.If(aligner.o_valid):
                m.d.sync += unit.eq(Cat(unit, aligner.o)[2 * self._lanes :])
            m.d.sync += unit_valid.eq(aligner.o_valid & trainer.unit_end)
        m.d.comb += [
            trainer.restart.eq(session.restart),
            trainer.data.eq(self.rx.data),
            trainer.valid.eq(self.rx.strobe),
            aligner.data.eq(self.rx.data),
            aligner.valid.eq(self.rx.strobe),
            receiver.unit.eq(unit),
            receiver.valid.eq(unit_valid),
            receiver.enable.eq(state != LinkState.TRAIN),
            receiver.up.eq(up),
            receiver.nonce.eq(session.peer_nonce),
        ]
        for lane in range(self._lanes):
            m.d.comb += [
                aligner.source[lane].eq(trainer.source[lane]),
                aligner.inverted[lane].eq(trainer.inverted[lane]),
                aligner.delay[lane].eq(trainer.delay[lane]),
            ]
        connect(m, receiver.o, flipped(self.o))

        # What one half has heard for the other one, and for the session.
        m.d.comb += [
            sender.ack.eq(receiver.ack & up),
            sender.nak.eq(receiver.nak & up),
            sender.number.eq(receiver.number),
            sender.consumed.eq(receiver.consumed),
            sender.expected.eq(receiver.expected),
            sender.complain.eq(receiver.complain),
            receiver.complained.eq(sender.complained),
            session.lane_lock.eq(trainer.locked),
            session.peer_lock.eq(trainer.peer_locked),
            session.synchronised.eq(receiver.synchronised),
            session.alive.eq(receiver.alive),
            session.hello.eq(receiver.hello),
            session.other.eq(receiver.other),
            session.number.eq(receiver.number),
            session.detail.eq(receiver.detail),
        ]

        status = self.status
        m.d.comb += [status.up.eq(up), status.broken.eq(session.broken)]
        for counter, event in (
            (status.errors, receiver.error & up),
            (status.replays, sender.nak),
            (status.retrains, session.retrained),
        ):
            with m.If(event):
                m.d.sync += counter.eq(counter + 1)
        return m


def _check_choice(name, value, choices):
    if isinstance(value, bool) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}")
