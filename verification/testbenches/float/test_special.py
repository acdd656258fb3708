# SPDX-License-Identifier: Apache-2.0
"""The special functions in Verilog against the numpy model, in every bit, and so its error bounds hold for the hardware."""

import numpy as np
import pytest

from tepin.float.special import SpecialFunction, SpecialOperation
from tepin_reference import float32
from tepin_testbench.pipeline import CompiledPipeline
from verification.unit.float.helpers import assert_same
from verification.unit.float.test_special import MODELS, operands_of


@pytest.fixture(scope="module")
def pipeline():
    return CompiledPipeline(SpecialFunction(architecture="ecp5-model"))


@pytest.mark.parametrize("operation", list(SpecialOperation), ids=lambda operation: operation.name)
@pytest.mark.parametrize("count", [2000, pytest.param(500_000, marks=pytest.mark.slow)])
def test_same_as_model(pipeline, operation, count, rng):
    """At least twice `count` operands of all kinds."""
    a, b = operands_of(operation, rng, count)
    with np.errstate(all="ignore"):
        expected = MODELS[operation](a, b)
    operands = [float32.bits(a), float32.bits(b), np.full(len(a), operation.value, np.uint32)]
    assert len(a) >= 2 * count
    assert_same(expected, pipeline.run(np.stack(operands, axis=1))[:, 0], a, b)
    print(f"{operation.name}: {len(a):,} operands")
