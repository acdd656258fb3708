# SPDX-License-Identifier: Apache-2.0
"""Arguments that several subcommands share: which model, for which chip."""

import contextlib
import sys

from tepin.config import PRESETS, parse_config
from tepin_host.errors import UserError
from tepin_reference.network import TOPOLOGIES

__all__ = [
    "DEFAULTS",
    "add_config_argument",
    "add_model_arguments",
    "add_topology_argument",
    "compile_with_progress",
    "config_from_arguments",
    "given",
    "load_from_arguments",
    "progress_bar",
]

DEFAULTS = {"config": "sim", "weights": "int8", "activations": "int16"}
"""What holds if an option is not given. The parsed arguments hold None then, so that a command can tell."""


def add_config_argument(parser):
    parser.add_argument(
        "--config",
        metavar="PRESET[,KEY=VALUE...]",
        help=f"the chip: {', '.join(PRESETS)} (default: {DEFAULTS['config']}); 'tepin configs' explains them",
    )


def add_model_arguments(parser, *, model="model file"):
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help=f"{model} (default: the project's own story teller)"
    )
    for name, choices in (("weights", ("int8", "int4")), ("activations", ("int16", "int8"))):
        parser.add_argument(
            f"--{name}", choices=choices, help=f"format of the {name} (default: {DEFAULTS[name]})"
        )
    add_config_argument(parser)


def add_topology_argument(parser):
    parser.add_argument(
        "--topology",
        choices=TOPOLOGIES,
        default=TOPOLOGIES[0],
        help="how the chips are wired (default: ring)",
    )


def given(arguments, name):
    """An argument, or its default."""
    value = getattr(arguments, name)
    return DEFAULTS[name] if value is None else value


def config_from_arguments(arguments):
    """A `ChipConfig`, or a `UserError` that says what is wrong."""
    try:
        return parse_config(given(arguments, "config"))
    except ValueError as error:
        raise UserError(str(error)) from None


def load_from_arguments(arguments):
    """The model that the arguments name, or the demo model, and its path."""
    from tepin_host.models import demo_model_path, load_model

    path = demo_model_path() if arguments.model is None else arguments.model
    return load_model(path), path


def compile_with_progress(model, config, arguments):
    """Compile, with a progress bar on standard error if somebody watches."""
    from tepin_host.compiler import compile_model

    with progress_bar(f"compiling {model.name}") as progress:
        return compile_model(
            model,
            config,
            weights=given(arguments, "weights"),
            activations=given(arguments, "activations"),
            progress=progress,
        )


@contextlib.contextmanager
def progress_bar(title):
    """A bar on standard error if somebody watches: yields `progress(fraction)`, or None."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)
