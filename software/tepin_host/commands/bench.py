# SPDX-License-Identifier: Apache-2.0
"""``tepin bench``: measured figures against their limits."""

import sys

from tepin_host.commands import Command
from tepin_host.errors import UserError

__all__ = ["command"]


def _add_arguments(parser):
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run (default: all)")
    parser.add_argument("--json", metavar="FILE", help="also write the rows to FILE")


def _run(arguments):
    import json
    from dataclasses import asdict
    from pathlib import Path

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from tepin_host.bench import BENCHES, CheckFailed

    unknown = [name for name in arguments.names if name not in BENCHES]
    if unknown:
        raise UserError(f"unknown benchmark {unknown[0]!r}; benchmarks are {', '.join(BENCHES)}")
    rows = []
    try:
        for name in arguments.names or BENCHES:
            rows += BENCHES[name](lambda message: print(message, file=sys.stderr, flush=True))
    except CheckFailed as error:
        print(f"tepin: error: {error}", file=sys.stderr)
        return 1
    table = Table(box=box.SIMPLE_HEAD)
    for title, justify in (
        ("bench", "left"),
        ("case", "left"),
        ("metric", "left"),
        ("value", "right"),
        ("limit", "right"),
    ):
        table.add_column(title, justify=justify)
    for row in rows:
        limit = "" if row.limit is None else f"{row.limit:,.6g} {row.unit}"
        table.add_row(row.bench, row.case, row.metric, f"{row.value:,.6g} {row.unit}", limit)
    Console(highlight=False, soft_wrap=True).print(table)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


command = Command(
    help="measure the chip and show the figures beside their limits",
    description="Runs benchmarks on the generated Verilog; a benchmark whose results are wrong fails.",
    add_arguments=_add_arguments,
    run=_run,
    example="tepin bench decode --json decode.json",
)
