# SPDX-License-Identifier: Apache-2.0
"""Pins out of platform definitions, and the constraint file made of them."""

import pytest
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from tepin_fpga.pins import Pins, constraints, resource_pins


def test_constraints():
    ports = {
        "clk25": Pins(("G2",), "i", {"IO_TYPE": "LVCMOS33"}),
        "dq": Pins(("J16", "L18"), "io", {"PULLMODE": "NONE", "DRIVE": "4"}, registered=True),
        "plain": Pins(("A1",), "o"),
    }
    assert constraints(ports, {"clk25": 25_000_000}).splitlines() == [
        "BLOCK ASYNCPATHS;",
        "BLOCK RESETPATHS;",
        'LOCATE COMP "clk25" SITE "G2";',
        'IOBUF PORT "clk25" IO_TYPE=LVCMOS33;',
        'LOCATE COMP "dq[0]" SITE "J16";',
        'IOBUF PORT "dq[0]" PULLMODE=NONE DRIVE=4;',
        'LOCATE COMP "dq[1]" SITE "L18";',
        'IOBUF PORT "dq[1]" PULLMODE=NONE DRIVE=4;',
        'LOCATE COMP "plain" SITE "A1";',
        'FREQUENCY PORT "clk25" 25.000000 MHZ;',
    ]


def test_a_ball_is_used_once():
    ports = {"a": Pins(("G2", "G3"), "i"), "b": Pins(("G3",), "o")}
    with pytest.raises(ValueError, match=r"^Ball G3 cannot be both a\[1\] and b$"):
        constraints(ports, {})


def test_resource_pins():
    sdram = resource_pins(ULX3S_85F_Platform, "sdram")
    attributes = {"PULLMODE": "NONE", "DRIVE": "4", "SLEWRATE": "FAST", "IO_TYPE": "LVCMOS33"}
    assert sdram["dqm"] == Pins(("U19", "E20"), "o", attributes)
    assert len(sdram["dq"].balls) == 16 and sdram["dq"].direction == "io"
    led = resource_pins(ULX3S_85F_Platform, "led", 7)
    assert led == {"": Pins(("H3",), "o", {"IO_TYPE": "LVCMOS33", "DRIVE": "4"})}
    # What is said about one signal adds to what is said about all.
    esp32 = resource_pins(ULX3S_85F_Platform, "esp32")
    assert esp32["en"].attributes == {"IO_TYPE": "LVCMOS33", "DRIVE": "4", "PULLMODE": "UP"}
