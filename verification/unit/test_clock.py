# SPDX-License-Identifier: Apache-2.0
"""What says that something has been still for long enough to rest."""

from tepin.clock import Settled
from tepin_testbench.pysim import simulate


def test_settled_after_eight_still_cycles():
    dut = Settled()
    seen = []

    async def testbench(ctx):
        for still in [1] * 10 + [0] + [1] * 10:
            ctx.set(dut.still, still)
            seen.append(ctx.get(dut.o))
            await ctx.tick()

    simulate(dut, testbench)
    assert seen == [0] * 8 + [1] * 2 + [0] + [0] * 8 + [1] * 2
