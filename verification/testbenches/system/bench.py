# SPDX-License-Identifier: Apache-2.0
"""A small board and its twin: few rows of memory, a quick serial line, and a self test that takes milliseconds."""

import contextlib
import functools
from dataclasses import replace

from tepin.config import PRESETS
from tepin.memory.sdram_parts import PARTS
from tepin.system import System
from tepin_host.selftest import self_test_program
from tepin_host.simulation.twin import SdramModel, build_twin, start_twin
from tepin_testbench.models import sdram

__all__ = ["CONFIG", "MODEL", "PART", "small_system", "twin"]

CONFIG = replace(PRESETS["tiny"], lanes=1, port_width=16)
PART = replace(PARTS["ulx3s"], row_bits=6, refreshes=256, t_ref=2e6)
MODEL = SdramModel(sdram.SOURCE, sdram.model_parameters, sdram.VIOLATIONS)

_SPAN = 4096


@functools.cache
def _program():
    return self_test_program(CONFIG, memory_bytes=PART.bytes, span=_SPAN)


def small_system(**changes):
    """A `System`, not elaborated."""
    arguments = {"part": PART, "clock_hz": 100_000_000, "baud": 12_500_000, "power_up": 300}
    return System(CONFIG, **arguments | {"boot_program": _program()} | changes)


@contextlib.contextmanager
def twin(*, text=None, **low):
    """The `TwinChip` of the small board, at power-up; `low` are pins that are broken, as of `BoardSimulator.hold_low`."""
    board = build_twin(small_system(), MODEL, text=text)
    board.hold_low(**low)
    with start_twin(board, MODEL) as chip:
        yield chip
