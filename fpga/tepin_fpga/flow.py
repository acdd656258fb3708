# SPDX-License-Identifier: Apache-2.0
"""From Verilog to a bitstream for an ECP5, step by step in one directory.

*.v -> synthesise -> design.json -> route -> design.config, report.json -> pack -> design.bit
"""

import json
import time

from tepin_fpga.ecp5 import DEVICES
from tepin_fpga.global_nets import promote_resets
from tepin_fpga.iocells import register_pins
from tepin_fpga.multipliers import place_multipliers
from tepin_fpga.report import check_fits
from tepin_fpga.tools import ECPPACK, NEXTPNR_ECP5, YOSYS, run_tool

__all__ = ["LOGS", "Progress", "pack", "route", "synthesise"]

LOGS = ("yosys.log", "nextpnr.log", "ecppack.log")
"""What the tools said."""

_FEWEST_SHARING = 8
"""Flip-flops that have to share a clock enable or a reset for it to be one. Otherwise it becomes logic in front of them: all
flip-flops of a slice share such a signal, so a few that have one of their own keep others away from where they belong."""

_FLIP_FLOPS = (
    "-cell $_DFF_?_ 01 -cell $_DFF_?P?_ r -cell $_SDFF_?P?_ r "
    "-cell $_DFFE_??_ 01 -cell $_DFFE_?P??_ r -cell $_SDFFE_?P??_ r -cell $_DLATCH_?_ x"
)
"""Those of an ECP5, as `synth_ecp5` has them."""

_YOSYS_MILESTONES = (
    ("Executing MEMORY_LIBMAP pass", "synthesis: memories"),
    ("Executing TECHMAP pass", "synthesis: cells"),
    ("Executing ABC9 pass", "synthesis: look-up tables"),
)
_NEXTPNR_MILESTONES = (
    ("Packing constants", "packing"),
    ("Running main analytical placer", "placing"),
    ("Running Static placer", "placing"),
    ("Running simulated annealing placer for refinement", "placing: refinement"),
    ("Routing globals", "routing: clocks"),
    ("Running router", "routing"),
    ("Routing..", "routing"),
)


class Progress:
    """Lines with the time since the start, for long work: ``[  12 s] placing``."""

    def __init__(self, write):
        self._write = write
        self._start = time.monotonic()

    def __call__(self, message):
        self._write(f"[{time.monotonic() - self._start:4.0f} s] {message}")


def synthesise(directory, files, *, top, device, register=(), say=None):
    """Make `design.json` of Verilog files.

    Parameters
    ----------
    directory : Path
        Where the files are.
    files : list of str
    top : str
        Name of the top module.
    device : str
        That it has to fit, a key of `DEVICES`.
    register : list of str
        Ports whose flip-flops go into the I/O cells.
    say : callable(str), optional

    Returns
    -------
    dict from str to int
        Number of cells by type.

    Raises
    ------
    UserError
        If Yosys is missing or fails, or the design does not fit.
    """
    script = [f"read_verilog {name}" for name in files]
    script += [
        f"synth_ecp5 -top {top} -run begin:map_ffs",
        "opt_clean",
        f"dfflegalize {_FLIP_FLOPS} -mince {_FEWEST_SHARING} -minsrst {_FEWEST_SHARING}",
        f"synth_ecp5 -top {top} -run map_ffs: -json design.json",
        "tee -q -o cells.json stat -json",
    ]
    (directory / "synthesis.ys").write_text("\n".join(script) + "\n")
    if say:
        say("synthesis")
    arguments = ["synthesis.ys"]
    run_tool(YOSYS, arguments, directory=directory, log=LOGS[0], say=say, milestones=_YOSYS_MILESTONES)
    cells = json.loads((directory / "cells.json").read_text())["design"]["num_cells_by_type"]
    check_fits(cells, DEVICES[device])
    netlist = json.loads((directory / "design.json").read_text())
    register_pins(netlist["modules"][top], register)
    promote_resets(netlist["modules"][top])
    place_multipliers(netlist["modules"][top], DEVICES[device])
    (directory / "design.json").write_text(json.dumps(netlist))
    return cells


def route(
    directory,
    *,
    device,
    package,
    speed,
    seed,
    constraints="",
    clock_hz=None,
    placer="heap",
    written=None,
    say=None,
):
    """Place and route `design.json`; make `design.config` and `report.json`.

    Parameters
    ----------
    directory : Path
    device, package, speed : str, str, int
    seed : int
    constraints : str
        Text of the constraint file. Ports that it leaves out go anywhere.
    clock_hz : int, optional
        For clocks that the constraints say nothing about.
    placer : str
        nextpnr's. "static" takes longer, but where a design fills most of a device its wires are a third shorter.
    written : str, optional
        File for the placed and routed design, in JSON.
    say : callable(str), optional

    Returns
    -------
    dict
        nextpnr's report. Missed timing is no error here.
    """
    (directory / "design.lpf").write_text(constraints)
    arguments = [DEVICES[device].option, "--package", package, "--speed", str(speed), "--seed", str(seed)]
    arguments += ["--json", "design.json", "--lpf", "design.lpf", "--lpf-allow-unconstrained"]
    arguments += ["--textcfg", "design.config", "--report", "report.json", "--timing-allow-fail"]
    arguments += ["--placer", placer]
    arguments += ["--write", written] if written else []
    if clock_hz:
        arguments += ["--freq", f"{clock_hz / 1e6:g}"]
    if say:
        say("place and route")
    run_tool(
        NEXTPNR_ECP5, arguments, directory=directory, log=LOGS[1], say=say, milestones=_NEXTPNR_MILESTONES
    )
    return json.loads((directory / "report.json").read_text())


def pack(directory, bitstream, *, say=None):
    """Make the file `bitstream` of `design.config`."""
    if say:
        say("bitstream")
    run_tool(ECPPACK, ["--compress", "design.config", bitstream], directory=directory, log=LOGS[2])
