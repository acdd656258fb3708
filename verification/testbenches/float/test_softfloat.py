# SPDX-License-Identifier: Apache-2.0
"""The float32 units in Verilog against Berkeley SoftFloat, an implementation that shares nothing with ours.

What differs is by definition: subnormals are zeros here, also as results, which is decided by the exact value; there is one
NaN; conversions to integers saturate, with limits of their own, and make 0 of NaN.
"""

import numpy as np
import pytest
import softfloatpy as soft

from tepin.float.compare import CompareOperation
from tepin.float.convert import IntFormat
from tepin_reference import float32
from tepin_testbench.pipeline import CompiledPipeline
from verification.testbenches.float.units import ACCUMULATOR_WIDTH, FloatUnits
from verification.unit.float.helpers import CORNERS, operand_pairs

NAN, SIGN, LEAST = 0x7FC00000, 1 << 31, 1 << 23
ONE = 0x3F800000


def number(bits):
    """A SoftFloat number of an encoding, a subnormal as zero."""
    bits = int(bits)
    return soft.Float32.from_bytes((bits if bits & ~SIGN >= LEAST else bits & SIGN).to_bytes(4, "big"))


def encoding(function, *operands):
    """The encoding of `function(*operands)`, an exact value below the normal range as zero."""
    bits = int.from_bytes(function(*operands).to_bytes(), "big")
    magnitude = bits & (SIGN - 1)
    if magnitude == LEAST:
        # It may have been rounded up to the least normal number.
        soft.set_exception_flags(soft.ExceptionFlag(0))
        function(*operands)
        if soft.test_exception_flags(soft.ExceptionFlag.UNDERFLOW):
            magnitude = 0
    if magnitude < LEAST:
        return bits & SIGN
    return NAN if magnitude > 0x7F800000 else bits


def integer(x, low, high):
    """A SoftFloat number as an integer."""
    if soft.f32_is_nan(x):
        return 0
    if soft.f32_lt_quiet(soft.Float32.from_float(2.0**40), x):
        return high
    if soft.f32_lt_quiet(x, soft.Float32.from_float(-(2.0**40))):
        return low
    return min(max(soft.f32_to_i64(x).to_int(), low), high)


COMPARISONS = {
    CompareOperation.LT: soft.f32_lt_quiet,
    CompareOperation.LE: soft.f32_le_quiet,
    CompareOperation.EQ: soft.f32_eq,
}


def compared(kind, x, y):
    """Encoding of a comparison's result; the larger number (NaN above all) or smaller (NaN wins) is never -0."""
    if kind in COMPARISONS:
        return ONE if COMPARISONS[kind](x, y) else 0
    if soft.f32_is_nan(x) or soft.f32_is_nan(y):
        return NAN
    take_y = soft.f32_lt_quiet(x, y) if kind == CompareOperation.MAX else soft.f32_lt_quiet(y, x)
    bits = int.from_bytes((y if take_y else x).to_bytes(), "big")
    return bits if bits & (SIGN - 1) else 0


@pytest.fixture(autouse=True)
def modes():
    soft.set_rounding_mode(soft.RoundingMode.NEAR_EVEN)
    soft.set_tininess_mode(soft.TininessMode.BEFORE_ROUNDING)


@pytest.fixture(scope="module")
def units():
    return CompiledPipeline(FloatUnits())


@pytest.mark.parametrize("count", [5000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_same_as_softfloat(units, count, rng):
    """All pairs of corners, and four times `count` random pairs: any, of near magnitude, nearly opposite."""
    a, b = operand_pairs(rng, count)
    operation = rng.integers(0, len(CompareOperation), len(a))
    formats = rng.integers(0, len(IntFormat), len(a))
    integers = rng.integers(-(2**63), 2**63, len(a)) >> rng.integers(64 - ACCUMULATOR_WIDTH, 64, len(a))
    operands = np.zeros((len(a), 5), np.uint32)
    operands[:, 0], operands[:, 1] = float32.bits(a), float32.bits(b)
    operands[:, 2:4] = integers.astype("<i8").view("<u4").reshape(-1, 2)
    operands[:, 4] = operation | formats << 3
    results = units.run(operands)

    wrong = []
    kinds, limits = list(CompareOperation), [format.limits for format in IntFormat]
    for row, result, i in zip(operands.tolist(), results.tolist(), integers.tolist(), strict=True):
        x, y = number(row[0]), number(row[1])
        expected = [
            encoding(soft.f32_add, x, y),
            encoding(soft.f32_mul, x, y),
            compared(kinds[row[4] & 7], x, y),
            int.from_bytes(soft.i64_to_f32(soft.Int64.from_int(i)).to_bytes(), "big"),
            integer(x, *limits[row[4] >> 3]) & 0xFFFFFFFF,
        ]
        if result != expected:
            wrong.append(
                f"{[hex(v) for v in (*row, i)]}: {list(map(hex, result))}, {list(map(hex, expected))}"
            )
    assert not wrong, f"{len(wrong)} of {len(a)}: " + "; ".join(wrong[:5])
    print(f"{len(a):,} pairs")


def test_corners_are_among_the_pairs(rng):
    """What the name of the test above promises."""
    a, b = operand_pairs(rng, 10)
    bits = set(zip(float32.bits(a).tolist(), float32.bits(b).tolist(), strict=True))
    corners = float32.bits(CORNERS).tolist()
    assert all((x, y) in bits for x in corners for y in corners)
