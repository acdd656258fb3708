# SPDX-License-Identifier: Apache-2.0
"""``tepin run --batch FILE``: many prompts, a line each, of which as many at a time are in the chip as there are rows."""

import json
import time
from pathlib import Path

from tepin_host.commands.options import given, load_from_arguments, progress_bar
from tepin_host.commands.tables import print_rows
from tepin_host.errors import UserError

__all__ = ["run_batch"]

_EXCLUDED = ("save_kv", "load_kv", "device", "board", "bit_errors", "trace", "plot")


def run_batch(arguments, config, latency, *, say):
    """Run all lines of the file, and print each text when it has ended, then a table.

    Parameters
    ----------
    arguments : parsed arguments of `tepin run`
    config : ChipConfig
    latency : int
        Of the memory, in cycles.
    say : callable(message)
    """
    from tepin_host import batch
    from tepin_host.compiler import Request, compile_model
    from tepin_host.output import output_file
    from tepin_host.simulation import ChipSimulator, build_simulator
    from tepin_host.tokenizer import Decoder, Tokenizer, find_tokenizer

    _check(arguments)
    lines = _lines(arguments.batch)
    with output_file(arguments.json) as write:
        model, path = load_from_arguments(arguments)
        vocabulary = model.config.vocab_size
        tokenizer = Tokenizer.load(arguments.tokenizer or find_tokenizer(path, vocabulary), vocabulary)
        ends = (tokenizer.bos, tokenizer.eos)
        requests = [
            Request(tokenizer.encode(line), arguments.tokens, arguments.seed, arguments.temperature, ends)
            for line in lines
        ]
        for number, request in enumerate(requests, 1):
            try:
                request.encode(model.config)  # Raises if the model cannot do that.
            except UserError as error:
                raise UserError(f"{arguments.batch}: line {number}: {error}") from None
        formats = {name: given(arguments, name) for name in ("weights", "activations")}
        rows = arguments.rows or batch.most_rows(model.config, config, **formats)
        with progress_bar(f"compiling {model.name}") as progress:
            executable = compile_model(model, config, rows=rows, progress=progress, **formats)
        report, simulator = batch.BatchReport(), None
        if arguments.backend == "reference":
            events = batch.run_reference(executable, requests, report)
        else:
            memory = batch.batch_memory(executable, requests)
            library = build_simulator(config, progress=say)
            simulator = ChipSimulator(config, memory, latency=latency, library=library)
            events = batch.run_rtl(executable, requests, report, simulator)
        texts = [""] * len(requests)
        started = time.monotonic()
        for line, _, ended in events:
            if ended:
                decoder = Decoder(tokenizer)
                tokens = [*requests[line].prompt[1:], *report.lines[line].tokens]
                texts[line] = "".join(decoder.decode(token) for token in tokens) + decoder.finish()
                print(f"[{line + 1}] {texts[line]}", flush=True)
        rate = simulator.cycle / (time.monotonic() - started) if simulator else None
        _print_table(report, executable, latency if simulator else None, rate)
        write(_json(report, lines, texts))


def _check(arguments):
    if arguments.prompt:
        raise UserError("--batch and --prompt exclude each other: the prompts are in the file")
    if arguments.chips != 1:
        raise UserError("--batch and --chips exclude each other: several chips run one text at a time")
    for name in _EXCLUDED:
        if getattr(arguments, name) is not None:
            raise UserError(f"--batch and --{name.replace('_', '-')} exclude each other")
    if arguments.rows is not None and arguments.rows < 2:
        raise UserError(f"--rows must be at least 2, not {arguments.rows}; without --batch there is one")
    if arguments.model is not None and Path(arguments.model).is_dir():
        raise UserError(f"{arguments.model}: --batch takes a model file, which it compiles for a batch")


def _lines(path):
    """The prompts in a file; empty lines are none."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text in UTF-8") from None
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise UserError(f"{path}: there is no prompt in it")
    return [line.rstrip("\r") for line in lines]


def _print_table(report, executable, latency, rate):
    plan = executable.plan
    memory = f" latency={latency}" if latency else ""
    rows = {
        "model": f"{executable.name}, {plan.weights} weights, {plan.activations} activations",
        "chip": f"{plan.config.describe()}{memory} hash={plan.config.hash:08x}",
        "lines": f"{len(report.lines)}, up to {plan.rows} at a time",
        "tokens": f"{report.tokens}",
    }
    if rate and report.tokens:
        total = report.busy_cycles["total"]
        rows |= {
            "cycles": f"{report.cycles:,}",
            "cycles per token": f"{report.cycles_per_token:,.0f}",
            **{
                f"{engine} busy": f"{100 * busy / total:.1f} %"
                for engine, busy in report.busy_cycles.items()
                if engine != "total"
            },
            "simulation": f"{rate:,.0f} cycles/s",
        }
    print_rows(rows)


def _json(report, prompts, texts):
    """The results as JSON text; cycles are null where there is no time."""
    result = {
        "lines": [
            {
                "prompt": prompt,
                "tokens": line.tokens,
                "text": text,
                "first_token_cycles": line.first_token_cycles,
                "cycles_per_token": line.cycles_per_token,
                "logits_sha256": line.logits_sha256,
            }
            for prompt, text, line in zip(prompts, texts, report.lines, strict=True)
        ],
        "tokens": report.tokens,
        "cycles": report.cycles,
        "cycles_per_token": report.cycles_per_token,
        "busy_cycles": report.busy_cycles,
    }
    return json.dumps(result, indent=2) + "\n"
