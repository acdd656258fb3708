# SPDX-License-Identifier: Apache-2.0
"""Two sessions come together: whatever states both sides of a link are in, soon after the lines are right both are up, or
one says that its peer is not the one from before.

The sessions are those of the chip, with short times. Trainer, sender and receiver are what other proofs and testbenches say
of them: they do their part within some cycles, at any time until then, and only if the peer sends what it takes.
"""

from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from tepin.link.frame import Phase
from tepin.link.session import LinkState, Session
from tepin_testbench.formal import implies

__all__ = ["COVERED", "LIMIT", "LOCKED_CYCLES", "Sessions"]

LIMIT = 70
"""Cycles until both are up, with the times below."""

COVERED = {"joined": 40, "again": 80}
"""What can happen, and within how many cycles from reset."""

LOCKED_CYCLES = 2
"""How long a session says that it has locked, here; to be put into `tepin.link.session`."""

_DOWN_CYCLES = 12
_TRAIN, _NOTICE, _HELLO, _FRAME = 3, 2, 3, 5
"""Most cycles until lanes are found, until that or idle units of the peer are noticed, between HELLOs, between frames."""


class Sessions(Component):
    """Sides a and b, and the claim that they are `limit` cycles without being together at most, unless one is broken.

    Parameters
    ----------
    limit : int
    bug : str or None
        "lively": sessions hear something all the time.
    """

    def __init__(self, *, limit=LIMIT, bug=None):
        self._limit, self._bug = limit, bug
        inputs = {f"{name}_{side}": In(1) for side in "ab" for name in ("lock", "notice", "frame")}
        super().__init__({**inputs, "now": In(1), **{name: Out(1) for name in COVERED}})

    def elaborate(self, platform):
        m = Module()
        sides = a, b = Session(down_cycles=_DOWN_CYCLES), Session(down_cycles=_DOWN_CYCLES)
        m.submodules.a, m.submodules.b = sides
        phases = [side.hello_detail[2:4] for side in sides]
        self._right = right = Signal()
        m.d.sync += right.eq(right | self.now)
        fits = [self._hear(m, side, a, b) for side, a, b in (("a", a, b), ("b", b, a))]
        up = [side.state == LinkState.UP for side in sides]
        know = (a.peer_nonce == b.nonce) & (b.peer_nonce == a.nonce)
        together = up[0] & up[1] & fits[0] & fits[1] & know
        waited, met, parted = Signal(range(self._limit + 1)), Signal(), Signal()
        m.d.sync += [
            waited.eq(0),
            met.eq(met | (up[0] & up[1])),
            parted.eq(parted | (met & ~(up[0] | up[1]))),
        ]
        with m.If(right & ~together & ~a.broken & ~b.broken):
            m.d.sync += waited.eq(waited + 1)
        m.d.comb += [
            Assert(waited < self._limit),
            *(Assert(phase != 3) for phase in phases),
            *(
                implies(is_up, side.hello_detail[4] & (phase == Phase.OLD))
                for is_up, side, phase in zip(up, sides, phases, strict=True)
            ),
            self.joined.eq(together),
            self.again.eq(parted & together),
        ]
        return m

    def _hear(self, m, name, side, peer):
        """What a side hears of its peer; returns whether its lanes are where they belong."""
        right, free = self._right, lambda what: getattr(self, f"{what}_{name}")
        trains = (peer.state == LinkState.TRAIN) | (peer.state == LinkState.LOCKED)
        locked, fits = Signal(name=f"locked_{name}"), Signal(name=f"fits_{name}")
        hears = right & fits & locked

        def soon(condition, happens, most):
            """It happens at least once in `most` cycles in a row in which a condition holds."""
            waits = Signal(range(most))
            m.d.sync += waits.eq(0)
            with m.If(condition & ~happens):
                m.d.sync += waits.eq(waits + 1)
            m.d.comb += [Assume(~(condition & ~happens & (waits == most - 1))), Assert(waits < most)]

        finds = free("lock") & ~locked
        m.d.comb += Assume(~(right & finds) | trains)
        soon(right & trains & ~locked, finds, _TRAIN)
        with m.If(finds):
            m.d.sync += [locked.eq(1), fits.eq(right & trains)]
        with m.If(side.restart):
            m.d.sync += locked.eq(0)

        noticed, shows = Signal(name=f"noticed_{name}"), peer.state != LinkState.TRAIN
        m.d.comb += Assume(~(hears & free("notice")) | shows)
        soon(hears & shows & ~noticed, free("notice"), _NOTICE)
        m.d.sync += noticed.eq((noticed | free("notice")) & locked & ~side.restart)

        greets = peer.state == LinkState.JOIN
        talks = (peer.state == LinkState.UP) & (side.peer_nonce == peer.nonce)
        hello, other = free("frame") & greets, free("frame") & ~greets
        m.d.comb += Assume(~free("frame") | ((greets | talks) & (~right | hears)))
        soon(hears & greets, hello, _HELLO)
        soon(hears & talks, other, _FRAME)
        m.d.comb += [
            side.lane_lock.eq(locked),
            side.peer_lock.eq(noticed),
            side.synchronised.eq(noticed),
            side.hello.eq(hello),
            side.other.eq(other),
            side.alive.eq(hello | other | (self._bug == "lively")),
            side.number.eq(peer.nonce),
            side.detail.eq(peer.hello_detail | 3),
        ]
        return fits
