# SPDX-License-Identifier: Apache-2.0
"""Whole generations on the compiled RTL: every bit of every logit, and of memory afterwards, as in functional simulation."""

from dataclasses import replace

import numpy as np
import pytest

from tepin_host.compiler import Request, compile_model
from tepin_host.compiler.kv_cache import KvCache
from tepin_host.driver import ChipDriver
from tepin_host.simulation import ChipSimulator, build_simulator, chip_verilog
from tepin_testbench.random_model import random_model
from verification.testbenches.chip.runs import TINY, assert_same, reference, rtl, rtl_on


@pytest.fixture(scope="module")
def executable(seed):
    return compile_model(random_model(seed), TINY)


@pytest.mark.parametrize("activations", ["int16", "int8"])
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_logits_match(weights, activations, seed):
    executable = compile_model(random_model(seed), TINY, weights=weights, activations=activations)
    request = Request([1, 7, 40], 6, stop=())
    assert_same(rtl(executable, request), reference(executable, request))


@pytest.mark.parametrize(
    "shape",
    [
        {"dim": 36, "hidden_dim": 50, "n_heads": 3, "n_kv_heads": 3, "vocab_size": 61},
        {"dim": 32, "hidden_dim": 9, "n_heads": 4, "n_kv_heads": 1, "vocab_size": 5},
        {"tied": True, "vocab_size": 100},
    ],
    ids=["odd", "narrow", "tied"],
)
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_logits_match_of_other_shapes(shape, weights, seed):
    """Ragged tiles, groups of heads of all sizes, vocabularies in chunks."""
    executable = compile_model(random_model(seed, n_layers=1, **shape), TINY, weights=weights, chunk=24)
    request = Request([1, 4], 3, stop=())
    assert_same(rtl(executable, request), reference(executable, request))


def test_logits_match_beyond_two_blocks(seed):
    executable = compile_model(random_model(seed, n_layers=1), TINY)
    request = Request([1], 131, stop=())
    run = rtl(executable, request)
    assert len(run.tokens) == 131
    assert_same(run, reference(executable, request))


@pytest.mark.parametrize(
    "latency, stall", [(1, 0), (20, 0), (300, 0), (1, 50), (20, 80)], ids=lambda value: str(value)
)
def test_timing_does_not_change_bits(executable, latency, stall):
    request = Request([1, 7], 4, stop=())
    run = rtl(executable, request, latency=latency, stall=stall)
    print(
        f"latency {latency}, {stall} % of all handshakes withheld: {run.report.cycles_per_token:.0f} cycles per token, "
        f"{run.report.port_utilisation:.0f} % of the port"
    )
    assert run.report.port_utilisation < 1.1 * (100 - stall), "the memory does not withhold what it should"
    assert_same(run, reference(executable, request))


def test_sampling_on_the_chip(executable, seed):
    seen = set()
    for offset in range(2):
        request = Request([1], 8, seed=seed + offset, temperature=1.3, stop=())
        run = rtl(executable, request)
        assert_same(run, reference(executable, request))
        seen.add(tuple(run.tokens))
    assert len(seen) == 2, "the seed has no effect"


def test_one_image_serves_every_prompt(executable):
    seen = set()
    for prompt, tokens in (([1], 2), ([1, 9, 9, 8], 3), ([5, 60], 5)):
        request = Request(prompt, tokens, stop=())
        run = rtl(executable, request)
        assert_same(run, reference(executable, request))
        seen.add(run.logits.tobytes())
    assert len(seen) == 3


def test_one_chip_runs_one_request_after_the_other(executable):
    """Nothing is left of a request but the scratchpad, and that has no say in the next one.

    Places of KV pages that no token has filled yet hold what the scratchpad held, so memory shows that it is the same, too.
    """
    memory = executable.memory(Request([1], 1))
    simulator = ChipSimulator(TINY, memory, latency=20)
    scratchpad = None
    for prompt, tokens in (([9, 8, 7], 4), ([5], 2), ([9, 8, 7], 4)):
        request = Request(prompt, tokens, stop=())
        memory[:] = executable.memory(request)
        expected = reference(executable, request, scratchpad=scratchpad)
        assert_same(rtl_on(simulator, executable, request), expected)
        fresh = reference(executable, request)
        np.testing.assert_array_equal(expected.logits, fresh.logits)
        scratchpad = expected.scratchpad


def test_stop_token_ends_the_text(executable, seed):
    request = Request([1], 12, seed=seed, temperature=1.0, stop=())
    free = reference(executable, request).tokens
    request = replace(request, stop=(free[5],))
    run = rtl(executable, request)
    assert run.tokens == free[: free.index(free[5])]
    assert_same(run, reference(executable, request))


def test_text_ends_with_the_context(seed):
    executable = compile_model(random_model(seed, n_layers=1, max_seq_len=5), TINY)
    request = Request([3, 4], 40, stop=())
    run = rtl(executable, request)
    assert len(run.tokens) == 4
    assert_same(run, reference(executable, request))


def test_changed_memory_changes_both_alike(executable):
    """A weight that is changed after compiling acts on RTL and functional simulator alike."""
    request = Request([1, 7], 4, stop=())
    before = rtl(executable, request)
    address = executable.plan.memory["weights"].address + 100
    runs = []
    for run in (rtl, reference):
        memory = executable.memory(request)
        memory[address] ^= 0x40
        runs.append(run(executable, request, memory=memory))
    assert_same(*runs)
    assert not np.array_equal(runs[0].logits, before.logits)


def test_host_is_not_in_the_loop(executable):
    """One start, then one read per token: all that a token costs the host is its interrupt."""
    accesses = {}
    for tokens in (2, 10):
        accesses[tokens] = rtl(executable, Request([1], tokens, stop=())).accesses
    print("register accesses per token:", (accesses[10] - accesses[2]) / 8)
    assert accesses[10] - accesses[2] == 8


def test_slow_host_loses_no_token(executable):
    """The token FIFO fills, the program waits, and goes on when the host reads."""
    tokens = TINY.token_fifo_depth + 3
    request = Request([1], tokens, stop=())
    expected = reference(executable, request)
    cycles = rtl(executable, request).report.busy_cycles["total"]
    simulator = ChipSimulator(TINY, executable.memory(request), latency=20)
    driver = ChipDriver(simulator)
    driver.load_program(executable.program)
    driver.write("WATCHDOG", 0)
    window = (0, executable.memory_bytes)
    driver.start(read=window, write=window)
    driver.write("IRQ_ENABLE", 3)
    simulator.run(2 * cycles)
    assert driver.read("TOKEN_LEVEL") == TINY.token_fifo_depth
    assert driver.read("STATUS") & 1, "the program did not wait"
    driver.write("IRQ_ENABLE", 7)
    assert list(driver.tokens(lambda: simulator.run(1_000_000))) == expected.tokens
    assert driver.error() is None
    np.testing.assert_array_equal(simulator.memory, expected.memory)


def test_same_cycles_every_time(executable):
    request = Request([1, 7], 3, stop=())
    first, second = (rtl(executable, request).report for _ in range(2))
    assert first.busy_cycles == second.busy_cycles
    assert first.cycles_per_token == second.cycles_per_token


@pytest.mark.slow
def test_clock_gates_change_no_cycle(executable):
    """The compiled simulation stops the clock of what rests; without that, everything takes the same time."""
    request = Request([1, 7, 30], 6, stop=())
    ungated = build_simulator(TINY, text=chip_verilog(TINY))
    first, second = rtl(executable, request), rtl(executable, request, library=ungated)
    assert_same(first, second)
    assert first.report.busy_cycles == second.report.busy_cycles
    assert first.report.cycles_per_token == second.report.cycles_per_token


@pytest.mark.parametrize("length", [5, 70])
def test_goes_on_from_a_cache(length, seed, rng):
    """Within the first block of 64 positions and behind it: bits and memory as in functional simulation."""
    executable = compile_model(random_model(seed, max_seq_len=160), TINY)
    request = Request([1, *rng.integers(3, 64, length).tolist()], 2, stop=())
    memory = executable.memory(request)
    first = reference(executable, request, memory=memory)
    cache = KvCache.capture(executable, request, first.tokens, memory)
    onward = Request([*cache.tokens, 9], 3, stop=(), cache=cache)
    resumed = rtl(executable, onward)
    assert_same(resumed, reference(executable, onward))
    whole = reference(executable, replace(onward, cache=None))
    np.testing.assert_array_equal(resumed.logits.view(np.uint32), whole.logits.view(np.uint32))
