# SPDX-License-Identifier: Apache-2.0
"""The numpy model of a vector command against plain float64, its special values, its addressing and its errors."""

from dataclasses import replace

import numpy as np
import pytest

from tepin.isa import DataType, Function, Reduction
from tepin_reference import float32
from tepin_reference.random import threefry, uniform
from tepin_reference.vector import OperandError, execute
from verification.testbenches.vector.commands import Command, fill, scalar, strided, vector
from verification.testbenches.vector.kernels import KERNELS

SIZE = 4096
A, B, C, D, RESULT = 0, 800, 1600, 2400, 4000
N = 150


def run(command, memory):
    memory = memory.copy()
    execute(command.flags, command.fields, memory)
    return memory


def floats(memory, address, count):
    return memory[address : address + 4 * count].view("<f4")


def memory_with(**operands):
    memory = np.zeros(SIZE, np.uint8)
    for name, values in operands.items():
        encoded = np.ascontiguousarray(values).view(np.uint8).ravel()
        address = {"a": A, "b": B, "c": C}[name]
        memory[address : address + encoded.size] = encoded
    return memory


MATHEMATICS = {
    Function.COPY: lambda a, b, c: a,
    Function.ADD: lambda a, b, c: a + b,
    Function.MUL: lambda a, b, c: a * b,
    Function.MADD: lambda a, b, c: a * b + c,
    Function.MAX: lambda a, b, c: np.maximum(a, b),
    Function.MIN: lambda a, b, c: np.minimum(a, b),
    Function.LT: lambda a, b, c: a < b,
    Function.LE: lambda a, b, c: a <= b,
    Function.EQ: lambda a, b, c: a == b,
    Function.SELECT: lambda a, b, c: np.where(a != 0, b, c),
    Function.FLOOR: lambda a, b, c: np.floor(a),
    Function.EXPM: lambda a, b, c: 2.0 ** (a / np.log(2) - b),
    Function.LN: lambda a, b, c: np.log(a),
    Function.LOG1P: lambda a, b, c: np.log1p(a),
    Function.RECIPROCAL: lambda a, b, c: 1 / a,
    Function.RSQRT: lambda a, b, c: 1 / np.sqrt(a),
}


@pytest.mark.parametrize("function", MATHEMATICS)
def test_function_is_close_to_float64(function, rng):
    """Within two roundings, or two units in the last place for the special functions."""
    a, b, c = (rng.uniform(0.1, 8, N).astype("<f4") for _ in range(3))
    a[::7], b[::14] = 0.5, 0.5
    if function == Function.EXPM:
        b = np.ceil(b)
    if function == Function.SELECT:
        a[::3] = 0
    command = Command(function, a=vector(A), b=vector(B), c=vector(C), d=vector(D), n=N)
    found = floats(run(command, memory_with(a=a, b=b, c=c)), D, N)
    expected = MATHEMATICS[function](*(x.astype(np.float64) for x in (a, b, c)))
    np.testing.assert_allclose(found, expected, rtol=2.4e-7, atol=1e-12)


def test_every_function_has_a_model():
    assert set(MATHEMATICS) | {Function.RANDOM} == set(Function)


@pytest.mark.parametrize(
    "reduction, mathematics",
    [
        (Reduction.SUM, np.sum),
        (Reduction.FIXED_SUM, np.sum),
        (Reduction.MAX, np.max),
        (Reduction.ABSMAX, lambda x: np.max(np.abs(x))),
    ],
)
@pytest.mark.parametrize("n", [1, 31, 64, 65, N])
def test_reduction_is_close_to_float64(reduction, mathematics, n, rng):
    a = rng.uniform(0 if reduction == Reduction.FIXED_SUM else -2, 2, (5, n)).astype("<f4")
    memory = np.zeros(SIZE, np.uint8)
    memory[: a.nbytes] = a.view(np.uint8).ravel()
    command = Command(a=vector(A), n=n, rows=5, reduction=reduction, result=RESULT)
    found = floats(run(command, memory), RESULT, 5)
    expected = [mathematics(row) for row in a.astype(np.float64)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_argmax_takes_the_first_and_stores_index_and_value():
    a = np.array([[1, 5, 5, -7], [-0.0, 0.0, -1, -2], [3, np.nan, np.inf, np.nan]], "<f4")
    command = Command(a=vector(A), n=4, rows=3, reduction=Reduction.ARGMAX, result=RESULT)
    words = run(command, memory_with(a=a))[RESULT : RESULT + 24].view("<u4").reshape(3, 2)
    assert words.tolist() == [[1, 0x40A00000], [0, 0x00000000], [1, 0x7FC00000]]


def test_sum_order_is_that_of_64_partials():
    """2**24 + 1 loses the 1 if it is added directly, but not if they are in different partial sums until late."""
    a = np.zeros(66, "<f4")
    a[0], a[64], a[1] = 2**24, 1, 1
    command = Command(a=vector(A), n=66, reduction=Reduction.SUM, result=RESULT)
    assert floats(run(command, memory_with(a=a)), RESULT, 1)[0] == 2**24
    a[64], a[33] = 0, 1  # Partials 1 and 33 meet first: 1 + 1 reaches partial 0 as 2.
    assert floats(run(command, memory_with(a=a)), RESULT, 1)[0] == 2**24 + 2


def test_copy_cleans_subnormals_and_nans():
    a = np.array([0x00000001, 0x807FFFFF, 0x00800000, 0x7F800001, 0xFFC00000, 0xFF800000], "<u4")
    memory = run(Command(a=vector(A), d=vector(D), n=6), memory_with(a=a))
    expected = [0x00000000, 0x80000000, 0x00800000, 0x7FC00000, 0x7FC00000, 0xFF800000]
    assert memory[D : D + 24].view("<u4").tolist() == expected


def test_absent_operand_is_zero_and_modifiers_apply():
    a = np.array([-3.0, 2.0], "<f4")
    memory = run(Command(Function.ADD, a=-abs(vector(A)), d=vector(D), n=2), memory_with(a=a))
    assert floats(memory, D, 2).tolist() == [-3, -2]
    memory = run(Command(d=vector(D), n=2), fill(np.random.default_rng(0), SIZE, "bits"))
    assert memory[D : D + 8].tolist() == [0] * 8


@pytest.mark.parametrize(
    "type, dtype, limit",
    [(DataType.INT16, "<i2", 32639), (DataType.INT8, "i1", 127), (DataType.INT32, "<i4", None)],
)
def test_integers(type, dtype, limit):
    """Rounded to even and saturated when written; the same numbers when read."""
    a = np.array([0.5, 1.5, -2.5, 1e10, -1e10, np.nan], "<f4")
    memory = run(Command(a=vector(A), d=vector(D).as_type(type), n=6), memory_with(a=a))
    low, high = (-(2**31), 2**31 - 1) if limit is None else (-limit, limit)
    stored = memory[D : D + 6 * np.dtype(dtype).itemsize].view(dtype)
    assert stored.tolist() == [0, 2, -2, high, low, 0]
    memory = run(Command(a=vector(D).as_type(type), d=vector(B), n=6), memory)
    assert floats(memory, B, 6).tolist() == [np.float32(value) for value in stored.tolist()]


def test_strides_and_broadcast():
    """A transposed copy with a row and a column broadcast."""
    a = np.arange(12, dtype="<f4").reshape(3, 4)
    b = np.array([10, 20, 30], "<f4")
    command = Command(Function.ADD, a=strided(A, 16, 4), b=vector(B), d=strided(D + 8, -4, 12), n=3, rows=4)
    command = replace(command, b=strided(B, 4, 0))
    found = floats(run(command, memory_with(a=a, b=b)), D, 12).reshape(4, 3)
    assert np.array_equal(found, (a.T + b)[:, ::-1])


@pytest.mark.parametrize(
    "change, address",
    [
        ({"a": vector(2)}, 2),
        ({"b": strided(B, 6)}, B),
        ({"c": vector(SIZE - 4)}, SIZE - 4),
        ({"d": vector(D + 1).as_type(DataType.INT16)}, D + 1),
        ({"reduction": Reduction.MAX, "result": 4002}, 4002),
        ({"reduction": Reduction.ARGMAX, "result": 4092}, 4092),
    ],
)
def test_wrong_operand(change, address):
    command = replace(
        Command(Function.MADD, a=vector(A), b=vector(B), c=vector(C), d=vector(D), n=5), **change
    )
    memory = np.zeros(SIZE, np.uint8)
    with pytest.raises(OperandError) as caught:
        execute(command.flags, command.fields, memory)
    assert caught.value.address == address
    assert not memory.any()


@pytest.mark.parametrize("empty", [{"n": 0}, {"rows": 0}])
def test_nothing_to_do(empty):
    command = replace(Command(a=vector(2), d=vector(D), n=3, rows=2), **empty)
    assert not run(command, np.zeros(SIZE, np.uint8)).any()


@pytest.mark.parametrize(
    "word, expected",
    [
        ((0, 0, 0, 0), (0x9D1C5EC6, 0x8BD50731)),
        ((0xFFFFFFFF,) * 4, (0xFD36D048, 0x2D17272C)),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xBA3E4725, 0xF27D669E)),
    ],
)
def test_threefry_known_answers(word, expected):
    """Counter and key, and the answer, as published with the Random123 library for threefry2x32 with 13 rounds."""
    assert threefry(word[2:], word[:2]) == expected


def test_uniform_numbers():
    """Never 0 or 1, evenly spread, and the same for element i whatever row it is computed in."""
    u = uniform(np.uint32(1), np.uint32(2), np.arange(100_000, dtype=np.uint32)).astype(np.float64)
    assert u.min() > 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 0.004 and abs(u.var() - 1 / 12) < 0.002
    seed, position, start = (np.uint32(value) for value in (7, 8, 40))
    memory = memory_with(a=start, b=seed, c=position)
    command = Command(Function.RANDOM, a=scalar(A), b=scalar(B), c=scalar(C), d=vector(D), n=9)
    expected = uniform(seed, position, np.arange(40, 49, dtype=np.uint32))
    assert np.array_equal(floats(run(command, memory), D, 9), expected)


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_is_close_to_float64(name, rng):
    kernel = KERNELS[name](rng)
    memory = kernel.scratchpad(SIZE)
    for command in kernel.commands:
        memory = run(command, memory)
    kernel.check(memory)


def test_fixed_sum_does_not_depend_on_order(rng):
    a = rng.uniform(0, 2, N).astype("<f4")
    command = Command(a=vector(A), n=N, reduction=Reduction.FIXED_SUM, result=RESULT)
    sums = {run(command, memory_with(a=rng.permutation(a)))[RESULT : RESULT + 4].tobytes() for _ in range(5)}
    assert len(sums) == 1
    a[17] = -1
    assert float32.bits(floats(run(command, memory_with(a=a)), RESULT, 1))[0] == 0x7FC00000
