# SPDX-License-Identifier: Apache-2.0
"""ULX3S: ECP5, 32 MB of SDRAM with 16 bits, USB serial through an FT231X. https://ulx3s.github.io

The pins are those of `amaranth-boards`. All memory parts that were ever soldered on have the same geometry.
"""

import re
from dataclasses import replace

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from tepin_fpga.board import Board, Usb
from tepin_fpga.families.ecp5 import ECP5
from tepin_fpga.pins import Pins, resource_pins

__all__ = ["BOARDS"]

_BAUD = 3_000_000  # the most an FT231X can do

_COPROCESSOR = "coprocessor,memory_bytes=65536"
"""For devices that the chip does not fit into. The memory is 32 of their 56 block RAMs."""

_SDRAM_PORTS = {
    "sdram__cke": "clk_en",
    "sdram__cs_n": "cs",
    "sdram__ras_n": "ras",
    "sdram__cas_n": "cas",
    "sdram__we_n": "we",
    "sdram__ba": "ba",
    "sdram__a": "a",
    "sdram__dqm": "dqm",
    "sdram__dq": "dq",
}


def _pins():
    """The same on every ULX3S."""
    platform = ULX3S_85F_Platform
    sdram, uart = resource_pins(platform, "sdram"), resource_pins(platform, "uart")
    leds = [resource_pins(platform, "led", number)[""] for number in range(8)]
    pins = {"clk25": resource_pins(platform, "clk25")[""], "sdram__clk": sdram["clk"]}
    pins |= {port: replace(sdram[name], registered=True) for port, name in _SDRAM_PORTS.items()}
    pins |= {"rx": uart["rx"], "tx": uart["tx"]}
    pins["leds"] = replace(leds[0], balls=tuple(led.balls[0] for led in leds))
    # Low here at the wrong moment makes the ESP32 on the board start its loader, which can reset the FPGA.
    esp32 = resource_pins(platform, "esp32")["gpio0"]
    pins["esp32_gpio0"] = Pins(esp32.balls, "o", esp32.attributes, constant=1)
    return pins


def _system(config, clock_hz, *, span=None):
    from tepin.coprocessor.coprocessor import Coprocessor
    from tepin.coprocessor.job import Shape
    from tepin.memory.sdram_parts import PARTS
    from tepin.system import System
    from tepin_host.selftest import self_test_program

    if isinstance(config, Shape):
        return Coprocessor(config, clock_hz=clock_hz, baud=_BAUD)
    part = PARTS["ulx3s"]
    program = self_test_program(config, memory_bytes=part.bytes, span=span)
    return System(config, clock_hz=clock_hz, baud=_BAUD, part=part, boot_program=program)


def _board(size, **others):
    return Board(
        name=f"ulx3s-{size.lower()}",
        title=f"ULX3S with an LFE5U-{size}, 32 MB SDRAM, USB serial",
        family=ECP5,
        device=f"LFE5U-{size}",
        package="CABGA381",
        speed=6,
        oscillator="clk25",
        oscillator_hz=25_000_000,
        sdram_phase=270,
        pins=_pins(),
        system=_system,
        latency=16,
        baud=_BAUD,
        loader="ulx3s",
        usb=Usb(vendor=0x0403, product=0x6015, name=re.escape(f"ULX3S FPGA {size[:-1]}K")),
        **others,
    )


BOARDS = [
    _board("85F", clock_hz=75_000_000, config="board,scratchpad_bytes=262144"),
    _board("45F", clock_hz=75_000_000, config="board,rows=4,columns=4,lanes=1,accumulator_rows=4"),
    _board("25F", clock_hz=75_000_000, config=_COPROCESSOR),
    _board("12F", clock_hz=75_000_000, config=_COPROCESSOR),
]
