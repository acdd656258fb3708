# SPDX-License-Identifier: Apache-2.0
"""What a board is to the build flow.

A board is a table: device, pins, oscillator, phase of the SDRAM's clock, and which configuration it runs. Ports of the
top level are called like ports of the system in Verilog, and are wired to them by name:

    system             pins of the board                in the I/O cell
    sdram__cs_n        sdram__cs_n                      flip-flop
    sdram__dq_o/oe/i   sdram__dq (io)                   flip-flops for output, enable and input
    (none)             sdram__clk                       double data rate output: the shifted clock of the PLL
    rx, tx, leds       rx, tx, leds
    clk, rst           (PLL, its lock)
    (none)             any with `constant`
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

from tepin_host.errors import UserError

__all__ = ["MODULES", "Board", "Usb", "all_boards", "find_board"]

MODULES = ("tepin_fpga.ulx3s",)
"""Modules with a list `BOARDS`: one for each kind of board."""


@dataclass(frozen=True, kw_only=True)
class Usb:
    """How a board shows up on USB.

    Members
    -------
    vendor, product : int
        Identifiers of the USB chip, which many boards share.
    name : str
        Regular expression that occurs in the product string of this one.
    """

    vendor: int
    product: int
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board.

    Members
    -------
    name : str
        What the user types.
    title : str
        Maker's name, FPGA and memory, for lists.
    device, package, speed : str, str, int
        A key of `tepin_fpga.ecp5.DEVICES`, the package as nextpnr calls it, the speed grade.
    oscillator : str
        Port of the top level that the clock comes in through.
    oscillator_hz : int
    clock_hz : int
        Clock of the system, if the user does not ask for another.
    sdram_phase : int
        Degrees by which the clock at the SDRAM's pin is later than that of the flip-flops at its other pins.
    pins : dict from str to Pins
        By port of the top level; see above.
    config : str
        Configuration as on the command line, if the user does not give one.
    system : callable(ChipConfig, clock_hz, *, span=None)
        Makes the component that the board runs; `span` as of `tepin_host.selftest.self_test_program`.
    latency : int
        Cycles of the memory from a read's address to its first data, for estimates of speed.
    loader : str
        The board's name for openFPGALoader.
    usb : Usb
    """

    name: str
    title: str
    device: str
    package: str
    speed: int
    oscillator: str
    oscillator_hz: int
    clock_hz: int
    sdram_phase: int
    pins: dict
    config: str
    system: Callable
    latency: int
    loader: str
    usb: Usb = field(repr=False)


def all_boards():
    """Every supported board by name."""
    boards = [board for module in MODULES for board in importlib.import_module(module).BOARDS]
    return {board.name: board for board in boards}


def find_board(name):
    """The board of that name. Raises `UserError` that lists them if there is none."""
    boards = all_boards()
    if name not in boards:
        raise UserError(f"unknown board {name!r}; boards are {', '.join(boards)}")
    return boards[name]
