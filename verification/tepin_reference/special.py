# SPDX-License-Identifier: Apache-2.0
"""Bit-exact numpy model of the special functions, in the integers that the hardware computes with.

All five functions are one computation on integers::

    p      = c0 + d * (c1 + d * c2)                  d and the coefficients' address come from the operand
    value  = |e| * ln(2) +- factor * p               e is 0 and the factor 1 except for logarithms
    result = +- value * 2**exponent                  rounded once, to nearest even

so each function here only prepares those arguments, as a stage of hardware does. Fractions that are cut off are cut
off downwards. The constants come from :mod:`tepin.float.tables`. Results are within 1 ulp of the exact value.
"""

import numpy as np

from tepin.float import tables
from tepin_reference import float32

__all__ = ["exp", "exp_minus", "ln", "log1p", "reciprocal", "rsqrt"]

P_FRACTION = 32
"""Fraction bits of p and of the value."""

FACTOR_FRACTION = 26
"""Fraction bits of the factor."""

T_FRACTION = tables.DISTANCE_FRACTION
"""Fraction bits of a fixed-point argument: of a * log2(e), and of t in ln(1 + t)."""

A_EXPONENT_LIMIT = 16
"""EXPM takes |a| >= 2**16 for 2**17 / log2(e)."""

B_EXPONENT_LIMIT = 18
"""EXPM takes |b| >= 2**18 for 2**18."""

_C0, _C1, _C2 = np.array(tables.coefficients(), dtype=np.int64).T
_LN2_ONES, _LN2_SIXTEENS = np.array(tables.ln2_multiples(), dtype=np.int64)


class _Operand:
    """The parts of float32 operands, as int64 and bool arrays. Significands have 24 bits."""

    def __init__(self, x):
        self.number = float32.flush(x)
        encoding = float32.bits(self.number).astype(np.int64)
        self.negative = encoding >> 31 == 1
        self.exponent = (encoding >> 23 & 0xFF) - 127
        self.significand = encoding & 0x7F_FFFF | 0x80_0000
        self.zero = self.number == 0
        self.infinite = np.isinf(self.number)
        self.nan = np.isnan(self.number)


def _leading_one(value):
    """Return the position of the leading one of integers below 2**53 (-1 for 0)."""
    return np.frexp(value.astype(np.float64))[1].astype(np.int64) - 1


def _polynomial(address, distance):
    """Return c0 + d * (c1 + d * c2) with 32 fraction bits."""
    curve = (distance >> 6) * _C2[address] >> 14
    slope = (_C1[address] << 2) + curve
    return (_C0[address] << 3) + (distance * slope >> 24)


def _finish(address, distance, negative, exponent, factor=1 << FACTOR_FRACTION, e=0, subtract=False):
    """Evaluate and round; see the module. `e` is a magnitude, `negative` the sign of the result."""
    product = factor * _polynomial(address, distance) >> FACTOR_FRACTION
    e = np.asarray(e)
    value = _LN2_ONES[e & 15] + _LN2_SIXTEENS[e >> 4] + np.where(subtract, -product, product)

    # Less than 1/4 comes only from operands whose result is replaced.
    value = np.maximum(value, 1 << P_FRACTION - 2)
    top = _leading_one(value)
    exponent = exponent + top - P_FRACTION
    drop = top - 23
    significand = value >> drop
    rest = value - (significand << drop)
    half = np.int64(1) << (drop - 1)
    significand = significand + ((rest > half) | ((rest == half) & (significand & 1 == 1)))

    encoding = ((exponent + 126) << 23) + significand
    encoding = np.where(exponent > 127, 0x7F80_0000, np.minimum(encoding, 0x7F80_0000))
    encoding = np.where(exponent < -126, 0, encoding)
    return encoding | np.where(negative, 1 << 31, 0)


def _select(encoding, *cases):
    """Return the float32 numbers encoded, but the value of the last of the (condition, value) `cases` that holds."""
    result = float32.from_bits(encoding)
    for condition, value in cases:
        result = np.where(condition, np.float32(value), result)
    return result


def exp(x):
    """Return e**x; exp(-inf) = 0, exp(inf) = inf. This is EXPM with b = 0."""
    return exp_minus(x, 0.0)


def exp_minus(a, b):
    """Return 2**(t - b) with t = a * log2(e) cut off to 30 fraction bits: the step of a softmax, called EXPM.

    b holds an integer; a fraction is cut off. Results too large are inf, results below 2**-126 are 0. Operands are
    clamped: t to +-2**17 if |a| >= 2**16, and b to +-2**18. a = -inf gives 0 whatever b is; a = inf gives inf, but NaN
    if b = inf. A NaN operand gives NaN.
    """
    a, b = np.broadcast_arrays(np.asarray(a, dtype=np.float32), np.asarray(b, dtype=np.float32))
    a, b = _Operand(a), _Operand(b)

    # The product has 23 + 37 fraction bits. 15 bits go in any case, and one more for each step of the exponent.
    product = a.significand * tables.LOG2E >> 15
    t = product >> np.clip(A_EXPONENT_LIMIT - 1 - a.exponent, 0, 63)
    t = np.where(a.exponent >= A_EXPONENT_LIMIT, 1 << (17 + T_FRACTION), t)
    integer = b.significand >> np.clip(23 - b.exponent, 0, 63)
    integer = np.where(b.exponent >= B_EXPONENT_LIMIT, 1 << 18, integer)

    difference = np.where(a.negative, -t, t) - (np.where(b.negative, -integer, integer) << T_FRACTION)
    exponent = difference >> T_FRACTION
    fraction = difference & (1 << T_FRACTION) - 1
    encoding = _finish(
        tables.POWER + (fraction >> 24),
        fraction & (1 << 24) - 1,
        negative=False,
        exponent=np.clip(exponent, -127, 128),
    )
    return _select(
        encoding,
        (exponent < -126, 0),
        (exponent > 127, np.inf),
        (a.infinite & a.negative, 0),
        (a.infinite & ~a.negative, np.inf),
        (a.infinite & ~a.negative & b.infinite & ~b.negative, np.nan),
        (a.nan | b.nan, float32.NAN),
    )


def _logarithm(t, e, negative, significand, significand_exponent):
    """Return the encoding of e * ln(2) + ln(1 + t), for t in [-1/4, 1/2) with 30 fraction bits.

    If e is 0, t is given a second time, so that small results are exact: as a sign, a significand of 24 bits and an
    exponent.
    """
    small = e == 0
    return _finish(
        tables.LOGARITHM + (t >> 23 & 127),
        t & (1 << 23) - 1,
        negative=np.where(small, negative, e < 0),
        exponent=np.where(small, significand_exponent + 1, 0),
        factor=np.where(small, significand << 2, np.abs(t) >> 4),
        e=np.abs(e),
        subtract=~small & ((t < 0) != (e < 0)),
    )


def ln(x):
    """Return the natural logarithm; ln(+-0) = -inf, ln(x < 0) = NaN, ln(inf) = inf, ln(1) = +0."""
    x = _Operand(x)
    # 1 + t is the significand, halved if it is 1.5 or more. 24 fraction bits hold that.
    halve = x.significand >= 3 << 22
    t = np.where(halve, x.significand - (1 << 24), (x.significand << 1) - (1 << 24))
    magnitude = np.abs(t)
    top = _leading_one(magnitude)
    encoding = _logarithm(
        t << 6,
        e=x.exponent + halve,
        negative=t < 0,
        significand=magnitude << np.clip(23 - top, 0, 23),
        significand_exponent=top - 24,
    )
    return _select(
        encoding,
        (x.number == 1, 0),
        (x.infinite, np.inf),
        (x.negative, float32.NAN),
        (x.zero, -np.inf),
        (x.nan, float32.NAN),
    )


def log1p(x):
    """Return ln(1 + x); log1p(+-0) = +-0, log1p(-1) = -inf, log1p(x < -1) = NaN, log1p(inf) = inf."""
    x = _Operand(x)
    # 1 + x with 30 fraction bits, in units of the larger of the two terms.
    large = x.exponent >= 0
    term = np.where(large, 1 << 30, x.significand << 7) >> np.clip(np.abs(x.exponent), 0, 31)
    total = np.where(large, (x.significand << 7) + term, (1 << 30) + np.where(x.negative, -term, term))

    top = _leading_one(total)
    significand = total << 31 - top
    halve = significand >= 3 << 30
    e = np.where(large, x.exponent, 0) + top - 30 + halve
    t = np.where(halve, significand >> 2, significand >> 1) - (1 << 30)
    encoding = _logarithm(
        t,
        e=e,
        negative=x.negative,
        significand=x.significand,
        significand_exponent=x.exponent,
    )
    return _select(
        encoding,
        (x.infinite, np.inf),
        (x.negative & large, float32.NAN),
        (x.number == -1, -np.inf),
        (x.zero & ~x.negative, 0.0),
        (x.zero & x.negative, -0.0),
        (x.nan, float32.NAN),
    )


def reciprocal(x):
    """Return 1 / x; 1 / +-0 = +-inf, 1 / +-inf = +-0. Powers of two are exact."""
    x = _Operand(x)
    fraction = x.significand & 0x7F_FFFF
    encoding = _finish(
        tables.RECIPROCAL + (fraction >> 16),
        (fraction & 0xFFFF) << 7,
        negative=x.negative,
        exponent=-x.exponent,
    )
    return _select(
        encoding,
        (x.infinite & ~x.negative, 0.0),
        (x.infinite & x.negative, -0.0),
        (x.zero & ~x.negative, np.inf),
        (x.zero & x.negative, -np.inf),
        (x.nan, float32.NAN),
    )


def rsqrt(x):
    """Return 1 / sqrt(x); rsqrt(+-0) = inf, rsqrt(x < 0) = NaN, rsqrt(inf) = +0. Powers of four are exact."""
    x = _Operand(x)
    fraction = x.significand & 0x7F_FFFF
    odd = x.exponent & 1 == 1
    encoding = _finish(
        np.where(odd, tables.ROOT_ODD + (fraction >> 17), tables.ROOT_EVEN + (fraction >> 16)),
        np.where(odd, fraction & 0x1_FFFF, fraction & 0xFFFF) << 7,
        negative=False,
        exponent=-(x.exponent >> 1),
    )
    return _select(
        encoding,
        (x.infinite, 0.0),
        (x.negative, float32.NAN),
        (x.zero, np.inf),
        (x.nan, float32.NAN),
    )
