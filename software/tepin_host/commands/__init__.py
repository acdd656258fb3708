# SPDX-License-Identifier: Apache-2.0
"""Subcommands of ``tepin``, one module each.

A subcommand is a `Command` named by an entry point of the group ``tepin.commands``, in any installed package::

    [project.entry-points."tepin.commands"]
    blink = "my_boards.blink:command"

The entry point's name is what the user types. Its module is imported only when the subcommand or the list of all is asked
for; it should import what is heavy inside `Command.run`, so that ``tepin --help`` stays quick.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Command"]


@dataclass(frozen=True, kw_only=True)
class Command:
    """One subcommand.

    Members
    -------
    help : str
        One line for the list of subcommands, without a full stop.
    add_arguments : callable
        Adds the arguments to an ``argparse`` parser.
    run : callable
        Does the work, given the parsed arguments, and returns the exit status (None is 0). Raises
        `tepin_host.errors.UserError` for what the user can mend.
    description : str
        What the subcommand's own help says first; ``help`` by default.
    example : str
        A command line, or several lines, shown at the end of its help.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]
    description: str = ""
    example: str = ""
