# SPDX-License-Identifier: Apache-2.0
"""Whole generations on the compiled RTL: every bit of every logit as in the functional simulator."""

from dataclasses import replace

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin_host.compiler import Request, compile_model
from tepin_host.runtime import Report, run_reference, run_rtl
from tepin_host.simulation import ChipSimulator
from tepin_testbench.random_model import random_model

TINY = PRESETS["tiny"]


def reference(executable, request):
    report = Report()
    list(run_reference(executable, request, report))
    return report


def rtl(executable, request, *, latency=20, stall=0, change=None, library=None):
    """Run the RTL; `change(memory)` alters memory after compilation."""
    memory = executable.memory(request)
    if change:
        change(memory)
    simulator = ChipSimulator(executable.plan.config, memory, latency=latency, library=library)
    if stall:
        simulator.stall(stall, seed=1)
    report = Report()
    list(run_rtl(executable, request, report, simulator))
    return report, simulator


def assert_same(one, other):
    assert one.tokens == other.tokens
    np.testing.assert_array_equal(one.logits.view(np.uint32), other.logits.view(np.uint32))


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("activations", ["int16", "int8"])
def test_logits_match(weights, activations, seed):
    executable = compile_model(random_model(seed), TINY, weights=weights, activations=activations)
    request = Request([1, 7, 40], 6, stop=())
    assert_same(rtl(executable, request)[0], reference(executable, request))


def test_logits_match_beyond_two_blocks(seed):
    executable = compile_model(random_model(seed, n_layers=1), TINY)
    request = Request([1], 131, stop=())
    assert_same(rtl(executable, request)[0], reference(executable, request))


def test_timing_does_not_change_bits(seed):
    executable = compile_model(random_model(seed), TINY)
    request = Request([1, 7], 4, stop=())
    expected = reference(executable, request)
    for latency, stall in ((1, 0), (300, 0), (20, 60)):
        assert_same(rtl(executable, request, latency=latency, stall=stall)[0], expected)


def test_sampling_on_the_chip(seed):
    executable = compile_model(random_model(seed), TINY)
    request = Request([1], 8, seed=seed, temperature=1.3, stop=())
    assert_same(rtl(executable, request)[0], reference(executable, request))


def test_one_image_serves_every_prompt(seed):
    executable = compile_model(random_model(seed), TINY)
    seen = set()
    for prompt, tokens in (([1], 2), ([1, 9, 9, 8], 3), ([5, 60], 5)):
        request = Request(prompt, tokens, stop=())
        report, _ = rtl(executable, request)
        assert_same(report, reference(executable, request))
        seen.add(report.logits_sha256)
    assert len(seen) == 3


def test_stop_token_ends_the_text(seed):
    executable = compile_model(random_model(seed), TINY)
    free = reference(executable, Request([1], 12, stop=()))
    stop = free.tokens[5]
    request = Request([1], 12, stop=(stop,))
    report, _ = rtl(executable, request)
    assert report.tokens == free.tokens[: free.tokens.index(stop)]


def test_changed_memory_changes_both_alike(seed):
    """A weight that is changed after compiling acts on RTL and functional simulator alike."""
    executable = compile_model(random_model(seed), TINY)
    request = Request([1, 7], 4, stop=())
    before = reference(executable, request)
    address = executable.plan.memory["weights"].address + 100

    def flip(memory):
        memory[address] ^= 0x40

    changed = replace(executable, image=executable.image.copy())
    flip(changed.image)
    after = reference(changed, request)
    assert after.logits_sha256 != before.logits_sha256
    assert_same(rtl(executable, request, change=flip)[0], after)


def test_host_is_not_in_the_loop(seed):
    """One start, then reads of the token register: the accesses beyond the first token are one per token."""
    executable = compile_model(random_model(seed), TINY)
    accesses = {}
    for tokens in (2, 10):
        _, simulator = rtl(executable, Request([1], tokens, stop=()))
        accesses[tokens] = simulator.accesses
    assert accesses[10] - accesses[2] <= 2 * 8


def test_same_cycles_every_time(seed):
    executable = compile_model(random_model(seed), TINY)
    request = Request([1, 7], 3, stop=())
    first, second = (rtl(executable, request)[0] for _ in range(2))
    assert first.busy_cycles == second.busy_cycles
