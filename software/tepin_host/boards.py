# SPDX-License-Identifier: Apache-2.0
"""Simulated boards, from whatever package brings them.

A package registers a function by an entry point of the group ``tepin.boards``::

    [project.entry-points."tepin.boards"]
    my_boards = "my_boards.twin:twins"

It takes nothing and returns a dictionary from the board's name, as users type it, to its `BoardTwin`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import entry_points

from tepin_host.errors import UserError

__all__ = ["BoardTwin", "find_twin"]

_GROUP = "tepin.boards"


@dataclass(frozen=True, kw_only=True)
class BoardTwin:
    """A board that can be simulated.

    Members
    -------
    config : str
        The configuration that it is made for, as on the command line.
    start : callable(ChipConfig, progress) -> context manager
        Powers it up; yields a `tepin_host.serial.SerialChip` whose board is a simulation, and which has two things more:
        `cycle`, clock cycles since power-up, and `observed()`, words that left through the chip's probe since the last call.
        `progress(message)` is called when something takes long.
    """

    config: str
    start: Callable[..., AbstractContextManager]


def find_twin(name):
    """The `BoardTwin` of that name; `UserError` that lists them all if there is none."""
    twins = {}
    for entry in entry_points(group=_GROUP):
        try:
            twins |= entry.load()()
        except ImportError as error:
            raise UserError(f"boards of {entry.name!r} cannot be loaded: {error}") from error
    if name not in twins:
        known = ", ".join(sorted(twins)) or "none; the package with boards is not installed"
        raise UserError(f"unknown board {name!r}; boards are {known}")
    return twins[name]
