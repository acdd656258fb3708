# SPDX-License-Identifier: Apache-2.0
"""``tepin bench fmax``: the clock that the matmul engine by itself reaches on an ECP5.

Its ports go through shift registers (`tepin_fpga.harness`), so that what is measured are its own paths and no pins. Nothing
is placed by hand but the multipliers, as on a board.
"""

import statistics
from dataclasses import replace

from tepin import chip
from tepin.config import PRESETS
from tepin_fpga.harness import measure_block
from tepin_host.bench.row import Row

__all__ = ["fmax"]

_DEVICE, _SPEED = "LFE5U-85F", 6
_SHAPES = {(8, 8): 170, (8, 16): 140}
"""Rows and columns, and the clock in MHz that the tools aim at: out of reach, but not by far."""

_SEEDS = range(1, 6)


def fmax(say):
    """Median, least and most of five seeds, and what the engine takes of the device."""
    for (rows, columns), aim in _SHAPES.items():
        config = replace(PRESETS["board"], rows=rows, columns=columns)
        case = f"matmul engine array={rows}x{columns} alone on {_DEVICE} grade {_SPEED}"
        measured = measure_block(
            chip.matmul_engine(config),
            device=_DEVICE,
            speed=_SPEED,
            clock_hz=aim * 1_000_000,
            seeds=_SEEDS,
            say=lambda message, case=case: say(f"{case}: {message}"),
        )
        figures = []
        for seed, figure in zip(_SEEDS, measured, strict=True):
            say(f"{case}: seed {seed}: {figure.mhz:.1f} MHz")
            figures.append(figure)
        clocks = [figure.mhz for figure in figures]
        for name, value in (
            (f"clock, median of {len(clocks)} seeds", statistics.median(clocks)),
            ("clock, least", min(clocks)),
            ("clock, most", max(clocks)),
        ):
            yield Row("fmax", case, name, value, "MHz")
        first = figures[0]
        yield Row("fmax", case, "multipliers of the array", first.array_dsps, "MULT18X18D", rows * columns)
        yield Row(
            "fmax", case, "multipliers of the float32 scaling", first.dsps - first.array_dsps, "MULT18X18D"
        )
        yield Row("fmax", case, "LUT4", first.luts, "")
        yield Row("fmax", case, "flip-flops", first.ffs, "")
