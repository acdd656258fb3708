# SPDX-License-Identifier: Apache-2.0
"""Tables on standard output: never cut, however narrow the terminal, and whatever a cell's text looks like."""

__all__ = ["print_table"]

_WIDEST = 10_000


def print_table(table):
    """Print a `rich.table.Table` as wide as its cells ask for."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    needed = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
    console.width = max(console.width, needed)
    console.print(table)
