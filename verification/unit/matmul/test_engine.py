# SPDX-License-Identifier: Apache-2.0
"""MatmulEngine and its parts: what their parameters may be. What they do is tested in Verilog."""

import pytest

from tepin.config import ChipConfig
from tepin.matmul.array import SystolicArray, sum_width
from tepin.matmul.engine import MatmulEngine
from tepin.matmul.weight_reader import WeightReader

GOOD = {
    "rows": 8,
    "columns": 16,
    "activation_width": 8,
    "accumulator_rows": 8,
    "line_bytes": 32,
    "fifo_word_bytes": 16,
}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rows": 7}, "rows must be even, 2 to 64, not 7"),
        ({"rows": 66}, "rows must be even, 2 to 64, not 66"),
        ({"columns": 6}, "columns must be a multiple of 4, 4 to 64, not 6"),
        ({"columns": 0}, "columns must be a multiple of 4, 4 to 64, not 0"),
        ({"activation_width": 9}, "activation_width must be 8 or 16, not 9"),
        ({"accumulator_rows": 1025}, "accumulator_rows must be 1 to 1024, not 1025"),
        (
            {"fifo_word_bytes": 8},
            r"fifo_word_bytes must be a power of two and at least columns \(16\), not 8",
        ),
        (
            {"fifo_word_bytes": 24},
            r"fifo_word_bytes must be a power of two and at least columns \(16\), not 24",
        ),
        ({"line_bytes": 8}, r"2 x rows and fifo_word_bytes \(16\), not 8"),
        ({"fifo_word_bytes": 64}, r"2 x rows and fifo_word_bytes \(64\), not 32"),
        ({"drain_width": 0}, r"drain_width must be a power of two that divides columns \(16\), not 0"),
        ({"drain_width": 3}, r"drain_width must be a power of two that divides columns \(16\), not 3"),
        ({"drain_width": 32}, r"drain_width must be a power of two that divides columns \(16\), not 32"),
        ({"drain_width": 16}, r"drain_width must be at most the words of a line \(8\), not 16"),
    ],
)
def test_init_wrong_parameter(change, message):
    with pytest.raises(ValueError, match=message):
        MatmulEngine(**GOOD | change)


@pytest.mark.parametrize("drain_width", [0, 3, 32])
def test_config_wrong_drain_width(drain_width):
    message = f"drain_width must be a power of two that divides columns \\(16\\), not {drain_width}"
    with pytest.raises(ValueError, match=message):
        ChipConfig(drain_width=drain_width)


def test_drain_width_widens_lines_and_changes_the_hash():
    assert (ChipConfig().line_bytes, ChipConfig(drain_width=16).line_bytes) == (16, 64)
    assert ChipConfig(drain_width=16).hash != ChipConfig().hash


def test_array_init_wrong_shape():
    with pytest.raises(ValueError, match="rows and columns must be at least 1, not 0 and 4"):
        SystolicArray(rows=0, columns=4, activation_width=8)


def test_array_init_wrong_activation_width():
    with pytest.raises(ValueError, match="activation_width must be 2 to 18, not 20"):
        SystolicArray(rows=2, columns=4, activation_width=20)


def test_weight_reader_init_wrong_word_bytes():
    with pytest.raises(
        ValueError, match=r"word_bytes must be at least columns \(8\) and at most line_bytes \(16\)"
    ):
        WeightReader(columns=8, word_bytes=32, line_bytes=16)


@pytest.mark.parametrize("tile_rows", [1, 3])
def test_weight_reader_init_wrong_tile_rows(tile_rows):
    message = f"tile_rows must be 0, or at least 2 rows of 8 bytes that fill lines of 16, not {tile_rows}"
    with pytest.raises(ValueError, match=message):
        WeightReader(columns=8, word_bytes=8, line_bytes=16, tile_rows=tile_rows)


@pytest.mark.parametrize("rows", [1, 2, 3, 64])
@pytest.mark.parametrize("activation_width", [8, 16])
def test_sum_width_holds_the_largest_sum(rows, activation_width):
    largest = rows * (1 << activation_width - 1) * 128
    assert largest < 1 << sum_width(rows=rows, activation_width=activation_width) - 1
