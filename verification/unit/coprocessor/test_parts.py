# SPDX-License-Identifier: Apache-2.0
"""Parts of the coprocessor: its shape, its memory in both forms, and the layout of what lies in there."""

import re

import numpy as np
import pytest

from tepin import verilog
from tepin.coprocessor.coprocessor import Coprocessor
from tepin.coprocessor.core import CoprocessorCore
from tepin.coprocessor.job import LONGEST, Job, Shape
from tepin.coprocessor.memory import WordMemory
from tepin_reference.coprocessor import execute, pack_block, pack_row
from tepin_testbench.pysim import simulate


@pytest.mark.parametrize("columns", [3, 32, "4"])
def test_init_wrong_columns(columns):
    with pytest.raises(ValueError, match=f"must be 4, 8 or 16, not {columns!r}"):
        Shape(columns=columns)


@pytest.mark.parametrize("size", [0, 512, 3000, 1 << 19])
def test_init_wrong_memory_bytes(size):
    with pytest.raises(ValueError, match=f"power of two from 1 to 256 KiB, not {size} bytes"):
        Shape(memory_bytes=size)


@pytest.mark.parametrize("make", [CoprocessorCore, lambda shape: Coprocessor(shape, clock_hz=24_000_000)])
def test_init_wrong_shape(make):
    with pytest.raises(TypeError, match=re.escape("must be a Shape, not (2, 4)")):
        make((2, 4))


def test_a_shape_is_known_by_what_the_device_says():
    shape = Shape(8, 1 << 16)
    assert Shape.identified(shape.hash, 1 << 16) == shape
    with pytest.raises(ValueError, match="98ff0493 is no coprocessor"):
        Shape.identified(0x98FF0493, 1 << 16)


@pytest.mark.parametrize("width", [0, 12])
def test_init_wrong_width(width):
    with pytest.raises(ValueError, match=f"must be a multiple of 8, not {width}"):
        WordMemory(width=width, depth=8)


def test_init_wrong_depth():
    with pytest.raises(ValueError, match="must be at least 2, not 1"):
        WordMemory(width=8, depth=1)


def test_memory(rng):
    memory, model = WordMemory(width=32, depth=64), rng.integers(0, 256, (64, 4), np.uint8)

    async def testbench(ctx):
        async def access(address, write=0, word=0):
            for name, value in {"address": address, "enable": 1, "write": write, "i": word}.items():
                ctx.set(getattr(memory, name), value)
            await ctx.tick()

        for address, word in enumerate(model):
            await access(address, 0b1111, int.from_bytes(word.tobytes(), "little"))
        for _ in range(300):
            address, write, word = (int(rng.integers(most)) for most in (64, 16, 1 << 32))
            await access(address, write, word)
            for lane in range(4):
                if write >> lane & 1:
                    model[address, lane] = word >> 8 * lane & 0xFF
            await access(address)
            assert ctx.get(memory.o) == int.from_bytes(model[address].tobytes(), "little")

    simulate(memory, testbench)


@pytest.mark.parametrize("width, depth, count", [(32, 1 << 15, 4), (64, 1 << 14, 4), (32, 1 << 10, 2)])
def test_large_memories_of_an_ice40(width, depth, count):
    text = verilog.convert(WordMemory(width=width, depth=depth), name="memory", device="iCE40UP5K")
    assert text.count("SB_SPRAM256KA") == count


def test_largest_sums_are_exact():
    """Activations within +-32639 and any weights: as many rows as a job may have do not wrap."""
    a, w8 = np.full(LONGEST, -32639), np.full((LONGEST, 4), -128, np.int8)
    memory = np.zeros(1 << 13, np.uint8)
    row, block = pack_row(a, 2), pack_block(w8, 2, 4)
    memory[: len(row)] = np.frombuffer(row, np.uint8)
    memory[len(row) : len(row) + len(block)] = np.frombuffer(block, np.uint8)
    execute(Job(len(row), 0, 4096, LONGEST // 2, 1), memory, 4)
    assert (memory[4096:4112].view("<i4") == 32639 * 128 * LONGEST).all()


def test_a_block_that_is_too_long():
    with pytest.raises(ValueError, match=f"at most {LONGEST} rows, not {LONGEST + 1}"):
        pack_block(np.zeros((LONGEST + 1, 4), np.int8), 2, 4)


def test_what_does_not_fill_groups_and_tiles_is_filled_with_zeros(rng):
    a, w8 = rng.integers(-99, 99, 5), rng.integers(-99, 99, (5, 6)).astype(np.int8)
    row, block = pack_row(a, 2), pack_block(w8, 2, 4)
    assert (len(row), len(block)) == (12, 6 * 8)
    memory = np.frombuffer(row + block + bytes(32), np.uint8).copy()
    execute(Job(len(row), 0, len(row) + len(block), 3, 2), memory, 4)
    np.testing.assert_array_equal(memory[-32:].view("<i4"), [*(a @ w8.astype(int)), 0, 0])
