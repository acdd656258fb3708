# SPDX-License-Identifier: Apache-2.0
"""Layers of a language model as programs of vector commands, each beside its mathematics in float64.

Every kernel is a function of a random generator that returns a `Kernel`. It lives in a scratchpad of 4096 bytes: four places
for vectors, some for a word per row, and constants at the end.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tepin.isa import DataType, Function, Reduction
from tepin_reference import kernels
from tepin_reference.random import uniform
from verification.testbenches.vector.commands import Command, scalar, strided, vector

__all__ = ["KERNELS", "Kernel"]

X, Y, Z, T = 0, 1024, 2048, 3072
"""Places of vectors."""
ROWS, SUMS, MORE = 3584, 3648, 3712
"""Places of a word per row."""
CONSTANTS = 3840


@dataclass
class Kernel:
    """A program, what is in the scratchpad before it, and what shall be there after it.

    `tolerance` bounds the error relative to the largest magnitude of the expected output.
    """

    commands: list
    expected: np.ndarray
    output: int
    tolerance: float
    inputs: dict = field(default_factory=dict)
    dtype: str = "<f4"

    def scratchpad(self, size):
        """The scratchpad before the program."""
        memory = np.zeros(size, np.uint8)
        for address, values in self.inputs.items():
            encoded = np.ascontiguousarray(values).view(np.uint8).ravel()
            memory[address : address + encoded.size] = encoded
        return memory

    def check(self, scratchpad):
        """Compare the output with the mathematics."""
        size = self.expected.size * np.dtype(self.dtype).itemsize
        found = scratchpad[self.output : self.output + size].view(self.dtype).reshape(self.expected.shape)
        error = np.abs(found.astype(np.float64) - self.expected).max()
        bound = self.tolerance * np.abs(self.expected).max()
        assert error <= bound, f"error {error} above {bound}"


def _constants(*values):
    """Addresses of constants, and the input that puts them there."""
    addresses = [CONSTANTS + 4 * index for index in range(len(values))]
    return addresses, {CONSTANTS: np.array(values, "<f4")}


def softmax(rng, n=53, rows=4):
    """M = floor(max(x) * log2(e)) + 1; e = 2**(x * log2(e) - M); p = e / sum(e)."""
    x = (4 * rng.standard_normal((rows, n))).astype("<f4")
    (log2e, one), constants = _constants(np.log2(np.e), 1.0)
    per_row = {"n": n, "rows": rows}
    m = vector(ROWS)
    shift = strided(ROWS, 0, 4)
    commands = [
        Command(Function.COPY, a=vector(X), **per_row, reduction=Reduction.MAX, result=ROWS),
        Command(Function.MUL, a=m, b=scalar(log2e), d=m, n=rows),
        Command(Function.FLOOR, a=m, d=m, n=rows),
        Command(Function.ADD, a=m, b=scalar(one), d=m, n=rows),
        Command(
            Function.EXPM,
            a=vector(X),
            b=shift,
            d=vector(Y),
            **per_row,
            reduction=Reduction.FIXED_SUM,
            result=SUMS,
        ),
        Command(Function.RECIPROCAL, a=vector(SUMS), d=vector(SUMS), n=rows),
        Command(Function.MUL, a=vector(Y), b=strided(SUMS, 0, 4), d=vector(Z), **per_row),
    ]
    return Kernel(commands, kernels.softmax(x), Z, 1e-6, {X: x, **constants})


def rms_norm(rng, n=96):
    """x / sqrt(mean(x**2) + epsilon) * gain."""
    x, gain = (rng.standard_normal(n).astype("<f4") for _ in range(2))
    (share, epsilon), constants = _constants(1 / n, 1e-5)
    s = scalar(SUMS)
    commands = [
        Command(Function.MUL, a=vector(X), b=vector(X), n=n, reduction=Reduction.SUM, result=SUMS),
        Command(Function.MADD, a=s, b=scalar(share), c=scalar(epsilon), d=s),
        Command(Function.RSQRT, a=s, d=s),
        Command(Function.MUL, a=vector(X), b=s, d=vector(Z), n=n),
        Command(Function.MUL, a=vector(Z), b=vector(Y), d=vector(Z), n=n),
    ]
    expected = x / np.sqrt(np.mean(x.astype(np.float64) ** 2) + 1e-5) * gain
    return Kernel(commands, expected, Z, 1e-6, {X: x, Y: gain, **constants})


def layer_norm(rng, n=70):
    """(x - mean) / sqrt(variance + epsilon) * gain + bias."""
    x, gain, bias = (rng.standard_normal(n).astype("<f4") for _ in range(3))
    (share, epsilon), constants = _constants(1 / n, 1e-5)
    mean, scale = scalar(SUMS), scalar(MORE)
    commands = [
        Command(Function.COPY, a=vector(X), n=n, reduction=Reduction.SUM, result=SUMS),
        Command(Function.MUL, a=mean, b=scalar(share), d=mean),
        Command(Function.ADD, a=vector(X), b=-mean, d=vector(X), n=n),
        Command(Function.MUL, a=vector(X), b=vector(X), n=n, reduction=Reduction.SUM, result=MORE),
        Command(Function.MADD, a=scale, b=scalar(share), c=scalar(epsilon), d=scale),
        Command(Function.RSQRT, a=scale, d=scale),
        Command(Function.MUL, a=vector(X), b=scale, d=vector(X), n=n),
        Command(Function.MADD, a=vector(X), b=vector(Y), c=vector(Z), d=vector(T), n=n),
    ]
    centred = x - x.astype(np.float64).mean()
    expected = centred / np.sqrt(np.mean(centred**2) + 1e-5) * gain + bias
    return Kernel(commands, expected, T, 1e-6, {X: x, Y: gain, Z: bias, **constants})


def silu(rng, n=77):
    """x / (1 + exp(-x)); an absent b of EXPM makes it the exponential."""
    x = (5 * rng.standard_normal(n)).astype("<f4")
    (one,), constants = _constants(1.0)
    commands = [
        Command(Function.EXPM, a=-vector(X), d=vector(Y), n=n),
        Command(Function.ADD, a=vector(Y), b=scalar(one), d=vector(Y), n=n),
        Command(Function.RECIPROCAL, a=vector(Y), d=vector(Y), n=n),
        Command(Function.MUL, a=vector(X), b=vector(Y), d=vector(Z), n=n),
    ]
    return Kernel(commands, x / (1 + np.exp(-x.astype(np.float64))), Z, 1e-6, {X: x, **constants})


def gelu(rng, n=61):
    """The tanh form, as x / (1 + exp(-2u)) with u = sqrt(2 / pi) * (x + 0.044715 x**3)."""
    x = (2 * rng.standard_normal(n)).astype("<f4")
    factor = 2 * np.sqrt(2 / np.pi)
    (cubic, linear, one), constants = _constants(0.044715 * factor, factor, 1.0)
    y = vector(Y)
    commands = [
        Command(Function.MUL, a=vector(X), b=vector(X), d=y, n=n),
        Command(Function.MADD, a=y, b=scalar(cubic), c=scalar(linear), d=y, n=n),
        Command(Function.MUL, a=y, b=vector(X), d=y, n=n),
        Command(Function.EXPM, a=-y, d=y, n=n),
        Command(Function.ADD, a=y, b=scalar(one), d=y, n=n),
        Command(Function.RECIPROCAL, a=y, d=y, n=n),
        Command(Function.MUL, a=vector(X), b=y, d=vector(Z), n=n),
    ]
    wide = x.astype(np.float64)
    expected = wide / (1 + np.exp(-factor * (wide + 0.044715 * wide**3)))
    return Kernel(commands, expected, Z, 2e-6, {X: x, **constants})


def rope(rng, pairs=16, heads=3):
    """Rotate neighbouring elements (even, odd) of every head by the angles of its position; strides pick the pairs."""
    x = rng.standard_normal((heads, 2 * pairs)).astype("<f4")
    angle = 7 * 10000.0 ** (-np.arange(pairs) / pairs)
    cosine, sine = np.cos(angle).astype("<f4"), np.sin(angle).astype("<f4")
    row = 8 * pairs
    even, odd = strided(X, 8, row), strided(X + 4, 8, row)
    cos, sin = strided(T, 4, 0), strided(T + 4 * pairs, 4, 0)
    shape = {"n": pairs, "rows": heads}
    commands = [
        Command(Function.MUL, a=odd, b=sin, d=vector(Y), **shape),
        Command(Function.MADD, a=even, b=cos, c=-vector(Y), d=strided(Z, 8, row), **shape),
        Command(Function.MUL, a=odd, b=cos, d=vector(Y), **shape),
        Command(Function.MADD, a=even, b=sin, c=vector(Y), d=strided(Z + 4, 8, row), **shape),
    ]
    turned = (x[:, ::2] + 1j * x[:, 1::2]) * np.exp(1j * angle)
    expected = np.stack([turned.real, turned.imag], axis=-1).reshape(heads, 2 * pairs)
    return Kernel(commands, expected, Z, 1e-6, {X: x, T: np.concatenate([cosine, sine])})


def quantise(rng, n=59, rows=3, bits=16):
    """q = round(x * limit / max(abs(x))) per row, as int16 or int8."""
    x = rng.standard_normal((rows, n)).astype("<f4")
    limit, type, dtype = {16: (32639, DataType.INT16, "<i2"), 8: (127, DataType.INT8, "i1")}[bits]
    (full,), constants = _constants(limit)
    scales = vector(ROWS)
    output = Y + bits // 8  # Unaligned to a word.
    commands = [
        Command(Function.COPY, a=vector(X), n=n, rows=rows, reduction=Reduction.ABSMAX, result=ROWS),
        Command(Function.RECIPROCAL, a=scales, d=scales, n=rows),
        Command(Function.MUL, a=scales, b=scalar(full), d=scales, n=rows),
        Command(
            Function.MUL,
            a=vector(X),
            b=strided(ROWS, 0, 4),
            d=vector(output).as_type(type),
            n=n,
            rows=rows,
        ),
    ]
    wide = x.astype(np.float64)
    expected = wide * (limit / np.abs(wide).max(axis=1, keepdims=True))
    return Kernel(commands, expected, output, 0.51 / limit, {X: x, **constants}, dtype)


def dequantise(rng, n=45):
    """y = q * scale from int16."""
    q = rng.integers(-32639, 32640, n).astype("<i2")
    (scale,), constants = _constants(0.01)
    commands = [
        Command(Function.MUL, a=vector(X + 2).as_type(DataType.INT16), b=scalar(scale), d=vector(Y), n=n)
    ]
    return Kernel(commands, q * 0.01, Y, 1e-7, {X + 2: q, **constants})


def gumbel(rng, n=90):
    """Sampling: argmax of logits - ln(-ln(u)) with u from the counter-based generator."""
    x = rng.standard_normal(n).astype("<f4")
    key = rng.integers(1 << 32, size=2, dtype="<u4")
    y = vector(Y)
    commands = [
        Command(Function.RANDOM, a=scalar(MORE), b=scalar(T), c=scalar(T + 4), d=y, n=n),
        Command(Function.LN, a=y, d=y, n=n),
        Command(Function.LN, a=-y, d=y, n=n),
        Command(Function.ADD, a=vector(X), b=-y, d=vector(Z), n=n, reduction=Reduction.ARGMAX, result=SUMS),
    ]
    u = uniform(key[0], key[1], np.arange(n, dtype=np.uint32)).astype(np.float64)
    return Kernel(commands, x - np.log(-np.log(u)), Z, 1e-6, {X: x, T: key})


KERNELS: dict[str, Callable] = {
    function.__name__: function
    for function in (softmax, rms_norm, layer_norm, silu, gelu, rope, quantise, dequantise, gumbel)
} | {"quantise_int8": lambda rng: quantise(rng, bits=8)}
"""Kernels by name."""
