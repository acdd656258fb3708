# SPDX-License-Identifier: Apache-2.0
"""Frames: the software of both ends against each other, and the hardware against the software."""

import zlib

import pytest

from tepin.io.crc import SerialCrc
from tepin.io.frames import FrameReceiver, FrameTransmitter
from tepin.io.protocol import ESCAPE, FLAG, Request, Status, encode_frame
from tepin.io.protocol import FrameParser as Parser
from tepin_testbench.pysim import simulate
from verification.unit.io.line import collect


def random_body(rng, most=40):
    """At least one byte, many of which have to be escaped."""
    count = int(rng.integers(1, most))
    return bytes(int(rng.choice([rng.integers(256), FLAG, ESCAPE, FLAG ^ 0x20])) for _ in range(count))


def test_frame_of_a_known_body():
    """CRC-32 as everybody computes it, of the customary test string."""
    assert encode_frame(b"123456789") == b"\x7e123456789\x26\x39\xf4\xcb\x7e"
    assert encode_frame(b"\x7d\x7e")[:5] == b"\x7e\x7d\x5d\x7d\x5e"


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_parser_finds_every_frame(piece, rng):
    bodies = [random_body(rng, 300) for _ in range(30)]
    line = b"".join(map(encode_frame, bodies))
    parser = Parser()
    found = [body for at in range(0, len(line), piece) for body in parser.feed(line[at : at + piece])]
    assert found == bodies
    assert parser.damaged == 0


def test_parser_drops_every_damaged_frame(rng):
    """One bit, anywhere between the flags."""
    body = random_body(rng)
    good = encode_frame(body)
    for index in range(1, len(good) - 1):
        for bit in range(8):
            bad = bytearray(good)
            bad[index] ^= 1 << bit
            parser = Parser()
            assert parser.feed(bytes(bad)) == []
            assert parser.damaged >= 1
            assert parser.feed(good) == [body]


def test_parser_forgets_endless_noise(rng):
    parser = Parser()
    for _ in range(50):
        assert parser.feed(rng.bytes(1000).replace(bytes([FLAG]), b"")) == []
    assert len(parser._pending) <= 1024
    assert parser.feed(encode_frame(b"abc")) == [b"abc"]


def test_no_request_looks_like_an_answer():
    """To a host that hears itself."""
    assert not {request.value for request in Request} & {status.value for status in Status}


def transmit(bodies, *, pauses=None):
    """Bytes that the hardware makes of bodies."""
    dut = FrameTransmitter()
    size = sum(map(len, bodies))
    cycles = 24 * size + 120 * len(bodies) + 50
    line = []

    async def feeder(ctx):
        for body in bodies:
            for index, byte in enumerate(body):
                if pauses is not None:
                    await ctx.tick().repeat(int(pauses.integers(1, 4)))
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.payload, {"data": byte, "last": index == len(body) - 1})
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)

    async def taker(ctx):
        ready = (lambda: True) if pauses is None else (lambda: pauses.random() < 0.5)
        line.extend(await collect(ctx, dut.o, cycles, ready))

    simulate(dut, feeder, taker, cycles=cycles + 200)
    return bytes(line)


@pytest.mark.parametrize("pausing", [False, True])
def test_transmitter_sends_what_the_software_would(pausing, rng):
    bodies = [b"\0", bytes([FLAG]), *(random_body(rng) for _ in range(12))]
    line = transmit(bodies, pauses=rng if pausing else None)
    assert line == b"".join(map(encode_frame, bodies))


def receive(line, *, pauses=None):
    """(bytes with CRC, good) of each frame that the hardware finds in a sequence of bytes."""
    dut = FrameReceiver()
    cycles = (20 if pauses is not None else 10) * len(line) + 50
    items = []

    async def feeder(ctx):
        for byte in line:
            if pauses is not None:
                await ctx.tick().repeat(int(pauses.integers(1, 4)))
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, byte)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def taker(ctx):
        ready = (lambda: True) if pauses is None else (lambda: pauses.random() < 0.5)
        items.extend(await collect(ctx, dut.o, cycles, ready))

    simulate(dut, feeder, taker, cycles=cycles + 200)
    frames, frame = [], bytearray()
    for item in items:
        if item.end:
            frames.append((bytes(frame), bool(item.good)))
            frame.clear()
        else:
            frame.append(item.data)
    return frames


@pytest.mark.parametrize("pausing", [False, True])
def test_receiver_takes_apart_what_the_software_sent(pausing, rng):
    bodies = [b"\0", bytes([FLAG]), *(random_body(rng) for _ in range(12))]
    line = b"".join(map(encode_frame, bodies))
    frames = [frame for frame in receive(line, pauses=rng if pausing else None) if frame != (b"", False)]
    assert frames == [(body + zlib.crc32(body).to_bytes(4, "little"), True) for body in bodies]


def test_receiver_knows_good_frames_from_bad_ones(rng):
    """Cut, changed and mixed with noise: it finds the frames that the software finds."""
    line = bytearray(rng.bytes(20))
    for _ in range(40):
        frame = bytearray(encode_frame(random_body(rng, 20)))
        kind = rng.integers(4)
        if kind == 1:
            frame[int(rng.integers(len(frame)))] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del frame[int(rng.integers(len(frame))) :]
        elif kind == 3:
            frame.insert(int(rng.integers(len(frame))), int(rng.choice([ESCAPE, FLAG, 0])))
        line += frame
    good = [data[:-4] for data, sound in receive(line) if sound]
    expected = Parser().feed(bytes(line))
    assert good == expected
    assert len(expected) < 40


def test_crc_can_be_read_between_bytes(rng):
    dut = SerialCrc()
    data = rng.bytes(10)

    async def feeder(ctx):
        for turn in range(2):
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for index, byte in enumerate(data):
                ctx.set(dut.i.payload, byte)
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
                await ctx.tick().repeat(1 + 5 * turn)
                while not ctx.get(dut.i.ready):
                    await ctx.tick()
                assert ctx.get(dut.crc) == zlib.crc32(data[: index + 1])
                assert not ctx.get(dut.match)

    simulate(dut, feeder, cycles=1000)
