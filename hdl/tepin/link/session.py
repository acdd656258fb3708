# SPDX-License-Identifier: Apache-2.0
"""When the link is up: training, then HELLOs both ways, and back to training when nothing right has come for long."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum
from amaranth.lib.wiring import Component, In, Out

from tepin.link.frame import SEQUENCE_BITS, Phase

__all__ = ["LinkState", "Session"]

_LOCKED_CYCLES = 128  # the pattern goes on for so long, for the peer to see that this side has locked


class LinkState(enum.Enum, shape=2):
    """What a side of a link is doing."""

    TRAIN = 0  # sends the pattern and looks for it
    LOCKED = 1  # sends it with the bit that says so, until the peer says so, too
    JOIN = 2  # sends HELLO until it knows that the peer has heard it
    UP = 3  # words move


class Session(Component):
    """Brings the link up, watches it, and tells a peer that has been reset from one that was only out of reach.

    Words that have been accepted before a reset are gone, and a link that goes on after that as if nothing had
    happened would lose words, or repeat some. Therefore a HELLO says in which `Phase` its sender is, and brings its
    nonce, a number that stays the same until the next reset. A side that has been up takes no peer that is FRESH or
    has another nonce: that is `broken`, until this side is reset, too. A side that is FRESH waits for a peer that is
    not OLD.

    The nonce is taken from a counter that a reset does not touch, and it is part of the CRC of every frame. So
    payload that looks like a frame, even a frame once recorded on a line, is no frame.

    Members
    -------
    state : Out(LinkState)
    lane_lock, peer_lock, synchronised : In(1)
        From the `Trainer`, and from the `Receiver`, which knows its place once there are idle units instead of the
        pattern.
    alive, hello, other : In(1)
    number, detail : In
        From the `Receiver`.
    hello_detail : Out(5)
        For HELLOs of this side; without Kind in the lowest two bits.
    nonce, peer_nonce : Out(8)
    broken : Out(1)
        The peer has been reset, or it is another one: words are lost. Only a reset ends that.
    restart : Out(1)
        Training begins.
    retrained : Out(1)
        It does so because the link goes down.

    Parameters
    ----------
    down_cycles : int
        Cycles without a frame that is right, or before the first HELLO without one, after which training begins again.
    """

    def __init__(self, *, down_cycles):
        self._down_cycles = down_cycles
        inputs = ("lane_lock", "peer_lock", "synchronised", "alive", "hello", "other")
        super().__init__(
            {
                "state": Out(LinkState),
                **{name: In(1) for name in inputs},
                "number": In(SEQUENCE_BITS),
                "detail": In(5),
                "hello_detail": Out(5),
                "nonce": Out(SEQUENCE_BITS),
                "peer_nonce": Out(SEQUENCE_BITS),
                "broken": Out(1),
                "restart": Out(1),
                "retrained": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        clock = Signal(SEQUENCE_BITS - 1, reset_less=True)
        m.d.sync += clock.eq(clock + 1)

        phase, heard = Signal(Phase), Signal()
        peer_phase, peer_heard = Signal(Phase), Signal()
        m.d.comb += [
            self.hello_detail.eq(Cat(phase, heard) << 2),
            peer_phase.eq(self.detail[2:4]),
            peer_heard.eq(self.detail[4]),
        ]
        silence = Signal(range(self._down_cycles))
        gone = Signal()
        m.d.comb += gone.eq(silence == self._down_cycles - 1)
        # To a side that has heard no HELLO since it trained, other frames mean nothing: its peer must train again, too.
        m.d.sync += silence.eq(Mux(self.hello | (self.alive & heard), 0, silence + 1))

        said_so = Signal()
        match = (peer_phase != Phase.FRESH) & (self.number == self.peer_nonce)
        with m.FSM() as fsm:
            with m.State("TRAIN"):
                m.d.sync += [heard.eq(0), silence.eq(0)]
                with m.If(phase == Phase.FRESH):
                    m.d.sync += self.nonce.eq(Cat(1, clock))
                with m.If(self.lane_lock):
                    m.next = "LOCKED"
            with m.State("LOCKED"):
                m.d.sync += silence.eq(silence + 1)
                with m.If(silence == _LOCKED_CYCLES):
                    m.d.sync += said_so.eq(1)
                with m.If(said_so & (self.peer_lock | self.synchronised)):
                    m.d.sync += [said_so.eq(0), silence.eq(0)]
                    m.next = "JOIN"
                with m.Elif(gone):
                    m.d.comb += self.restart.eq(1)
                    m.d.sync += said_so.eq(0)
                    m.next = "TRAIN"
            with m.State("JOIN"):
                with m.If(self.hello):
                    with m.Switch(phase):
                        with m.Case(Phase.OLD):
                            with m.If(match):
                                m.d.sync += heard.eq(1)
                            with m.Else():
                                m.d.sync += self.broken.eq(1)
                        with m.Case(Phase.MET):
                            m.d.sync += [heard.eq(1), self.peer_nonce.eq(self.number)]
                        with m.Default():
                            with m.If(peer_phase != Phase.OLD):
                                m.d.sync += [
                                    heard.eq(1),
                                    self.peer_nonce.eq(self.number),
                                    phase.eq(Phase.MET),
                                ]
                with m.If(gone):
                    m.d.comb += self.restart.eq(1)
                    m.next = "TRAIN"
                with m.Elif(heard & ~self.broken & (self.other | (self.hello & peer_heard))):
                    m.d.sync += phase.eq(Phase.OLD)
                    m.next = "UP"
            with m.State("UP"):
                with m.If(gone):
                    m.d.comb += [self.restart.eq(1), self.retrained.eq(1)]
                    m.next = "TRAIN"
        for state in LinkState:
            with m.If(fsm.ongoing(state.name)):
                m.d.comb += self.state.eq(state)
        return m
