# SPDX-License-Identifier: Apache-2.0
"""Families of FPGAs: clocks that can be made, what fits, and bitstreams by the real tools."""

import pytest

from tepin.coprocessor.job import Shape
from tepin_fpga.board import find_board, parse_design
from tepin_fpga.build import build_board, file_names
from tepin_fpga.families.gowin import GOWIN
from tepin_fpga.families.ice40 import ICE40, Ice40Pll, solve_ice40_pll
from tepin_fpga.report import BuildFailed
from verification.unit.host.commandline import outcome

MHZ = 1_000_000


@pytest.mark.parametrize("output", [18, 24, 30, 36, 48])
def test_ice40_pll(output):
    pll = solve_ice40_pll(12 * MHZ, output * MHZ)
    assert pll.output_hz == output * MHZ
    assert 10 * MHZ <= pll.input_hz / (pll.r + 1) <= 133 * MHZ
    assert 533 * MHZ <= pll.output_hz * 2**pll.q <= 1066 * MHZ
    assert pll.filter == 1  # for 12 MHz at the phase detector


@pytest.mark.parametrize("reference, expected", [(16, 1), (20, 2), (30, 3), (50, 4), (80, 5), (120, 6)])
def test_ice40_pll_filter(reference, expected):
    assert Ice40Pll(reference * MHZ, 0, 7, 3).filter == expected


@pytest.mark.parametrize("output", [1, 700])
def test_ice40_pll_that_cannot_be(output):
    with pytest.raises(ValueError, match=f"No PLL setting makes {output} MHz from 12 MHz"):
        solve_ice40_pll(12 * MHZ, output * MHZ)


def test_gowin_has_the_clock_of_its_oscillator():
    board = find_board("tangnano20k")
    assert GOWIN.solve(board, 27 * MHZ).output_hz == 27 * MHZ
    with pytest.raises(ValueError, match="The clock is that of the oscillator, 27 MHz, not 50 MHz"):
        GOWIN.solve(board, 50 * MHZ)


@pytest.mark.parametrize(
    "name, cells, message",
    [
        ("icebreaker", {"SB_LUT4": 6000, "SB_MAC16": 8}, "it needs 6,000 LUT4 of 5,280"),
        ("icebreaker", {"SB_DFFE": 5000, "SB_DFFSR": 281}, "it needs 5,281 flip-flops of 5,280"),
        (
            "icebreaker",
            {"SB_RAM40_4K": 31, "SB_SPRAM256KA": 5},
            "31 block RAMs of 30, 5 SPRAMs of 4",
        ),
        ("tangnano20k", {"LUT4": 20_000, "ALU": 737}, "it needs 20,737 LUT4 of 20,736"),
        ("tangnano20k", {"SP": 40, "DPX9B": 7, "MULT18X18": 49}, "49 DSPs of 48, 47 block RAMs of 46"),
    ],
)
def test_what_does_not_fit(name, cells, message):
    board = find_board(name)
    with pytest.raises(BuildFailed, match=message):
        board.family.check_fits(board, cells)


@pytest.mark.parametrize("family, expected", [(ICE40, (4, 6)), (GOWIN, (64, 2))])
def test_block_rams(family, expected):
    """A coprocessor's memory, and what its host link has."""
    found = family.block_rams(32, 1 << 15), family.block_rams(8, 2048) + family.block_rams(8, 1024)
    assert found == expected


@pytest.mark.parametrize("name", ["icebreaker", "tangnano20k"])
def test_a_chip_where_none_fits(capsys, tmp_path, name):
    status, out, err = outcome(capsys, "build", name, "--config", "tiny", "-o", tmp_path / "out")
    assert status != 0 and not out
    assert "no chip fits" in err or "does not fit" in err
    assert not (tmp_path / "out").exists()


def test_no_picture(capsys, tmp_path):
    status, _, err = outcome(capsys, "build", "icebreaker", "--picture", "-o", tmp_path / "out")
    assert status == 2 and "there are no pictures of iCE40UP5K" in err


def test_a_memory_that_is_too_large(capsys, tmp_path):
    argv = ["build", "tangnano20k", "--config", "coprocessor", "-o", tmp_path / "out"]
    status, out, err = outcome(capsys, *argv)
    assert (status, out) == (1, "")
    assert "it needs 66 block RAMs of 46" in err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["icebreaker"])
def test_bitstream(tmp_path, name):
    board = find_board(name)
    design = parse_design(board.config)
    assert isinstance(design, Shape)
    built = build_board(board, design, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(file_names(board))
    assert built.bitstream.stat().st_size > 10_000
    assert built.usage.resources["DSP"].used == design.rows * design.columns
    assert min(clock.met for clock in built.usage.clocks.values()) >= board.clock_hz / 1e6
