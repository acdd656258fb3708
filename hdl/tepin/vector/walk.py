# SPDX-License-Identifier: Apache-2.0
"""How a command is cut into beats, and the addresses that its operands have in each of them.

A *beat* is what enters the lanes in one cycle: up to `lanes` neighbouring elements of a row or, in a *slow* command, one. A
row begins with a new beat. In a slow beat all lanes compute the same element, and the lane that takes part in a reduction is
the one that would compute it in a fast command, so that reductions need not know the difference.
"""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

__all__ = ["AddressGenerator", "BeatWalker", "Operand", "beat_layout"]


class Operand(data.Struct):
    """How one operand of the present command walks through the scratchpad, in bytes."""

    present: 1
    per_row: 1  # one element for all of a row
    base: 32
    beat_stride: 32
    row_stride: 32


class AddressGenerator(wiring.Component):
    """Address of an operand in the present beat.

    Members
    -------
    load : In(1)
        Go to the first beat of `operand`, which stays as it is until the next load.
    advance : In(1)
        Go to the next beat.
    last : In(1)
        With `advance`: this was the last beat of its row.
    address : Out(32)
    """

    load: In(1)
    operand: In(Operand)
    advance: In(1)
    last: In(1)
    address: Out(32)

    def elaborate(self, platform):
        m = Module()
        beat_stride, row_stride, row = (
            Signal(32, name=name, reset_less=True) for name in ("beat_stride", "row_stride", "row")
        )
        next_row = Signal(32)
        m.d.comb += next_row.eq(row + row_stride)
        with m.If(self.load):
            m.d.sync += [
                self.address.eq(self.operand.base),
                row.eq(self.operand.base),
                beat_stride.eq(self.operand.beat_stride),
                row_stride.eq(self.operand.row_stride),
            ]
        with m.Elif(self.advance):
            m.d.sync += self.address.eq(Mux(self.last, next_row, self.address + beat_stride))
            with m.If(self.last):
                m.d.sync += row.eq(next_row)
        return m


class BeatWalker(wiring.Component):
    """Walks through the beats of a command, row by row.

    Parameters
    ----------
    lanes : int

    Members
    -------
    load : In(1)
        Begin with the command given by `n`, `rows` (both above zero) and `slow`.
    advance : In(1)
        Go to the next beat.
    active : Out(1)
        There is a beat; it is described by `beat`, and `final` says that no other follows.
    """

    def __init__(self, *, lanes):
        self._lanes = lanes
        super().__init__(
            {
                "load": In(1),
                "n": In(32),
                "rows": In(32),
                "slow": In(1),
                "advance": In(1),
                "active": Out(1),
                "beat": Out(beat_layout(lanes)),
                "final": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, lane_bits = self._lanes, ceil_log2(self._lanes)
        # Both counters hold one less than what is left, so that the end is a comparison with zero.
        length, left, rows_left = (
            Signal(32, name=name, reset_less=True) for name in ("length", "left", "rows_left")
        )
        slow = Signal()
        lane = Signal(lane_bits)

        fast_last = left[lane_bits:] == 0
        m.d.comb += [
            self.beat.last.eq(Mux(slow, left == 0, fast_last)),
            self.final.eq(self.beat.last & (rows_left == 0)),
        ]
        with m.If(slow):
            m.d.comb += self.beat.mask.eq(Const(1, lanes) << lane)
        with m.Elif(fast_last):
            m.d.comb += self.beat.mask.eq((Const(2, lanes + 1) << left[:lane_bits]) - 1)
        with m.Else():
            m.d.comb += self.beat.mask.eq(-1)

        with m.If(self.load):
            m.d.sync += [
                self.active.eq(1),
                slow.eq(self.slow),
                length.eq(self.n - 1),
                left.eq(self.n - 1),
                rows_left.eq(self.rows - 1),
                lane.eq(0),
            ]
        with m.Elif(self.advance):
            m.d.sync += [left.eq(left - Mux(slow, 1, lanes)), lane.eq(lane + 1)]
            with m.If(self.beat.last):
                m.d.sync += [left.eq(length), lane.eq(0), rows_left.eq(rows_left - 1)]
            with m.If(self.final):
                m.d.sync += self.active.eq(0)
        return m


def beat_layout(lanes):
    """What goes along with the data of a beat: which lanes hold an element, and whether the row ends with it."""
    return data.StructLayout({"mask": lanes, "last": 1})
