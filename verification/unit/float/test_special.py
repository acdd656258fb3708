# SPDX-License-Identifier: Apache-2.0
"""The special functions: numpy model against float64 mathematics, RTL against the numpy model."""

import numpy as np
import pytest

from tepin.float import tables
from tepin.float.special import SpecialFunction, SpecialOperation
from tepin_reference import float32, special
from verification.unit.float.helpers import CORNERS, assert_same, pack, random_floats, run_pipeline

# All results are within 1 ulp; the contract is 2.
BOUND = 1.0

MODELS = {
    SpecialOperation.EXPM: special.exp_minus,
    SpecialOperation.LN: lambda a, b: special.ln(a),
    SpecialOperation.LOG1P: lambda a, b: special.log1p(a),
    SpecialOperation.RECIPROCAL: lambda a, b: special.reciprocal(a),
    SpecialOperation.RSQRT: lambda a, b: special.rsqrt(a),
}


def largest_error(result, exact):
    """Return the largest error in units in the last place that a float32 of the exact value's size has."""
    unit = np.exp2(np.floor(np.log2(np.maximum(np.abs(exact), 2.0**-126))) - 23)
    return np.max(np.abs(result.astype(np.float64) - exact) / unit)


def binade(exponent, sign, step, start=0, stop=2**23):
    """Return the floats of one exponent whose fractions are in range(start, stop, step)."""
    fractions = np.arange(start, stop, step, dtype=np.uint32)
    return float32.from_bits(fractions | np.uint32((exponent + 127) << 23 | sign << 31))


ACCURACY = {
    "exp": (special.exp, np.exp, [(-1, 0), (-1, 1), (0, 0), (2, 1), (5, 0), (-9, 1)]),
    "ln": (special.ln, np.log, [(-1, 0), (0, 0), (-2, 0), (1, 0), (20, 0), (-126, 0)]),
    "log1p": (
        special.log1p,
        np.log1p,
        [(-1, 0), (-1, 1), (-2, 0), (-2, 1), (-3, 1), (-9, 0), (0, 0), (12, 0), (24, 0), (-60, 1), (-126, 1)],
    ),
    "reciprocal": (special.reciprocal, np.reciprocal, [(0, 0), (125, 1), (-126, 0)]),
    "rsqrt": (special.rsqrt, lambda x: 1 / np.sqrt(x), [(0, 0), (1, 0), (-126, 0), (127, 0)]),
}


@pytest.mark.parametrize("name", ACCURACY)
@pytest.mark.parametrize("step", [37, pytest.param(1, marks=pytest.mark.slow)], ids=["sampled", "every"])
def test_accuracy(name, step):
    function, exact, binades = ACCURACY[name]
    worst = 0
    for exponent, sign in binades:
        # In blocks that a cache holds.
        for start in range(0, 2**23, step << 16):
            x = binade(exponent, sign, step, start, min(start + (step << 16), 2**23))
            worst = max(worst, largest_error(function(x), exact(x.astype(np.float64))))
    print(f"{name}: {worst:.3f} ulp")
    assert worst < BOUND


def test_accuracy_of_exp_minus(rng):
    a = (rng.uniform(-1, 1, 200_000) * 2.0 ** rng.uniform(-5, 15.99, 200_000)).astype(np.float32)
    # Extended precision, since float64 leaves of a * log2(e) too little behind the point.
    t = a.astype(np.longdouble) / np.log(np.longdouble(2))
    b = (np.floor(t) + rng.integers(-100, 120, len(t))).astype(np.float32)
    exact = np.exp2(t - b).astype(np.float64)
    worst = largest_error(special.exp_minus(a, b), exact)
    print(f"exp_minus: {worst:.3f} ulp")
    assert worst < BOUND


def test_exact_results():
    powers = np.exp2(np.arange(-126, 127)).astype(np.float32)
    assert_same(1 / powers, float32.bits(special.reciprocal(powers)), powers)
    fours = np.exp2(np.arange(-126, 127, 2)).astype(np.float32)
    assert_same(1 / np.sqrt(fours), float32.bits(special.rsqrt(fours)), fours)
    integers = np.arange(-126, 128, dtype=np.float32)
    assert_same(np.ldexp(1.0, integers.astype(int)), float32.bits(special.exp_minus(0, -integers)), integers)
    tiny = np.concatenate([powers[:90], -powers[:90]])
    assert_same(tiny, float32.bits(special.log1p(tiny)), tiny)


@pytest.mark.parametrize(
    ("function", "cases"),
    [
        (
            special.exp,
            [(0, 1), (-0.0, 1), (np.inf, np.inf), (-np.inf, 0), (np.nan, np.nan), (89, np.inf), (-88, 0)],
        ),
        (
            special.ln,
            [(0, -np.inf), (-0.0, -np.inf), (1, 0), (-1, np.nan), (np.inf, np.inf), (-np.inf, np.nan)],
        ),
        (special.ln, [(np.nan, np.nan), (1e-40, -np.inf), (-1e-40, -np.inf)]),
        (special.log1p, [(0, 0), (-0.0, -0.0), (-1, -np.inf), (-1.0000001, np.nan), (np.inf, np.inf)]),
        (special.log1p, [(-np.inf, np.nan), (np.nan, np.nan), (-1e-40, -0.0)]),
        (special.reciprocal, [(0, np.inf), (-0.0, -np.inf), (np.inf, 0), (-np.inf, -0.0), (np.nan, np.nan)]),
        (special.reciprocal, [(1e-40, np.inf), (1.0000001 * 2**126, 0), (-(2.0**127), -0.0)]),
        (
            special.rsqrt,
            [(0, np.inf), (-0.0, np.inf), (-1, np.nan), (np.inf, 0), (-np.inf, np.nan), (np.nan, np.nan)],
        ),
    ],
)
def test_special_cases(function, cases):
    operands, expected = np.array(cases, dtype=np.float32).T
    assert_same(float32.flush(expected), float32.bits(function(operands)), operands)


def test_special_cases_of_exp_minus():
    inf, nan = np.inf, np.nan
    cases = [
        *[(-inf, b, 0) for b in (-inf, -1e30, -1, 0, 5, inf)],
        *[(inf, b, inf) for b in (-inf, -1e30, 0, 1e30)],
        *[(nan, b, nan) for b in (-inf, 0, nan)],
        *[(a, nan, nan) for a in (-inf, 0, inf)],
        (inf, inf, nan),
        *[(a, inf, 0) for a in (-1e30, 0, 1e30)],
        *[(a, -inf, inf) for a in (-1e30, 0, 1e30)],
        (1e5, 0, inf),
        (-1e5, 0, 0),
        (0, -127, 2.0**127),
        (0, -128, inf),
        (0, 126, 2.0**-126),
        (0, 127, 0),
        (0, 2.75, 0.25),
    ]
    a, b, expected = np.array(cases, dtype=np.float64).T.astype(np.float32)
    assert_same(float32.flush(expected), float32.bits(special.exp_minus(a, b)), a, b)


def test_coefficients_fit_the_table():
    rows = tables.coefficients()
    assert len(rows) == 512
    for c0, c1, c2 in rows:
        assert 0 <= c0 < 1 << tables.C0_WIDTH
        assert -(1 << tables.C1_WIDTH - 1) <= c1 < 1 << tables.C1_WIDTH - 1
        assert 0 <= c2 < 1 << tables.C2_WIDTH
    # One is one: the results for powers of two depend on it.
    for address in (tables.RECIPROCAL, tables.ROOT_EVEN, tables.POWER, tables.LOGARITHM):
        assert rows[address][0] == 1 << tables.C0_FRACTION


def operands_of(operation, rng, count):
    """Return operands that reach every part of the datapath of `operation`."""
    any_exponent = random_floats(rng, count)
    near = random_floats(rng, count, 8)
    ends = binade(0, 0, 2**16)
    ends = np.concatenate([ends, np.nextafter(ends, np.float32(0)), 2 * ends, ends / 2, -ends / 2])
    a = np.concatenate([any_exponent, near, ends])
    if operation is SpecialOperation.EXPM:
        a = np.concatenate([a, random_floats(rng, count, 17)])
        with np.errstate(all="ignore"):
            b = np.floor(a.astype(np.float64) * np.log2(np.e)) + rng.integers(-140, 140, len(a))
            return a, b.astype(np.float32)
    if operation is SpecialOperation.LOG1P:
        a = np.concatenate([a, random_floats(rng, count, 26), -np.abs(random_floats(rng, count, 3))])
    return a, random_floats(rng, len(a))


@pytest.mark.parametrize("operation", list(SpecialOperation), ids=lambda operation: operation.name)
def test_same_as_model(operation, rng):
    a, b = operands_of(operation, rng, 500)
    corners = CORNERS if operation is SpecialOperation.EXPM else CORNERS[:1]
    a = np.concatenate([np.repeat(CORNERS, len(corners)), a])
    b = np.concatenate([np.tile(corners, len(CORNERS)), b])
    operands = pack((float32.bits(a), 32), (float32.bits(b), 32), ([operation.value] * len(a), 3))
    assert_same(MODELS[operation](a, b), run_pipeline(SpecialFunction(), operands), a, b)


def test_operations_do_not_disturb_each_other(rng):
    parts = [(operation, *operands_of(operation, rng, 60)) for operation in SpecialOperation]
    order = rng.permutation(sum(len(a) for _, a, _ in parts))
    operation = np.concatenate([[operation.value] * len(a) for operation, a, _ in parts])[order]
    a, b = (np.concatenate([part[k] for part in parts])[order] for k in (1, 2))
    expected = np.select(
        [operation == operation_of.value for operation_of in MODELS],
        [model(a, b) for model in MODELS.values()],
    )
    operands = pack((float32.bits(a), 32), (float32.bits(b), 32), (operation, 3))
    dut = SpecialFunction(architecture="ecp5-model")
    assert_same(expected.astype(np.float32), run_pipeline(dut, operands), operation, a, b)


@pytest.mark.parametrize(
    "operations",
    [["EXPM"], ["RECIPROCAL"], ["RSQRT"], ["RECIPROCAL", "RSQRT"], ["EXPM", "RECIPROCAL"], ["LN"]],
    ids="-".join,
)
def test_fewer_operations(operations, rng):
    """What is left out is not missed; nor is the DSP block that the corner of a product would take."""
    operations = [SpecialOperation[name] for name in operations]
    dut = SpecialFunction(operations=operations, corner=16, architecture="ecp5-model")
    assert dut.latency <= SpecialFunction().latency
    parts = [(operation, *operands_of(operation, rng, 150 // len(operations))) for operation in operations]
    a, b = (np.concatenate([np.concatenate([part[k], CORNERS]) for part in parts]) for k in (1, 2))
    # A single operation needs no number.
    number = [
        operation.value * (len(parts) > 1)
        for operation, one, _ in parts
        for _ in range(len(one) + len(CORNERS))
    ]
    with np.errstate(all="ignore"):
        expected = np.concatenate(
            [
                MODELS[operation](np.concatenate([one, CORNERS]), np.concatenate([other, CORNERS]))
                for operation, one, other in parts
            ]
        )
    operands = pack((float32.bits(a), 32), (float32.bits(b), 32), (number, 3))
    assert_same(expected, run_pipeline(dut, operands), a, b)


def test_init_wrong_operations():
    with pytest.raises(ValueError, match="^A SpecialFunction needs at least one operation$"):
        SpecialFunction(operations=[])
    with pytest.raises(ValueError, match="^Only EXPM has a multiplication that can be shared$"):
        SpecialFunction(operations=[SpecialOperation.LN], shared=True)


def test_init_wrong_architecture():
    with pytest.raises(ValueError, match="^Architecture must be"):
        SpecialFunction(architecture="asic")
