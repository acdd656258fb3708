# SPDX-License-Identifier: Apache-2.0
"""``tepin disasm``: the listing of a program."""

from pathlib import Path

from tepin_host.commands import Command
from tepin_host.errors import UserError

__all__ = ["command"]

_MOST_WORDS = 1 << 15  # program counters have 15 bits


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
    size = path.stat().st_size
    if not size or size % 4:
        raise UserError(f"{path}: {size} bytes are not a program of 32-bit words")
    if size > 4 * _MOST_WORDS:
        raise UserError(f"{path}: {size} bytes are not a program, which has up to {_MOST_WORDS} words")
    data = path.read_bytes()
    for line in listing(np.frombuffer(data, "<u4").tolist()):
        print(line)


command = Command(
    help="list the instructions of a program",
    description="Prints a program: word address, first word, instruction.",
    add_arguments=_add_arguments,
    run=_run,
    example="tepin disasm build/stories | less",
)
