# SPDX-License-Identifier: Apache-2.0
"""``tepin run``: a model writes, on the simulated chip."""

import sys
import time
from dataclasses import replace

from tepin_host.commands import Command
from tepin_host.commands.options import add_model_arguments, compile_from_arguments, config_from_arguments
from tepin_host.errors import UserError

__all__ = ["command"]

_LATENCY = 100


def _add_arguments(parser):
    add_model_arguments(parser)
    parser.add_argument("--prompt", metavar="TEXT", default="", help="beginning of the text (default: none)")
    parser.add_argument(
        "--tokens", metavar="N", type=int, default=64, help="most tokens to write (default: 64)"
    )
    parser.add_argument("--tokenizer", metavar="FILE", help="tokenizer (default: beside the model)")
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


def _memory(text, config):
    """(config with the port width asked for, latency)."""
    if text is None:
        return config, _LATENCY
    try:
        width, latency = (int(part) for part in text.split(","))
        if not 1 <= latency <= 100_000:
            raise UserError(f"the memory latency must be 1 to 100000 cycles, not {latency}")
        return replace(config, port_width=width), latency
    except ValueError as error:
        detail = "" if "unpack" in str(error) or "literal" in str(error) else f" ({error})"
        raise UserError(f"--memory takes WIDTH,LATENCY, such as 64,100, not {text!r}{detail}") from None


def _run(arguments):
    from tepin_host.compiler import Request
    from tepin_host.models import demo_model_path
    from tepin_host.runtime import Report, run_reference, run_rtl
    from tepin_host.tokenizer import Decoder, Tokenizer, find_tokenizer

    config, latency = _memory(arguments.memory, config_from_arguments(arguments.config))
    if arguments.tokens < 1:
        raise UserError(f"the number of tokens must be at least 1, not {arguments.tokens}")
    executable = compile_from_arguments(arguments, config)
    vocabulary = executable.plan.model.vocab_size
    path = arguments.tokenizer or find_tokenizer(arguments.model or demo_model_path(), vocabulary)
    tokenizer = Tokenizer.load(path, vocabulary)
    request = Request(
        tokenizer.encode(arguments.prompt),
        arguments.tokens,
        arguments.seed,
        arguments.temperature,
        (tokenizer.bos, tokenizer.eos),
    )
    memory = executable.memory(request)  # Checks the request before anything long starts.

    report = Report()
    if arguments.backend == "reference":
        tokens = run_reference(executable, request, report)
    else:
        from tepin_host.simulation import ChipSimulator, build_simulator

        library = build_simulator(config, progress=_say)
        simulator = ChipSimulator(config, memory, latency=latency, library=library)
        tokens = run_rtl(executable, request, report, simulator)

    decoder = Decoder(tokenizer)
    started = time.monotonic()
    pieces = [decoder.decode(token) for token in request.prompt[1:]]
    print("".join(pieces), end="", flush=True)
    for token in tokens:
        pieces.append(decoder.decode(token))
        print(pieces[-1], end="", flush=True)
    pieces.append(decoder.finish())
    print(pieces[-1], flush=True)
    seconds = time.monotonic() - started
    _print_table(
        report, executable, latency, seconds, None if arguments.backend == "reference" else simulator.cycle
    )
    if arguments.json:
        _write_json(arguments.json, report, "".join(pieces))


def _say(message):
    print(message, file=sys.stderr, flush=True)


def _print_table(report, executable, latency, seconds, cycles):
    from rich import box
    from rich.console import Console
    from rich.table import Table

    plan = executable.plan
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column("what", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    row = lambda what, value: table.add_row(what, value)  # noqa: E731
    row("model", f"{executable.name}, {plan.weights} weights, {plan.activations} activations")
    row("chip", f"{plan.config.describe()} latency={latency} hash={plan.config.hash:08x}")
    row("tokens", f"{len(report.tokens)}")
    if cycles is not None and report.cycles_per_token:
        row("cycles per token", f"{report.cycles_per_token:,.0f}")
        row("cycles to the first token", f"{report.first_token_cycles:,}")
        row("useful bytes per token", f"{report.bytes_per_token:,.0f}")
        row("memory port", f"{report.port_utilisation:.1f} %")
        row("array", f"{report.array_utilisation:.1f} %")
        total = report.busy_cycles["total"]
        for name, value in report.busy_cycles.items():
            if name != "total":
                row(f"{name} busy", f"{100 * value / total:.1f} %")
        row("simulation", f"{cycles / seconds:,.0f} cycles/s, {len(report.tokens) / seconds:.1f} tokens/s")
    row("logits", f"sha256 {report.logits_sha256[:16]}...")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)


def _write_json(path, report, text):
    import json
    from pathlib import Path

    result = {
        "tokens": report.tokens,
        "text": text,
        "cycles_per_token": report.cycles_per_token,
        "bytes_per_token": report.bytes_per_token,
        "port_utilisation": report.port_utilisation,
        "array_utilisation": report.array_utilisation,
        "busy_cycles": report.busy_cycles,
        "logits_sha256": report.logits_sha256,
    }
    Path(path).write_text(json.dumps(result, indent=2) + "\n")


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
