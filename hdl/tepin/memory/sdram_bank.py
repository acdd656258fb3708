# SPDX-License-Identifier: Apache-2.0
"""What the SDRAM controller knows about one bank: the row that is open, and which commands its timing permits."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["BankState"]


class BankState(wiring.Component):
    """Follows the commands that a bank gets. Its outputs answer in the next cycle.

    Two small counters do for all times: after ACTIVATE the bank settles for tRCD, after PRECHARGE for tRP; and it holds its
    row open for tRAS, for tWR after a written word, and until a read burst is on its way. tRC is kept by holding the row
    for tRC - tRP if that is longer than tRAS.

    Parameters
    ----------
    timing : `SdramTiming`
    row_bits : int

    Members
    -------
    activate, precharge, read, write : In(1)
        The bank gets this command in this cycle: at most one of them.
    row : In(row_bits)
        The row that `activate` opens.
    is_open : Out(1)
    open_row : Out(row_bits)
        The row that is open, or was last.
    settled : Out(1)
        An open bank may be read and written, a closed one may be opened.
    closable : Out(1)
        PRECHARGE is permitted.
    """

    def __init__(self, *, timing, row_bits):
        self._timing = timing
        super().__init__(
            {
                "activate": In(1),
                "precharge": In(1),
                "read": In(1),
                "write": In(1),
                "row": In(row_bits),
                "is_open": Out(1),
                "open_row": Out(row_bits),
                "settled": Out(1, init=1),
                "closable": Out(1, init=1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        timing = self._timing
        hold_row = max(timing.ras, timing.rc - timing.rp)
        # The outputs are registers beside the counters: what is picked in a cycle hangs on them.
        settling = Signal(range(max(timing.rcd, timing.rp)))
        holding = Signal(range(max(hold_row, timing.wr, timing.rtp)))

        with m.If(self.activate):
            m.d.sync += [settling.eq(timing.rcd - 1), self.settled.eq(timing.rcd == 1)]
            m.d.sync += [self.is_open.eq(1), self.open_row.eq(self.row)]
        with m.Elif(self.precharge):
            m.d.sync += [settling.eq(timing.rp - 1), self.settled.eq(timing.rp == 1), self.is_open.eq(0)]
        with m.Elif(~self.settled):
            m.d.sync += [settling.eq(settling - 1), self.settled.eq(settling == 1)]

        with m.If(self.activate):
            m.d.sync += [holding.eq(hold_row - 1), self.closable.eq(hold_row == 1)]
        with m.Elif(self.read & (holding < timing.rtp)):
            m.d.sync += [holding.eq(timing.rtp - 1), self.closable.eq(timing.rtp == 1)]
        with m.Elif(self.write & (holding < timing.wr)):
            m.d.sync += [holding.eq(timing.wr - 1), self.closable.eq(timing.wr == 1)]
        with m.Elif(~self.closable):
            m.d.sync += [holding.eq(holding - 1), self.closable.eq(holding == 1)]
        return m
