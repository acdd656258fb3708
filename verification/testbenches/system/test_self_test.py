# SPDX-License-Identifier: Apache-2.0
"""The self test at power-up, on the whole system: it passes, and whatever is broken makes it fail."""

import pytest

from tepin.boot import SelfTestState, SelfTestStatus
from tepin.config import PRESETS
from tepin.memory.sdram_parts import PARTS
from tepin.system import System
from tepin_host.errors import UserError
from tepin_host.selftest import Part
from tepin_host.simulation.twin import system_verilog
from verification.testbenches.chip.test_can_fail import invert_product_bit
from verification.testbenches.system.bench import CONFIG, PART, small_system, twin

RUNNING, PASSED, FAILED, MEMORY_READY = 1, 2, 4, 8


def leds(chip):
    with chip.paused() as board:
        return board.leds


def test_passes():
    with twin() as chip:
        assert SelfTestStatus.from_bits(chip.identity.self_test).state == SelfTestState.RUNNING
        assert leds(chip) & 7 == RUNNING
        chip.await_self_test()
        status = SelfTestStatus.from_bits(chip.identity.self_test)
        assert (status.state, status.part) == (SelfTestState.PASSED, Part.VECTOR)
        assert leds(chip) == PASSED | MEMORY_READY | Part.VECTOR << 4


@pytest.mark.parametrize(
    "low", [{"data": 1 << 5}, {"data": 1 << 15}, {"address": 1 << 8}], ids=["D5", "D15", "A8"]
)
def test_fails_if_a_pin_of_the_memory_is_stuck(low):
    with twin(**low) as chip:
        with pytest.raises(UserError, match="the board's self test has failed: address lines of the memory"):
            chip.await_self_test()
        assert leds(chip) == FAILED | MEMORY_READY | Part.ADDRESS_LINES << 4


def test_a_violation_stops_the_simulation():
    """Address line 5 is needed to tell the memory its CAS latency."""
    with pytest.raises(UserError, match="the SDRAM was used wrongly, by cycle .*: violated T_CAS"):
        with twin(address=1 << 5) as chip:
            chip.await_self_test()


@pytest.mark.slow
def test_fails_if_a_processing_element_has_a_wrong_bit():
    text = invert_product_bit(system_verilog(small_system()), CONFIG.rows - 1, CONFIG.columns - 3, 3)
    with twin(text=text) as chip:
        with pytest.raises(UserError, match="the board's self test has failed: matmul engine"):
            chip.await_self_test()
        assert leds(chip) == FAILED | MEMORY_READY | Part.MATMUL << 4


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"config": PRESETS["tiny"]}, ValueError, "The chip's memory port has 32 bits, the SDRAM 16"),
        ({"part": PARTS["colorlight"]}, ValueError, "The chip's memory port has 16 bits, the SDRAM 32"),
        ({"config": "tiny"}, TypeError, "config must be a ChipConfig, not 'tiny'"),
        ({"part": "ulx3s"}, TypeError, "part must be an SdramPart, not 'ulx3s'"),
        ({"boot_program": [0] * 5000}, ValueError, "program must have at most 4096 words, not 5000"),
        ({"baud": 50_000_000}, ValueError, "Baud rate of a UART must be at most a quarter of the clock"),
        ({"clock_hz": 200_000_000}, ValueError, "the clock is at most"),
    ],
)
def test_init_wrong(arguments, error, message):
    arguments = {"config": CONFIG, "part": PART, "clock_hz": 100_000_000} | arguments
    with pytest.raises(error, match=message):
        System(arguments.pop("config"), **arguments)
