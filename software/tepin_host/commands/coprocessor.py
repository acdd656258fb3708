# SPDX-License-Identifier: Apache-2.0
"""``tepin run`` with a matmul coprocessor: what it is told before, and what is said about it afterwards."""

import sys

from tepin_host.commands.options import progress_bar

__all__ = ["describe", "find_coprocessor", "run_on_coprocessor"]


def find_coprocessor(chip):
    """The coprocessor at the other end of a `SerialChip`, or None if that is a chip."""
    from tepin_host.coprocessor import find_coprocessor

    return find_coprocessor(chip)


def run_on_coprocessor(coprocessor, executable, request, report, memory):
    """The tokens to come: matrices are loaded, then the host does what the coprocessor does not."""
    from tepin_host.runtime import run_reference

    with progress_bar(f"loading {executable.name}") as progress:
        coprocessor.load(executable, progress)
    layout = coprocessor.layout
    if layout.streamed:
        print(
            f"{layout.streamed} of {layout.kept + layout.streamed} matrices do not fit into the coprocessor's memory; "
            "their weights go over the line for every token",
            file=sys.stderr,
        )
    return run_reference(executable, request, report, memory, products=coprocessor.products)


def describe(coprocessor, request, report):
    """Rows for the report."""
    traffic, layout = coprocessor.traffic, coprocessor.layout
    positions = max(1, len(request.prompt) + len(report.tokens) - 1 - request.start)
    clock, baud = coprocessor.clock_hz, coprocessor.baud
    moved = (traffic.sent + traffic.received) / positions
    cycles = traffic.cycles / positions
    return {
        "coprocessor": f"{coprocessor.shape.describe().removeprefix('coprocessor ')}, {clock / 1e6:g} MHz, {baud:,} baud",
        "matrices": f"{layout.kept} in its memory, {layout.streamed} over the line",
        "line, per position": f"{moved:,.0f} bytes, {1e3 * 10 * moved / baud:.1f} ms",
        "array, per position": f"{cycles:,.0f} cycles, {1e3 * cycles / clock:.1f} ms",
        "exchanges, per position": f"{traffic.exchanges / positions:.0f}",
    }
