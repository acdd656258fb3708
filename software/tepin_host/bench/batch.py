# SPDX-License-Identifier: Apache-2.0
"""Batches: how soon the first token of a prompt comes, and how many cycles a token takes, with 1, 2, 4 and 8 rows."""

from dataclasses import replace

import numpy as np

from tepin.config import PRESETS
from tepin_host import batch as batches
from tepin_host.bench.row import CheckFailed, Row
from tepin_host.compiler import Request, compile_model
from tepin_host.layout import useful_bytes
from tepin_host.models import demo_model_path, load_model
from tepin_host.runtime import Report, run_reference, run_rtl
from tepin_host.simulation import ChipSimulator, build_simulator

__all__ = ["batch"]

_LATENCY = 100
_CLOCK_MHZ = 100
_SEED = 11
_PROMPT, _TOKENS = 32, 8
_CONFIG = replace(PRESETS["sim"], scratchpad_bytes=1 << 17)
"""Preset `sim` with room for eight rows."""


def batch(say):
    """Checked: each text and its logits are those of the text alone in functional simulation."""
    model, library = load_model(demo_model_path()), build_simulator(_CONFIG, progress=say)
    for weights in ("int8", "int4"):
        for rows in (1, 2, 4, 8):
            yield from _case(say, model, library, weights, rows)


def _case(say, model, library, weights, rows):
    texts = "1 text" if rows == 1 else f"{rows} texts"
    case = f"demo model {weights} {texts} at a time sim {_CONFIG.describe()} latency={_LATENCY}"
    say(case)
    rng = np.random.default_rng(_SEED)
    executable = compile_model(model, _CONFIG, weights=weights, rows=rows)
    single = executable if rows == 1 else compile_model(model, _CONFIG, weights=weights)

    def run(requests):
        stamps = _run(executable, requests, library, case)
        for request, (found, _) in zip(requests, stamps, strict=True):
            expected = Report()
            for _ in run_reference(single, request, expected):
                pass
            if (found.tokens, found.logits_sha256) != (expected.tokens, expected.logits_sha256):
                raise CheckFailed(f"{case}: other logits than those of the text alone")
        return stamps

    words = rng.integers(3, model.config.vocab_size, _PROMPT - 1).tolist()
    ((first, _),) = run([Request([1, *words], 1, stop=())])
    plan = executable.plan
    steps = -(-_PROMPT // rows)
    limit = (steps - 1) * _step_limit(plan, rows, 0, chooses=False) + _step_limit(plan, rows, 0)
    yield Row(
        "batch", f"{case}, prompt of {_PROMPT}", "first token", first.first_token_cycles, "cycles", limit
    )
    starts = rng.integers(3, model.config.vocab_size, rows).tolist()
    results = run([Request([start], _TOKENS, stop=()) for start in starts])
    # All texts begin in the first step, and each has a token of every step.
    begin, end = (pick(result[1]) for pick, result in ((min, results[0]), (max, results[-1])))
    per_token = (end - begin) / (rows * (_TOKENS - 1))
    limit = sum(_step_limit(plan, rows, at) for at in range(1, _TOKENS)) / (_TOKENS - 1) / rows
    case += f", {_TOKENS} tokens each"
    yield Row("batch", case, "cycles per token", per_token, "cycles", limit)
    per_second = 1e6 * _CLOCK_MHZ / per_token
    yield Row("batch", case, f"at {_CLOCK_MHZ} MHz", per_second, "tokens/s", 1e6 * _CLOCK_MHZ / limit)


def _step_limit(plan, rows, position, *, chooses=True):
    """Cycles that a step of so many rows takes at least: what it must move through the port, or multiply on the array."""
    config, m = plan.config, plan.model
    size, products = plan.shared_bytes, plan.multiplications(position)
    own = plan.useful_bytes(position) - size
    if not chooses:  # a step of nothing but a prompt does without the classifier
        size -= useful_bytes(m.dim, m.vocab_size, plan.weights)
        products -= m.vocab_size * m.dim
    passes = rows * (2 if config.activation_width == 8 else 1)
    # A weight tile takes as many cycles as it has rows at least.
    array = products * max(config.rows, passes) / (config.rows * config.columns)
    return max((size + rows * own) / config.port_bytes, array)


def _run(executable, requests, library, case):
    """(`Report`, cycles at which its tokens came) of each request."""
    config = executable.plan.config
    if executable.plan.rows == 1:
        (request,) = requests
        simulator = ChipSimulator(config, executable.memory(request), latency=_LATENCY, library=library)
        report = Report()
        for _ in run_rtl(executable, request, report, simulator):
            pass
        reports = [report]
    else:
        memory = batches.batch_memory(executable, requests)
        simulator = ChipSimulator(config, memory, latency=_LATENCY, library=library)
        batch_report = batches.BatchReport()
        for _ in batches.run_rtl(executable, requests, batch_report, simulator):
            pass
        reports = batch_report.lines
    if any(report.first_token_cycles is None for report in reports):
        raise CheckFailed(f"{case}: a text without a token")
    return [
        (report, np.cumsum([report.first_token_cycles, *report.token_cycles]).tolist()) for report in reports
    ]
