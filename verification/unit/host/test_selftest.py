# SPDX-License-Identifier: Apache-2.0
"""The self test as a program: it passes on a chip without faults, and fails, in the right part, on any other.

Faults of pins and of the array are in verification/testbenches/system.
"""

import struct
from dataclasses import replace

import numpy as np
import pytest

from tepin.boot import SelfTestState, SelfTestStatus
from tepin.config import PRESETS
from tepin.isa import ErrorCode
from tepin_host.selftest import Part, describe_status, self_test_program
from tepin_reference.simulator import FunctionalSimulator, ProgramError

MEMORY = 1 << 16
SPAN = 1 << 13
TINY = PRESETS["tiny"]


def run(words, *, config=TINY, memory=None, chip=FunctionalSimulator):
    """Tokens of the program, and the `ProgramError` that ends it, or None."""
    memory = np.full(MEMORY, 0xA5, np.uint8) if memory is None else memory
    tokens = []
    try:
        for token in chip(config, memory).run(words):
            tokens.append(token)
    except ProgramError as error:
        return tokens, error
    return tokens, None


@pytest.mark.parametrize("name", PRESETS)
def test_passes_on_every_preset(name):
    config = PRESETS[name]
    words = self_test_program(config, memory_bytes=MEMORY, span=1 << 14)
    assert run(words, config=config) == (list(Part), None)


def test_every_byte_of_the_span_is_written():
    memory = np.zeros(MEMORY, np.uint8)
    run(self_test_program(TINY, memory_bytes=MEMORY, span=MEMORY), memory=memory)
    words = memory.view("<u4")
    assert np.count_nonzero(words) > 0.99 * len(words)
    # And no two blocks alike, where the arithmetic has not written again.
    blocks = {block.tobytes() for block in memory.reshape(-1, 2048)[4:]}
    assert len(blocks) == MEMORY // 2048 - 4


@pytest.mark.parametrize(
    "constant, part",
    [(2.0**-20, Part.MATMUL), (2.0**-15, Part.MATMUL), (16.0, Part.VECTOR), (0.125, Part.VECTOR)],
)
def test_a_wrong_constant_fails(constant, part):
    """One bit of one number that the arithmetic begins with."""
    words = self_test_program(TINY, memory_bytes=MEMORY, span=SPAN)
    (bits,) = struct.unpack("<I", struct.pack("<f", constant))
    assert words.count(bits) == 1
    words[words.index(bits)] ^= 1
    tokens, error = run(words)
    assert tokens[-1] == part and error.code == ErrorCode.SOFTWARE


class _StuckBit(FunctionalSimulator):
    """A chip whose memory has a bit that is always 1."""

    def _external(self, address, *others):
        self.memory[0x1805] |= 8
        return super()._external(address, *others)


class _StuckLine(FunctionalSimulator):
    """A chip with an address line to its memory that is always 0."""

    def _external(self, address, *others):
        return super()._external(address & ~0x4000, *others)


@pytest.mark.parametrize(
    "chip, part, address",
    [(_StuckBit, Part.MEMORY, 0x1800), (_StuckLine, Part.ADDRESS_LINES, 0)],
    ids=["bit", "address line"],
)
def test_broken_memory_fails_with_the_address_of_a_block(chip, part, address):
    words = self_test_program(TINY, memory_bytes=MEMORY, span=SPAN)
    tokens, error = run(words, chip=chip)
    assert tokens[-1] == part and error.code == ErrorCode.SOFTWARE
    assert error.info == address


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"memory_bytes": 3 << 14}, "The memory must be a power of two, at least 2048 bytes, not 49152"),
        ({"memory_bytes": 2048, "span": 2048}, "The self test needs 4096 bytes of memory, not 2048"),
        ({"span": 1024}, "The span must be a power of two, at least 2048 bytes, not 1024"),
        ({"span": 2 * MEMORY}, "The span must be at most the memory, 65536 bytes, not 131072"),
    ],
)
def test_wrong_sizes(changes, message):
    with pytest.raises(ValueError, match=message):
        self_test_program(TINY, **{"memory_bytes": MEMORY, "span": SPAN} | changes)


def test_a_scratchpad_that_is_too_small():
    config = replace(TINY, scratchpad_banks=16)
    with pytest.raises(ValueError, match="The self test needs scratchpad banks.* of 4096 bytes, not 2048"):
        self_test_program(config, memory_bytes=MEMORY)


@pytest.mark.parametrize(
    "state, part, text",
    [
        (SelfTestState.NONE, 0, "not done"),
        (SelfTestState.RUNNING, Part.MEMORY, "running: memory"),
        (SelfTestState.PASSED, Part.VECTOR, "passed"),
        (SelfTestState.FAILED, Part.MATMUL, "failed: matmul engine"),
        (SelfTestState.FAILED, 0, "failed"),
        (SelfTestState.FAILED, 99, "failed: part 99"),
    ],
)
def test_description(state, part, text):
    assert describe_status(SelfTestStatus.const({"state": state, "part": part}).as_bits()) == text
