# SPDX-License-Identifier: Apache-2.0
"""Complaints of a receiver at the edges of a frame."""

import pytest

from tepin.link.frame import HUNT_IDLES, IDLE, Kind, control_detail, encode_frame, encode_header
from tepin.link.receiver import Receiver
from tepin_testbench.pysim import simulate

PATIENCE = 16


@pytest.mark.parametrize("follows", ["idle units", "no header"])
def test_an_error_outweighs_the_frame_before_it(follows):
    """A POLL that names the missing word ends a complaint, unless the receiver loses its place right behind it."""
    dut = Receiver(word_bits=64, window=4, patience=PATIENCE)
    poll = encode_frame(encode_header(0, control_detail(Kind.POLL), 1))
    behind = IDLE if follows == "idle units" else IDLE ^ 1

    async def line(ctx):
        ctx.set(dut.enable, 1)
        ctx.set(dut.up, 1)
        ctx.set(dut.valid, 1)
        ctx.set(dut.complained, 1)
        complaints = 0
        for unit in [*[IDLE] * HUNT_IDLES, *poll, behind, *[0xFFFF] * (PATIENCE if behind != IDLE else 0)]:
            ctx.set(dut.unit, unit)
            await ctx.tick()
            ctx.set(dut.complained, 0)
        for _ in range(2 * PATIENCE):
            ctx.set(dut.unit, IDLE)
            complaints += ctx.get(dut.complain)
            await ctx.tick()
        assert bool(complaints) == (behind != IDLE)

    simulate(dut, line)
