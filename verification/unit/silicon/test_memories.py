# SPDX-License-Identifier: Apache-2.0
"""The model of memory macros: what an access costs grows with what it moves."""

import pytest

from tepin.export.memories import Memory
from tepin_host.silicon.memories import MemoryModel

MODEL = MemoryModel(1.8)


def memory(width, depth):
    return Memory(width=width, depth=depth, parts=(4,), reads=1, clocked=True)


@pytest.mark.parametrize(
    "width, depth, shape",
    [
        (32, 1024, (256, 128)),
        (128, 128, (128, 128)),
        (64, 16, (16, 64)),
        (8, 13, (13, 8)),
        (1, 4096, (64, 64)),
    ],
)
def test_shape(width, depth, shape):
    assert MODEL.shape(memory(width, depth)) == shape


def test_by_hand():
    """16 words of 64 bits: 16 rows, 64 columns, 4 bits of address."""
    common = (64 * MODEL.word_line + 4 * MODEL.address) * 1.8**2
    line = 16 * MODEL.bit_line * 1.8**2
    data = 64 * MODEL.data * 1.8**2
    assert MODEL.read(memory(64, 16)) == pytest.approx(common + 64 * 0.3 * line + data)
    assert MODEL.write(memory(64, 16)) == pytest.approx(common + 64 * line + data)
    half = MODEL.write(memory(64, 16), 1, 0.5)
    assert half == pytest.approx(common + (32 + 32 * 0.3) * line + data / 2)
    assert MODEL.write(memory(64, 16), 3, 1.5) == pytest.approx(3 * half)


def test_larger_costs_more():
    assert MODEL.read(memory(32, 64)) < MODEL.read(memory(32, 1024)) < MODEL.read(memory(64, 1024))
