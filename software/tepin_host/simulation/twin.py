# SPDX-License-Identifier: Apache-2.0
"""The board twin: a `tepin.system.System`, its SDRAM and its serial line, simulated, at the end of a real serial driver."""

import contextlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from amaranth.hdl import UnusedElaboratable

from tepin_host.errors import UserError
from tepin_host.serial import SerialChip, SerialPort
from tepin_host.simulation.board import SYSTEM, BoardSimulator, build_board_simulator
from tepin_host.simulation.build import cached_verilog
from tepin_host.simulation.terminal import Terminal

__all__ = ["LINE_BYTES", "SdramModel", "TwinChip", "build_twin", "start_twin", "system_verilog"]

LINE_BYTES = 16384
"""Bytes of memory that go over the line, at the speed of the simulation; the rest takes the back door."""

_PATIENCE = 120.0  # seconds: a simulated line is some hundred times as slow as a real one
_POLL_SECONDS = 0.01  # of the board's time
_SELF_TEST_SECONDS = 600.0
_BAUD = 115_200  # of the pseudo-terminal, where it means nothing


@dataclass(frozen=True)
class SdramModel:
    """What a simulation needs of a model of the memory.

    Members
    -------
    source : Path
        Verilog of a module `sdram_model`.
    parameters : callable(SdramPart, SdramTiming) -> dict
    violations : sequence of str
        Names of the bits of its output `violations`.
    """

    source: Path
    parameters: Callable
    violations: Sequence


class TwinChip(SerialChip):
    """A chip on a simulated board, behind the same driver as a real one.

    Parameters
    ----------
    terminal : Terminal
    """

    def __init__(self, terminal):
        self._terminal = terminal
        super().__init__(
            SerialPort(terminal.name, _BAUD),
            patience=_PATIENCE,
            poll_seconds=_POLL_SECONDS,
            self_test_seconds=_SELF_TEST_SECONDS,
        )

    def paused(self):
        """Context manager: the `BoardSimulator`, with its clock standing still."""
        return self._terminal.paused()

    @property
    def cycle(self):
        """Clock cycles since power-up."""
        with self.paused() as board:
            return board.cycle

    def load(self, address, data, progress=None):
        """As of `SerialChip`, but from `LINE_BYTES` on through the back door."""
        data = bytes(data)
        sent = super().load(address, data[:LINE_BYTES], progress)
        with self.paused() as board:
            start = address + min(LINE_BYTES, len(data))
            board.memory[start : address + len(data)] = memoryview(data)[LINE_BYTES:]
        return sent

    def begin(self):
        """As of `SerialChip`; what was observed before is forgotten."""
        super().begin()
        self.observed()

    def observed(self):
        """Words that left through the chip's probe since the last call, uint32."""
        with self.paused() as board:
            return board.observed()


def system_verilog(system, *, progress=None):
    """Verilog of a `System`, from the cache if nothing has changed."""
    description = [
        asdict(system.config),
        asdict(system.part),
        asdict(system.timing),
        system.clock_hz,
        system.baud,
        system.boot_program,
    ]
    # If it is in the cache, the system is never elaborated. Amaranth would warn when Python frees it.
    warnings.filterwarnings("ignore", category=UnusedElaboratable)
    return cached_verilog(SYSTEM, description, lambda: system, progress=progress)


def build_twin(system, model, *, text=None, progress=None):
    """A `BoardSimulator` of a system, just powered up.

    Parameters
    ----------
    system : System
        Not elaborated before.
    model : SdramModel
    text : str, optional
        Verilog to use instead of the system's own: a mutant.
    progress : callable(str), optional
    """
    library = build_board_simulator(
        text or system_verilog(system, progress=progress),
        models=[model.source],
        parameters=model.parameters(system.part, system.timing),
        progress=progress,
    )
    return BoardSimulator(library, clock_hz=system.clock_hz, baud=system.baud, memory_bytes=system.part.bytes)


@contextlib.contextmanager
def start_twin(board, model):
    """Let a `BoardSimulator` run and connect to it: yields its `TwinChip`.

    Raises
    ------
    UserError
        If the model of the memory has objected to something: what, and when.
    """
    with contextlib.closing(board), Terminal(board) as terminal:
        try:
            with TwinChip(terminal) as chip:
                yield chip
        except UserError as error:
            if not terminal.violations:
                raise
            names = [
                name for number, name in enumerate(model.violations) if terminal.violations >> number & 1
            ]
            raise UserError(
                f"the SDRAM was used wrongly, by cycle {board.cycle:,}: violated {', '.join(names)}"
            ) from error
