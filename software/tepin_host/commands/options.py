# SPDX-License-Identifier: Apache-2.0
"""Arguments that several subcommands share: which model, for which chip."""

import contextlib
import sys

from tepin.config import PRESETS, parse_config
from tepin_host.errors import UserError

__all__ = ["add_model_arguments", "compile_from_arguments", "config_from_arguments"]


def add_model_arguments(parser):
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="model file (default: the project's own story teller)"
    )
    parser.add_argument("--weights", choices=("int8", "int4"), default="int8", help="format of the weights")
    parser.add_argument(
        "--activations", choices=("int16", "int8"), default="int16", help="format of the activations"
    )
    parser.add_argument(
        "--config",
        metavar="PRESET[,KEY=VALUE...]",
        default="sim",
        help=f"the chip: {', '.join(PRESETS)} (default: sim); 'tepin configs' explains them",
    )


def config_from_arguments(text):
    """A `ChipConfig`, or a `UserError` that says what is wrong."""
    try:
        return parse_config(text)
    except ValueError as error:
        raise UserError(str(error)) from None


def load_from_arguments(arguments):
    """The model that the arguments name, or the demo model."""
    from tepin_host.models import demo_model_path, load_model

    return load_model(arguments.model or demo_model_path())


def compile_from_arguments(arguments, config):
    """Load and compile, with a progress bar on standard error if somebody watches."""
    from tepin_host.compiler import compile_model

    model = load_from_arguments(arguments)
    with _progress(f"compiling {model.name}") as progress:
        return compile_model(
            model,
            config,
            weights=arguments.weights,
            activations=arguments.activations,
            progress=progress,
        )


@contextlib.contextmanager
def _progress(title):
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)
