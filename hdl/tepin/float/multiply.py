# SPDX-License-Identifier: Apache-2.0
"""Floating-point multiplication."""

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tepin.float.format import FLOAT32
from tepin.float.multiplier import IntegerMultiplier, check_architecture
from tepin.float.pipeline import delay, deliver, stage, wire
from tepin.float.round import round_and_pack

__all__ = ["FloatMultiply"]


class FloatMultiply(wiring.Component):
    """Multiplies two floating-point numbers, rounding to nearest even. One product per cycle, no stall.

    A subnormal operand is read as zero of the same sign; a product smaller than every normal number before it is
    rounded becomes zero of the same sign; a NaN operand, and zero times infinity, give the canonical NaN. Costs one
    multiplier of significands (4 DSP blocks on ECP5 for float32).

    Parameters
    ----------
    format : FloatFormat
        Format of operands and product.
    multiplier_latency : int
        Cycles of the multiplier inside, at least 3; more give its adders more pipeline stages.
    shared : bool
        The significands are multiplied outside, by a multiplier that is used for something else in other cycles.
    architecture : str or None
        Form of the multiplier, see :class:`tepin.float.multiplier.IntegerMultiplier`.

    Members
    -------
    i : In(StructLayout)
        `a` and `b`, encodings of the operands.
    product : In, if `shared`
        Product of the significands, `multiplier_latency` cycles after the operands.
    o : Out(format.width)
        Encoding of a * b, `latency` cycles later.
    """

    def __init__(self, format=FLOAT32, *, multiplier_latency=3, shared=False, architecture=None):
        if multiplier_latency < 3:
            raise ValueError(f"Multiplier latency must be at least 3, not {multiplier_latency!r}")
        check_architecture(architecture)
        self._format = format
        self._multiplier_latency = multiplier_latency
        self._architecture = architecture
        self._shared = shared
        super().__init__(
            {
                "i": In(data.StructLayout({"a": format.width, "b": format.width})),
                **({"product": In(2 * format.precision)} if shared else {}),
                "o": Out(format.width),
            }
        )

    @property
    def format(self):
        """Format of operands and product."""
        return self._format

    @property
    def latency(self):
        """Cycles from operands to product."""
        return self._multiplier_latency + 2

    def elaborate(self, platform):
        m = Module()
        format = self.format

        # The operands go straight into the multiplier's registers: zeros are taken out at the end.
        a, b = format.decode(self.i.a), format.decode(self.i.b)
        if self._shared:
            exact = self.product
        else:
            m.submodules.multiplier = multiplier = IntegerMultiplier(
                format.precision,
                format.precision,
                latency=self._multiplier_latency,
                architecture=self._architecture,
            )
            m.d.comb += [multiplier.a.eq(a.significand), multiplier.b.eq(b.significand)]
            exact = multiplier.o
        beside = delay(
            m,
            self._multiplier_latency,
            "beside",
            sign=a.sign ^ b.sign,
            exponent=a.exponent + b.exponent - format.bias,
            zero=a.zero | b.zero,
            infinity=a.infinity | b.infinity,
            nan=a.nan | b.nan | (a.infinity & b.zero) | (a.zero & b.infinity),
        )

        # The product of two numbers in [1, 2) is in [1, 4): move it by at most one place.
        carry = exact[-1]
        product = wire(m, "product", Mux(carry, exact, Cat(Const(0, 1), exact[:-1])))
        normalised = stage(
            m,
            "normalised",
            value=Cat(product[: format.precision - 1].any(), product[format.precision - 1 :]),
            exponent=beside.exponent + carry,
            sign=beside.sign,
            zero=beside.zero,
            infinity=beside.infinity,
            nan=beside.nan,
        )
        deliver(m, self.o, round_and_pack(m, format, **vars(normalised)))
        return m
