# SPDX-License-Identifier: Apache-2.0
"""``tepin verilog``: the chip, one of its engines, the link between chips or a switch, for other people's tools."""

import sys
import warnings

from tepin_host.commands import Command
from tepin_host.commands.options import add_config_argument, config_from_arguments
from tepin_host.errors import UserError

__all__ = ["command"]


def _add_arguments(parser):
    add_config_argument(parser)
    parser.add_argument(
        "--top",
        metavar="NAME",
        default="chip",
        help="chip (default), matmul, vector, dma, link or switch: the module to make",
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="directory to write")
    parser.add_argument("--force", action="store_true", help="replace files that are there")


def _run(arguments):
    from amaranth.hdl import UnusedElaboratable

    from tepin.tops import TOPS
    from tepin_host.export import export, file_names
    from tepin_host.output import output_directory

    config = config_from_arguments(arguments)
    if arguments.top not in TOPS:
        raise UserError(f"unknown top {arguments.top!r}; tops are {', '.join(TOPS)}")
    names = file_names(arguments.top)
    # The manifest needs ports of components, of which not every one is made into Verilog.
    warnings.filterwarnings("ignore", category=UnusedElaboratable)
    with output_directory(arguments.output, names=names, replace=arguments.force) as directory:
        print("generating Verilog", file=sys.stderr, flush=True)
        for name, text in export(config, arguments.top).items():
            (directory / name).write_text(text, encoding="utf-8")
    print(f"{arguments.output}: {', '.join(names)}; {config.describe()} hash={config.hash:08x}")


command = Command(
    help="write the Verilog of the chip, of one of its engines, of the link or of a switch",
    description=(
        "Writes the Verilog, a manifest (ports, conventions, configuration, memories) and, for the chip, its registers "
        "and a C header."
    ),
    add_arguments=_add_arguments,
    run=_run,
    example="tepin verilog --config board -o build/chip\ntepin verilog --top matmul --config asic -o build/matmul",
)
