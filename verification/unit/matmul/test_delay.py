# SPDX-License-Identifier: Apache-2.0
"""Delay: every value, so many cycles later."""

import pytest

from tepin.matmul.delay import Delay
from tepin_testbench.pysim import simulate


@pytest.mark.parametrize("cycles", [2, 3, 8, 13])
def test_values_come_later(cycles, rng):
    dut = Delay(shape=8, cycles=cycles)
    values = rng.integers(256, size=60).tolist()
    seen = []

    async def run(ctx):
        for value in values:
            ctx.set(dut.i, value)
            await ctx.tick()
            seen.append(ctx.get(dut.o))

    simulate(dut, run)
    assert seen[cycles - 1 :] == values[: len(values) - cycles + 1]


def test_init_wrong_cycles():
    with pytest.raises(ValueError, match="cycles must be at least 2, not 1"):
        Delay(shape=8, cycles=1)
