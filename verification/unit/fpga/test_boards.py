# SPDX-License-Identifier: Apache-2.0
"""Every board's table is consistent, and goes together with a system."""

import re
from dataclasses import replace

import pytest

from tepin import verilog
from tepin.config import PRESETS
from tepin.coprocessor.coprocessor import Coprocessor
from tepin.coprocessor.job import Shape
from tepin_fpga.board import all_boards, find_board, parse_design
from tepin_fpga.ecp5 import LIMITS_HZ
from tepin_fpga.pins import constraints
from tepin_fpga.pll import solve_pll
from tepin_fpga.primitives import Primitives, expected_primitives
from tepin_fpga.top import top_verilog
from tepin_host.errors import UserError
from verification.unit.fpga.small import SmallSystem

PORTS = verilog.ports(SmallSystem())
COPROCESSOR_PORTS = verilog.ports(Coprocessor(Shape(), clock_hz=24_000_000))


@pytest.mark.parametrize("board", all_boards().values(), ids=lambda board: board.name)
def test_board(board):
    """What it runs by default has its pins, a clock that can be made, and does not lack multipliers or memories."""
    family, design = board.family, parse_design(board.config)
    assert board.device in family.devices
    board = board.running(design)
    balls = [ball for pins in board.pins.values() for ball in pins.balls]
    assert len(set(balls)) == len(balls)
    settings = family.solve(board, board.clock_hz)
    assert settings.output_hz == board.clock_hz
    ports = COPROCESSOR_PORTS if isinstance(design, Shape) else PORTS
    text = top_verilog(board, ports, settings)
    assert len(re.findall(r"\btepin_system system \(", text)) == 1
    total = sum(expected_primitives(design, family).values(), Primitives())
    family.check_fits(board, family.expected_cells(total))


@pytest.mark.parametrize("name", ["ulx3s-85f", "ulx3s-45f"])
def test_board_with_sdram(name):
    board = find_board(name)
    assert board.speed in LIMITS_HZ
    text = constraints(board.pins, {board.oscillator: board.oscillator_hz})
    assert "IO_TYPE=" in text and f'FREQUENCY PORT "{board.oscillator}"' in text
    pll = board.family.solve(board, board.clock_hz)
    assert abs(pll.phase - board.sdram_phase) < 5
    assert "TRELLIS_IO" in top_verilog(board, PORTS, pll)


def test_a_coprocessor_has_no_sdram():
    board = find_board("ulx3s-25f")
    assert "sdram__a" in board.pins
    assert set(board.running(Shape()).pins) == {"clk25", "rx", "tx", "leds", "esp32_gpio0"}


@pytest.mark.parametrize(
    "text, message",
    [
        ("coprocessor,rows=2", "a coprocessor takes columns=N, memory_bytes=N, not 'rows=2'"),
        ("coprocessor,columns", "not 'columns'"),
        ("coprocessor,columns=5", "must be 4, 8 or 16, not 5"),
        ("huge", "unknown preset 'huge'"),
    ],
)
def test_designs_that_cannot_be(text, message):
    with pytest.raises(ValueError, match=message):
        parse_design(text)


def test_designs():
    assert parse_design("coprocessor,memory_bytes=65536") == Shape(4, 1 << 16)
    assert parse_design("board,rows=4") == replace(PRESETS["board"], rows=4)


def test_unknown_board():
    with pytest.raises(UserError) as error:
        find_board("ulx4s")
    assert str(error.value).startswith(
        "unknown board 'ulx4s'; boards are ulx3s-85f, ulx3s-45f, ulx3s-25f, ulx3s-12f"
    )


def make_top(board, ports):
    return top_verilog(board, ports, solve_pll(board.oscillator_hz, board.clock_hz, phase=board.sdram_phase))


def test_top_level():
    text = make_top(find_board("ulx3s-85f"), PORTS)
    assert len(re.findall(r"^  TRELLIS_IO #", text, re.M)) == 39 + 1 + 2 + 8 + 1
    assert len(re.findall(r'\.DIR\("BIDIR"\)', text)) == 16
    for cell in ("EHXPLLL", "ODDRX1F", "tepin_system"):
        assert len(re.findall(rf"^  {cell}\b", text, re.M)) == 1, cell
    ports = set(re.search(r"^module top\((.*?)\);", text, re.M)[1].split(", "))
    assert ports == set(find_board("ulx3s-85f").pins)


def test_fewer_leds_than_the_board_has():
    assert "leds" in make_top(find_board("ulx3s-85f"), PORTS | {"leds": (3, "output")})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"leds": (9, "output")}, "port leds has 9 bits, the board has pins for 8"),
        ({"sdram__a": (14, "output")}, "port sdram__a has 14 bits, the board has pins for 13"),
        ({"sdram__dq_i": (8, "input")}, "port sdram__dq_i has 8 bits, the board has pins for 16"),
        ({"rx": (1, "output")}, "port rx is an output, its pins are not"),
        ({"irq": (1, "output")}, "there are no pins for port irq"),
        ({"tx": None}, "the system has no port tx"),
    ],
)
def test_ports_that_do_not_match(changes, message):
    ports = {name: port for name, port in (PORTS | changes).items() if port}
    with pytest.raises(ValueError) as error:
        make_top(find_board("ulx3s-85f"), ports)
    assert str(error.value) == f"ulx3s-85f: {message}"


def test_every_mismatch_is_told():
    board = find_board("ulx3s-85f")
    board = replace(board, pins={name: pins for name, pins in board.pins.items() if name != "tx"})
    with pytest.raises(ValueError, match="no pins for port tx; .*no pins for port extra"):
        make_top(board, PORTS | {"extra": (1, "input")})
