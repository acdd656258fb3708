# SPDX-License-Identifier: Apache-2.0
"""A simulated board: the Verilog of a system with a serial line at its pins, and a model of its SDRAM if it has one."""

import ctypes
import functools
from pathlib import Path

import numpy as np

from tepin_host.simulation.compile import Harness, compile_library
from tepin_host.simulation.native import load, taken_words
from tepin_host.simulation.sdram import model_files

__all__ = ["SYSTEM", "BoardSimulator", "build_board_simulator", "build_serial_board_simulator"]

SYSTEM = "tepin_system"
"""Name of the system's module in Verilog."""

_HERE = Path(__file__).parent


def build_board_simulator(text, *, models, parameters, progress=None):
    """Path of the shared library that simulates a board.

    Parameters
    ----------
    text : str
        Verilog of the `System`, with module name `SYSTEM`.
    models : sequence of Path
        Verilog of the memory, the module `sdram_model`.
    parameters : dict
        Its parameters.
    progress : callable(str), optional

    Raises
    ------
    UserError
        If a tool is missing or the build fails.
    """
    harness = Harness(
        top="board",
        wrapper=_HERE / "board.sv",
        source=_HERE / "board.cpp",
        models=tuple(models),
        parameters={name: parameters[name] for name in ("DATA_WIDTH", "BANK_BITS", "ADDRESS_WIDTH")},
        files=model_files(parameters),
    )
    return compile_library(text, harness, progress=progress)


def build_serial_board_simulator(text, *, progress=None):
    """The same for a system with nothing but a serial line and LEDs: its Verilog, with module name `SYSTEM`."""
    harness = Harness(
        top="board",
        wrapper=_HERE / "serial_board.sv",
        source=_HERE / "board.cpp",
        defines={"SERIAL_ONLY": 1},
    )
    return compile_library(text, harness, progress=progress)


@functools.cache
def _library(path):
    word, long, handle = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p
    functions = (
        ("create", handle, [long, long]),
        ("destroy", None, [handle]),
        ("run", long, [handle, long]),
        ("cycle", long, [handle]),
        ("leds", word, [handle]),
        ("violations", word, [handle]),
        ("send", None, [handle, ctypes.c_char_p, long]),
        ("waiting", long, [handle]),
        ("received", long, [handle, ctypes.POINTER(ctypes.POINTER(ctypes.c_uint8))]),
        ("taken", None, [handle]),
        ("framing_errors", long, [handle]),
        ("observed", long, [handle, ctypes.POINTER(ctypes.POINTER(word))]),
        ("forget", None, [handle]),
    )
    of_sdram = (("memory", handle, [handle]), ("hold_low", None, [handle, word, word]))
    return load(path, "tepin_board_", functions, optional=of_sdram)


class BoardSimulator:
    """A board, cycle by cycle, from power-up on. Time passes in `run` only.

    Parameters
    ----------
    library : path
        What `build_board_simulator` returned.
    clock_hz, baud : int
        Of the system: what a bit on the line is in cycles.
    memory_bytes : int
        Size of the SDRAM; 0 if there is none.

    Attributes
    ----------
    memory : uint8 array or None
        The SDRAM, byte by byte as the chip addresses it. To be changed while nothing else accesses it.
    """

    def __init__(self, library, *, clock_hz, baud, memory_bytes=0):
        self._library = _library(library)
        self._handle = self._library.tepin_board_create(clock_hz, baud)
        self.memory = None
        if memory_bytes:
            place = ctypes.cast(
                self._library.tepin_board_memory(self._handle), ctypes.POINTER(ctypes.c_uint8)
            )
            self.memory = np.ctypeslib.as_array(place, (memory_bytes,))

    def close(self):
        """End the simulation; nothing else can be called after it, and `memory` is gone."""
        if self._handle:
            self.memory = None
            self._library.tepin_board_destroy(self._handle)
            self._handle = None

    def __del__(self):
        if getattr(self, "_handle", None):
            self.close()

    def run(self, cycles):
        """Let the clock run, not beyond a violation; returns the cycles run."""
        return self._library.tepin_board_run(self._handle, cycles)

    @property
    def cycle(self):
        """Clock cycles since power-up."""
        return self._library.tepin_board_cycle(self._handle)

    @property
    def leds(self):
        """The LEDs, the first in the lowest bit."""
        return self._library.tepin_board_leds(self._handle)

    @property
    def violations(self):
        """Bits of what the memory has objected to; the first one stops the simulation."""
        return self._library.tepin_board_violations(self._handle)

    def send(self, data):
        """Put bytes on the line to the board, behind those that still wait for it."""
        self._library.tepin_board_send(self._handle, data, len(data))

    @property
    def waiting(self):
        """Bytes that still wait for the line."""
        return self._library.tepin_board_waiting(self._handle)

    def receive(self):
        """Bytes that have come from the board since the last call."""
        place = ctypes.POINTER(ctypes.c_uint8)()
        count = self._library.tepin_board_received(self._handle, ctypes.byref(place))
        result = ctypes.string_at(place, count) if count else b""
        self._library.tepin_board_taken(self._handle)
        return result

    @property
    def framing_errors(self):
        """Bytes from the board without a stop bit."""
        return self._library.tepin_board_framing_errors(self._handle)

    def observed(self):
        """Words that left through the chip's probe port since the last call, uint32."""
        library = self._library
        return taken_words(library.tepin_board_observed, library.tepin_board_forget, self._handle)

    def hold_low(self, *, data=0, address=0):
        """From now on these bits of the memory's data, on their way to the system, and of its address are zero."""
        self._library.tepin_board_hold_low(self._handle, data, address)
