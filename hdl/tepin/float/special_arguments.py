# SPDX-License-Identifier: Apache-2.0
"""The front of the special functions: what turns an operand into a point on an interval that the tables cover."""

from amaranth.hdl import Cat, Const, Module, Mux, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tepin.float import tables
from tepin.float.format import FLOAT32
from tepin.float.multiplier import IntegerMultiplier, check_architecture
from tepin.float.pipeline import delay, normalise, shift_right, shift_steps, split, stage, wire

__all__ = ["ARGUMENT_LATENCY", "POWER_FACTOR", "LogarithmArgument", "PowerArgument"]

ARGUMENT_LATENCY = 7
"""Cycles that every component of this module takes."""

# The constant is 4 * factor - 1, where the factor is just as wide as two parts of a multiplier.
POWER_FACTOR = (tables.LOG2E + 1) // 4
"""What `PowerArgument` multiplies the significand of a with, an integer of 36 bits."""


class PowerArgument(wiring.Component):
    """Computes a * log2(e) - b in fixed point, for 2 to its power. One per cycle, no stall.

    The product is cut off to 30 fraction bits. Operands are clamped: if |a| >= 2**16 the product counts as +-2**17, and
    if |b| >= 2**18 so does b as +-2**18. A fraction of b is cut off. Costs one multiplier of 24 by 36 bits (4 DSP blocks
    on ECP5).

    Parameters
    ----------
    shared : bool
        The multiplication is done outside, by a multiplier that is used for something else in other cycles.
    architecture : str or None
        Form of the multiplier, see :class:`tepin.float.multiplier.IntegerMultiplier`.

    Members
    -------
    i : In(StructLayout)
        `a` and `b`, float32 encodings; what infinities and NaN give has no meaning.
    product : In(60), if `shared`
        `POWER_FACTOR` times the significand of a, 3 cycles after the operands.
    o : Out(StructLayout)
        `fraction`, unsigned, and `integer`, signed: the difference is integer + fraction * 2**-30.
        `ARGUMENT_LATENCY` cycles later.
    """

    def __init__(self, *, shared=False, architecture=None):
        check_architecture(architecture)
        self._architecture = architecture
        self._shared = shared
        width = FLOAT32.precision + POWER_FACTOR.bit_length()
        super().__init__(
            {
                "i": In(data.StructLayout({"a": 32, "b": 32})),
                **({"product": In(width)} if shared else {}),
                "o": Out(data.StructLayout({"fraction": 30, "integer": signed(20)})),
            }
        )

    @property
    def latency(self):
        """Cycles from operands to difference."""
        return ARGUMENT_LATENCY

    def elaborate(self, platform):
        m = Module()
        a, b = FLOAT32.decode(self.i.a), FLOAT32.decode(self.i.b)

        # 1, 2, 3: Multiply.
        if self._shared:
            quarter = self.product
        else:
            m.submodules.multiplier = multiplier = IntegerMultiplier(
                FLOAT32.precision, POWER_FACTOR.bit_length(), latency=3, architecture=self._architecture
            )
            m.d.comb += [multiplier.a.eq(a.significand), multiplier.b.eq(POWER_FACTOR)]
            quarter = multiplier.o
        # With the exponent 15, of the 60 fraction bits of the product 15 are too many; one more for each step below.
        limit = FLOAT32.bias + 15
        beside = delay(
            m,
            3,
            "beside",
            significand=a.significand,
            distance=Mux(a.exponent < limit - 63, 63, limit - a.exponent)[:6],
            overflow=a.exponent > limit,
            negative=a.sign,
        )

        # 4: Four times the product, less one operand.
        product = wire(m, "product", Cat(Const(0, 2), quarter) - beside.significand)
        scaled = stage(
            m,
            "scaled",
            product=product[15 : 15 + 47],
            distance=beside.distance,
            overflow=beside.overflow,
            negative=beside.negative,
        )

        # 5, 6: Shift to 30 fraction bits.
        steps = split(shift_steps(63), 2)
        coarse = stage(
            m,
            "coarse",
            product=shift_right(m, "coarse", scaled.product, scaled.distance, steps[0]),
            distance=scaled.distance,
            overflow=scaled.overflow,
            negative=scaled.negative,
        )
        fine = shift_right(m, "fine", coarse.product, coarse.distance, steps[1])
        shifted = stage(
            m,
            "shifted",
            product=Mux(coarse.overflow, 1 << 47, fine)[:48],
            negative=coarse.negative,
        )

        # Meanwhile b: an integer of 18 bits if its exponent is 17, and fewer below.
        b_limit = FLOAT32.bias + 17
        b_decoded = stage(
            m,
            "b_decoded",
            integer=b.significand[6:],
            distance=Mux(b.exponent < b_limit - 31, 31, b_limit - b.exponent)[:5],
            overflow=b.exponent > b_limit,
            negative=b.sign,
        )
        b_shifted = stage(
            m,
            "b_shifted",
            integer=shift_right(m, "b", b_decoded.integer, b_decoded.distance, shift_steps(31)),
            overflow=b_decoded.overflow,
            negative=b_decoded.negative,
        )
        integer = Mux(b_shifted.overflow, 1 << 18, b_shifted.integer)[:19]
        b_negated = stage(m, "b_negated", integer=Mux(b_shifted.negative, integer, -integer)[:20].as_signed())
        b_waiting = delay(m, 3, "b_waiting", integer=b_negated.integer)

        # 7: One addition: the carry that negates the product fills a bit below the integer.
        negative = shifted.negative
        inverted = Cat(Mux(negative, ~shifted.product, shifted.product), negative).as_signed()
        addend = Cat(negative, Const(0, 29), b_waiting.integer).as_signed()
        m.d.sync += self.o.as_value().eq(inverted + addend)
        return m


class LogarithmArgument(wiring.Component):
    """Splits x, or 1 + x, into 2**e * (1 + t) with t in [-1/4, 1/2). One per cycle, no stall, no multipliers.

    Where e is 0 the logarithm may be very small, so t is given a second time as a normalised significand.

    Members
    -------
    i : In(StructLayout)
        `x`, a float32 encoding, and `plus_one`, set for 1 + x. What has no logarithm, and 0, infinity and NaN, give
        results without meaning.
    o : Out(StructLayout)
        `t`, signed with 30 fraction bits; `e`; `small`, set if e is 0; `factor`, which has to be multiplied with
        ln(1 + t) / t, with 26 fraction bits, and `exponent` to be added to that of the product. `ARGUMENT_LATENCY` cycles
        later.
    """

    i: In(data.StructLayout({"x": 32, "plus_one": 1}))
    o: Out(
        data.StructLayout({"t": signed(31), "e": signed(9), "small": 1, "factor": 26, "exponent": signed(9)})
    )

    @property
    def latency(self):
        """Cycles from operand to arguments."""
        return ARGUMENT_LATENCY

    def elaborate(self, platform):
        m = Module()
        x = FLOAT32.decode(self.i.x)
        bias = FLOAT32.bias

        # 1: For ln(x), t with 24 fraction bits, of x's significand or, if that is 1.5 or more, of half of it; bit 24 is the
        # sign. For log1p(x), e will be 0 if x is in [-1/4, 1/2); and the smaller of 1 and |x| and its distance to the larger.
        halve = x.fraction[-1]
        large = wire(m, "large", x.exponent >= bias)
        quarter = x.exponent == bias - 2
        above, below = (x.exponent - bias)[:8], (bias - x.exponent)[:8]
        magnitude = wire(m, "distance", Mux(large, above, below)[:8])
        decoded = stage(
            m,
            "decoded",
            t=Cat(Mux(halve, x.significand, Cat(Const(0, 1), x.fraction)), halve),
            e=(x.exponent - bias + halve).as_signed(),
            term=Mux(large, 1 << 30, Cat(Const(0, 7), x.significand)),
            distance=Mux(magnitude > 31, 31, magnitude)[:5],
            base=Mux(large, above, 0)[:8],
            large=large,
            significand=x.significand,
            exponent=(x.exponent - bias).as_signed(),
            near_zero=(x.exponent < bias - 2) | (quarter & ~(x.sign & x.fraction.any())),
            negative=x.sign,
            plus_one=self.i.plus_one,
        )
        waiting = delay(
            m,
            5,
            "waiting",
            t=decoded.t,
            e=decoded.e,
            base=decoded.base,
            significand=decoded.significand,
            exponent=decoded.exponent,
            small=Mux(decoded.plus_one, decoded.near_zero, decoded.e == 0),
            plus_one=decoded.plus_one,
        )

        # 2, 3: For log1p(x), align. For ln(x), the magnitude of t.
        steps = split(shift_steps(31), 2)
        coarse = stage(
            m,
            "coarse",
            term=shift_right(m, "align_coarse", decoded.term, decoded.distance, steps[0]),
            distance=decoded.distance,
            t=(Mux(decoded.t[-1], ~decoded.t, decoded.t) + decoded.t[-1])[:24],
            large=decoded.large,
            significand=decoded.significand,
            negative=decoded.negative,
            plus_one=decoded.plus_one,
        )
        larger = Mux(coarse.large, Cat(Const(0, 7), coarse.significand), 1 << 30)
        aligned = stage(
            m,
            "aligned",
            term=shift_right(m, "align_fine", coarse.term, coarse.distance, steps[1]),
            other=Mux(coarse.plus_one, larger, Cat(Const(0, 8), coarse.t)),
            subtract=coarse.negative & ~coarse.large,
            plus_one=coarse.plus_one,
        )

        # 4: Add 1 and x; t goes by.
        term = Mux(aligned.plus_one, Mux(aligned.subtract, ~aligned.term.as_signed(), aligned.term), 0)
        total = aligned.other + term + (aligned.subtract & aligned.plus_one)
        added = stage(m, "added", total=total[:32])

        # 5, 6: Normalise one or the other.
        steps = split(shift_steps(31), 2)
        value, high = normalise(m, "high", added.total, steps[0])
        halfway = stage(m, "halfway", value=value, count=high)
        value, low = normalise(m, "low", halfway.value, steps[1])
        normalised = stage(m, "normalised", value=value, count=halfway.count | low)

        # 7: For log1p(x), take t from the sum, halved if it is 1.5 or more.
        value = normalised.value
        halve = value[30]
        t_of_sum = Cat(Mux(halve, value[2:], value[1:31]), halve).as_signed()
        e_of_sum = waiting.base + 1 - normalised.count + halve
        t = wire(m, "t", Mux(waiting.plus_one, t_of_sum, Cat(Const(0, 6), waiting.t).as_signed()))
        e = wire(m, "e", Mux(waiting.plus_one, e_of_sum, waiting.e))
        t_magnitude = Mux(t < 0, ~t, t) + (t < 0)
        significand = Mux(waiting.plus_one, waiting.significand, value[8:])
        small = waiting.small
        m.d.sync += [
            self.o.t.eq(t),
            self.o.e.eq(e),
            self.o.small.eq(small),
            self.o.factor.eq(Mux(small, Cat(Const(0, 2), significand), t_magnitude[4:30])),
            self.o.exponent.eq(Mux(small, Mux(waiting.plus_one, waiting.exponent + 1, -normalised.count), 0)),
        ]
        return m
