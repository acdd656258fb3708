# SPDX-License-Identifier: Apache-2.0
"""The twin of a board with a `Coprocessor`: its system and its serial line, simulated, at the end of a real serial driver."""

import contextlib
import warnings
from dataclasses import asdict

from amaranth.hdl import UnusedElaboratable

from tepin_host.serial import SerialChip, SerialPort
from tepin_host.simulation.board import SYSTEM, BoardSimulator, build_serial_board_simulator
from tepin_host.simulation.build import cached_verilog
from tepin_host.simulation.terminal import Terminal

__all__ = ["PATIENCE", "TERMINAL_BAUD", "SerialTwin", "start_serial_twin"]

PATIENCE = 120.0
"""Seconds that a driver waits for an answer: a simulated line is some hundred times as slow as a real one."""

TERMINAL_BAUD = 115_200
"""Of the pseudo-terminal, where it means nothing."""


class SerialTwin(SerialChip):
    """A device on a simulated board, behind the same driver as a real one.

    Parameters
    ----------
    terminal : Terminal
    baud : int
        Of the simulated line.
    """

    def __init__(self, terminal, baud):
        self._terminal, self._baud = terminal, baud
        super().__init__(SerialPort(terminal.name, TERMINAL_BAUD), patience=PATIENCE)

    @property
    def baud(self):
        """Bits per second on the simulated line."""
        return self._baud

    @property
    def cycle(self):
        """Clock cycles since power-up."""
        with self._terminal.paused() as board:
            return board.cycle


@contextlib.contextmanager
def start_serial_twin(system, *, progress=None):
    """Power up the board of a `Coprocessor`, not elaborated before; yields its `SerialTwin`."""
    warnings.filterwarnings("ignore", category=UnusedElaboratable)  # if it is in the cache, it never is
    description = [asdict(system.shape), system.clock_hz, system.baud]
    text = cached_verilog(SYSTEM, description, lambda: system, progress=progress)
    library = build_serial_board_simulator(text, progress=progress)
    board = BoardSimulator(library, clock_hz=system.clock_hz, baud=system.baud)
    with contextlib.closing(board), Terminal(board) as terminal, SerialTwin(terminal, system.baud) as twin:
        yield twin
