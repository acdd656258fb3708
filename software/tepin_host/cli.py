# SPDX-License-Identifier: Apache-2.0
"""The command line: ``tepin SUBCOMMAND ...``.

Subcommands are found by their entry points (`tepin_host.commands`). Exit status: 0 if all went well, 2 and one line on
standard error for a mistake of the user's, 130 after Ctrl-C, 1 if the reader of the output has gone away.
"""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points, version

from tepin_host.commands import Command
from tepin_host.errors import UserError

__all__ = ["main"]


_GROUP = "tepin.commands"

_INTERRUPTED = 128 + 2
_BROKEN_PIPE = 1  # what rich, which prints the tables, ends with as well

_DESCRIPTION = "Runs language models on the Tepin inference chip, and makes its Verilog."
_EXAMPLE = 'tepin run --prompt "Once upon a time" --tokens 32'


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status. ``argv`` is without the program's name."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A model's text holds any character, whatever the terminal can show.
        sys.stdout.reconfigure(errors="replace")
    try:
        status = _run(list(sys.argv[1:] if argv is None else argv))
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except UserError as error:
        return _fail(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # What is still buffered would fail again when the interpreter flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except OSError as error:
        # Mostly about a file that the user named: no such directory, no permission, no space left.
        if error.strerror is None:
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        return _fail(str(UserError(where + error.strerror)), UserError.exit_status)
    except MemoryError as error:
        return _fail(f"not enough memory on this machine ({error})", UserError.exit_status)


def _fail(message: str, status: int) -> int:
    print(f"tepin: error: {message}", file=sys.stderr)
    return status


def _run(argv: list[str]) -> int:
    found = {entry.name: entry for entry in entry_points(group=_GROUP)}
    if argv and argv[0] in found:
        # Only this command is imported, not its neighbours.
        name = argv[0]
        command = _load(found[name])
        parser = _command_parser(name, command)
        try:
            arguments = parser.parse_args(argv[1:])
        except _Done:
            return 0
        return command.run(arguments) or 0
    if argv and not argv[0].startswith("-"):
        raise UserError(f"unknown command {argv[0]!r}; commands are {', '.join(sorted(found))}")
    parser = _overview_parser(found)
    try:
        parser.parse_args(argv or ["--help"])
    except _Done:
        return 0
    parser.error("a command is missing")


def _load(entry: EntryPoint) -> Command:
    try:
        command = entry.load()
    except ImportError as error:
        raise UserError(f"command {entry.name!r} cannot be loaded: {error}") from error
    if not isinstance(command, Command):
        raise TypeError(f"entry point {entry.value} of {_GROUP} is not a Command: {command!r}")
    return command


class _Done(Exception):
    """The parser has done all there is to do: it has shown help or version."""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, as all of ours, and that never ends the program."""

    def __init__(self, *, example: str, **others):
        lines = "\n".join(f"  {line}" for line in example.splitlines())
        super().__init__(
            epilog=f"example:\n{lines}\n" if example else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **others,
        )

    def exit(self, status=0, message=None):
        raise _Done

    def error(self, message: str):
        raise UserError(f"{message}; try '{self.prog} --help'")


def _command_parser(name: str, command: Command) -> argparse.ArgumentParser:
    description = command.description or f"{command.help[:1].upper()}{command.help[1:]}."
    parser = _Parser(prog=f"tepin {name}", description=description, example=command.example)
    command.add_arguments(parser)
    return parser


def _overview_parser(found: dict[str, EntryPoint]) -> argparse.ArgumentParser:
    """The parser of a command line without a command: help, with the list of commands, and version."""
    lines = []
    for name in sorted(found):
        try:
            lines.append(f"  {name:<12}{_load(found[name]).help}")
        except UserError as error:
            # A broken command must not take the help of the others with it.
            lines.append(f"  {name:<12}(unavailable: {error.__cause__})")
    commands = "\n".join(lines)
    parser = _Parser(
        prog="tepin",
        usage="tepin [--help] [--version] COMMAND ...",
        description=f"{_DESCRIPTION}\n\ncommands ('tepin COMMAND --help' explains one):\n{commands}",
        example=_EXAMPLE,
    )
    parser.add_argument("--version", action="version", version=f"tepin {version('tepin')}")
    return parser
