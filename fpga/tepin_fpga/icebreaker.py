# SPDX-License-Identifier: Apache-2.0
"""iCEBreaker: iCE40UP5K, USB serial through an FT2232H. https://docs.icebreaker-fpga.org

The whole chip does not fit, see docs/coprocessor.md.
"""

from dataclasses import replace

from amaranth_boards.icebreaker import ICEBreakerPlatform

from tepin_fpga.board import Board, Usb, coprocessor_only
from tepin_fpga.families.ice40 import ICE40
from tepin_fpga.pins import resource_pins

__all__ = ["BOARDS"]

_BAUD = 3_000_000


def _pins():
    platform = ICEBreakerPlatform
    uart = resource_pins(platform, "uart")
    leds = [resource_pins(platform, name)[""] for name in ("led_g", "led_r")]
    return {
        "clk12": resource_pins(platform, "clk12")[""],
        "rx": uart["rx"],
        "tx": uart["tx"],
        "leds": replace(leds[0], balls=tuple(led.balls[0] for led in leds), inverted=True),
    }


BOARDS = [
    Board(
        name="icebreaker",
        title="iCEBreaker with an iCE40UP5K, USB serial",
        family=ICE40,
        device="iCE40UP5K",
        package="sg48",
        speed=1,
        oscillator="clk12",
        oscillator_hz=12_000_000,
        clock_hz=24_000_000,
        pins=_pins(),
        config="coprocessor",
        system=coprocessor_only(_BAUD),
        baud=_BAUD,
        loader="ice40_generic",
        usb=Usb(vendor=0x0403, product=0x6010, name="iCEBreaker"),
    )
]
