# SPDX-License-Identifier: Apache-2.0
"""``tepin build``: a board's bitstream, and what it is worth."""

import json
import sys
from dataclasses import asdict

from tepin_host.commands import Command
from tepin_host.commands.tables import print_table
from tepin_host.errors import UserError

__all__ = ["command"]


def _add_arguments(parser):
    parser.add_argument("board", metavar="BOARD", help="'tepin boards' lists them")
    parser.add_argument(
        "--config",
        metavar="PRESET[,KEY=VALUE...]",
        help="the chip, or coprocessor (default: what the board is made for)",
    )
    parser.add_argument("--clock", type=float, metavar="MHZ", help="clock to ask for (default: the board's)")
    parser.add_argument("--seed", type=int, default=1, help="of the placement (default: 1)")
    parser.add_argument("-o", "--output", metavar="DIR", help="directory to write (default: build/BOARD)")
    parser.add_argument(
        "--picture", action="store_true", help="also draw where each block was placed: floorplan.svg in DIR"
    )
    parser.add_argument("--program", action="store_true", help="load the bitstream into the board")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to FILE")


def _run(arguments):
    from tepin_fpga.board import find_board, parse_design
    from tepin_fpga.build import build_board
    from tepin_fpga.flow import Progress
    from tepin_fpga.program import find_loader, program_board
    from tepin_fpga.speed import speed_on_board
    from tepin_host.output import output_file

    board = find_board(arguments.board)
    try:
        config = parse_design(arguments.config or board.config)
    except ValueError as error:
        raise UserError(str(error)) from None
    if arguments.seed < 0:
        raise UserError(f"--seed must not be negative, not {arguments.seed}")
    if arguments.program:
        find_loader()
    say = Progress(lambda line: print(line, file=sys.stderr, flush=True))
    with output_file(arguments.json) as write:
        built = build_board(
            board,
            config,
            arguments.output or f"build/{board.name}",
            clock_hz=round(arguments.clock * 1e6) if arguments.clock is not None else None,
            seed=arguments.seed,
            picture=arguments.picture,
            say=say,
        )
        speeds = speed_on_board(config, board, built.clock_hz, say=say)
        say("done")
        _print(board, config, built, speeds)
        write(_json(board, config, arguments.seed, built, speeds))
    if arguments.program:
        program_board(board, built.bitstream)
    return 0


def _print(board, config, built, speeds):
    from rich import box
    from rich.table import Table

    resources = Table("", *("used", "free"), box=box.SIMPLE_HEAD)
    for name, resource in built.usage.resources.items():
        resources.add_row(name, f"{resource.used:,}", f"{resource.free:,}")
    clocks = Table("clock", "asked", "met", box=box.SIMPLE_HEAD)
    for name, clock in built.usage.clocks.items():
        clocks.add_row(name, f"{clock.asked:.1f} MHz", f"{clock.met:.1f} MHz")
    what = f"{config.describe()} hash={config.hash:08x}"
    models = Table("model", "weights", "cycles per token", "tokens/s", "chip", box=box.SIMPLE_HEAD)
    for speed in speeds:
        figures = ("too large", "")
        if not speed.problem:
            figures = f"{speed.cycles_per_token:,.0f}", f"{speed.tokens_per_second(built.clock_hz):,.2f}"
        models.add_row(speed.model, speed.weights, *figures, what)
    for table in (resources, clocks, models):
        for column in table.columns[1:]:
            column.justify = "right"
        print_table(table)
    for speed in speeds:
        if speed.problem:
            print(f"{speed.model}, {speed.weights} weights: {speed.problem}")
    print(f"{built.bitstream}: {board.title}, {built.clock_hz / 1e6:g} MHz")


def _json(board, config, seed, built, speeds):
    result = {
        "board": board.name,
        "config": asdict(config),
        "config_hash": f"{config.hash:08x}",
        "seed": seed,
        "clock_hz": built.clock_hz,
        "bitstream": str(built.bitstream),
        **built.usage.as_dict(),
        "primitives": {block: asdict(entry) for block, entry in built.primitives.items()},
        "speed": [
            asdict(speed) | {"tokens_per_second": speed.tokens_per_second(built.clock_hz)} for speed in speeds
        ],
    }
    return json.dumps(result, indent=2) + "\n"


command = Command(
    help="make a board's bitstream",
    description=(
        "Synthesises, places and routes the system for a board. Writes the bitstream, the Verilog, the constraints and the "
        "tools' logs; a design that does not fit, or that misses its clock, is an error and has no bitstream. Then shows "
        "what is used and free, which clock is met, and how many tokens per second that gives."
    ),
    add_arguments=_add_arguments,
    run=_run,
    example="tepin build ulx3s-85f\ntepin build ulx3s-85f --clock 85 --seed 3 -o build/fast --program",
)
