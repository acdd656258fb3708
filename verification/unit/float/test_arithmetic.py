# SPDX-License-Identifier: Apache-2.0
"""Addition and multiplication against the numpy model, and every case of tiny formats against rational arithmetic."""

import itertools

import pytest

from tepin.float.add import FloatAdd
from tepin.float.format import FloatFormat
from tepin.float.multiply import FloatMultiply
from tepin_reference import float32
from verification.unit.float.helpers import assert_same, operand_pairs, pack, run_pipeline
from verification.unit.float.rational import RationalModel


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


@pytest.mark.parametrize(
    "widths",
    [(2, 2), (3, 3), pytest.param((4, 3), marks=pytest.mark.slow)],
    ids=["2-2", "3-3", "4-3"],
)
@pytest.mark.parametrize(("component", "operation"), [(FloatAdd, "add"), (FloatMultiply, "multiply")])
def test_every_pair_of_a_tiny_format(component, operation, widths):
    format = FloatFormat(*widths)
    pairs = list(itertools.product(range(2**format.width), repeat=2))
    model = RationalModel(format)
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
