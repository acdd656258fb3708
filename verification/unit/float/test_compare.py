# SPDX-License-Identifier: Apache-2.0
"""Comparison and rounding down against the numpy model."""

import numpy as np
import pytest

from tepin.float.compare import CompareOperation, FloatCompare, FloatFloor
from tepin_reference import float32
from verification.unit.float.helpers import (
    CORNERS,
    assert_same,
    operand_pairs,
    pack,
    random_floats,
    run_pipeline,
)

MODELS = {
    CompareOperation.MAX: float32.maximum,
    CompareOperation.MIN: float32.minimum,
    CompareOperation.LT: float32.compare_lt,
    CompareOperation.LE: float32.compare_le,
    CompareOperation.EQ: float32.compare_eq,
}


@pytest.mark.parametrize("operation", list(CompareOperation), ids=lambda operation: operation.name)
def test_compare(operation, rng):
    a, b = operand_pairs(rng, 200)
    # Equal operands and neighbours, which chance does not bring.
    b[-100:] = a[-100:]
    b[-50:] = np.nextafter(a[-50:], np.float32(0))
    operands = pack((float32.bits(a), 32), (float32.bits(b), 32), ([operation.value] * len(a), 3))
    assert_same(MODELS[operation](a, b), run_pipeline(FloatCompare(), operands), a, b)


def test_floor(rng):
    halves = np.arange(-40, 41, dtype=np.float32) / 2
    near = np.concatenate([np.nextafter(halves, np.float32(y)) for y in (-np.inf, np.inf)])
    powers = np.float32([s * (2.0**e - d) for s in (1, -1) for e in range(25) for d in (0, 0.25, 0.5)])
    x = np.concatenate([CORNERS, halves, near, powers, random_floats(rng, 1500, 26), random_floats(rng, 300)])
    assert_same(float32.floor(x), run_pipeline(FloatFloor(), float32.bits(x)), x)
