# SPDX-License-Identifier: Apache-2.0
"""Tang Nano 20K: GW2AR-18, USB serial through a BL616. https://wiki.sipeed.com/nano20k

There is no platform file for it in `amaranth-boards`; the pins are those of the maker's schematic.
"""

from tepin_fpga.board import Board, Usb, coprocessor_only
from tepin_fpga.families.gowin import GOWIN
from tepin_fpga.pins import Pins

__all__ = ["BOARDS"]

_BAUD = 2_000_000  # which the BL616 keeps up with
_LEVEL = {"IO_TYPE": "LVCMOS33"}


def _pins(balls, direction, **others):
    return Pins(tuple(map(str, balls)), direction, _LEVEL | others.pop("attributes", {}), **others)


BOARDS = [
    Board(
        name="tangnano20k",
        title="Tang Nano 20K with a GW2AR-18, USB serial",
        family=GOWIN,
        device="GW2AR-18C",
        package="QN88",
        speed=8,
        oscillator="clk27",
        oscillator_hz=27_000_000,
        clock_hz=27_000_000,
        pins={
            "clk27": _pins([4], "i"),
            "rx": _pins([70], "i", attributes={"PULL_MODE": "UP"}),
            "tx": _pins([69], "o"),
            "leds": _pins([15, 16], "o", inverted=True),
        },
        config="coprocessor,memory_bytes=65536",
        system=coprocessor_only(_BAUD),
        baud=_BAUD,
        loader="tangnano20k",
        usb=Usb(vendor=0x0403, product=0x6010, name="(?i)sipeed|tang|debugger"),
    )
]
