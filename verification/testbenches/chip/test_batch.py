# SPDX-License-Identifier: Apache-2.0
"""Batches on the compiled RTL: every bit of every logit, and of memory afterwards, as in functional simulation.

That each line is as alone is tested on the functional simulator, in `unit/host/test_batch.py`.
"""

from dataclasses import replace

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin_host import batch
from tepin_host.compiler import Request, compile_model
from tepin_host.models import demo_model_path, load_model
from tepin_host.simulation import ChipSimulator
from tepin_testbench.random_model import random_model
from verification.testbenches.chip.runs import TINY, random_requests, reference


def assert_same(executable, requests, *, latency=20, stall=0):
    """Run on the RTL and on the functional simulator; returns the report of the RTL."""
    config = executable.plan.config
    memory = batch.batch_memory(executable, requests)
    expected_memory = memory.copy()
    found, expected = batch.BatchReport(), batch.BatchReport()
    simulator = ChipSimulator(config, memory, latency=latency)
    if stall:
        simulator.stall(stall, seed=1)
    events = list(batch.run_rtl(executable, requests, found, simulator))
    assert events == list(batch.run_reference(executable, requests, expected, expected_memory))
    for one, other in zip(found.lines, expected.lines, strict=True):
        assert one.tokens == other.tokens
        np.testing.assert_array_equal(one.logits.view(np.uint32), other.logits.view(np.uint32))
    np.testing.assert_array_equal(memory, expected_memory)
    return found


@pytest.mark.parametrize("weights, activations", [("int8", "int16"), ("int4", "int8")])
@pytest.mark.parametrize("rows", [2, 4])
def test_logits_match(rows, weights, activations, seed, rng):
    executable = compile_model(random_model(seed), TINY, weights=weights, activations=activations, rows=rows)
    assert_same(executable, random_requests(rng, [(3, 4), (1, 3), (9, 2), (2, 5), (1, 1)]))


@pytest.mark.parametrize("latency, stall", [(1, 0), (300, 0), (20, 70)])
def test_timing_does_not_change_bits(latency, stall, seed, rng):
    executable = compile_model(random_model(seed, n_layers=1), TINY, rows=4)
    requests = random_requests(rng, [(3, 3), (1, 4), (6, 2), (2, 2), (1, 1)])
    assert_same(executable, requests, latency=latency, stall=stall)


def test_full_blocks(seed, rng):
    """Texts of several blocks beside short ones: pages come through the weight FIFO, of each row its own."""
    executable = compile_model(random_model(seed, n_layers=1), TINY, rows=3)
    assert_same(executable, random_requests(rng, [(130, 4), (66, 5), (2, 6)]))


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_demo_model(weights, rng):
    """Ten lines through eight slots on the array of `sim`; each also as it is alone."""
    config = replace(PRESETS["sim"], scratchpad_bytes=1 << 17)
    model = load_model(demo_model_path())
    requests = [
        Request([1, *rng.integers(3, 500, 4 * index).tolist()], 8, seed=index, temperature=0.8, stop=())
        for index in range(10)
    ]
    executable = compile_model(model, config, weights=weights, rows=config.rows)
    found = assert_same(executable, requests, latency=100)
    single = compile_model(model, config, weights=weights)
    for request, line in zip(requests, found.lines, strict=True):
        assert line.tokens == reference(single, request).tokens
