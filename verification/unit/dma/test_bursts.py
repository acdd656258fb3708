# SPDX-License-Identifier: Apache-2.0
"""BurstSplitter, WindowCheck and BeatWalker against byte-wise Python."""

import pytest

from tepin.dma.beats import BeatWalker
from tepin.dma.bursts import BurstSplitter
from tepin.dma.windows import WindowCheck
from tepin.isa import ErrorCode
from tepin_testbench.pysim import simulate
from verification.unit.dma.streams import transform

SPACE = 1 << 32


def cut(memory, length, block_bytes):
    """(first byte, last byte, wrapped) of each burst."""
    position, end = memory, memory + length
    while position < end:
        stop = min(end, (position // block_bytes + 1) * block_bytes)
        yield position % SPACE, (stop - 1) % SPACE, position >= SPACE
        position = stop


@pytest.mark.parametrize("block_bytes, beat_bytes", [(32, 2), (128, 8), (4096, 64)])
def test_split(block_bytes, beat_bytes, rng):
    """Random runs, also across the end of the address space; bursts come one per cycle."""
    dut = BurstSplitter(block_bytes=block_bytes, beat_bytes=beat_bytes)
    runs, expected = [], []
    for number in range(60):
        memory = int(rng.integers(SPACE)) if number % 4 else SPACE - int(rng.integers(1, 2 * block_bytes))
        length = int(rng.integers(1, (2, beat_bytes + 1, 5 * block_bytes)[number % 3]))
        local = int(rng.integers(SPACE))
        runs.append({"memory": memory, "local": local, "length": length, "last": number % 2, "pc": number})
        bursts = list(cut(memory, length, block_bytes))
        for position, (first, last, wrapped) in enumerate(bursts):
            final = position == len(bursts) - 1
            beat_local = (local + (first - memory) - first % beat_bytes) % SPACE
            expected.append(
                (first, last, wrapped, position == 0, final, final and number % 2, beat_local, number)
            )
    for paused in (None, rng):
        dut = BurstSplitter(block_bytes=block_bytes, beat_bytes=beat_bytes)
        outputs, times = transform(dut, runs, len(expected), rng=paused)
        assert [
            (
                burst.block * block_bytes + burst.start,
                burst.block * block_bytes + burst.end,
                burst.wrapped,
                burst.first_of_run,
                burst.last_of_run,
                burst.last,
                burst.local,
                burst.pc,
            )
            for burst in outputs
        ] == expected
        if paused is None:
            assert times[-1] - times[0] == len(expected) - 1


def test_largest_run():
    """Almost the whole address space, beginning in the middle of a block and ending before it in the same one."""
    dut = BurstSplitter(block_bytes=4096, beat_bytes=8)
    run = {"memory": 0x10, "length": SPACE - 8}
    outputs = []

    async def testbench(ctx):
        ctx.set(dut.i.payload, run)
        ctx.set(dut.i.valid, 1)
        await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.o.ready, 1)
        while len(outputs) < 3:
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                outputs.append(payload)

    simulate(dut, testbench)
    assert [(burst.block, burst.start, burst.end, burst.last_of_run) for burst in outputs] == [
        (0, 0x10, 4095, 0),
        (1, 0, 4095, 0),
        (2, 0, 4095, 0),
    ]


def test_errors_pass():
    """A run with an error is one burst whose address is the run's info; so is an empty one."""
    dut = BurstSplitter(block_bytes=128, beat_bytes=8)
    runs = [
        {"code": ErrorCode.ALIGNMENT, "memory": 0x12345, "length": 100000},
        {"empty": 1, "last": 1, "length": 5000},
    ]
    outputs, _ = transform(dut, runs, 2)
    assert ErrorCode(outputs[0].code) == ErrorCode.ALIGNMENT
    assert outputs[0].block * 128 + outputs[0].start == 0x12345
    assert outputs[1].empty and outputs[1].last


@pytest.mark.parametrize("block_bytes", [0, 1, 48, 8192])
def test_init_wrong_block(block_bytes):
    with pytest.raises(ValueError, match=f"must be a power of two of 2 to 4096 bytes, not {block_bytes}$"):
        BurstSplitter(block_bytes=block_bytes, beat_bytes=2)


@pytest.mark.parametrize(
    "base, limit",
    [(0x1000, 0x1FFF), (0x1003, 0x1044), (0, 0xFFFFFFFF), (5, 4), (0, 0), (0xFFFFFF81, 0xFFFFFFFF)],
)
def test_windows(base, limit):
    """Every burst around the ends of the window: exact to the byte."""
    block_bytes = 128
    bursts, expected = [], []
    for address in (base, limit, 0, 0xFFFFFFFF):
        block = address // block_bytes
        for start in sorted({0, address % block_bytes, max(0, address % block_bytes - 1), 127}):
            for end in sorted({start, address % block_bytes, min(127, address % block_bytes + 1), 127}):
                if end < start:
                    continue
                bursts.append({"block": block, "start": start, "end": end, "pc": 9})
                outside = [
                    byte
                    for byte in range(block * block_bytes + start, block * block_bytes + end + 1)
                    if not base <= byte <= limit
                ]
                expected.append(
                    ("READ_WINDOW", outside[0]) if outside else ("NONE", block * block_bytes + start)
                )
    dut = WindowCheck(block_bytes=block_bytes, code=ErrorCode.READ_WINDOW)

    def setup(ctx):
        ctx.set(dut.base, base)
        ctx.set(dut.limit, limit)

    outputs, times = transform(dut, bursts, len(bursts), setup=setup)
    assert [
        (ErrorCode(burst.code).name, burst.block * block_bytes + burst.start) for burst in outputs
    ] == expected
    assert times[-1] - times[0] == len(bursts) - 1


def test_windows_leave_errors_alone():
    """Former errors keep code and info, empty bursts are not looked at, wrapped ones are outside."""
    dut = WindowCheck(block_bytes=128, code=ErrorCode.WRITE_WINDOW)
    bursts = [{"code": ErrorCode.PARAMETER, "block": 7}, {"empty": 1, "block": 7}, {"wrapped": 1, "block": 0}]

    def setup(ctx):
        ctx.set(dut.base, 0)
        ctx.set(dut.limit, 127)

    outputs, _ = transform(dut, bursts, 3, setup=setup)
    codes = [ErrorCode(burst.code).name for burst in outputs]
    assert codes == ["PARAMETER", "NONE", "WRITE_WINDOW"]
    assert [burst.block for burst in outputs] == [7, 7, 0]


@pytest.mark.parametrize("paused", [False, True])
def test_beats(paused, rng):
    """Masks, addresses and flags of the beats of random bursts, one per cycle."""
    block_bytes, beat_bytes = 128, 8
    spans, expected = [], []
    for number in range(40):
        start = int(rng.integers(block_bytes))
        end = int(rng.integers(start, min(block_bytes, start + (8 if number % 2 else 128))))
        local, block = int(rng.integers(1 << 16)), int(rng.integers(1 << 20))
        spans.append(
            {
                "start": start,
                "end": end,
                "local": local,
                "block": block,
                "last_of_run": number % 3 == 0,
                "pc": number,
            }
        )
        first = start // beat_bytes
        for beat in range(first, end // beat_bytes + 1):
            mask = sum(1 << byte for byte in range(beat_bytes) if start <= beat * beat_bytes + byte <= end)
            last = beat == end // beat_bytes
            expected.append(
                (
                    mask,
                    local + (beat - first) * beat_bytes,
                    block * block_bytes + beat * beat_bytes,
                    last and number % 3 == 0,
                    last,
                    number,
                )
            )
    dut = BeatWalker(block_bytes=block_bytes, beat_bytes=beat_bytes)
    outputs, times = transform(dut, spans, len(expected), rng=rng if paused else None)
    assert [
        (beat.mask, beat.local, beat.address, beat.last_of_run, beat.last, beat.pc) for beat in outputs
    ] == expected
    if not paused:
        assert times[-1] - times[0] == len(expected) - 1
