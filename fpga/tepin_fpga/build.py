# SPDX-License-Identifier: Apache-2.0
"""A board's bitstream, from its configuration."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

from tepin_fpga.floorplan import draw_floorplan, placed_cells
from tepin_fpga.primitives import Primitives, check_primitives, expected_primitives
from tepin_fpga.report import BuildFailed, Usage, check_timing, parse_report
from tepin_fpga.top import SYSTEM, TOP, top_verilog
from tepin_host.errors import UserError
from tepin_host.output import output_directory

__all__ = ["PICTURE", "Built", "build_board", "file_names"]

PICTURE = "floorplan.svg"
"""Where each block was placed."""


@dataclass(frozen=True)
class Built:
    """A bitstream that meets its clock.

    Members
    -------
    bitstream : Path
    clock_hz : int
        That the PLL makes.
    usage : Usage
    primitives : dict from str to Primitives
        Of each block: what the configuration asks for, and what is there.
    """

    bitstream: Path
    clock_hz: int
    usage: Usage
    primitives: dict


def file_names(board):
    """Files of a finished build, the bitstream last."""
    family = board.family
    return [f"{SYSTEM}.v", f"{TOP}.v", family.constraints, "report.json", *family.logs, _bitstream(board)]


def _bitstream(board):
    return f"{board.name}.{board.family.bitstream}"


def build_board(board, config, output, *, clock_hz=None, seed=1, picture=False, say=None, expected=None):
    """Build a board's bitstream in the directory `output`.

    Parameters
    ----------
    board : Board
    config : ChipConfig or Shape
    output : path
        Created if need be. A build that fails leaves logs and report of the tools that ran there, and no bitstream, not even
        an older one.
    clock_hz : int, optional
        Instead of the board's own.
    seed : int
        Of the placement.
    picture : bool
        Draw the placed design, also if it misses its clock.
    say : callable(str), optional
        Told about progress.
    expected : dict from str to Primitives, optional
        Instead of what the configuration says about the chip; for systems without one.

    Raises
    ------
    UserError
        A tool is missing, or the clock is out of reach.
    ToolFailed, CannotRegister, BuildFailed
        What a tool says; a pin without a flip-flop; the design does not fit, misses its clock, or is not what the
        configuration says.
    """
    say = say or (lambda message: None)
    board = board.running(config)
    for tool in board.family.tools:
        tool.find()
    if picture and not board.family.pictured():
        raise UserError(f"there are no pictures of {board.device}")
    try:
        pll = board.family.solve(board, clock_hz or board.clock_hz)
    except ValueError as error:
        raise UserError(str(error)) from None
    names = file_names(board) + [PICTURE] * picture
    failure = None
    with output_directory(output, names=names) as directory:
        bitstream = Path(output) / _bitstream(board)
        bitstream.unlink(missing_ok=True)
        try:
            usage, primitives = _build(board, config, pll, directory, seed, picture, say, expected)
        except UserError as error:
            failure = error
            names = [*board.family.logs, "report.json", PICTURE]
        for path in directory.iterdir():
            if path.name not in names:
                path.unlink()
        if failure and not any(directory.iterdir()):
            raise failure
    if failure:
        raise failure
    return Built(bitstream, round(pll.output_hz), usage, primitives)


def _build(board, config, pll, directory, seed, picture, say, expected):
    """Fill `directory`; return usage and primitives."""
    from amaranth.hdl import UnusedElaboratable

    from tepin import verilog

    family = board.family
    primitives = expected_primitives(config, family) if expected is None else expected
    total = sum(primitives.values(), Primitives())
    # Before minutes of synthesis.
    family.check_fits(board, family.expected_cells(total))
    say(f"{board.title}: {float(pll.output_hz) / 1e6:g} MHz, {config.describe()} hash={config.hash:08x}")
    say("generating Verilog")
    try:
        system = board.system(config, round(pll.output_hz))
    except ValueError as error:
        raise UserError(f"{board.name}: {error}") from None
    # To learn the ports, a component is made that is then not elaborated; Amaranth notices when Python frees it.
    warnings.filterwarnings("ignore", category=UnusedElaboratable)
    ports = verilog.ports(system)
    (directory / f"{TOP}.v").write_text(top_verilog(board, ports, pll))
    (directory / f"{SYSTEM}.v").write_text(verilog.convert(system, name=SYSTEM, device=board.device))

    family.synthesise(directory, [f"{SYSTEM}.v", f"{TOP}.v"], top=TOP, board=board, say=say)
    netlist = json.loads((directory / "design.json").read_text())["modules"][TOP]
    check_primitives(netlist, primitives, family)
    report = family.route(
        directory, board=board, seed=seed, written="placed.json" if picture else None, say=say
    )
    if picture:
        say("picture")
        title = f"{board.title}: {config.describe()}, {float(pll.output_hz) / 1e6:g} MHz asked"
        cells = placed_cells((directory / "placed.json").read_text())
        (directory / PICTURE).write_text(draw_floorplan(cells, title))
    usage = parse_report(report, family.limits_hz(board), family.resources)
    _check_total(usage, total)
    check_timing(usage)
    family.pack(directory, _bitstream(board), board=board, say=say)
    return usage, primitives


def _check_total(usage, expected):
    """Raise `BuildFailed` unless what was placed is what the configuration says."""
    memories = sum(usage.resources[name].used for name in ("block RAM", "SPRAM") if name in usage.resources)
    found = Primitives(usage.resources["DSP"].used, memories)
    if found != expected:
        raise BuildFailed(f"{found} were placed, the configuration has {expected}")
