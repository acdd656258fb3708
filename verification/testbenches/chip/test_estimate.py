# SPDX-License-Identifier: Apache-2.0
"""Estimated cycles against simulated ones, on shapes that nobody has looked at: they are drawn from the seed."""

from dataclasses import replace

import pytest

from tepin_host import chips
from tepin_host.bench.pipelines import rate
from tepin_host.compiler import Request, compile_chips
from tepin_host.estimate import estimate
from tepin_host.runtime import Report, run_rtl
from tepin_host.simulation import ChipSimulator, join
from tepin_testbench.random_model import random_model
from verification.testbenches.chip.runs import TINY

# Twice the scratchpad of preset `tiny`: the shapes drawn fit with a stage's inbox and outbox beside them.
LINKED = replace(TINY, links=2, scratchpad_bytes=2 * TINY.scratchpad_bytes)
TOKENS = 4


def random_shape(rng):
    """Sizes that fit the scratchpad of `LINKED`."""
    kv_heads, group, head_dim = int(rng.integers(1, 5)), int(rng.integers(1, 4)), 4 * int(rng.integers(1, 5))
    return {
        "dim": kv_heads * group * head_dim,
        "n_heads": kv_heads * group,
        "n_kv_heads": kv_heads,
        "hidden_dim": int(rng.integers(9, 160)),
        "n_layers": int(rng.integers(1, 3)),
        "vocab_size": int(rng.integers(10, 300)),
    }


def compare(rng):
    """Draw a case; assert that the estimates of cycles per token and to the first token are within 3 % of the simulation."""
    shape, weights = random_shape(rng), str(rng.choice(["int8", "int4"]))
    count, latency = min(int(rng.integers(1, 5)), shape["dim"]), int(rng.choice([5, 20, 100]))
    model, request = random_model(1, **shape), Request([1], TOKENS, stop=())
    executables = compile_chips(model, LINKED, chips=count, weights=weights)
    simulators = [
        ChipSimulator(LINKED, executable.memory(request), latency=latency) for executable in executables
    ]
    report = Report()
    if count > 1:
        join(simulators, executables[0].plan.shard.network)
        list(chips.run_rtl(executables, request, report, simulators))
    else:
        list(run_rtl(executables[0], request, report, simulators[0]))
    expected = estimate(model.config, LINKED, weights=weights, chips=count, tokens=TOKENS, latency=latency)
    ratios = [
        getattr(expected, name) / getattr(report, name) for name in ("cycles_per_token", "first_token_cycles")
    ]
    print(
        f"{count} chips, {weights}, latency {latency}, {shape}: {report.cycles_per_token:,.0f} cycles per token, "
        f"estimated {100 * (ratios[0] - 1):+.1f} %; first token {100 * (ratios[1] - 1):+.1f} %"
    )
    assert expected.bytes_per_token == pytest.approx(report.bytes_per_token)
    assert all(abs(ratio - 1) < 0.03 for ratio in ratios)


@pytest.mark.parametrize("draw", range(4))
def test_estimate(draw, rng):
    compare(rng)


@pytest.mark.slow
@pytest.mark.parametrize("draw", range(40))
def test_estimate_of_many(draw, rng):
    compare(rng)


def compare_pipeline(rng):
    """Draw a pipeline; assert that the estimates of cycles between two tokens and to the first one are within 3 %."""
    count, weights = int(rng.integers(2, 4)), str(rng.choice(["int8", "int4"]))
    shape = random_shape(rng) | {"n_layers": int(rng.integers(count, 5))}
    shape["vocab_size"] += 8 * count
    model, latency = random_model(1, **shape), int(rng.choice([5, 20, 100]))
    executables = compile_chips(model, LINKED, chips=count, weights=weights, parallel="pipeline")
    requests = [Request([1], TOKENS, stop=())] * (count + 1)
    report, found = rate(executables, requests, None, latency=latency, link_latency=20)
    expected = estimate(
        model.config,
        LINKED,
        weights=weights,
        chips=count,
        parallel="pipeline",
        tokens=TOKENS,
        latency=latency,
    )
    ratios = (
        expected.cycles_per_token / found,
        expected.first_token_cycles / report.lines[0].first_token_cycles,
    )
    print(
        f"{count} stages, {weights}, latency {latency}, {shape}: {found:,.0f} cycles per token, "
        f"estimated {100 * (ratios[0] - 1):+.1f} %; first token {100 * (ratios[1] - 1):+.1f} %"
    )
    assert expected.bytes_per_token == pytest.approx(report.lines[0].bytes_per_token)
    assert abs(ratios[0] - 1) < 0.03
    assert abs(ratios[1] - 1) < 0.03


@pytest.mark.parametrize("draw", range(2))
def test_estimate_of_a_pipeline(draw, rng):
    compare_pipeline(rng)


@pytest.mark.slow
@pytest.mark.parametrize("draw", range(20))
def test_estimate_of_many_pipelines(draw, rng):
    compare_pipeline(rng)
