# SPDX-License-Identifier: Apache-2.0
"""``tepin compile``: a model as a memory image, a program and a map."""

from tepin_host.commands import Command
from tepin_host.commands.options import add_model_arguments, compile_from_arguments, config_from_arguments

__all__ = ["command"]


def _add_arguments(parser):
    add_model_arguments(parser)
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="directory to write")


def _run(arguments):
    executable = compile_from_arguments(arguments, config_from_arguments(arguments.config))
    executable.save(arguments.output)
    print(
        f"{arguments.output}: program of {len(executable.program)} words, image of {len(executable.image):,} bytes, "
        f"{executable.memory_bytes:,} bytes of memory with the KV cache"
    )


command = Command(
    help="compile a model into a memory image and a program",
    description="Writes program.bin, image.bin and map.json: what `tepin run`, a board or another design loads.",
    add_arguments=_add_arguments,
    run=_run,
    example="tepin compile stories260K.bin --config board -o build/stories\ntepin disasm build/stories",
)
