# SPDX-License-Identifier: Apache-2.0
"""Static timing analysis of a mapped design by OpenSTA: ideal clock, no wires."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tepin.verilator import ToolError
from tepin_host.silicon.assigns import without_concatenations
from tepin_host.silicon.synthesis import PERIOD

__all__ = ["CriticalPath", "critical_path", "opensta"]

_STEP = re.compile(r"^ +([\d.]+) +([\d.]+) [v^] (\S+)/(\w+) \((\w+)\)$", re.MULTILINE)
_SLACK = re.compile(r"^ +(-?[\d.]+) +slack", re.MULTILINE)


@dataclass(frozen=True)
class CriticalPath:
    """The slowest way from one flip-flop to another.

    Members
    -------
    nanoseconds : float
        The shortest period of the clock, setup time included.
    cells : list of str
        Kinds of the cells on it, the first flip-flop first.
    start, end : str
        Names of the flip-flops.
    slowest : float
        Nanoseconds of the slowest cell on it, with the net that it drives.
    """

    nanoseconds: float
    cells: list
    start: str
    end: str
    slowest: float


def opensta(script):
    """What OpenSTA says to commands. Raises `ToolError` if it is missing or finds an error."""
    if shutil.which("sta") is None:
        raise ToolError(
            "OpenSTA is not installed: run scripts/setup silicon, or install opensta with apt-get"
        )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "script.tcl"
        path.write_text(script)
        command = ["sta", "-exit", "-no_splash", path]
        # Behind an error it would wait for more commands.
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    said = result.stdout + result.stderr
    if errors := [line for line in said.splitlines() if "Error" in line]:
        raise ToolError(f"OpenSTA: {errors[0]}")
    return said


def critical_path(mapped, library, constraints=""):
    """The `CriticalPath` of a `Mapped` design, in which macros are black boxes.

    `constraints` is the text of an SDC file for the ports. Raises `ToolError` as `opensta` does.
    """
    clocks = ["[get_ports clk]", *(f"[get_pins {path}/gated]" for path in mapped.clock_gates())]
    with tempfile.NamedTemporaryFile("w", suffix=".v") as netlist:
        with mapped.netlist.open() as lines:
            netlist.writelines(without_concatenations(lines))
        netlist.flush()
        said = opensta(
            f"read_liberty {library.path}\nread_verilog {netlist.name}\nlink_design {mapped.top}\n"
            f"create_clock -name clk -period {PERIOD} [concat {' '.join(clocks)}]\n{constraints}\n"
            "report_checks -path_delay max -digits 3\n"
        )
    steps, slack = _STEP.findall(said), _SLACK.search(said)
    if not steps or not slack:
        raise ToolError("OpenSTA finds no path from one flip-flop to another")
    cells = [cell for *_, cell in steps]
    slowest = max(float(delay) for delay, *_ in steps)
    return CriticalPath(PERIOD - float(slack[1]), cells[:-1], steps[0][2], steps[-1][2], slowest)
