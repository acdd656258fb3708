# SPDX-License-Identifier: Apache-2.0
"""A soak: one chip writes for a long time, while the memory withholds its handshakes at random; every bit stays right."""

import numpy as np
import pytest

from tepin_host.assembler import Assembler
from tepin_host.compiler import Request, compile_model
from tepin_host.driver import ChipDriver
from tepin_host.simulation import ChipSimulator
from tepin_testbench.random_model import random_model
from verification.testbenches.chip.runs import TINY, assert_same, reference, rtl_on

STALLS = (0, 10, 30, 50, 70, 90)
"""Percent of the cycles in which each handshake is withheld."""


def clear(chip, memory_bytes):
    """Leave nothing of the last text in the scratchpad, which would get into unused places of KV pages."""
    a = Assembler()
    a.clear()
    a.end()
    driver = ChipDriver(chip)
    driver.load_program(a.assemble())
    driver.start(read=(0, memory_bytes), write=(0, memory_bytes))
    assert chip.run(1 << 20) < 1 << 20
    while driver.read("STATUS") & 1:
        pass
    assert driver.error() is None


@pytest.mark.parametrize(
    "cycles, length",
    [pytest.param(500_000, 30, id="short"), pytest.param(10**8, 160, id="long", marks=pytest.mark.slow)],
)
def test_soak(cycles, length, rng):
    """Texts one after the other on one chip that is never reset: tokens, logits and all of memory, of each of them."""
    executable = compile_model(random_model(int(rng.integers(1 << 30)), max_seq_len=length), TINY)
    requests = [
        Request(
            rng.integers(0, 64, prompt).tolist(),
            length - prompt,
            seed=prompt,
            temperature=prompt % 2,
            stop=(),
        )
        for prompt in (1, 6, 9)
    ]
    expected = [reference(executable, request) for request in requests]
    memory = expected[0].memory.copy()
    chip = ChipSimulator(TINY, memory, latency=20)
    runs, begun = 0, chip.cycle
    stalled = dict.fromkeys(STALLS, 0)
    while chip.cycle - begun < cycles:
        which, stall = int(rng.integers(len(requests))), int(rng.choice(STALLS))
        chip.stall(stall, seed=int(rng.integers(1 << 32)))
        clear(chip, len(memory))
        memory[:] = executable.memory(requests[which])
        chip.observed()
        before = chip.cycle
        assert_same(rtl_on(chip, executable, requests[which]), expected[which])
        stalled[stall] += chip.cycle - before
        runs += 1
    print(
        f"{chip.cycle - begun:,} cycles, {runs} texts, {sum(len(run.tokens) for run in expected) / 3:.0f} tokens each"
    )
    print(", ".join(f"{count:,} cycles at {stall} %" for stall, count in stalled.items()))
    assert len({run.memory.tobytes() for run in expected}) == len(requests) and np.ptp(expected[0].logits) > 0
