# SPDX-License-Identifier: Apache-2.0
"""What a traced simulation has recorded: commands from issue to end, waits of the sequencer, tokens, beats of the port."""

import ctypes
import functools
from dataclasses import dataclass, field

import numpy as np

from tepin.isa import COMMANDS, Engine, EngineOp, QueueHeader
from tepin.program import present_fields
from tepin_host.simulation.build import traced_engines

__all__ = ["WINDOW", "Trace", "TracedCommand"]

WINDOW = 64
"""Cycles of a window of `Trace.windows`."""

_NEVER = np.uint64(2**64 - 1)
_COMMAND = np.dtype(
    [(name, "u8") for name in ("issued", "read", "started", "ended")]
    + [(name, "u4") for name in ("engine", "first_word", "words", "waited")]
)
_WAIT = np.dtype([("begin", "u8"), ("end", "u8"), ("pc", "u4"), ("reserved", "u4")])
_WINDOW = np.dtype([(name, "u4") for name in ("weights", "loads", "stores", "addresses")])
_ARRAYS = (_COMMAND, np.dtype("u4"), _WAIT, np.dtype("u8"), _WINDOW)
"""The structures of trace.h."""


@dataclass(frozen=True)
class TracedCommand:
    """A command that an engine has executed. Cycles count from the program's start.

    Members
    -------
    engine : Engine
    pc : int
    nop : bool
        It only waited and signalled.
    flags : int
        Of its engine's flags struct; 0 for a NOP.
    fields : dict
        Values as the sequencer resolved them.
    wait, signal : int
        Semaphores, 0 for none.
    issued, read, started, ended : int
        When its header was put in the queue, the engine read its last word, began with it, and signalled.
    waited : int
        Cycles for its semaphore.
    order : int
        Its place in the order of all commands.
    """

    engine: Engine
    pc: int
    nop: bool
    flags: int
    fields: dict = field(repr=False)
    wait: int
    signal: int
    issued: int
    read: int
    started: int
    ended: int
    waited: int
    order: int


@dataclass(frozen=True)
class Trace:
    """A recording; cycles count from the program's start.

    Members
    -------
    engines : tuple of Engine
    commands : list of TracedCommand
        Those that have ended, in the order of the program.
    waits : list of (begin, end, pc)
        Of the sequencer: for a place in a queue, a semaphore, or the end of all commands.
    tokens : list of int
        When each token was pushed.
    windows : structured array
        Beats in every `WINDOW` cycles: `weights`, `loads`, `stores`; and `addresses` of reads.
    first_address, last_response : int or None
        Of reads, of writes.
    """

    engines: tuple
    commands: list = field(repr=False)
    waits: list = field(repr=False)
    tokens: list
    windows: np.ndarray = field(repr=False)
    first_address: int | None
    last_response: int | None

    @classmethod
    def read(cls, config, function, handle):
        """Copy what `tepin_trace` of the library shows."""
        pointers, counts = (ctypes.c_void_p * len(_ARRAYS))(), (ctypes.c_uint64 * len(_ARRAYS))()
        cycles = (ctypes.c_uint64 * 3)()
        function(handle, pointers, counts, cycles)
        commands, words, waits, tokens, windows = (
            np.frombuffer(ctypes.string_at(pointer, count * kind.itemsize), kind)
            if count
            else np.zeros(0, kind)
            for pointer, count, kind in zip(pointers, counts, _ARRAYS, strict=True)
        )
        start, first_address, last_response = cycles
        since = lambda cycle: None if cycle == _NEVER else int(cycle) - start  # noqa: E731
        engines = traced_engines(config)
        ended = (
            _command(engines, order, command, words, start)
            for order, command in enumerate(commands)
            if command["ended"] != _NEVER
        )
        return cls(
            engines,
            list(ended),
            [(since(begin), since(end), int(pc)) for begin, end, pc, _ in waits.tolist() if end != _NEVER],
            [since(cycle) for cycle in tokens.tolist()],
            windows,
            since(first_address),
            since(last_response),
        )


@functools.cache
def _header(word):
    """(nop, wait, signal, pc) of a `QueueHeader`."""
    header = QueueHeader.from_bits(word)
    return header.op == EngineOp.NOP, int(header.wait), int(header.signal), int(header.pc)


@functools.cache
def _fields(engine, word):
    """Flags in the word, and names of the fields behind it."""
    flags = word & (1 << COMMANDS[engine].flags.as_shape().size) - 1
    return flags, present_fields(engine, flags)


def _command(engines, order, record, words, start):
    engine = engines[record["engine"]]
    first = int(record["first_word"])
    header, *rest = words[first : first + int(record["words"])].tolist()
    nop, wait, signal, pc = _header(header)
    flags, names = _fields(engine, rest.pop(0)) if not nop else (0, [])
    return TracedCommand(
        engine,
        pc,
        nop,
        flags,
        dict(zip(names, rest, strict=True)),
        wait,
        signal,
        *(int(record[name]) - start for name in ("issued", "read", "started", "ended")),
        int(record["waited"]),
        order,
    )
