# SPDX-License-Identifier: Apache-2.0
"""Bit-exact numpy model of Tepin's float32 arithmetic.

The numbers are IEEE 754 binary32, rounded to nearest even, with three rules on top:

* a subnormal operand is read as zero of the same sign;
* a result whose exact value, before rounding, is smaller in magnitude than 2**-126 becomes zero of the same sign;
* every NaN that leaves a function is 0x7FC00000.

Functions take anything :func:`numpy.asarray` takes, broadcast, and return float32 arrays unless said otherwise.
"""

import numpy as np

__all__ = [
    "ACCUMULATORS",
    "FIXED_FRACTION",
    "FIXED_LIMIT",
    "NAN",
    "add",
    "argmax",
    "bits",
    "compare_eq",
    "compare_le",
    "compare_lt",
    "fixed_sum",
    "floor",
    "flush",
    "from_bits",
    "from_int",
    "key",
    "maximum",
    "minimum",
    "multiply",
    "sum64",
    "to_fixed",
    "to_int",
]

SIGN = np.uint32(0x8000_0000)
MAGNITUDE = np.uint32(0x7FFF_FFFF)
SMALLEST_NORMAL = np.uint32(0x0080_0000)
INFINITY = np.uint32(0x7F80_0000)
NAN_BITS = np.uint32(0x7FC0_0000)

NAN = NAN_BITS.view(np.float32)
"""The only NaN the hardware produces."""

ACCUMULATORS = 64
"""Number of partial sums of :func:`sum64`."""

FIXED_FRACTION = 40
"""Fraction bits of the elements of :func:`fixed_sum`."""

FIXED_LIMIT = 4.0
"""Elements of :func:`fixed_sum` lie in [0, FIXED_LIMIT)."""


def bits(x):
    """Return the encodings of ``x`` as uint32."""
    return np.asarray(x, dtype=np.float32).view(np.uint32)


def from_bits(x):
    """Return the float32 values that the integers ``x`` (taken modulo 2**32) encode."""
    return np.asarray(x).astype(np.uint32).view(np.float32)


def flush(x):
    """Replace subnormals by zero of the same sign and every NaN by the canonical one: what an operand is read as."""
    encoding = np.array(x, dtype=np.float32).view(np.uint32)
    magnitude = encoding & MAGNITUDE
    np.bitwise_and(encoding, SIGN, out=encoding, where=magnitude < SMALLEST_NORMAL)
    np.copyto(encoding, NAN_BITS, where=magnitude > INFINITY)
    return encoding.view(np.float32)


def add(a, b):
    """Return a + b.

    A sum of float32 numbers is a multiple of 2**-149, so one smaller than 2**-126 is exact and flushing the
    rounded sum is the same as testing the exact one.
    """
    with np.errstate(all="ignore"):
        return flush(flush(a) + flush(b))


def multiply(a, b):
    """Return a * b. The float64 product is exact, so it decides what is tiny and is rounded once."""
    with np.errstate(all="ignore"):
        exact = flush(a).astype(np.float64) * flush(b)
        product = np.where(np.abs(exact) < 2.0**-126, np.copysign(0.0, exact), exact).astype(np.float32)
        return np.where(np.isnan(product), NAN, product)


def key(x):
    """Return int32 keys that sort as the values do: -inf < ... < -0 = +0 < ... < +inf < NaN."""
    encoding = bits(flush(x)).view(np.int32)
    encoding = np.where(encoding == np.int32(-(2**31)), np.int32(0), encoding)
    return np.where(encoding < 0, encoding ^ np.int32(0x7FFF_FFFF), encoding)


def _from_key(k):
    return np.where(k < 0, k ^ np.int32(0x7FFF_FFFF), k).astype(np.int32).view(np.float32)


def maximum(a, b):
    """Return the larger of a and b by key: NaN wins over everything, and a zero is +0."""
    return _from_key(np.maximum(key(a), key(b)))


def minimum(a, b):
    """Return the smaller of a and b by key, or NaN if either is NaN. A zero is +0."""
    key_a, key_b = key(a), key(b)
    nan = np.int32(NAN_BITS)
    return _from_key(np.where((key_a == nan) | (key_b == nan), nan, np.minimum(key_a, key_b)))


def _compare(a, b, relation):
    nan = np.int32(NAN_BITS)
    key_a, key_b = key(a), key(b)
    return (relation(key_a, key_b) & (key_a != nan) & (key_b != nan)).astype(np.float32)


def compare_lt(a, b):
    """Return 1.0 where a < b and 0.0 elsewhere, also for NaN."""
    return _compare(a, b, np.less)


def compare_le(a, b):
    """Return 1.0 where a <= b and 0.0 elsewhere, also for NaN."""
    return _compare(a, b, np.less_equal)


def compare_eq(a, b):
    """Return 1.0 where a == b (-0 equals +0) and 0.0 elsewhere, also for NaN."""
    return _compare(a, b, np.equal)


def floor(x):
    """Return the largest integer not above x. Zeros keep their sign, infinities stay."""
    with np.errstate(all="ignore"):
        return flush(np.floor(flush(x)))


def from_int(i):
    """Return signed integers of up to 64 bits as float32, rounded once, to nearest even. Zero is +0."""
    return np.asarray(i).astype(np.int64).astype(np.float32)


def to_int(x, low, high):
    """Return x rounded to the nearest integer, ties to even, clamped to [low, high], as int64. NaN gives 0."""
    exact = flush(x).astype(np.float64)
    with np.errstate(all="ignore"):
        clamped = np.clip(np.rint(exact), float(low), float(high))
    return np.where(np.isnan(exact), 0.0, clamped).astype(np.int64)


def sum64(x):
    """Return the sums over the last axis, in the one order the instruction set fixes.

    Element i is added, in index order, to partial sum i mod 64, which starts as +0. Then partial j takes in partial
    j + 32, then j + 16, and so on to j + 1.
    """
    x = np.asarray(x, dtype=np.float32)
    partial = np.zeros((*x.shape[:-1], ACCUMULATORS), dtype=np.float32)
    for start in range(0, x.shape[-1], ACCUMULATORS):
        part = x[..., start : start + ACCUMULATORS]
        partial[..., : part.shape[-1]] = add(partial[..., : part.shape[-1]], part)
    half = ACCUMULATORS // 2
    while half:
        partial = add(partial[..., :half], partial[..., half : 2 * half])
        half //= 2
    return partial[..., 0]


def to_fixed(x):
    """Return (x truncated to a multiple of 2**-40, as int64 in that unit; whether x is outside [0, 4)).

    Either zero is inside. Elements outside, NaN among them, have the value 0.
    """
    x = flush(x)
    with np.errstate(all="ignore"):
        invalid = ~((x >= 0) & (x < FIXED_LIMIT))
        value = np.floor(x.astype(np.float64) * 2.0**FIXED_FRACTION)
    return np.where(invalid, 0.0, value).astype(np.int64), invalid


def fixed_sum(x):
    """Return the sums over the last axis of elements in [0, 4), exact up to the truncation of each element.

    Every element is truncated to a multiple of 2**-40; the integers are added exactly, so order does not matter, and
    the sum (of fewer than 2**21 elements) is rounded once. A row with an element outside [0, 4) gives NaN.
    """
    value, invalid = to_fixed(x)
    total = from_int(value.sum(axis=-1)) * np.float32(2.0**-FIXED_FRACTION)
    return np.where(invalid.any(axis=-1), NAN, total).astype(np.float32)


def argmax(x):
    """Return the index (int64) of the largest key on the last axis, the lowest of equals. NaN is largest."""
    return np.argmax(key(x), axis=-1)
