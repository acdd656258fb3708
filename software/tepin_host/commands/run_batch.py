# SPDX-License-Identifier: Apache-2.0
"""``tepin run --batch FILE``: many prompts, a line each, of which as many at a time are in the chip as there are rows."""

import json
import time
from pathlib import Path

from tepin_host.commands.chips import compile_for_chips, links_in_words, start_simulators
from tepin_host.commands.options import given, load_from_arguments, progress_bar
from tepin_host.commands.tables import print_rows
from tepin_host.errors import UserError

__all__ = ["run_batch"]

_EXCLUDED = ("save_kv", "load_kv", "device", "board", "trace", "plot")


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
    from tepin_host import batch, pipeline
    from tepin_host.compiler import Request, compile_model
    from tepin_host.output import output_file
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
        if arguments.chips > 1:
            executables = compile_for_chips(model, config, arguments)
        else:
            formats = {name: given(arguments, name) for name in ("weights", "activations")}
            rows = arguments.rows or batch.most_rows(model.config, config, **formats)
            with progress_bar(f"compiling {model.name}") as progress:
                executables = [compile_model(model, config, rows=rows, progress=progress, **formats)]
        report, simulators = batch.BatchReport(), []
        if arguments.backend == "rtl":
            memories = [batch.batch_memory(executable, requests) for executable in executables]
            simulators = start_simulators(executables, memories, arguments, latency, say=say)
        runner, parts = (pipeline, (executables,)) if arguments.chips > 1 else (batch, executables)
        if simulators:
            events = runner.run_rtl(
                *parts, requests, report, simulators if runner is pipeline else simulators[0]
            )
        else:
            events = runner.run_reference(*parts, requests, report)
        texts = [""] * len(requests)
        started = time.monotonic()
        for line, _, ended in events:
            if ended:
                decoder = Decoder(tokenizer)
                tokens = [*requests[line].prompt[1:], *report.lines[line].tokens]
                texts[line] = "".join(decoder.decode(token) for token in tokens) + decoder.finish()
                print(f"[{line + 1}] {texts[line]}", flush=True)
        rate = simulators[0].cycle / (time.monotonic() - started) if simulators else None
        links = None if arguments.bit_errors is None else links_in_words(simulators)
        _print_table(report, executables[0], latency if simulators else None, rate, links)
        write(_json(report, lines, texts))


def _check(arguments):
    if arguments.prompt:
        raise UserError("--batch and --prompt exclude each other: the prompts are in the file")
    if arguments.chips != 1 and arguments.parallel != "pipeline":
        raise UserError(
            "--batch on several chips takes --parallel pipeline; otherwise they run one text at a time"
        )
    if arguments.chips != 1 and arguments.rows is not None:
        raise UserError("--rows is for one chip: those of a pipeline have one row each")
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


def _print_table(report, executable, latency, rate, links):
    plan = executable.plan
    memory = f" latency={latency}" if latency else ""
    rows = {
        "model": f"{executable.name}, {plan.weights} weights, {plan.activations} activations",
        "chip": f"{plan.config.describe()}{memory} hash={plan.config.hash:08x}",
        **({"chips": f"{plan.chips}, {plan.topology}, {plan.parallel}"} if plan.chips > 1 else {}),
        "lines": f"{len(report.lines)}, up to {plan.slots} at a time",
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
    if links:
        rows["links"] = links
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
