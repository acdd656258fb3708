# SPDX-License-Identifier: Apache-2.0
"""What is on the line: distances between headers and idle units, and a sender against the software model of frames."""

from itertools import product

import pytest

from tepin.link.frame import (
    IDLE,
    Kind,
    Phase,
    control_detail,
    encode_frame,
    encode_header,
)
from tepin.link.sender import Sender
from tepin.link.training import LANES, pattern_bits
from tepin_testbench.pysim import simulate

NONCE = 0xA7


def headers():
    """Every header that a sender may send."""
    for number in range(256):
        for words in range(32):
            yield encode_header(number, words, 0)
        for kind in (Kind.ACK, Kind.NAK, Kind.POLL):
            yield encode_header(number, control_detail(kind), 1)
        for phase, heard in product(Phase, (False, True)):
            yield encode_header(number, control_detail(Kind.HELLO, phase, heard), 1)


def test_one_wrong_bit_is_seen():
    """It makes no header of an idle unit or of another header, and no idle unit of a header."""
    units = set(headers())
    assert IDLE not in units
    units.add(IDLE)
    assert not any(unit ^ 1 << bit in units for unit in units for bit in range(16))


@pytest.mark.parametrize("lanes", LANES)
def test_patterns_are_told_apart(lanes):
    """No pattern, turned by any number of bits, inverted or not, is another one."""
    seen = set()
    for lane, locked in product(range(lanes), (False, True)):
        bits = pattern_bits(lane, locked)
        for turn, inverted in product(range(16), (0, 1)):
            seen.add(tuple(bit ^ inverted for bit in bits[turn:] + bits[:turn]))
    assert len(seen) == lanes * 2 * 16 * 2


async def frame(ctx, dut, units):
    """The next units that are not idle."""
    got = []
    while len(got) < units:
        await ctx.tick()
        unit = ctx.get(dut.unit)
        if got or unit != IDLE:
            got.append(unit)
    return got


def test_sender_and_model_agree(rng):
    """Words, ACK, NAK, what goes back after a NAK, and a HELLO: unit by unit."""
    dut = Sender(word_bits=64, window=32, frame_words=4)
    words = [rng.bytes(8) for _ in range(6)]

    async def run(ctx):
        ctx.set(dut.ready, 1)
        ctx.set(dut.nonce, NONCE)
        ctx.set(dut.join, 1)
        ctx.set(dut.hello, control_detail(Kind.HELLO, Phase.MET, True))
        expected = encode_frame(encode_header(NONCE, control_detail(Kind.HELLO, Phase.MET, True), 1))
        assert await frame(ctx, dut, 3) == expected
        ctx.set(dut.join, 0)
        for _ in range(12):
            await ctx.tick()
        for word in words:
            ctx.set(dut.i.payload, int.from_bytes(word, "little"))
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        await ctx.tick()
        ctx.set(dut.up, 1)
        # Nothing has been acknowledged since the reset.
        expected = encode_frame(encode_header(0, Kind.ACK, 1), b"", NONCE)
        expected += encode_frame(encode_header(0, 3, 0), b"".join(words[:4]), NONCE)
        expected += encode_frame(encode_header(4, 1, 0), b"".join(words[4:]), NONCE)
        assert await frame(ctx, dut, len(expected)) == expected
        ctx.set(dut.consumed, 9)
        assert await frame(ctx, dut, 3) == encode_frame(encode_header(9, Kind.ACK, 1), b"", NONCE)
        ctx.set(dut.expected, 200)
        ctx.set(dut.complain, 1)
        while not ctx.get(dut.complained):
            await ctx.tick()
        await ctx.tick()
        ctx.set(dut.complain, 0)
        units = [ctx.get(dut.unit), *await frame(ctx, dut, 2)]
        assert units == encode_frame(encode_header(200, Kind.NAK, 1), b"", NONCE)
        ctx.set(dut.nak, 1)
        ctx.set(dut.number, 5)
        await ctx.tick()
        ctx.set(dut.nak, 0)
        expected = encode_frame(encode_header(5, Kind.POLL, 1), b"", NONCE)
        expected += encode_frame(encode_header(5, 0, 0), words[5], NONCE)
        assert await frame(ctx, dut, len(expected)) == expected

    simulate(dut, run, cycles=400)


def test_stubborn_complaints_get_a_long_run():
    """From the fifth NAK for one word on there are more idle units than a frame has."""
    dut = Sender(word_bits=64, window=32, frame_words=32)

    async def run(ctx):
        ctx.set(dut.ready, 1)
        ctx.set(dut.i.valid, 1)
        for _ in range(4):
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.up, 1)
        for _ in range(60):
            await ctx.tick()
        runs = []
        for _ in range(6):
            ctx.set(dut.nak, 1)
            ctx.set(dut.number, 4)
            await ctx.tick()
            ctx.set(dut.nak, 0)
            count = 0
            while ctx.get(dut.unit) == IDLE:
                await ctx.tick()
                count += 1
            runs.append(count)
            for _ in range(12):
                await ctx.tick()
        assert max(runs[:4]) < 12 and min(runs[4:]) > 1 + 32 * 4 + 2, runs

    simulate(dut, run, cycles=2_000)
