# SPDX-License-Identifier: Apache-2.0
"""BeatsToLines and LinesToBeats: every alignment, byte by byte."""

import pytest

from tepin.dma.align import BeatsToLines, LinesToBeats
from verification.unit.dma.streams import transform

SIZES = [(2, 4), (2, 16), (8, 8), (8, 16), (4, 32)]


def runs(beat_bytes, line_bytes, rng):
    """(offset in the first beat, scratchpad address, length) of all pairs of alignments, lengths at random."""
    result = []
    for start in range(beat_bytes):
        for local in range(line_bytes):
            length = int(rng.integers(1, (3, beat_bytes + 2, 3 * line_bytes)[(start + local) % 3]))
            result.append((start, 1024 * (len(result) + 1) + local, length))
    return result


def beats_of(start, local, length, beat_bytes):
    """(first valid byte, past the last one, local of byte 0, last) of each beat of a run."""
    end = start + length
    for beat in range(0, end, beat_bytes):
        yield (
            max(0, start - beat),
            min(beat_bytes, end - beat),
            local - start + beat,
            beat + beat_bytes >= end,
        )


def masked(first, past):
    return (1 << past) - (1 << first)


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("beat_bytes, line_bytes", SIZES)
def test_beats_to_lines(beat_bytes, line_bytes, paused, rng):
    """Each line once, with exactly the bytes of the run; one beat per cycle, one more if the last one spills."""
    inputs, expected, spills = [], [], 0
    for number, (start, local, length) in enumerate(runs(beat_bytes, line_bytes, rng)):
        content = rng.bytes(length)
        for first, past, beat_local, last in beats_of(start, local, length, beat_bytes):
            data = bytearray(rng.bytes(beat_bytes))
            for byte in range(first, past):
                data[byte] = content[beat_local + byte - local]
            inputs.append(
                {
                    "data": int.from_bytes(data, "little"),
                    "mask": masked(first, past),
                    "local": beat_local % (1 << 32),
                    "last_of_run": last,
                    "pc": number,
                }
            )
            spills += last and beat_local // line_bytes != (local + length - 1) // line_bytes
        lines = range(local // line_bytes, (local + length - 1) // line_bytes + 1)
        for line in lines:
            expected.append(
                {
                    "address": line * line_bytes,
                    "bytes": {
                        address: content[address - local]
                        for address in range(line * line_bytes, (line + 1) * line_bytes)
                        if local <= address < local + length
                    },
                    "last": line == lines[-1],
                    "pc": number,
                }
            )
    dut = BeatsToLines(beat_bytes=beat_bytes, line_bytes=line_bytes)
    outputs, times = transform(dut, inputs, len(expected), rng=rng if paused else None)
    for line, wanted in zip(outputs, expected, strict=True):
        data = line.data.to_bytes(line_bytes, "little")
        got = {line.address + lane: data[lane] for lane in range(line_bytes) if line.mask >> lane & 1}
        assert (line.address, got, line.last_of_run, line.pc) == (
            wanted["address"],
            wanted["bytes"],
            wanted["last"],
            wanted["pc"],
        )
    if not paused:
        assert times[-1] <= len(inputs) + spills + 4


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("beat_bytes, line_bytes", SIZES)
def test_lines_to_beats(beat_bytes, line_bytes, paused, rng):
    """The wanted bytes in their places; one beat per cycle and one more if the first beat needs two lines."""
    inputs, lines, expected, waits = [], [], [], 0
    for start, local, length in runs(beat_bytes, line_bytes, rng):
        first_line, last_line = local // line_bytes, (local + length - 1) // line_bytes
        content = rng.bytes((last_line - first_line + 1) * line_bytes)
        lines += [content[at : at + line_bytes] for at in range(0, len(content), line_bytes)]
        for number, (first, past, beat_local, last) in enumerate(beats_of(start, local, length, beat_bytes)):
            mask = masked(first, past)
            inputs.append(
                {"mask": mask, "local": beat_local % (1 << 32), "last_of_run": last, "last": number % 2}
            )
            at = beat_local - first_line * line_bytes
            expected.append((mask, number % 2, {byte: content[at + byte] for byte in range(first, past)}))
            if number == 0:
                waits += (beat_local + first) // line_bytes != (beat_local + past - 1) // line_bytes
    dut = LinesToBeats(beat_bytes=beat_bytes, line_bytes=line_bytes)

    async def feed(ctx):
        for line in lines:
            while paused and rng.random() < 0.5:
                await ctx.tick()
            ctx.set(dut.lines.payload, int.from_bytes(line, "little"))
            ctx.set(dut.lines.valid, 1)
            await ctx.tick().until(dut.lines.ready)
            ctx.set(dut.lines.valid, 0)

    outputs, times = transform(dut, inputs, len(expected), rng=rng if paused else None, also=[feed])
    for beat, (mask, last, content) in zip(outputs, expected, strict=True):
        data = beat.data.to_bytes(beat_bytes, "little")
        assert (beat.mask, beat.last) == (mask, last)
        assert {byte: data[byte] for byte in content} == content
    if not paused:
        assert times[-1] <= len(inputs) + waits + 4


def test_dry_beats_need_no_lines():
    """After a halt, beats leave without lines, with empty masks, and `last` where it belongs."""
    dut = LinesToBeats(beat_bytes=4, line_bytes=8)
    inputs = [{"mask": 15, "local": 4 * number, "last": number == 3} for number in range(4)]
    outputs, _ = transform(dut, inputs, 4, setup=lambda ctx: ctx.set(dut.dry, 1))
    assert [(beat.mask, beat.last) for beat in outputs] == [(0, 0), (0, 0), (0, 0), (0, 1)]
