# SPDX-License-Identifier: Apache-2.0
"""Turns of the two directions on the SDRAM's data bus, which is slow to turn around."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TurnArbiter"]


class TurnArbiter(wiring.Component):
    """Merges two streams in long turns, which end when there is nothing left or the other side has waited `patience` cycles.

    A turn changes between items; it costs one cycle if the side that had it has nothing.

    Parameters
    ----------
    shape : shape-like
    patience : int
        Cycles that a side waits while the other keeps the bus busy.

    Members
    -------
    first, second : In streams of `shape`
    o : Out stream of `shape`
    """

    def __init__(self, *, shape, patience):
        if patience < 1:
            raise ValueError(f"Patience must be at least 1 cycle, not {patience}")
        self._patience = patience
        super().__init__(
            {
                "first": In(stream.Signature(shape)),
                "second": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        turn = Signal()
        waited = Signal(range(self._patience + 1))
        impatient = Signal()
        mine = Mux(turn, self.second.valid, self.first.valid)
        other = Mux(turn, self.first.valid, self.second.valid)
        m.d.comb += [
            impatient.eq(waited == self._patience),
            self.o.valid.eq(mine),
            Value.cast(self.o.payload).eq(
                Mux(turn, Value.cast(self.second.payload), Value.cast(self.first.payload))
            ),
            self.first.ready.eq(self.o.ready & ~turn),
            self.second.ready.eq(self.o.ready & turn),
        ]
        with m.If(other & (~mine | (self.o.ready & impatient))):
            m.d.sync += [turn.eq(~turn), waited.eq(0)]
        with m.Elif(other & ~impatient):
            m.d.sync += waited.eq(waited + 1)
        return m
