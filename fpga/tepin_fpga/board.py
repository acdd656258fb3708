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

What a board runs is a chip, or a matmul coprocessor where that does not fit: a `ChipConfig` or a `Shape`, both of which users
write as text.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tepin.config import parse_config
from tepin.coprocessor.job import Shape, parse_shape
from tepin_fpga.families.family import Family
from tepin_host.errors import UserError

__all__ = ["MODULES", "Board", "Usb", "all_boards", "coprocessor_only", "find_board", "parse_design"]

MODULES = ("tepin_fpga.ulx3s", "tepin_fpga.icebreaker", "tepin_fpga.tangnano20k")
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
    family : Family
    device, package, speed : str, str, int
        A key of the family's `devices`, the package as nextpnr calls it, the speed grade.
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
    system : callable(ChipConfig or Shape, clock_hz, *, span=None)
        Makes the component that the board runs; `span` as of `tepin_host.selftest.self_test_program`.
    baud : int
        Of the serial line.
    latency : int
        Cycles of the memory from a read's address to its first data, for estimates of speed.
    loader : str
        The board's name for openFPGALoader.
    usb : Usb
    """

    name: str
    title: str
    family: Family
    device: str
    package: str
    speed: int
    oscillator: str
    oscillator_hz: int
    clock_hz: int
    pins: dict
    config: str
    system: Callable
    baud: int
    loader: str
    usb: Usb = field(repr=False)
    sdram_phase: int = 0
    latency: int = 1

    def running(self, design):
        """The board as it is wired for a chip or a coprocessor: the latter has no SDRAM."""
        if not isinstance(design, Shape):
            return self
        pins = {port: pins for port, pins in self.pins.items() if not port.startswith("sdram__")}
        return replace(self, pins=pins)


def parse_design(text):
    """The `Shape` that ``coprocessor[,KEY=VALUE...]`` names, or else a `ChipConfig`. `ValueError` says what is wrong."""
    return parse_shape(text) if text.split(",")[0] == "coprocessor" else parse_config(text)


def coprocessor_only(baud):
    """`system` of a board that no chip fits onto."""

    def system(design, clock_hz, *, span=None):
        if not isinstance(design, Shape):
            raise ValueError("no chip fits, only a coprocessor: --config coprocessor[,KEY=VALUE...]")
        from tepin.coprocessor.coprocessor import Coprocessor

        return Coprocessor(design, clock_hz=clock_hz, baud=baud)

    return system


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
