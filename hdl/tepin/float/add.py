# SPDX-License-Identifier: Apache-2.0
"""Floating-point addition."""

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tepin.float.format import FLOAT32
from tepin.float.pipeline import delay, deliver, normalise, shift_right_jam, shift_steps, split, stage, wire
from tepin.float.round import round_and_pack

__all__ = ["FloatAdd"]


class FloatAdd(wiring.Component):
    """Adds two floating-point numbers, rounding to nearest even. One sum per cycle, no stall, no multipliers.

    A subnormal operand is read as zero of the same sign; a sum smaller than every normal number becomes zero of the
    same sign; a NaN operand, and the difference of infinities, give the canonical NaN. An exact difference of zero
    is +0; only -0 + -0 is -0.

    Parameters
    ----------
    format : FloatFormat
        Format of operands and sum.

    Members
    -------
    i : In(StructLayout)
        `a` and `b`, encodings of the operands.
    o : Out(format.width)
        Encoding of a + b, `latency` cycles later.
    """

    def __init__(self, format=FLOAT32):
        self._format = format
        super().__init__(
            {
                "i": In(data.StructLayout({"a": format.width, "b": format.width})),
                "o": Out(format.width),
            }
        )

    @property
    def format(self):
        """Format of operands and sum."""
        return self._format

    @property
    def latency(self):
        """Cycles from operands to sum."""
        return 7

    def elaborate(self, platform):
        m = Module()
        format = self.format
        # Below the significand: a guard bit, a round bit, and a bit in which everything lower sticks.
        extended = format.precision + 3
        align_steps = split(shift_steps(extended), 2)
        normalise_steps = split(shift_steps(extended), 2)

        # 1: Compare, and subtract exponents both ways.
        a, b = format.decode(self.i.a), format.decode(self.i.b)
        opposite = a.sign ^ b.sign
        ordered = stage(
            m,
            "ordered",
            swap=a.magnitude < b.magnitude,
            a_less_b=(a.exponent - b.exponent)[: format.exponent_width],
            b_less_a=(b.exponent - a.exponent)[: format.exponent_width],
            a_exponent=a.exponent,
            b_exponent=b.exponent,
            a_significand=Mux(a.zero, 0, a.significand),
            b_significand=Mux(b.zero, 0, b.significand),
            a_sign=a.sign,
            b_sign=b.sign,
            subtract=opposite,
            a_nan=a.nan,
            b_nan=b.nan,
            a_infinity=a.infinity,
            b_infinity=b.infinity,
        )

        # 2, 3: Swap, so that `large` has the larger magnitude, and move the other one to its place.
        swap = ordered.swap
        distance = wire(m, "distance", Mux(swap, ordered.b_less_a, ordered.a_less_b))
        reach = 2 * align_steps[0][0] - 1
        beyond = distance > reach if reach < format.top_exponent else Const(0, 1)
        small = Cat(Const(0, 3), Mux(swap, ordered.a_significand, ordered.b_significand))
        coarse = shift_right_jam(m, "coarse", small, distance, align_steps[0])
        swapped = stage(
            m,
            "swapped",
            exponent=Mux(swap, ordered.b_exponent, ordered.a_exponent),
            large=Mux(swap, ordered.b_significand, ordered.a_significand),
            small=Mux(beyond, small.any(), coarse),
            distance=Mux(beyond, 0, distance),
            sign=Mux(swap, ordered.b_sign, ordered.a_sign),
            subtract=ordered.subtract,
            nan=ordered.a_nan | ordered.b_nan | (ordered.a_infinity & ordered.b_infinity & ordered.subtract),
            infinity=ordered.a_infinity | ordered.b_infinity,
        )
        aligned = stage(
            m,
            "aligned",
            small=shift_right_jam(m, "fine", swapped.small, swapped.distance, align_steps[1]),
            large=Cat(Const(0, 3), swapped.large),
            subtract=swapped.subtract,
        )
        carried = delay(
            m,
            2,
            "carried",
            exponent=swapped.exponent,
            sign=swapped.sign,
            subtract=swapped.subtract,
            nan=swapped.nan,
            infinity=swapped.infinity,
        )

        # 4: Add or subtract. The result is never negative.
        operand = Mux(aligned.subtract, ~aligned.small, aligned.small)
        total = aligned.large + operand + aligned.subtract
        added = stage(m, "added", total=Cat(total[:extended], total[extended] & ~aligned.subtract))

        # 5, 6: Bring the leading one to the top, which counts one more than the larger exponent.
        # The exponent follows a stage behind, since what it loses is known last.
        value, high = normalise(m, "high", added.total, normalise_steps[0])
        halfway = stage(
            m,
            "halfway",
            value=value,
            high=high,
            exponent=carried.exponent + 1,
            sign=carried.sign,
            subtract=carried.subtract,
            nan=carried.nan,
            infinity=carried.infinity,
        )
        value, low = normalise(m, "low", halfway.value, normalise_steps[1])
        normalised = stage(
            m,
            "normalised",
            value=value,
            low=low,
            exponent=halfway.exponent - halfway.high,
            sign=halfway.sign & ~(halfway.subtract & ~halfway.value.any()),
            nan=halfway.nan,
            infinity=halfway.infinity,
        )

        # 7: Round.
        result = round_and_pack(
            m,
            format,
            sign=normalised.sign,
            exponent=normalised.exponent - normalised.low,
            value=normalised.value,
            zero=~normalised.value[-1],
            infinity=normalised.infinity,
            nan=normalised.nan,
        )
        deliver(m, self.o, result)
        return m
