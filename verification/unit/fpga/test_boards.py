# SPDX-License-Identifier: Apache-2.0
"""Every board's table is consistent, and goes together with a system."""

import re
from dataclasses import replace

import pytest

from tepin import verilog
from tepin.config import parse_config
from tepin_fpga.board import all_boards, find_board
from tepin_fpga.ecp5 import DEVICES, LIMITS_HZ
from tepin_fpga.pins import constraints
from tepin_fpga.pll import solve_pll
from tepin_fpga.top import top_verilog
from tepin_host.errors import UserError
from verification.unit.fpga.small import SmallSystem

PORTS = verilog.ports(SmallSystem())


@pytest.mark.parametrize("board", all_boards().values(), ids=lambda board: board.name)
def test_board(board):
    assert board.device in DEVICES and board.speed in LIMITS_HZ
    parse_config(board.config)
    text = constraints(board.pins, {board.oscillator: board.oscillator_hz})
    assert "IO_TYPE=" in text and f'FREQUENCY PORT "{board.oscillator}"' in text
    pll = solve_pll(board.oscillator_hz, board.clock_hz, phase=board.sdram_phase)
    assert pll.output_hz == board.clock_hz
    assert abs(pll.phase - board.sdram_phase) < 5
    assert "TRELLIS_IO" in top_verilog(board, PORTS, pll)


def test_unknown_board():
    with pytest.raises(UserError) as error:
        find_board("ulx4s")
    assert str(error.value) == "unknown board 'ulx4s'; boards are ulx3s-85f, ulx3s-45f, ulx3s-25f, ulx3s-12f"


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
