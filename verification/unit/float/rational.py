# SPDX-License-Identifier: Apache-2.0
"""Floating-point arithmetic in exact rational numbers: the definition, which owes nothing to numpy or to the RTL."""

from fractions import Fraction


class RationalModel:
    """Operations on the encodings of one format. Slow: meant for corner cases, and for tiny formats altogether."""

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
