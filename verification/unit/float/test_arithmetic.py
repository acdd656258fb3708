# SPDX-License-Identifier: Apache-2.0
"""Addition and multiplication against the numpy model, and every case of tiny formats against rational arithmetic."""

import itertools
from fractions import Fraction

import pytest

from tepin.float.add import FloatAdd
from tepin.float.format import FloatFormat
from tepin.float.multiply import FloatMultiply
from tepin_reference import float32
from verification.unit.float.helpers import assert_same, operand_pairs, pack, run_pipeline


@pytest.mark.parametrize(
    ("component", "model"),
    [
        pytest.param(FloatAdd, float32.add, id="add"),
        pytest.param(FloatMultiply, float32.multiply, id="multiply"),
        pytest.param(
            lambda: FloatMultiply(multiplier_latency=4, architecture="ecp5-model"),
            float32.multiply,
            id="multiply-ecp5",
        ),
    ],
)
def test_same_as_model(component, model, rng):
    a, b = operand_pairs(rng, 1000)
    results = run_pipeline(component(), pack((float32.bits(a), 32), (float32.bits(b), 32)))
    assert_same(model(a, b), results, a, b)


class TinyModel:
    """A format small enough to try everything, in exact rational arithmetic, written with no regard to speed."""

    def __init__(self, format):
        self.format = format

    def value(self, encoding):
        """Return (sign, magnitude); the magnitude is a Fraction, "infinity" or "nan"."""
        format = self.format
        sign = encoding >> (format.width - 1)
        exponent = encoding >> format.fraction_width & format.top_exponent
        fraction = encoding & (2**format.fraction_width - 1)
        if exponent == 0:
            return sign, Fraction(0)
        if exponent == format.top_exponent:
            return sign, "nan" if fraction else "infinity"
        significand = Fraction(2**format.fraction_width + fraction, 2**format.fraction_width)
        return sign, significand * Fraction(2) ** (exponent - format.bias)

    def encode(self, sign, magnitude):
        format = self.format
        top = sign << (format.width - 1)
        if magnitude == 0:
            return top
        exponent = 0
        while magnitude >= Fraction(2) ** (exponent + 1):
            exponent += 1
        while magnitude < Fraction(2) ** exponent:
            exponent -= 1
        if exponent + format.bias < 1:
            return top
        # Python's round takes ties to even.
        significand = round(magnitude / Fraction(2) ** exponent * 2**format.fraction_width)
        encoding = ((exponent + format.bias - 1) << format.fraction_width) + significand
        return top | min(encoding, format.infinity)

    def add(self, a, b):
        (a_sign, a), (b_sign, b) = self.value(a), self.value(b)
        if "nan" in (a, b) or (a == b == "infinity" and a_sign != b_sign):
            return self.format.nan
        if a == "infinity" or b == "infinity":
            return (a_sign if a == "infinity" else b_sign) << (self.format.width - 1) | self.format.infinity
        total = (-a if a_sign else a) + (-b if b_sign else b)
        sign = a_sign & b_sign if total == 0 else int(total < 0)
        return self.encode(sign, abs(total))

    def multiply(self, a, b):
        (a_sign, a), (b_sign, b) = self.value(a), self.value(b)
        sign = a_sign ^ b_sign
        if "nan" in (a, b) or (a == "infinity" and b == 0) or (a == 0 and b == "infinity"):
            return self.format.nan
        if a == "infinity" or b == "infinity":
            return sign << (self.format.width - 1) | self.format.infinity
        return self.encode(sign, a * b)


@pytest.mark.parametrize("widths", [(2, 2), (3, 3)], ids=["2-2", "3-3"])
@pytest.mark.parametrize(("component", "operation"), [(FloatAdd, "add"), (FloatMultiply, "multiply")])
def test_every_pair_of_a_tiny_format(component, operation, widths):
    format = FloatFormat(*widths)
    pairs = list(itertools.product(range(2**format.width), repeat=2))
    model = TinyModel(format)
    expected = [getattr(model, operation)(a, b) for a, b in pairs]
    results = run_pipeline(component(format), [a | b << format.width for a, b in pairs])
    wrong = [
        f"{a:#x}, {b:#x}: {result:#x}, expected {right:#x}"
        for (a, b), result, right in zip(pairs, results, expected, strict=True)
        if result != right
    ]
    assert not wrong, f"{len(wrong)} of {len(pairs)}: {wrong[:5]}"


def test_init_wrong_format():
    with pytest.raises(ValueError, match="^Exponent width must be at least 2, not 1$"):
        FloatFormat(exponent_width=1, fraction_width=2)
    with pytest.raises(ValueError, match="^Fraction width must be at least 2, not 1$"):
        FloatFormat(exponent_width=2, fraction_width=1)


def test_init_wrong_multiplier_latency():
    with pytest.raises(ValueError, match="^Multiplier latency must be at least 3, not 2$"):
        FloatMultiply(multiplier_latency=2)
