# SPDX-License-Identifier: Apache-2.0
"""Runs programs on the functional simulator of the smallest preset, to their end or to the error that ends them."""

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin.isa import ScalarOp
from tepin.program import ScalarInstruction
from tepin_host.assembler import Assembler
from tepin_reference.simulator import FunctionalSimulator, ProgramError

__all__ = ["BANK", "CONFIG", "END", "MEMORY", "PAD", "WORD", "encode", "error_of", "pattern", "simulate"]

CONFIG = PRESETS["tiny"]
BANK = CONFIG.bank_bytes
PAD = CONFIG.scratchpad_bytes
WORD = CONFIG.fifo_word_bytes
MEMORY = 8192

END = ScalarInstruction(ScalarOp.END)


def pattern():
    """What memory holds before a program: byte n is 7 * n."""
    return (np.arange(MEMORY) * 7).astype(np.uint8)


def simulate(a, *, limit=10_000, **arguments):
    """Run a program to its end; returns the simulator, with the tokens as `tokens`."""
    words = a.assemble() if isinstance(a, Assembler) else a
    simulator = FunctionalSimulator(CONFIG, pattern(), **arguments)
    simulator.tokens = list(simulator.run(words, limit=limit))
    return simulator


def error_of(a, **arguments):
    """(code, pc, info) of the error that ends a program."""
    with pytest.raises(ProgramError) as error:
        simulate(a, **arguments)
    return error.value.code, error.value.pc, error.value.info


def encode(*instructions):
    """The words of a program."""
    return [word for instruction in instructions for word in instruction.encode()]
