# SPDX-License-Identifier: Apache-2.0
"""``tepin disasm``: the listing of a program."""

from pathlib import Path

from tepin_host.commands import Command
from tepin_host.errors import UserError

__all__ = ["command"]


def _add_arguments(parser):
    parser.add_argument("program", metavar="DIR|FILE", help="what `tepin compile` wrote, or a program.bin")


def _run(arguments):
    import numpy as np

    from tepin.program import listing

    path = Path(arguments.program)
    path = path / "program.bin" if path.is_dir() else path
    if not path.is_file():
        raise UserError(
            f"{path}: no such program; accepted are a directory of `tepin compile` and a program.bin"
        )
    data = path.read_bytes()
    if not data or len(data) % 4:
        raise UserError(f"{path}: {len(data)} bytes are not a program of 32-bit words")
    for line in listing(np.frombuffer(data, "<u4").tolist()):
        print(line)


command = Command(
    help="list the instructions of a program",
    description="Prints a program: word address, first word, instruction.",
    add_arguments=_add_arguments,
    run=_run,
    example="tepin disasm build/stories | less",
)
