# SPDX-License-Identifier: Apache-2.0
"""Operands worth trying, and a way to send a batch of them through a pipeline."""

import itertools

import numpy as np
from amaranth.sim import Simulator

from tepin_reference import float32

# Zeros, subnormals, the ends of the normal range, numbers around one, ties of rounding, infinities and NaN.
_MAGNITUDES = [
    0x00000000,
    0x00000001,
    0x007FFFFF,
    0x00800000,
    0x00800001,
    0x00FFFFFF,
    0x01000000,
    0x20000000,
    0x33800000,
    0x34000000,
    0x3F000000,
    0x3F7FFFFF,
    0x3F800000,
    0x3F800001,
    0x3FC00000,
    0x40000000,
    0x40200000,
    0x42FE8000,
    0x46FEFE80,
    0x4AFFFFFE,
    0x4B000001,
    0x4B7FFFFF,
    0x4F000000,
    0x5F800000,
    0x7F000000,
    0x7F7FFFFF,
    0x7F800000,
    0x7F800001,
    0x7FC00000,
    0x7FFFFFFF,
]
CORNERS = float32.from_bits(
    np.array([m | sign << 31 for m in _MAGNITUDES for sign in (0, 1)], dtype=np.uint32)
)


def random_floats(rng, count, spread=None):
    """Return floats with random signs and fractions, of all exponents or of those within `spread` of 0."""
    encodings = rng.integers(0, 2**32, count, dtype=np.uint64).astype(np.uint32)
    if spread is not None:
        exponents = rng.integers(127 - spread, 128 + spread, count).astype(np.uint32)
        encodings = (encodings & 0x807FFFFF) | exponents << 23
    # Some short significands, for ties and exact results.
    short = rng.random(count) < 0.25
    encodings = np.where(short, encodings & np.uint32(0xFFFFF000), encodings)
    return float32.from_bits(encodings)


def operand_pairs(rng, count):
    """Return two arrays: all pairs of corners, then random pairs with far, near and nearly opposite operands."""
    corners = np.array(list(itertools.product(CORNERS, repeat=2)), dtype=np.float32)
    a = np.concatenate([random_floats(rng, count), random_floats(rng, 3 * count, 14)])
    b = np.concatenate([random_floats(rng, count), random_floats(rng, 2 * count, 14), -a[-count:]])
    b[-count:] = float32.from_bits(float32.bits(b[-count:]) ^ rng.integers(0, 2**16, count).astype(np.uint32))
    return np.concatenate([corners[:, 0], a]), np.concatenate([corners[:, 1], b])


def run_pipeline(dut, operands, i=None, o=None):
    """Send integers, one per cycle, into port `i` and return what leaves port `o`, `dut.latency` cycles later.

    Both ports are seen as plain numbers, signed if they are plain signed values. Idle cycles in front show that results
    depend on nothing but their own operands.
    """
    i = dut.i if i is None else i
    o = dut.o if o is None else o
    i = i.as_value() if hasattr(i, "as_value") else i
    o = o.as_value() if hasattr(o, "as_value") else o
    results = []

    async def feed(ctx):
        for index in range(len(operands) + dut.latency):
            if index < len(operands):
                ctx.set(i, int(operands[index]))
            await ctx.tick()
            if index >= dut.latency - 1:
                results.append(ctx.get(o))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(feed)
    simulator.run()
    return results[: len(operands)]


def pack(*fields):
    """Join arrays of (values, width), lowest first, into Python integers."""
    total = [0] * len(fields[0][0])
    place = 0
    for values, width in fields:
        mask = (1 << width) - 1
        total = [t | (int(v) & mask) << place for t, v in zip(total, values, strict=True)]
        place += width
    return total


def assert_same(expected, actual, *operands):
    """Compare float32 results in every bit; on failure show the first few operands that differ."""
    expected = float32.bits(expected)
    actual = np.asarray(actual, dtype=np.uint32)
    wrong = np.flatnonzero(expected != actual)
    shown = [
        f"{[hex(float32.bits(o[k])) if o.dtype == np.float32 else o[k] for o in operands]}:"
        f" {actual[k]:#010x}, expected {expected[k]:#010x}"
        for k in wrong[:10]
    ]
    assert not len(wrong), f"{len(wrong)} of {len(expected)} differ: " + "; ".join(shown)
