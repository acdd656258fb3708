# SPDX-License-Identifier: Apache-2.0
"""Generations on the compiled chip and on the functional simulator, with all that is to be compared of them."""

from dataclasses import dataclass

import numpy as np

from tepin.config import PRESETS
from tepin_host.compiler import Request
from tepin_host.runtime import Report, run_rtl
from tepin_host.simulation import ChipSimulator
from tepin_reference.simulator import FunctionalSimulator

__all__ = ["TINY", "Run", "assert_same", "random_requests", "reference", "rtl", "rtl_on"]

TINY = PRESETS["tiny"]


@dataclass(frozen=True, eq=False)
class Run:
    """What a generation left behind.

    Members
    -------
    tokens : list of int
    logits : float32 [tokens, vocabulary]
    memory : uint8 array
        All of external memory, the KV cache included.
    scratchpad : uint8 array or None
        Of a run on the functional simulator.
    report : Report or None
        Of a run on the chip.
    accesses : int
        Register accesses of the host.
    """

    tokens: list
    logits: np.ndarray
    memory: np.ndarray
    scratchpad: np.ndarray | None = None
    report: Report | None = None
    accesses: int = 0


def reference(executable, request, *, memory=None, scratchpad=None):
    """Run on the functional simulator, from a fresh image or from `memory`, which is changed.

    `scratchpad` is what an earlier run left in it; by default it holds zeros.
    """
    memory = executable.memory(request) if memory is None else memory
    simulator = FunctionalSimulator(executable.plan.config, memory)
    if scratchpad is not None:
        simulator.scratchpad[:] = scratchpad
    tokens = list(simulator.run(executable.program))
    words = np.concatenate([y.reshape(-1) for y in simulator.observed])
    vocabulary = executable.plan.model.vocab_size
    # The logits that chose a stop token belong to no token.
    logits = words[: len(tokens) * vocabulary].reshape(len(tokens), vocabulary)
    return Run(tokens, logits, memory, simulator.scratchpad)


def rtl(executable, request, *, memory=None, latency=20, stall=0, library=None):
    """Run on a new compiled chip, from a fresh image or from `memory`, which is changed.

    Parameters
    ----------
    latency : int
        Of the memory, in cycles.
    stall : int
        Percentage of the cycles in which the memory withholds each handshake.
    library : path, optional
        What to simulate in the place of the configuration's own chip.
    """
    memory = executable.memory(request) if memory is None else memory
    simulator = ChipSimulator(executable.plan.config, memory, latency=latency, library=library)
    if stall:
        simulator.stall(stall, seed=1)
    return rtl_on(simulator, executable, request)


def rtl_on(simulator, executable, request):
    """Run on this chip, whose memory holds image and request already."""
    report = Report()
    tokens = list(run_rtl(executable, request, report, simulator))
    return Run(tokens, report.logits, simulator.memory, None, report, simulator.accesses)


def assert_same(one, other):
    """Same tokens, same bits of all logits, same bytes everywhere in memory."""
    assert one.tokens == other.tokens
    np.testing.assert_array_equal(one.logits.view(np.uint32), other.logits.view(np.uint32))
    np.testing.assert_array_equal(one.memory, other.memory)


def random_requests(rng, shapes):
    """A request for each (tokens of the prompt, most tokens to write); every other one draws its tokens."""
    return [
        Request(rng.integers(0, 64, prompt).tolist(), tokens, seed=index, temperature=index % 2, stop=(1, 2))
        for index, (prompt, tokens) in enumerate(shapes)
    ]
