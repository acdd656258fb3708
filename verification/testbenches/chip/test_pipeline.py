# SPDX-License-Identifier: Apache-2.0
"""Pipelines of chips' RTL: every logit and every byte of every chip's memory as in functional simulation, and how fast.

That each line is as alone is tested on functional simulators, in `unit/host/test_pipeline.py`.
"""

from dataclasses import replace

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin.control.registers import register
from tepin_host import batch, pipeline
from tepin_host.bench.pipelines import pipelines, rate
from tepin_host.compiler import Request, compile_chips, compile_model
from tepin_host.driver import ChipDriver
from tepin_host.errors import UserError
from tepin_host.models import demo_model_path, load_model
from tepin_host.runtime import Report, run_reference, run_rtl
from tepin_host.simulation import ChipSimulator, build_simulator, join, wire
from tepin_testbench.random_model import random_model
from verification.testbenches.chip.runs import TINY, random_requests

LINKED = replace(TINY, links=2)
WATCHDOG = 30_000


def start(executables, requests, *, latency=20, capacity=128, stall=0):
    """Simulated chips, wired as the executables say."""
    simulators = []
    for executable in executables:
        simulators.append(ChipSimulator(LINKED, batch.batch_memory(executable, requests), latency=20))
        if stall:
            simulators[-1].stall(stall, seed=len(simulators))
        ChipDriver(simulators[-1]).write("WATCHDOG", WATCHDOG)
    join(simulators, executables[0].plan.shard.network, latency=latency, capacity=capacity)
    return simulators


@pytest.mark.parametrize(
    "count, weights, wires",
    [
        (2, "int4", {}),
        (3, "int8", {"latency": 2, "capacity": 1}),
        (4, "int8", {"latency": 150, "capacity": 3}),
        (3, "int8", {"stall": 60}),
    ],
    ids=str,
)
def test_logits_and_memories_match(count, weights, wires, seed, rng):
    """Links that hold a single word, or take long; memories that each pause at other times."""
    requests = random_requests(rng, [(2, 2), (1, 3), (66 if count == 2 else 4, 2), (1, 1), (2, 2), (1, 2)])
    model = random_model(seed, n_layers=count)
    executables = compile_chips(model, LINKED, chips=count, weights=weights, parallel="pipeline")
    simulators = start(executables, requests, **wires)
    memories = [batch.batch_memory(executable, requests) for executable in executables]
    found, expected = batch.BatchReport(), batch.BatchReport()
    events = list(pipeline.run_rtl(executables, requests, found, simulators))
    assert events == list(pipeline.run_reference(executables, requests, expected, memories))
    for one, other in zip(found.lines, expected.lines, strict=True):
        assert one.tokens == other.tokens
        np.testing.assert_array_equal(one.logits.view(np.uint32), other.logits.view(np.uint32))
    for simulator, memory in zip(simulators, memories, strict=True):
        np.testing.assert_array_equal(simulator.memory, memory)


def fails(seed, do, count=3):
    """Let something happen after the second token; returns the message."""
    model, requests = (
        random_model(seed, n_layers=count),
        [Request([1 + line], 50, stop=()) for line in range(4)],
    )
    executables = compile_chips(model, LINKED, chips=count, parallel="pipeline")
    simulators, events = start(executables, requests), []
    with pytest.raises(UserError) as error:
        for event in pipeline.run_rtl(executables, requests, batch.BatchReport(), simulators):
            events.append(event)
            if len(events) == 2:
                do(simulators)
                begin = simulators[0].cycle
    assert simulators[0].cycle - begin < 4 * WATCHDOG
    single = compile_model(model, TINY)
    for line, request in enumerate(requests):
        tokens = [token for at, token, _ in events if at == line]
        written = list(run_reference(single, replace(request, tokens=max(1, len(tokens))), Report()))
        assert tokens == written[: len(tokens)], "a wrong token has left"
    assert 2 <= len(events) < 10
    for simulator in simulators:
        assert not ChipDriver(simulator).read("STATUS") & 1
    return str(error.value)


@pytest.mark.parametrize("chip", [0, 1])
def test_link_that_stays_down(chip, seed):
    """Nothing passes between two chips any more: that is the link which is named, and everybody stops."""
    message = fails(seed, lambda simulators: simulators[chip].cut(1))
    assert message.startswith(f"chip {chip} stopped with LINK at word ")
    assert f": on the link from its port 1 to port 0 of chip {chip + 1}, that one does not " in message


def test_stage_that_dies(seed):
    """That is what is told, and the others stop as well."""

    def stop(simulators):
        simulators[2].write(register("CONTROL").offset, 2)

    assert fails(seed, stop).startswith("chip 2 stopped with STOPPED at word ")


def test_rows_of_the_benchmark(seed):
    """Of a small model, for which the time between steps matters."""
    model, tokens = random_model(seed, n_layers=4), 3
    settings = {"tokens": tokens, "latency": 20, "link_latency": 20}
    single, alone = compile_model(model, LINKED), Report()
    simulator = ChipSimulator(LINKED, single.memory(Request([1], tokens, stop=())), latency=20)
    list(run_rtl(single, Request([1], tokens, stop=()), alone, simulator))
    rows = list(pipelines(lambda case: None, model, LINKED, "int8", None, alone, **settings))
    assert [(row.metric, row.limit) for row in rows[1::2]] == [("speed-up", 2.0), ("speed-up", 4.0)]
    for row, count in zip(rows[::2], (2, 4), strict=True):
        assert f"{tokens} tokens of each of {count + 1} texts {count} chips pipeline" in row.case
        assert row.metric == "cycles per token" and row.limit < row.value < alone.cycles_per_token
    assert 1.5 < rows[1].value < 2 and 2.5 < rows[3].value < 4


@pytest.mark.slow
@pytest.mark.parametrize("weights, columns", [("int8", 16), ("int4", 32)])
@pytest.mark.parametrize("count", [2, 4])
def test_every_stage_is_always_busy(count, weights, columns):
    """Of the demo model, N chips write at least 0.95 N times as many tokens as one chip does."""
    config = replace(PRESETS["sim"], links=2, columns=columns)
    model, library = load_model(demo_model_path()), build_simulator(config)
    requests = [Request([5 + line], 5, stop=()) for line in range(count + 1)]
    executables = compile_chips(model, config, chips=count, weights=weights, parallel="pipeline")
    _, cycles = rate(executables, requests, library, latency=100, link_latency=20)
    single, report = compile_model(model, config, weights=weights), Report()
    simulator = ChipSimulator(config, single.memory(requests[0]), library=library)
    list(run_rtl(single, requests[0], report, simulator))
    speedup = report.cycles_per_token / cycles
    print(
        f"{count} chips, {weights}: {cycles:,.0f} cycles per token, {speedup:.3f} times as many as one chip"
    )
    assert 0.95 * count <= speedup <= count


@pytest.mark.slow
@pytest.mark.parametrize("count, bit_error_rate", [(2, 1e-5), (4, 1e-4)])
def test_errors_on_the_lanes_change_no_bit(count, bit_error_rate, seed, rng):
    model, requests = (
        random_model(seed, n_layers=count),
        random_requests(rng, [(3, 3), (1, 4), (2, 2), (1, 3)]),
    )
    executables = compile_chips(model, LINKED, chips=count, parallel="pipeline")
    library = build_simulator(LINKED, serial=True)
    simulators = [
        ChipSimulator(LINKED, batch.batch_memory(executable, requests), latency=20, library=library)
        for executable in executables
    ]
    wire(simulators, executables[0].plan.shard.network, bit_error_rate=bit_error_rate, seed=seed)
    found, expected = batch.BatchReport(), batch.BatchReport()
    events = list(pipeline.run_rtl(executables, requests, found, simulators))
    assert events == list(pipeline.run_reference(executables, requests, expected))
    for one, other in zip(found.lines, expected.lines, strict=True):
        assert (one.tokens, one.logits_sha256) == (other.tokens, other.logits_sha256)
    errors = sum(simulator.link_status(port)["errors"] for simulator in simulators for port in range(2))
    print(f"{count} chips, {bit_error_rate:g}: {errors} frames lost in {found.cycles:,} cycles")
    assert errors > 0
