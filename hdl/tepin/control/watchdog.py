# SPDX-License-Identifier: Apache-2.0
"""The watchdog: no program waits for ever."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out

__all__ = ["Watchdog"]


class Watchdog(Component):
    """Raises `timeout` for one cycle after `limit` cycles of `enable` without `progress`, and three cycles more.

    Members
    -------
    enable, progress : In(1)
    limit : In(32)
        Cycles; 0 switches the watchdog off.
    timeout : Out(1)
    """

    def __init__(self):
        super().__init__({"enable": In(1), "progress": In(1), "limit": In(32), "timeout": Out(1)})

    def elaborate(self, platform):
        m = Module()
        waited = Signal(32, init=1)
        restart, reached = Signal(init=1), Signal()
        m.d.sync += [
            restart.eq(~self.enable | self.progress | (self.limit == 0)),
            reached.eq(waited == self.limit),
            self.timeout.eq(reached & ~restart & ~self.timeout),
        ]
        with m.If(restart | self.timeout):
            m.d.sync += [waited.eq(1), reached.eq(0)]
        with m.Else():
            m.d.sync += waited.eq(waited + 1)
        return m
