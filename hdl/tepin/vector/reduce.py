# SPDX-License-Identifier: Apache-2.0
"""Reductions of a row to its largest element or to an exact sum. Rows follow each other without a gap.

Each of these reducers takes the beats of a command as they leave the lanes. One cycle is enough to combine a beat with those
before it, so nothing waits and the order of beats is the only order there is.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tepin.float.convert import FloatToFixed40, IntToFloat
from tepin.float.format import FLOAT32
from tepin.vector.result import reduction_layout
from tepin.vector.walk import beat_layout

__all__ = ["FixedSumReducer", "MaximumReducer", "reducer_ports"]


def reducer_ports(lanes):
    """Ports that every reducer has: `clear` before a command, beats in, one reduction per row out."""
    return {
        "clear": In(1),
        "i_valid": In(1),
        "i": In(data.ArrayLayout(32, lanes)),
        "i_beat": In(beat_layout(lanes)),
        "o_valid": Out(1),
        "o": Out(reduction_layout),
    }


class MaximumReducer(wiring.Component):
    """Finds the largest element of a row, or the largest magnitude, and the lowest index that has it.

    NaN is above everything; -0 counts as +0.

    Parameters
    ----------
    lanes : int
        A power of two.

    Members
    -------
    absolute : In(1)
        Compare magnitudes.
    slow : In(1)
        Beats have one element.
    clear, i_valid, i, i_beat, o_valid, o
        See `reducer_ports`. Latency 2 + log2(lanes) from the last beat of a row.
    """

    def __init__(self, *, lanes):
        self._lanes = lanes
        super().__init__({"absolute": In(1), "slow": In(1), **reducer_ports(lanes)})

    def elaborate(self, platform):
        m = Module()
        lanes, lane_bits = self._lanes, ceil_log2(self._lanes)

        # Keys: unsigned, so that 0 can stand for no element. Results of the lanes are canonical, but for -0.
        level = []
        for lane in range(lanes):
            x = self.i[lane]
            negative = x[31] & ~self.absolute & ~FLOAT32.decode(x).zero
            key = Signal(32, name=f"key_{lane}", reset_less=True)
            number = Signal(lane_bits, name=f"lane_{lane}", init=lane)
            with m.If(self.i_valid):
                m.d.sync += key.eq(
                    Mux(self.i_beat.mask[lane], Mux(negative, ~x, Cat(x[:31], Const(1, 1))), 0)
                )
            level.append((key, number))
        valid, last = Signal(), Signal()
        m.d.sync += [valid.eq(self.i_valid), last.eq(self.i_beat.last)]

        # The winner of the beat. Of equals, the lower lane.
        depth = 0
        while len(level) > 1:
            winners = []
            for pair in range(len(level) // 2):
                (low, low_lane), (high, high_lane) = level[2 * pair : 2 * pair + 2]
                key = Signal(32, name=f"key_{depth}_{pair}", reset_less=True)
                number = Signal(lane_bits, name=f"lane_{depth}_{pair}", reset_less=True)
                above = high > low
                m.d.sync += [key.eq(Mux(above, high, low)), number.eq(Mux(above, high_lane, low_lane))]
                winners.append((key, number))
            level = winners
            valid_before, last_before = valid, last
            valid, last = Signal(name=f"valid_{depth}"), Signal(name=f"last_{depth}")
            m.d.sync += [valid.eq(valid_before), last.eq(last_before)]
            depth += 1

        # The winner of the row so far.
        (key, number) = level[0]
        first, index = Signal(init=1), Signal(32)
        best = Signal(32, reset_less=True)
        with m.If(valid):
            m.d.sync += [first.eq(last), index.eq(Mux(last, 0, index + Mux(self.slow, 1, lanes)))]
            with m.If(first | (key > best)):
                m.d.sync += [best.eq(key), self.o.index.eq(Cat(number, index[lane_bits:]))]
        m.d.sync += self.o_valid.eq(valid & last)
        m.d.comb += self.o.value.eq(Mux(best[31], best[:31], ~best))
        with m.If(self.clear):
            m.d.sync += [first.eq(1), index.eq(0)]
        return m


class FixedSumReducer(wiring.Component):
    """Sums the elements of a row, each truncated to a multiple of 2**-40, exactly, and rounds once.

    An element outside [0, 4), NaN among them, makes the sum NaN. Rows have fewer than 2**21 elements.

    Parameters
    ----------
    lanes : int
        A power of two.

    Members
    -------
    clear, i_valid, i, i_beat, o_valid, o
        See `reducer_ports`. Latency 10 + log2(lanes) from the last beat of a row.
    """

    def __init__(self, *, lanes):
        self._lanes = lanes
        super().__init__(reducer_ports(lanes))

    def elaborate(self, platform):
        m = Module()
        converters = [FloatToFixed40() for _ in range(self._lanes)]
        terms, invalids = [], []
        for lane, fixed in enumerate(converters):
            m.submodules[f"fixed_{lane}"] = fixed
            m.d.comb += fixed.i.eq(Mux(self.i_beat.mask[lane], self.i[lane], 0))
            terms.append(fixed.o.value)
            invalids.append(fixed.o.invalid)

        # A balanced tree, a register behind each addition.
        depth = 0
        while len(terms) > 1:
            pairs = [(terms[k], terms[k + 1]) for k in range(0, len(terms), 2)]
            width = len(terms[0]) + 1
            terms = [Signal(width, name=f"sum_{depth}_{k}", reset_less=True) for k in range(len(pairs))]
            m.d.sync += [term.eq(low + high) for term, (low, high) in zip(terms, pairs, strict=True)]
            depth += 1
        invalid = Cat(invalids).any()
        latency = converters[0].latency + depth
        valid, last = Signal(latency), Signal(latency)
        m.d.sync += [valid.eq(Cat(self.i_valid, valid[:-1])), last.eq(Cat(self.i_beat.last, last[:-1]))]
        for level in range(depth):
            before, invalid = invalid, Signal(name=f"invalid_{level}")
            m.d.sync += invalid.eq(before)

        first = Signal(init=1)
        total, any_invalid, complete = Signal(63), Signal(), Signal()
        with m.If(valid[-1]):
            m.d.sync += [
                first.eq(last[-1]),
                total.eq(Mux(first, 0, total) + terms[0]),
                any_invalid.eq((any_invalid & ~first) | invalid),
            ]
        m.d.sync += complete.eq(valid[-1] & last[-1])

        m.submodules.to_float = to_float = IntToFloat(64, fraction_width=40)
        waiting = Signal(to_float.latency)
        failed = Signal(to_float.latency)
        m.d.comb += [
            to_float.i.eq(Cat(total, Const(0, 1)).as_signed()),
            self.o_valid.eq(waiting[-1]),
            self.o.value.eq(Mux(failed[-1], FLOAT32.nan, to_float.o)),
        ]
        m.d.sync += [
            waiting.eq(Cat(complete, waiting[:-1])),
            failed.eq(Cat(any_invalid, failed[:-1])),
        ]
        with m.If(self.clear):
            m.d.sync += first.eq(1)
        return m
