# SPDX-License-Identifier: Apache-2.0
"""Parameters of a link, and what a session makes of its peer."""

import pytest

from tepin.link.frame import Kind, Phase, control_detail
from tepin.link.serial_link import SerialLink
from tepin.link.session import LinkState, Session
from tepin_testbench.pysim import simulate

PEER = 0x35


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"lanes": 3}, "Lanes must be one of 1, 2, 4, 8, not 3"),
        ({"lanes": True}, "Lanes must be one of 1, 2, 4, 8, not True"),
        ({"word_bits": 32}, "Bits of a word must be one of 64, 128, not 32"),
        ({"frame_words": 24}, "Words in a frame must be one of 1, 2, 4, 8, 16, 32, not 24"),
        (
            {"word_bits": 128, "frame_words": 32},
            "Words in a frame must be one of 1, 2, 4, 8, 16, not 32",
        ),
        ({"window": 256}, "Window in words must be one of 32, 64, 128, not 256"),
        ({"down_cycles": 1023}, "Cycles until a link is down must be at least 1024, not 1023"),
        ({"lanes": 2, "down_cycles": 4095}, "Cycles until a link is down must be at least 4096, not 4095"),
        ({"patience": 159}, "Cycles until a NAK is repeated must be at least 160, not 159"),
        ({"pause": -1}, "Beats in which one is left out must be at least 0, not -1"),
        ({"pause": 1}, "Beats in which one is left out must be 0 or at least 2, not 1"),
    ],
)
def test_init_wrong_value(settings, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        SerialLink(**settings)


@pytest.mark.parametrize("name", ["down_cycles", "patience", "pause"])
def test_init_wrong_type(name):
    with pytest.raises(TypeError, match="must be an integer, not 1.5$"):
        SerialLink(**{name: 1.5})


async def joined(ctx, dut):
    """From reset to JOIN."""
    ctx.set(dut.lane_lock, 1)
    ctx.set(dut.peer_lock, 1)
    await ctx.tick().until(dut.state == LinkState.JOIN)


async def hello(ctx, dut, phase, heard=False, nonce=PEER):
    ctx.set(dut.number, nonce)
    ctx.set(dut.detail, control_detail(Kind.HELLO, phase, heard))
    for level in (1, 0):
        ctx.set(dut.hello, level)
        ctx.set(dut.alive, level)
        await ctx.tick()


async def silence(ctx, dut):
    """Until training has begun again, and then until JOIN."""
    await ctx.tick().until(dut.restart)
    await joined(ctx, dut)


def phase_sent(ctx, dut):
    return Phase(ctx.get(dut.hello_detail) >> 2 & 3)


def test_both_fresh():
    dut = Session(down_cycles=1024)

    async def run(ctx):
        await joined(ctx, dut)
        assert phase_sent(ctx, dut) == Phase.FRESH
        await hello(ctx, dut, Phase.FRESH)
        assert phase_sent(ctx, dut) == Phase.MET and ctx.get(dut.hello_detail) >> 4 == 1
        assert ctx.get(dut.state) == LinkState.JOIN
        await hello(ctx, dut, Phase.MET, heard=True)
        await ctx.tick()
        assert ctx.get(dut.state) == LinkState.UP
        assert ctx.get(dut.peer_nonce) == PEER
        await silence(ctx, dut)
        assert phase_sent(ctx, dut) == Phase.OLD
        # The same peer, which had not been told that the link was up.
        await hello(ctx, dut, Phase.MET, heard=True)
        await ctx.tick()
        await ctx.tick()
        assert ctx.get(dut.state) == LinkState.JOIN
        await hello(ctx, dut, Phase.MET, heard=True)
        await ctx.tick()
        assert ctx.get(dut.state) == LinkState.UP and not ctx.get(dut.broken)

    simulate(dut, run)


@pytest.mark.parametrize("phase, nonce", [(Phase.FRESH, PEER), (Phase.MET, PEER ^ 2), (Phase.OLD, PEER ^ 2)])
def test_peer_is_not_the_one_from_before(phase, nonce):
    dut = Session(down_cycles=1024)

    async def run(ctx):
        await joined(ctx, dut)
        await hello(ctx, dut, Phase.MET, heard=True)
        await hello(ctx, dut, Phase.MET, heard=True)
        await ctx.tick().until(dut.state == LinkState.UP)
        await silence(ctx, dut)
        for _ in range(3):
            await hello(ctx, dut, phase, heard=True, nonce=nonce)
        assert ctx.get(dut.broken) and ctx.get(dut.state) == LinkState.JOIN

    simulate(dut, run)


def test_fresh_waits_for_a_peer_that_is_not_old():
    dut = Session(down_cycles=1024)

    async def run(ctx):
        await joined(ctx, dut)
        for _ in range(3):
            await hello(ctx, dut, Phase.OLD, heard=True)
        assert phase_sent(ctx, dut) == Phase.FRESH and ctx.get(dut.state) == LinkState.JOIN
        assert not ctx.get(dut.broken)
        await hello(ctx, dut, Phase.FRESH)
        await hello(ctx, dut, Phase.MET, heard=True)
        await ctx.tick()
        assert ctx.get(dut.state) == LinkState.UP

    simulate(dut, run)


def test_join_does_not_wait_for_a_peer_that_is_up():
    """It sends no more HELLOs; it hears those of this side, and would never train."""
    dut = Session(down_cycles=1024)

    async def run(ctx):
        await joined(ctx, dut)
        ctx.set(dut.alive, 1)
        ctx.set(dut.other, 1)
        for _ in range(1023):
            assert ctx.get(dut.state) == LinkState.JOIN
            await ctx.tick()
        ctx.set(dut.lane_lock, 0)
        for _ in range(2):
            await ctx.tick()
        assert ctx.get(dut.state) == LinkState.TRAIN

    simulate(dut, run)


def test_nonce_lasts_from_reset_to_reset():
    """It is odd, so never zero, and the same after training anew."""
    dut = Session(down_cycles=1024)

    async def run(ctx):
        for _ in range(17):
            await ctx.tick()
        await joined(ctx, dut)
        nonce = ctx.get(dut.nonce)
        assert nonce & 1 and nonce > 1
        await hello(ctx, dut, Phase.MET, heard=True)
        await hello(ctx, dut, Phase.MET, heard=True)
        await silence(ctx, dut)
        assert ctx.get(dut.nonce) == nonce

    simulate(dut, run)
