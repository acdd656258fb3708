# SPDX-License-Identifier: Apache-2.0
"""The self test as a whole: which parts in which order, and what their results mean to a person."""

import enum

import numpy as np

from tepin.boot import SelfTestState, SelfTestStatus
from tepin_host.selftest.arithmetic import MatmulTest, VectorTest
from tepin_host.selftest.memory import MemoryTest
from tepin_host.selftest.pad import Writer
from tepin_reference.simulator import FunctionalSimulator

__all__ = ["Part", "describe_status", "self_test_program"]


class Part(enum.IntEnum):
    """Parts of the self test, by the token that each begins with."""

    ADDRESS_LINES = 1
    MEMORY = 2
    MATMUL = 3
    VECTOR = 4


_NAMES = {
    Part.ADDRESS_LINES: "address lines of the memory",
    Part.MEMORY: "memory",
    Part.MATMUL: "matmul engine",
    Part.VECTOR: "vector unit",
}


def self_test_program(config, *, memory_bytes, span=None):
    """Words of the self test, for the program memory from word 0 on.

    It ends without an error if all is well; otherwise by the instruction FAIL, or by any other error that a chip can notice,
    after the token of the failing part. What is in memory is overwritten. It takes some 5 cycles for each word of the port in
    `span`.

    Parameters
    ----------
    config : ChipConfig
    memory_bytes : int
        Size of the memory, from address 0 on: a power of two. The program needs to read and write all of it.
    span : int
        Bytes that are tested one by one, from address 0 on: a power of two; by default all. Small for simulations.

    Raises
    ------
    ValueError
        If the chip's scratchpad or the memory is too small.
    """
    probe = Writer(config)
    probe.prepare()
    _arithmetic(probe)
    scratch = np.zeros(MatmulTest(probe).memory_bytes, np.uint8)
    probe.a.end()
    expected = list(FunctionalSimulator(config, scratch).run(probe.a.assemble()))

    writer = Writer(config, expected)
    if len(scratch) > memory_bytes:
        raise ValueError(f"The self test needs {len(scratch)} bytes of memory, not {memory_bytes}")
    memory = MemoryTest(writer, memory_bytes, memory_bytes if span is None else span)
    writer.prepare()
    writer.begin(Part.ADDRESS_LINES)
    memory.address_lines()
    writer.begin(Part.MEMORY)
    memory.march()
    _arithmetic(writer)
    writer.a.end()
    words = writer.a.assemble()
    if len(words) > config.program_words:
        raise ValueError(
            f"The self test needs a program memory of {len(words)} words, not {config.program_words}"
        )
    return words


def _arithmetic(writer):
    writer.begin(Part.MATMUL)
    MatmulTest(writer).emit()
    writer.begin(Part.VECTOR)
    VectorTest(writer).emit()


def describe_status(word):
    """What a `SelfTestStatus` says, in words, such as "failed: memory"."""
    status = SelfTestStatus.from_bits(word)
    state = SelfTestState(status.state)
    if state in (SelfTestState.NONE, SelfTestState.PASSED) or not status.part:
        return {SelfTestState.NONE: "not done"}.get(state, state.name.lower())
    try:
        part = _NAMES[Part(status.part)]
    except ValueError:
        part = f"part {status.part}"
    return f"{state.name.lower()}: {part}"
