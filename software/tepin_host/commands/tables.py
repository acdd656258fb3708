# SPDX-License-Identifier: Apache-2.0
"""Tables on standard output: never cut, however narrow the terminal, and whatever a cell's text looks like."""

__all__ = ["print_rows", "print_table"]

_WIDEST = 10_000


def print_table(table):
    """Print a `rich.table.Table` as wide as its cells ask for."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    needed = console.measure(table, options=console.options.update(max_width=_WIDEST)).maximum
    console.width = max(console.width, needed)
    console.print(table)


def print_rows(rows):
    """Print a dictionary as a table of two columns: what, and its value."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column("what", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    for row in rows.items():
        table.add_row(*row)
    print_table(table)
