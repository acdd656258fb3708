# SPDX-License-Identifier: Apache-2.0
"""DSPs and block RAMs: derived from a configuration, counted in a netlist, and compared."""

import pytest

from tepin.config import PRESETS, parse_config
from tepin_fpga.primitives import (
    Primitives,
    block_rams,
    check_primitives,
    count_primitives,
    expected_primitives,
)
from tepin_fpga.report import BuildFailed


@pytest.mark.parametrize(
    "width, depth, blocks",
    [
        (32, 4096, 8),  # eight of 4 x 4096
        (32, 512, 1),
        (36, 512, 1),
        (37, 512, 2),
        (1, 16384, 1),
        (72, 512, 2),
        (17, 256, 1),
        (32, 16, 0),  # 8 x 16 x 4 bits in LUTs are cheaper
        (41, 8, 0),
        (20, 64, 0),
        (160, 4, 0),
    ],
)
def test_block_rams(width, depth, blocks):
    assert block_rams(width, depth) == blocks


def test_expected_primitives_follow_the_configuration():
    def total(text):
        return sum(expected_primitives(parse_config(text)).values(), Primitives())

    board = total("board")
    assert board == Primitives(110, 55)  # as synthesised
    assert total("board,rows=4").dsps == board.dsps - 32
    assert total("board,lanes=4") == board + Primitives(2 * 17, 2 * 2)
    assert total("board,scratchpad_bytes=131072").block_rams == board.block_rams + 32
    assert total("board,weight_fifo_bytes=8192").block_rams == board.block_rams + 2


def test_only_blocks_that_have_some_are_listed():
    assert all(entry != Primitives() for entry in expected_primitives(PRESETS["tiny"]).values())


def netlist(*cells):
    return {"cells": {name: {"type": kind} for name, kind in cells}}


GOOD = [
    ("system.chip.matmul.array.product_0", "MULT18X18D"),
    ("system.chip.matmul.array.product_1", "MULT18X18D"),
    ("system.chip.scratchpad.bank_0.words_0.0.0", "DP16KD"),
    ("system.chip.scratchpad.bank_0.address", "TRELLIS_FF"),
]
EXPECTED = {"chip.matmul.array": Primitives(2, 0), "chip.scratchpad": Primitives(0, 1)}


def test_counting():
    assert count_primitives(netlist(*GOOD), EXPECTED) == EXPECTED
    check_primitives(netlist(*GOOD), EXPECTED)


def test_what_was_optimised_away_is_an_error():
    with pytest.raises(BuildFailed) as error:
        check_primitives(netlist(*GOOD[1:]), EXPECTED)
    assert str(error.value) == (
        "synthesis has changed what the configuration says: "
        "chip.matmul.array has 1 DSPs and 0 block RAMs instead of 2 DSPs and 0 block RAMs"
    )


def test_what_nobody_asked_for_is_an_error():
    with pytest.raises(BuildFailed, match="elsewhere has 0 DSPs and 1 block RAMs instead of 0 DSPs and 0"):
        check_primitives(netlist(*GOOD, ("system.chip.matmul.arrays", "PDPW16KD")), EXPECTED)
