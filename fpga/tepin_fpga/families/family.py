# SPDX-License-Identifier: Apache-2.0
"""What the build flow has to know of a family of FPGAs."""

import json
from abc import ABC, abstractmethod

from tepin_fpga.report import BuildFailed
from tepin_fpga.tools import YOSYS, run_tool

__all__ = ["Family", "check_counts", "read_report"]


class Family(ABC):
    """A family: what its boards' top levels are made of, and how they become bitstreams.

    Attributes
    ----------
    devices : dict
        By name: what there is of everything.
    tools : tuple of Tool
    logs : tuple of str
        Files with what the tools said.
    constraints : str
        Name of the constraint file.
    bitstream : str
        Ending of the file.
    synthesis : str
        Command of Yosys, without the top module and what it writes.
    dsp_cells, block_ram_cells : tuple of str
        Types of cells that are multipliers and memories.
    resources : dict from str to tuple of str
        What a build reports: by name, types of cells in the report of place and route.
    """

    devices = {}
    tools = ()
    logs = ()
    constraints = ""
    bitstream = ""
    synthesis = ""
    dsp_cells = ()
    block_ram_cells = ()
    resources = {}

    @abstractmethod
    def limits_hz(self, board):
        """The fastest clock of primitives by type, where that is less than what a path may reach."""

    @abstractmethod
    def solve(self, board, clock_hz):
        """Settings for a clock, with `output_hz`, what they make. `ValueError` if it cannot be made."""

    @abstractmethod
    def add_clocks(self, m, board, settings, ports):
        """Adds domain `sync` to the top level, from the oscillator's port on.

        Parameters
        ----------
        m : Module
        board : Board
        settings
            What `solve` returned.
        ports : dict from str to IOPort

        Returns
        -------
        (dict from str to Signal, Value)
            Signals at ports that are neither the system's nor constant: what the pads of these drive or are driven by; and
            the reset of the system. A port with None has its cell already.
        """

    @abstractmethod
    def pad(self, port, direction, *, output=None, enable=None, input=None):
        """The I/O buffer of one pin: `direction` "i", "o" or "io"; drives `output` while `enable` is high."""

    @abstractmethod
    def check_fits(self, board, cells):
        """Raise `BuildFailed` if cells, by type, are too many for the board's device."""

    def expected_cells(self, primitives):
        """Cells by type, as `check_fits` takes them, of so many `Primitives`."""
        return {self.dsp_cells[0]: primitives.dsps, self.block_ram_cells[0]: primitives.block_rams}

    @abstractmethod
    def block_rams(self, width, depth):
        """Cells among `block_ram_cells` of a memory of `depth` words; of one with byte enables, if it is wide."""

    def synthesise(self, directory, files, *, top, board, say=None):
        """Make `design.json` of Verilog files. Raises `BuildFailed` if it does not fit."""
        self.check_fits(board, self.cells(directory, files, top=top, say=say))

    def cells(self, directory, files, *, top, say=None):
        """Make `design.json` of Verilog files; returns the number of cells by type."""
        commands = [f"read_verilog {name}" for name in files]
        commands += [f"{self.synthesis} -top {top} -json design.json", "tee -q -o cells.json stat -json"]
        (directory / "synthesis.ys").write_text("\n".join(commands) + "\n")
        if say:
            say("synthesis")
        run_tool(YOSYS, ["synthesis.ys"], directory=directory, log=self.logs[0], say=say)
        return json.loads((directory / "cells.json").read_text())["design"]["num_cells_by_type"]

    @abstractmethod
    def route(self, directory, *, board, seed, written=None, say=None):
        """Place and route; returns nextpnr's report. Missed timing is no error here."""

    @abstractmethod
    def pack(self, directory, bitstream, *, board, say=None):
        """Make the file `bitstream`."""

    def pictured(self):
        """Whether `route` can write a placement that `tepin_fpga.floorplan` can draw."""
        return False


def read_report(directory):
    """nextpnr's report."""
    return json.loads((directory / "report.json").read_text())


def check_counts(needs):
    """Raise `BuildFailed` with each of `needs` (name, how many, how many there are) of which there are too few."""
    over = [f"{need:,} {name} of {there:,}" for name, need, there in needs if need > there]
    if over:
        raise BuildFailed(f"the design does not fit: it needs {', '.join(over)}")
