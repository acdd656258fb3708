# SPDX-License-Identifier: Apache-2.0
"""``tepin configs``: the presets and what they cost."""

import argparse
import json
import textwrap
from dataclasses import asdict, fields

from tepin.config import PRESETS, ChipConfig
from tepin_host.commands import Command
from tepin_host.commands.tables import print_table

__all__ = ["command"]


def _add_arguments(parser: argparse.ArgumentParser):
    parser.add_argument("--json", metavar="FILE", help="also write every setting of every preset to FILE")


def _kilobytes(size: int) -> str:
    return f"{size / 1024:g} KB"


def _on_chip_memory(config: ChipConfig) -> int:
    return config.scratchpad_bytes + config.weight_fifo_bytes + 4 * config.program_words


# Name and text of each row of the table.
_ROWS = {
    "array (rows x columns)": lambda config: f"{config.rows} x {config.columns}",
    "multipliers": lambda config: str(config.rows * config.columns),
    "multiplier width": lambda config: f"{config.activation_width} x 8 bit",
    "float32 lanes": lambda config: str(config.lanes),
    "memory port": lambda config: f"{config.port_width} bit",
    "bursts in flight": lambda config: str(config.outstanding),
    "scratchpad": lambda config: _kilobytes(config.scratchpad_bytes),
    "scratchpad banks": lambda config: str(config.scratchpad_banks),
    "weight FIFO": lambda config: _kilobytes(config.weight_fifo_bytes),
    "program": lambda config: _kilobytes(4 * config.program_words),
    "on-chip memory": lambda config: _kilobytes(_on_chip_memory(config)),
}


def _run(arguments: argparse.Namespace):
    from rich import box
    from rich.table import Table

    from tepin_host.output import output_file

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("preset", no_wrap=True)
    for name in PRESETS:
        table.add_column(name, justify="right", no_wrap=True)
    for row, describe in _ROWS.items():
        table.add_row(row, *(describe(config) for config in PRESETS.values()))
    with output_file(arguments.json) as write:
        print_table(table)
        settings = ", ".join(field.name for field in fields(ChipConfig))
        print(textwrap.fill(f"Any setting can be changed with --config PRESET,setting=value: {settings}", 80))
        presets = {name: asdict(config) for name, config in PRESETS.items()}
        write(json.dumps(presets, indent=2) + "\n")


command = Command(
    help="the presets and what they cost",
    description="Lists the named chip configurations: array, lanes, memory port and on-chip memory of each.",
    add_arguments=_add_arguments,
    run=_run,
    example="tepin configs\ntepin verilog --config sim,lanes=8 -o build/chip",
)
