# SPDX-License-Identifier: Apache-2.0
"""Conversion between float32 and integers or fixed-point numbers."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from tepin.float.format import FLOAT32
from tepin.float.pipeline import (
    delay,
    deliver,
    normalise,
    shift_right,
    shift_right_jam,
    shift_steps,
    split,
    stage,
    wire,
)
from tepin.float.round import round_and_pack

__all__ = ["FloatToFixed40", "FloatToInt", "IntFormat", "IntToFloat"]


class IntToFloat(wiring.Component):
    """Converts a signed integer, or fixed-point number, to float32 with one rounding to nearest even.

    Zero becomes +0. One conversion per cycle, no stall, no multipliers.

    Parameters
    ----------
    width : int
        Bits of the integer, its sign included, 2 to 64.
    fraction_width : int
        How many of them are behind the binary point, 0 to 64: the result is i * 2**-fraction_width.

    Members
    -------
    i : In(signed(width))
        The integer.
    o : Out(32)
        Encoding of the result, `latency` cycles later.
    """

    def __init__(self, width, *, fraction_width=0):
        if not 2 <= width <= 64:
            raise ValueError(f"Width must be 2 to 64, not {width!r}")
        if not 0 <= fraction_width <= 64:
            raise ValueError(f"Fraction width must be 0 to 64, not {fraction_width!r}")
        self._width = width
        self._fraction_width = fraction_width
        super().__init__({"i": In(signed(width)), "o": Out(32)})

    @property
    def width(self):
        """Bits of the integer."""
        return self._width

    @property
    def fraction_width(self):
        """How many of its bits are behind the binary point."""
        return self._fraction_width

    @property
    def latency(self):
        """Cycles from integer to float: 6 for 33 to 64 bits."""
        return len(self._normalise_steps()) + 3

    def _normalise_steps(self):
        """Shift steps per pipeline stage, two in each."""
        steps = shift_steps(self._width - 1)
        return split(steps, -(-len(steps) // 2))

    def elaborate(self, platform):
        m = Module()

        # 1: Magnitude. That of the most negative number just fits.
        sign = self.i[-1]
        magnitude = (Mux(sign, ~self.i, self.i) + sign)[: self.width]
        current = stage(m, "absolute", value=magnitude, sign=sign, exponent=Const(0, 1))

        # 2...: Bring the leading one to the top, two steps at a time.
        for index, steps in enumerate(self._normalise_steps()):
            value, taken = normalise(m, f"shift_{index}", current.value, steps)
            current = stage(
                m, f"shifted_{index}", value=value, sign=current.sign, exponent=current.exponent | taken
            )

        # Last but one: pack the bits below the guard bit into one. Last: round.
        top = FLOAT32.bias + self.width - 1 - self.fraction_width
        value = Cat(Const(0, FLOAT32.precision + 2), current.value)[-max(self.width, FLOAT32.precision + 2) :]
        below = len(value) - FLOAT32.precision - 1
        packed = stage(
            m,
            "packed",
            value=Cat(value[:below].any(), value[below:]),
            sign=current.sign,
            exponent=top - current.exponent,
            zero=~value[-1],
        )
        deliver(m, self.o, round_and_pack(m, FLOAT32, **vars(packed)))
        return m


class IntFormat(enum.Enum, shape=2):
    """What :class:`FloatToInt` saturates to. The limits are symmetric, but for INT32."""

    INT8 = 0
    INT16 = 1
    INT32 = 2

    @property
    def limits(self):
        """The smallest and the largest integer that a conversion gives."""
        return {
            IntFormat.INT8: (-127, 127),
            IntFormat.INT16: (-32639, 32639),
            IntFormat.INT32: (-(2**31), 2**31 - 1),
        }[self]


class FloatToInt(wiring.Component):
    """Converts float32 to an integer, rounding to nearest even, then saturating. NaN gives 0.

    One conversion per cycle, no stall, no multipliers. 32639 = 127 * 256 + 127 is the largest 16-bit activation whose
    two halves are both signed bytes.

    Members
    -------
    i : In(StructLayout)
        `x`, an encoding, and `format`, the limits it is held to.
    o : Out(signed(32))
        The integer, `latency` cycles later.
    """

    i: In(data.StructLayout({"x": 32, "format": IntFormat}))
    o: Out(signed(32))

    @property
    def latency(self):
        """Cycles from float to integer."""
        return 6

    def elaborate(self, platform):
        m = Module()
        # The significand starts above bit 31 of the integer and two rounding bits; what shifts it into place is 31 less
        # its exponent. Nothing is left of it after 34 places, and of a zero's nothing either, whose exponent is the lowest.
        x = FLOAT32.decode(self.i.x)
        top = FLOAT32.bias + 31
        steps = split(shift_steps(34), 2)

        # 1: Distance.
        decoded = stage(
            m,
            "decoded",
            value=Cat(Const(0, 10), x.significand),
            distance=Mux(x.exponent < top - 34, 34, top - x.exponent)[:6],
            huge=x.exponent > top,
        )

        # 2, 3: Shift.
        coarse = stage(
            m,
            "coarse",
            value=shift_right_jam(m, "coarse", decoded.value, decoded.distance, steps[0]),
            distance=decoded.distance,
            huge=decoded.huge,
        )
        fine = stage(
            m,
            "fine",
            value=shift_right_jam(m, "fine", coarse.value, coarse.distance, steps[1]),
            huge=coarse.huge,
        )

        # 4: Round.
        increment = fine.value[1] & (fine.value[0] | fine.value[2])
        rounded = stage(m, "rounded", magnitude=fine.value[2:] + increment, huge=fine.huge)

        # 5: Compare with the limit, which for the negative side of INT32 is one more, and 0 for a NaN.
        beside = delay(m, 4, "beside", sign=x.sign, nan=x.nan, format=self.i.format)
        limits = Array(Const(max(format.limits), 32) for format in IntFormat)
        usual = limits[beside.format] + (beside.sign & (beside.format == IntFormat.INT32))
        limit = wire(m, "limit", Mux(beside.nan, 0, usual)[:32])
        limited = stage(
            m,
            "limited",
            magnitude=Mux(rounded.huge | (rounded.magnitude > limit), limit, rounded.magnitude),
            sign=beside.sign,
        )

        # 6: Sign.
        deliver(m, self.o, Mux(limited.sign, -limited.magnitude, limited.magnitude))
        return m


class FloatToFixed40(wiring.Component):
    """Converts float32 in [0, 4) to fixed point with 40 fraction bits, truncating.

    One conversion per cycle, no stall, no multipliers.

    Members
    -------
    i : In(32)
        The encoding.
    o : Out(StructLayout)
        `value`, 42 bits, in units of 2**-40, and `invalid`, set if the operand is below 0 (-0 is not), 4 or more, or
        NaN; `value` has no meaning then. `latency` cycles later.
    """

    i: In(32)
    o: Out(data.StructLayout({"value": 42, "invalid": 1}))

    @property
    def latency(self):
        """Cycles from float to fixed point."""
        return 3

    def elaborate(self, platform):
        m = Module()
        # With the largest valid exponent, 1, the significand starts at the top of the result. Nothing is left of it after
        # 42 places, and so of a zero's, whose exponent is the lowest.
        x = FLOAT32.decode(self.i)
        top = FLOAT32.bias + 1
        steps = split(shift_steps(42), 2)

        decoded = stage(
            m,
            "decoded",
            value=Cat(Const(0, 18), x.significand),
            distance=Mux(x.exponent < top - 42, 42, top - x.exponent)[:6],
            invalid=(x.exponent > top) | (x.sign & ~x.zero),
        )
        coarse = stage(
            m,
            "coarse",
            value=shift_right(m, "coarse", decoded.value, decoded.distance, steps[0]),
            distance=decoded.distance,
            invalid=decoded.invalid,
        )
        m.d.sync += [
            self.o.value.eq(shift_right(m, "fine", coarse.value, coarse.distance, steps[1])),
            self.o.invalid.eq(coarse.invalid),
        ]
        return m
