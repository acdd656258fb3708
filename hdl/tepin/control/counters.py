# SPDX-License-Identifier: Apache-2.0
"""Performance counters."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

__all__ = ["COUNTER_BITS", "Counters"]

COUNTER_BITS = 48
"""Enough for a month at 100 MHz."""


class Counters(Component):
    """Counts the cycles in which events are high, while `enable` is. A cycle shows two cycles later.

    Parameters
    ----------
    count : int
        Number of events.

    Members
    -------
    events : In(count)
    clear, enable : In(1)
        `clear` sets all counters to zero.
    o : array of Out(COUNTER_BITS)
    """

    def __init__(self, count):
        self._count = count
        super().__init__(
            {
                "events": In(count),
                "clear": In(1),
                "enable": In(1),
                "o": Out(COUNTER_BITS).array(count),
            }
        )

    def elaborate(self, platform):
        m = Module()
        happened = Signal(self._count)
        m.d.sync += happened.eq(Mux(self.enable, self.events, 0))
        for index in range(self._count):
            with m.If(self.clear):
                m.d.sync += self.o[index].eq(0)
            with m.Elif(happened[index]):
                m.d.sync += self.o[index].eq(self.o[index] + 1)
        return m
