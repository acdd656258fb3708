# SPDX-License-Identifier: Apache-2.0
"""Binary floating-point formats, and how their encodings are taken apart."""

from dataclasses import dataclass
from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Value
from amaranth.lib import data

__all__ = ["FLOAT32", "FloatFormat"]


@dataclass(frozen=True)
class FloatFormat:
    """A format laid out as IEEE 754 does it: fraction, biased exponent, sign, from bit 0 upwards.

    Subnormal encodings exist, but the hardware reads them as zero and never writes one.

    Parameters
    ----------
    exponent_width : int
        Bits of the biased exponent, at least 2.
    fraction_width : int
        Bits of the significand that are stored, at least 2.
    """

    exponent_width: int
    fraction_width: int

    def __post_init__(self):
        if self.exponent_width < 2:
            raise ValueError(f"Exponent width must be at least 2, not {self.exponent_width!r}")
        if self.fraction_width < 2:
            raise ValueError(f"Fraction width must be at least 2, not {self.fraction_width!r}")

    @property
    def width(self):
        """Bits of a whole number."""
        return 1 + self.exponent_width + self.fraction_width

    @property
    def precision(self):
        """Bits of a significand with its leading one."""
        return self.fraction_width + 1

    @property
    def bias(self):
        """What is added to an exponent before it is stored."""
        return 2 ** (self.exponent_width - 1) - 1

    @property
    def top_exponent(self):
        """The stored exponent of infinities and NaN."""
        return 2**self.exponent_width - 1

    @property
    def infinity(self):
        """The encoding of +infinity."""
        return self.top_exponent << self.fraction_width

    @property
    def nan(self):
        """The encoding of the only NaN that the hardware writes: positive, quiet, no payload."""
        return self.infinity | 1 << (self.fraction_width - 1)

    @property
    def layout(self):
        """The fields of an encoding."""
        return data.StructLayout(
            {"fraction": self.fraction_width, "exponent": self.exponent_width, "sign": 1}
        )

    def decode(self, value):
        """Take apart an encoding.

        Returns a namespace of expressions: `sign`, `exponent` (as stored), `fraction`, `magnitude` (all but the
        sign), `significand` (with its leading one, meaningless for zeros), `zero` (true for subnormals too),
        `infinity` and `nan`.
        """
        value = Value.cast(value)
        if len(value) != self.width:
            raise ValueError(f"Value must be {self.width} bits wide, not {len(value)}")
        fraction = value[: self.fraction_width]
        exponent = value[self.fraction_width : -1]
        top = exponent.all()
        return SimpleNamespace(
            sign=value[-1],
            exponent=exponent,
            fraction=fraction,
            magnitude=value[:-1],
            significand=Cat(fraction, Const(1, 1)),
            zero=~exponent.any(),
            infinity=top & ~fraction.any(),
            nan=top & fraction.any(),
        )


FLOAT32 = FloatFormat(exponent_width=8, fraction_width=23)
"""IEEE 754 binary32."""
