# SPDX-License-Identifier: Apache-2.0
"""``tepin verilog``: the chip, one of its engines, the link between chips or a unit, for other people's tools."""

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
        help="the module to make: chip (default), array, matmul, vector, softmax, norm, activation, dma, link, switch, sdram",
    )
    parser.add_argument(
        "--single-file", action="store_true", help="one Verilog file instead of one for each module"
    )
    parser.add_argument(
        "--clock-gates",
        action="store_true",
        help="stop the clocks of engines that rest, by instances of tepin_clock_gate: for silicon",
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="directory to write")
    parser.add_argument("--force", action="store_true", help="replace files that are there")


def _run(arguments):
    from amaranth.hdl import UnusedElaboratable

    from tepin.tops import TOPS
    from tepin_host.export import component, export, file_names
    from tepin_host.output import output_directory

    config = config_from_arguments(arguments)
    if arguments.top not in TOPS:
        raise UserError(f"unknown top {arguments.top!r}; tops are {', '.join(TOPS)}")
    # The manifest needs ports of components, of which not every one is made into Verilog.
    warnings.filterwarnings("ignore", category=UnusedElaboratable)
    component(config, arguments.top)
    names = file_names(arguments.top, single_file=arguments.single_file)
    with output_directory(arguments.output, names=names, replace=arguments.force) as directory:
        print("generating Verilog", file=sys.stderr, flush=True)
        files = export(
            config, arguments.top, single_file=arguments.single_file, clock_gates=arguments.clock_gates
        )
        for name, text in files.items():
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    modules = sum(name.startswith("rtl/") for name in files)
    names[0] = f"rtl/ ({modules} modules)" if modules else names[0]
    print(f"{arguments.output}: {', '.join(names)}; {config.describe()} hash={config.hash:08x}")


command = Command(
    help="write the Verilog of the chip, of one of its engines, of the link or of a unit",
    description=(
        "Writes Verilog-2005, memories as modules of their own, with file list, manifest (ports, conventions, configuration, "
        "memories), FuseSoC core, timing constraints and a testbench that checks itself; for the chip also its registers, C "
        "headers and a driver. See docs/verilog.md."
    ),
    add_arguments=_add_arguments,
    run=_run,
    example="tepin verilog --config board -o build/chip\ntepin verilog --top matmul --config asic -o build/matmul",
)
