# SPDX-License-Identifier: Apache-2.0
"""Power-up sequence and refresh of an SDRAM."""

from amaranth.hdl import Module, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Refresher", "Upkeep"]


class Upkeep(enum.Enum, shape=3):
    """Commands of the refresher."""

    NONE = 0
    CLOSE = 1  # PRECHARGE of all banks
    REFRESH = 2
    MODE = 3
    REOPEN = 4  # ACTIVATE the row that was being accessed


class Refresher(wiring.Component):
    """Brings the part up, and from then on refreshes it: in bundles, or when there is nothing else to do.

    Every `refresh_interval` cycles a refresh falls due. The debt is paid when it has reached `postponed` refreshes, or when
    no traffic has been seen for `patience` cycles. Then the refresher stops the traffic, closes all banks, refreshes until
    there is no debt, opens again the row that was being accessed, and lets go. The power-up sequence is the same with eight
    refreshes, a wait before it and the mode register after it.

    Parameters
    ----------
    timing : `SdramTiming`
    patience : int
        Cycles without traffic before a debt below the limit is paid.

    Members
    -------
    traffic : In(1)
        Somebody wants to access the part.
    closable : In(1)
        All banks may be closed; means nothing in the first cycle of `stop`.
    interrupted : In(1)
        An access was interrupted: its row must be reopened.
    stop : Out(1)
        No commands but these.
    command : Out(Upkeep)
        The command of this cycle.
    ready : Out(1)
        The power-up sequence is over.
    """

    def __init__(self, *, timing, patience=32):
        self._timing = timing
        self._patience = patience
        super().__init__(
            {
                "traffic": In(1),
                "closable": In(1),
                "interrupted": In(1),
                "stop": Out(1, init=1),
                "command": Out(Upkeep),
                "ready": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        timing = self._timing
        wait = Signal(
            range(max(timing.power_up, timing.rfc, timing.rp, timing.mrd) + 1), init=timing.power_up
        )
        waited = Signal()
        tick = Signal()
        paid = Signal()
        clock = Signal(range(timing.refresh_interval))
        debt = Signal(range(max(8, timing.postponed) + 3), init=8)
        quiet = Signal(range(self._patience + 1))
        m.d.comb += [tick.eq(clock == timing.refresh_interval - 1), waited.eq(wait == 0)]
        m.d.sync += [clock.eq(clock + 1), debt.eq(debt + tick - paid)]
        with m.If(tick):
            m.d.sync += clock.eq(0)
        with m.If(self.traffic):
            m.d.sync += quiet.eq(0)
        with m.Elif(quiet != self._patience):
            m.d.sync += quiet.eq(quiet + 1)
        with m.If(~waited):
            m.d.sync += wait.eq(wait - 1)

        with m.FSM():
            with m.State("POWER_UP"):
                m.d.sync += debt.eq(8)
                with m.If(waited):
                    m.next = "CLOSE"
            with m.State("RUN"):
                due = (debt >= timing.postponed) | ((debt != 0) & (quiet == self._patience))
                with m.If(due):
                    m.d.sync += self.stop.eq(1)
                    m.next = "STOP"
            with m.State("STOP"):
                m.next = "CLOSE"
            with m.State("CLOSE"):
                with m.If(self.closable):
                    m.d.comb += self.command.eq(Upkeep.CLOSE)
                    m.d.sync += wait.eq(timing.rp - 1)
                    m.next = "REFRESH"
            with m.State("REFRESH"):
                with m.If(waited):
                    m.d.sync += wait.eq(timing.rfc - 1)
                    m.d.comb += [self.command.eq(Upkeep.REFRESH), paid.eq(1)]
                    with m.If((debt == 1) & ~tick):
                        m.next = "LEAVE"
            with m.State("LEAVE"):
                with m.If(waited):
                    with m.If(~self.ready):
                        m.d.comb += self.command.eq(Upkeep.MODE)
                        # A cycle less than the others wait: the traffic needs one to hear of it.
                        m.d.sync += [wait.eq(timing.mrd - 2), self.ready.eq(1)]
                    with m.Else():
                        with m.If(self.interrupted):
                            m.d.comb += self.command.eq(Upkeep.REOPEN)
                        m.d.sync += self.stop.eq(0)
                        m.next = "RUN"
        return m
