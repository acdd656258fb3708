# SPDX-License-Identifier: Apache-2.0
"""Room: whether a buffer can take another burst, told by a register."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

__all__ = ["Room"]


class Room(Component):
    """Counts the free beats of a buffer that bursts are requested for.

    `enough` is a register, so that nothing has to be compared when a burst is to be issued. It may be low for up to three
    cycles after there is room again, and it looks at the longest burst, whatever the length of the next one.

    Parameters
    ----------
    capacity : int
        Beats of the buffer, at least `burst_beats`.
    burst_beats : int
        Beats of the longest burst.
    given : int
        Beats that are given back at a time.

    Members
    -------
    enough : Out(1)
        There is room for a burst, and `halt` was not high in the cycle before.
    take, amount : In(1), In
        A burst of `amount` beats is issued in this cycle; only while `enough`.
    give : In(1)
        `given` beats are free again.
    clear : In(1)
        The buffer is empty, and nothing is under way.
    halt : In(1)
        From the next cycle on there is no room.
    """

    def __init__(self, *, capacity, burst_beats, given=1):
        if capacity < burst_beats:
            raise ValueError(f"Capacity must be at least a burst of {burst_beats} beats, not {capacity}")
        self.capacity = capacity
        self.burst_beats = burst_beats
        self.given = given
        super().__init__(
            {
                "enough": Out(1),
                "take": In(1),
                "amount": In(range(burst_beats + 1)),
                "give": In(1),
                "clear": In(1),
                "halt": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        room = Signal(range(self.capacity + 1), init=self.capacity)
        taken = Signal(range(self.burst_beats + 1))  # by the burst of the last cycle, not yet subtracted
        given, giving = Signal(), Signal()  # What takes from the buffer may be far from here.
        burst = self.burst_beats
        m.d.sync += [
            taken.eq(Mux(self.take, self.amount, 0)),
            giving.eq(self.give),
            given.eq(giving),
            room.eq(room - taken + Mux(given, self.given, 0)),
            # Up to two bursts are missing in `room`: that of the last cycle and that of this one.
            self.enough.eq(
                (
                    (room >= 3 * burst)
                    | ((room >= 2 * burst) & ~(self.take & taken.any()))
                    | ((room >= burst) & ~self.take & ~taken.any())
                )
                & ~self.halt
            ),
        ]
        with m.If(self.clear):
            m.d.sync += [room.eq(self.capacity), taken.eq(0), given.eq(0), giving.eq(0), self.enough.eq(0)]
        return m
