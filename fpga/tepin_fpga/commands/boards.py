# SPDX-License-Identifier: Apache-2.0
"""``tepin boards``: what is supported, what is attached, and what is missing to use it."""

import json
from dataclasses import asdict

from tepin_host.commands import Command
from tepin_host.commands.tables import print_table
from tepin_host.errors import UserError

__all__ = ["command"]


def _add_arguments(parser):
    parser.add_argument("--json", metavar="FILE", help="also write what is supported and attached to FILE")


def _run(arguments):
    from rich import box
    from rich.table import Table

    from tepin_fpga.attached import attached_boards
    from tepin_fpga.board import all_boards
    from tepin_host.output import output_file

    boards = all_boards()
    attached = attached_boards(boards.values())
    table = Table("board", "what it is", "clock", "chip", "attached", box=box.SIMPLE_HEAD)
    for board in boards.values():
        ports = ", ".join(entry.port for entry in attached if entry.board == board.name)
        table.add_row(board.name, board.title, f"{board.clock_hz / 1e6:g} MHz", board.config, ports)
    with output_file(arguments.json) as write:
        print_table(table)
        for line in _hints(boards, attached):
            print(line)
        supported = [
            {"name": board.name, "title": board.title, "clock_hz": board.clock_hz, "config": board.config}
            for board in boards.values()
        ]
        result = {"boards": supported, "attached": [asdict(entry) for entry in attached]}
        write(json.dumps(result, indent=2) + "\n")


def _hints(boards, attached):
    """What the user has to do before a board can be used, line by line."""
    from tepin_fpga.attached import permission_help
    from tepin_fpga.program import find_loader

    if not attached:
        yield "No board is attached: connect its USB socket to this machine."
    for port in {entry.port: None for entry in attached if not entry.permitted}:
        yield f"You may not use {port}: {permission_help(port)}."
    tools = {tool: None for board in boards.values() for tool in board.family.tools}
    for find in (*(tool.find for tool in tools), find_loader):
        try:
            find()
        except UserError as error:
            yield f"Missing: {error}."


command = Command(
    help="list supported and attached boards",
    description=(
        "Lists the boards that 'tepin build' knows and the serial ports of those that are attached, and says what is missing "
        "to use them: tools, or permission for the port."
    ),
    add_arguments=_add_arguments,
    run=_run,
    example="tepin boards",
)
