# SPDX-License-Identifier: Apache-2.0
"""``tepin compile``: a model as a memory image, a program and a map."""

from tepin_host.commands import Command
from tepin_host.commands.options import (
    add_model_arguments,
    compile_with_progress,
    config_from_arguments,
    load_from_arguments,
)

__all__ = ["command"]

_FILES = ("program.bin", "image.bin", "map.json")
_TOKENIZER = "tokenizer.bin"


def _add_arguments(parser):
    add_model_arguments(parser)
    parser.add_argument(
        "--tokenizer", metavar="FILE", help="tokenizer to put beside it (default: the one beside the model)"
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="directory to write")


def _run(arguments):
    from tepin_host.errors import UserError
    from tepin_host.output import output_directory
    from tepin_host.tokenizer import Tokenizer, find_tokenizer

    config = config_from_arguments(arguments)
    model, path = load_from_arguments(arguments)
    vocabulary = model.config.vocab_size
    if arguments.tokenizer is not None:
        tokenizer = Tokenizer.load(arguments.tokenizer, vocabulary)
    else:
        try:
            tokenizer = Tokenizer.load(find_tokenizer(path, vocabulary), vocabulary)
        except UserError:
            tokenizer = None  # A board that is sent token ids needs none.
    names = [*_FILES, *([_TOKENIZER] if tokenizer else [])]
    with output_directory(arguments.output, names=names) as directory:
        executable = compile_with_progress(model, config, arguments)
        executable.save(directory)
        if tokenizer:
            (directory / _TOKENIZER).write_bytes(tokenizer.to_bytes())
    print(
        f"{arguments.output}: program of {len(executable.program)} words, image of {len(executable.image):,} bytes, "
        f"{executable.memory_bytes:,} bytes of memory with the KV cache"
    )


command = Command(
    help="compile a model into a memory image and a program",
    description=(
        "Writes program.bin, image.bin and map.json, which `tepin run`, a board or another design loads, and "
        "tokenizer.bin, if there is a tokenizer."
    ),
    add_arguments=_add_arguments,
    run=_run,
    example=(
        "tepin compile stories260K.bin --config board -o build/stories\n"
        "tepin disasm build/stories\n"
        'tepin run build/stories --prompt "One day"'
    ),
)
