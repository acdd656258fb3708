# SPDX-License-Identifier: Apache-2.0
"""The numpy model of float32 arithmetic against rational arithmetic, Python integers and plain numpy."""

import math

import numpy as np

from tepin.float.format import FLOAT32
from tepin_reference import float32
from verification.unit.float.helpers import CORNERS, assert_same, operand_pairs, random_floats
from verification.unit.float.rational import RationalModel


def test_add_and_multiply_by_definition(rng):
    a, b = operand_pairs(rng, 200)
    model = RationalModel(FLOAT32)
    pairs = list(zip(float32.bits(a).tolist(), float32.bits(b).tolist(), strict=True))
    assert_same(float32.add(a, b), [model.add(*pair) for pair in pairs], a, b)
    assert_same(float32.multiply(a, b), [model.multiply(*pair) for pair in pairs], a, b)


def test_add_and_multiply_are_numpy_where_nothing_is_tiny(rng):
    a, b = random_floats(rng, 100_000, 30), random_floats(rng, 100_000, 30)
    assert_same(a + b, float32.bits(float32.add(a, b)), a, b)
    assert_same(a * b, float32.bits(float32.multiply(a, b)), a, b)


def test_tiny_is_decided_before_rounding():
    below_one = np.nextafter(np.float32(1), np.float32(0))
    least = np.float32(2.0**-126)
    # Rounding would make 2**-126 of the first one.
    assert float32.bits(float32.multiply(least, below_one)) == 0
    assert float32.bits(float32.multiply(-least, below_one)) == 0x8000_0000
    assert float32.bits(float32.add(-least * 1.5, least)) == 0x8000_0000
    assert float32.bits(float32.add(least, np.float32(1e-40))) == float32.bits(least)


def test_key_sorts(rng):
    x = np.concatenate([CORNERS, random_floats(rng, 1000)])
    x = float32.flush(x[~np.isnan(x)])
    a, b = x[:, None], x[None, :]
    assert np.array_equal(float32.key(a) < float32.key(b), a < b)
    assert np.array_equal(float32.key(a) == float32.key(b), a == b)
    assert (float32.key(float32.NAN) > float32.key(x)).all()


def test_maximum_and_minimum_treat_nan_and_zero():
    assert_same(
        float32.maximum([1, np.nan, -0.0, -0.0], [np.nan, np.inf, -0.0, -1]), [0x7FC00000] * 2 + [0, 0]
    )
    assert_same(float32.minimum([1, np.nan, -0.0, -0.0], [np.nan, -np.inf, 0, 1]), [0x7FC00000] * 2 + [0, 0])


def test_comparisons_are_false_for_nan():
    for compare in (float32.compare_lt, float32.compare_le, float32.compare_eq):
        assert not compare([1, np.nan, np.nan], [np.nan, 1, np.nan]).any()
    assert float32.compare_eq(-0.0, 1e-40) == 1
    assert float32.compare_le(0.0, -0.0) == 1
    assert float32.compare_lt(-0.0, 0.0) == 0


def rounded(i):
    """Return an integer rounded to 24 significant bits, ties to even, in Python integers."""
    drop = max(abs(i).bit_length() - 24, 0)
    quotient, rest = divmod(abs(i), 1 << drop)
    half = (1 << drop) // 2
    quotient += drop > 0 and (rest > half or (rest == half and quotient % 2 == 1))
    return math.copysign(quotient << drop, i)


def test_from_int_rounds_once(rng):
    i = rng.integers(-(2**63), 2**63, 5000) >> rng.integers(0, 63, 5000)
    # Numbers that float64 would first round to a tie.
    ties = [(1 << top) + (odd << top - 23) + (1 << top - 24) for top in range(55, 63) for odd in (0, 1)]
    traps = [tie + off for tie in ties for off in (-1, 0, 1)]
    i = np.concatenate([i, np.array([*traps, 2**63 - 1, -(2**63), 2**53 + 1, 0])])
    assert_same(np.array([rounded(int(v)) for v in i]), float32.bits(float32.from_int(i)), i)


def test_to_int_rounds_to_even_and_saturates():
    x = [0.5, 1.5, 2.5, -0.5, -1.5, 126.5, 127.5, -127.5, 3e9, -np.inf, np.nan, 1e-40]
    assert float32.to_int(x, -127, 127).tolist() == [0, 2, 2, 0, -2, 126, 127, -127, 127, -127, 0, 0]
    assert float32.to_int([3e9, -3e9], -(2**31), 2**31 - 1).tolist() == [2**31 - 1, -(2**31)]


def test_sum64_keeps_its_order(rng):
    for count in (1, 63, 64, 65, 200):
        x = random_floats(rng, 3 * count, 20).reshape(3, count)
        for row, total in zip(x, float32.sum64(x), strict=True):
            partial = [np.float32(0)] * 64
            for index, element in enumerate(row):
                partial[index % 64] = float32.add(partial[index % 64], element)
            for half in (32, 16, 8, 4, 2, 1):
                partial = [float32.add(partial[j], partial[j + half]) for j in range(half)]
            assert float32.bits(total) == float32.bits(partial[0])


def test_fixed_sum_is_exact_in_any_order(rng):
    x = np.abs(random_floats(rng, 400, 42))
    x = x[x < 4]
    total = sum(int(float(element) * 2**40) for element in x)
    expected = np.float32(rounded(total) * 2.0**-40)
    for order in (x, x[::-1], rng.permutation(x)):
        assert float32.bits(float32.fixed_sum(order)) == float32.bits(expected)


def test_fixed_sum_of_what_does_not_fit():
    rows = [[1, 4], [1, -0.5], [1, np.nan], [1, np.inf], [-0.0, -1e-40]]
    assert_same(float32.fixed_sum(rows), [0x7FC00000] * 4 + [0])


def test_argmax_takes_the_first():
    rows = [[1, 3, 3], [-0.0, 0.0, -1], [np.inf, np.nan, np.nan], [-np.inf, -np.inf, -np.inf]]
    assert float32.argmax(rows).tolist() == [1, 0, 1, 0]
