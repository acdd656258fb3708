# SPDX-License-Identifier: Apache-2.0
"""``tepin run``: a model writes, on the simulated chip."""

import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from tepin_host.commands import Command
from tepin_host.commands.options import (
    add_model_arguments,
    compile_with_progress,
    config_from_arguments,
    load_from_arguments,
)
from tepin_host.commands.report import print_report, report_json
from tepin_host.errors import UserError

__all__ = ["command"]

_LATENCY = 100
_MOST_LATENCY = 100_000


def _add_arguments(parser):
    add_model_arguments(parser, model="model file, or a directory that `tepin compile` wrote")
    parser.add_argument("--prompt", metavar="TEXT", default="", help="beginning of the text (default: none)")
    parser.add_argument(
        "--tokens", metavar="N", type=int, default=64, help="most tokens to write (default: 64)"
    )
    parser.add_argument("--tokenizer", metavar="FILE", help="tokenizer (default: the one beside the model)")
    parser.add_argument(
        "--memory",
        metavar="WIDTH,LATENCY",
        help=f"memory port in bits and read latency in cycles (default: the configuration's width, {_LATENCY})",
    )
    parser.add_argument(
        "--backend",
        choices=("rtl", "reference"),
        default="rtl",
        help="the compiled RTL, or the functional simulator (same bits, no cycles)",
    )
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="seed of the sampling (default: 0)")
    parser.add_argument(
        "--temperature", metavar="T", type=float, default=0.0, help="0 writes the most likely text (default)"
    )
    parser.add_argument("--json", metavar="FILE", help="also write the results to FILE")


def _run(arguments):
    from tepin_host.output import output_file
    from tepin_host.runtime import Report
    from tepin_host.tokenizer import Decoder

    with output_file(arguments.json) as write:
        executable, request, tokenizer, latency = _prepare(arguments)
        report = Report()
        tokens, simulator = _start(arguments.backend, executable, request, report, latency)
        decoder = Decoder(tokenizer)
        started = time.monotonic()
        pieces = [decoder.decode(token) for token in request.prompt[1:]]
        print("".join(pieces), end="", flush=True)
        try:
            for token in tokens:
                pieces.append(decoder.decode(token))
                print(pieces[-1], end="", flush=True)
        except UserError:
            print()  # The message goes to a line of its own.
            raise
        pieces.append(decoder.finish())
        print(pieces[-1], flush=True)
        seconds = time.monotonic() - started
        print_report(report, executable, latency, (simulator.cycle, seconds) if simulator else None)
        write(report_json(report, "".join(pieces)))


def _prepare(arguments):
    """Executable, request, tokenizer and memory latency. Compiles last, when all that is quickly checked has been."""
    from tepin_host.compiler import Executable, Request
    from tepin_host.tokenizer import Tokenizer, find_tokenizer

    if not 0 <= arguments.seed < 1 << 32:
        raise UserError(f"the seed must be 0 to {(1 << 32) - 1}, not {arguments.seed}")
    executable = model = None
    if arguments.model is not None and Path(arguments.model).is_dir():
        executable = Executable.load(arguments.model)
        config, latency = _memory(arguments.memory, executable.plan.config)
        _check_agreement(arguments, config, executable.plan)
        sizes, place = executable.plan.model, Path(arguments.model) / "map.json"
    else:
        config, latency = _memory(arguments.memory, config_from_arguments(arguments))
        model, place = load_from_arguments(arguments)
        sizes = model.config
    path = arguments.tokenizer
    if path is None:
        path = find_tokenizer(place, sizes.vocab_size)
    tokenizer = Tokenizer.load(path, sizes.vocab_size)
    request = Request(
        tokenizer.encode(arguments.prompt),
        arguments.tokens,
        arguments.seed,
        arguments.temperature,
        (tokenizer.bos, tokenizer.eos),
    )
    request.encode(sizes)  # Raises if the model cannot do that.
    if executable is None:
        executable = compile_with_progress(model, config, arguments)
    return executable, request, tokenizer, latency


def _start(backend, executable, request, report, latency):
    """The tokens to come, and the simulator of the RTL or None."""
    from tepin_host.runtime import run_reference, run_rtl

    if backend == "reference":
        return run_reference(executable, request, report), None
    from tepin_host.simulation import ChipSimulator, build_simulator

    config = executable.plan.config
    library = build_simulator(config, progress=lambda message: print(message, file=sys.stderr, flush=True))
    simulator = ChipSimulator(config, executable.memory(request), latency=latency, library=library)
    return run_rtl(executable, request, report, simulator), simulator


def _memory(text, config):
    """(config with the port width asked for, latency)."""
    if text is None:
        return config, _LATENCY
    try:
        width, latency = map(int, text.split(","))
    except ValueError:
        raise UserError(f"--memory takes WIDTH,LATENCY, such as 64,100, not {text!r}") from None
    if not 1 <= latency <= _MOST_LATENCY:
        raise UserError(f"the memory latency must be 1 to {_MOST_LATENCY} cycles, not {latency}")
    try:
        return replace(config, port_width=width), latency
    except ValueError as error:
        raise UserError(f"--memory {text}: {error}") from None


def _check_agreement(arguments, config, plan):
    """What is asked for must be what a directory was compiled for; what is not asked for, its map says."""
    asked = {name: getattr(arguments, name) for name in ("weights", "activations")}
    found = {"weights": plan.weights, "activations": plan.activations, **asdict(plan.config)}
    if arguments.config is not None:
        asked |= asdict(config_from_arguments(arguments))
    if arguments.memory is not None:
        asked["port_width"] = config.port_width
    for name, value in asked.items():
        if value is not None and value != found[name]:
            raise UserError(
                f"{arguments.model}: compiled for {name} {found[name]}, not {value}; compile the model again"
            )


command = Command(
    help="let a model write, token by token, on the simulated chip",
    description=(
        "Compiles the model, simulates the chip's RTL cycle by cycle and prints the text as the tokens leave the chip, "
        "then what it took. The first run for a configuration compiles the simulation, which takes a minute or two."
    ),
    add_arguments=_add_arguments,
    run=_run,
    example='tepin run --prompt "One day, a small fox" --tokens 100\ntepin run stories260K.bin --weights int4 --config tiny',
)
