# SPDX-License-Identifier: Apache-2.0
"""``tepin bench``: measured figures against their limits."""

import sys

from tepin_host.commands import Command
from tepin_host.commands.tables import print_table
from tepin_host.errors import UserError

__all__ = ["command"]


def _add_arguments(parser):
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run (default: all)")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to FILE")


def _run(arguments):
    import json
    from dataclasses import asdict

    from tepin_host.bench import BENCHES, CheckFailed
    from tepin_host.output import output_file

    unknown = [name for name in arguments.names if name not in BENCHES]
    if unknown:
        raise UserError(f"unknown benchmark {unknown[0]!r}; benchmarks are {', '.join(BENCHES)}")
    rows = []
    with output_file(arguments.json) as write:
        try:
            for name in arguments.names or BENCHES:
                rows += BENCHES[name](lambda message: print(message, file=sys.stderr, flush=True))
        except CheckFailed as error:
            print(f"tepin: error: {error}", file=sys.stderr)
            return 1
        _print(rows)
        write(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


def _print(rows):
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("bench", "case", "metric"):
        table.add_column(title, no_wrap=True)
    for title in ("value", "limit"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        limit = "" if row.limit is None else f"{row.limit:,.6g} {row.unit}"
        table.add_row(row.bench, row.case, row.metric, f"{row.value:,.6g} {row.unit}", limit)
    print_table(table)


command = Command(
    help="measure the chip and show the figures beside their limits",
    description="Runs benchmarks on the generated Verilog; a benchmark whose results are wrong fails.",
    add_arguments=_add_arguments,
    run=_run,
    example="tepin bench decode --json decode.json",
)
