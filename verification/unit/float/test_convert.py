# SPDX-License-Identifier: Apache-2.0
"""Conversions between float32, integers and fixed point against the numpy model."""

import numpy as np
import pytest

from tepin.float.convert import FloatToFixed40, FloatToInt, IntFormat, IntToFloat
from tepin_reference import float32
from verification.unit.float.helpers import (
    CORNERS,
    assert_same,
    pack,
    random_floats,
    run_pipeline,
)


@pytest.mark.parametrize(("width", "fraction_width"), [(2, 0), (17, 0), (25, 0), (33, 0), (41, 0), (64, 40)])
def test_int_to_float(width, fraction_width, rng):
    edge = 1 << (width - 1)
    i = [0, 1, -1, edge - 1, -edge, -edge + 1]
    for bit in range(width - 1):
        i += [1 << bit, (1 << bit) - 1, -(1 << bit)]
        # Ties, with the bit above them clear and set, and just off them.
        i += [
            (1 << bit) + (odd << bit >> 23) + (1 << bit >> 24) + off for odd in (0, 1) for off in (-1, 0, 1)
        ]
    i += [
        int(v) >> int(k)
        for v, k in zip(rng.integers(-(2**63), 2**63, 2000), rng.integers(0, 64, 2000), strict=True)
    ]
    i = np.array([v for v in i if -edge <= v < edge], dtype=np.int64)
    expected = float32.from_int(i) * np.float32(2.0**-fraction_width)
    assert_same(expected, run_pipeline(IntToFloat(width, fraction_width=fraction_width), i), i)


@pytest.mark.parametrize("format", list(IntFormat), ids=lambda format: format.name)
def test_float_to_int(format, rng):
    low, high = format.limits
    halves = np.arange(-40, 41, dtype=np.float32) / 2
    limits = np.array(
        [low - 1, low - 0.5, low, low + 0.5, high - 0.5, high, high + 0.5, high + 1], dtype=np.float32
    )
    near = np.concatenate(
        [np.nextafter(x, np.float32(y)) for x in (halves, limits) for y in (-np.inf, np.inf)]
    )
    x = np.concatenate([CORNERS, halves, limits, near, random_floats(rng, 1000, 35), random_floats(rng, 500)])
    operands = pack((float32.bits(x), 32), ([format.value] * len(x), 2))
    assert run_pipeline(FloatToInt(), operands) == float32.to_int(x, low, high).tolist()


def test_float_to_int_changes_format_in_flight(rng):
    x = random_floats(rng, 600, 35)
    formats = [list(IntFormat)[k] for k in rng.integers(0, 3, len(x))]
    operands = pack((float32.bits(x), 32), ([format.value for format in formats], 2))
    expected = [int(float32.to_int(v, *format.limits)) for v, format in zip(x, formats, strict=True)]
    assert run_pipeline(FloatToInt(), operands) == expected


def test_float_to_fixed40(rng):
    small = np.abs(random_floats(rng, 1500, 42))
    limits = np.float32([1, 2, 4, np.nextafter(np.float32(4), np.float32(0)), 2**-40, 2**-41, 1.5 * 2**-40])
    x = np.concatenate([CORNERS, limits, small, random_floats(rng, 300)])
    results = run_pipeline(FloatToFixed40(), float32.bits(x))
    value, invalid = float32.to_fixed(x)
    assert [bool(result >> 42) for result in results] == invalid.tolist()
    valid = ~invalid
    assert np.array(results)[valid].tolist() == value[valid].tolist()


def test_init_wrong_width():
    with pytest.raises(ValueError, match="^Width must be 2 to 64, not 65$"):
        IntToFloat(65)
    with pytest.raises(ValueError, match="^Fraction width must be 0 to 64, not -1$"):
        IntToFloat(8, fraction_width=-1)
