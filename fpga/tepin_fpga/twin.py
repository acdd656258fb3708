# SPDX-License-Identifier: Apache-2.0
"""The boards' twins: simulations of what `tepin build` makes bitstreams of, from the system's pins inwards.

The Verilog is that of the bitstream's `tepin_system` at the board's own clock, but for one thing: the self test's program in
it covers fewer bytes of the memory.
"""

import contextlib

from tepin.coprocessor.job import Shape
from tepin_fpga.board import all_boards, parse_design
from tepin_host.boards import BoardTwin
from tepin_host.commands.options import DEFAULTS
from tepin_host.errors import UserError

__all__ = ["SPAN", "twins"]

SPAN = 8192
"""Bytes of the memory that the self test tests one by one: milliseconds of the board are minutes here."""


def twins():
    """`BoardTwin` of every board, by name."""
    return dict(_twins())


def _twins():
    for name, board in all_boards().items():
        design = parse_design(board.config)
        if isinstance(design, Shape):
            # The program is the host's business, and so is its configuration.
            yield name, BoardTwin(config=DEFAULTS["config"], start=_coprocessor_starter(board, design))
        else:
            yield name, BoardTwin(config=board.config, start=_starter(board))


def _coprocessor_starter(board, shape):
    def start(config, progress=None):
        from tepin_host.simulation.serial_twin import start_serial_twin

        clock_hz = round(board.family.solve(board, board.clock_hz).output_hz)
        return start_serial_twin(board.system(shape, clock_hz), progress=progress)

    return start


def _starter(board):
    @contextlib.contextmanager
    def start(config, progress=None):
        from tepin_host.simulation.twin import SdramModel, build_twin, start_twin
        from tepin_testbench.models import sdram

        pll = board.family.solve(board, board.clock_hz)
        model = SdramModel(sdram.SOURCE, sdram.model_parameters, sdram.VIOLATIONS)
        try:
            system = board.system(config, round(pll.output_hz), span=SPAN)
        except ValueError as error:
            raise UserError(f"{board.name}: {error}") from None
        with start_twin(build_twin(system, model, progress=progress), model) as chip:
            yield chip

    return start
