# SPDX-License-Identifier: Apache-2.0
"""WriteCombiner: the same bytes as word by word, in as few writes as there are lines."""

import pytest

from tepin.matmul.write_combiner import WriteCombiner
from tepin_testbench.pysim import simulate

MEMORY = 1 << 12


@pytest.mark.parametrize("line_bytes", [8, 32])
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_words_are_written(line_bytes, pause, rng):
    dut = WriteCombiner(line_bytes=line_bytes)
    memory, expected = bytearray(MEMORY), bytearray(MEMORY)
    items, ends, lines = [], [], 0
    for job in range(20):
        for _ in range(int(rng.integers(0, 4))):
            address = 4 * int(rng.integers(MEMORY // 8))
            for number in range(int(rng.integers(1, 40))):
                merge = number > 0 and address % line_bytes != 0
                word = int(rng.integers(1 << 32))
                items.append({"merge": merge, "address": address, "data": word, "note": job % 4})
                expected[address : address + 4] = word.to_bytes(4, "little")
                lines += not merge
                address += 4
        items.append({"end": 1, "note": job % 4})
        ends.append(job % 4)
    writes, notes = 0, []

    async def send(ctx):
        for item in items:
            while rng.random() < pause:
                await ctx.tick()
            ctx.set(dut.i.payload, item)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def receive(ctx):
        nonlocal writes
        while len(notes) < len(ends):
            ready = rng.random() >= pause
            ctx.set(dut.o.request.ready, ready)
            _, _, valid, write, done, note = await ctx.tick().sample(
                dut.o.request.valid, dut.o.request.payload, dut.done, dut.done_note
            )
            if valid and ready:
                writes += 1
                assert write.address % line_bytes == 0
                for index in range(line_bytes):
                    if write.mask >> index & 1:
                        memory[write.address + index] = write.data >> 8 * index & 255
            if done:
                notes.append(note)
                # An end comes behind everything before it.
                assert notes == ends[: len(notes)]

    simulate(dut, send, receive)
    assert memory == expected
    assert writes == lines


def test_fault_has_address_and_note():
    dut = WriteCombiner(line_bytes=16)

    async def run(ctx):
        ctx.set(dut.o.request.ready, 1)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, {"address": 0x1234, "note": 2})
        await ctx.tick()
        ctx.set(dut.i.payload, {"end": 1, "note": 1})
        await ctx.tick()
        assert ctx.get(dut.o.request.valid)
        await ctx.tick()
        ctx.set(dut.o.fault, 1)
        assert ctx.get(dut.fault)
        assert ctx.get(dut.fault_address) == 0x1230
        assert ctx.get(dut.fault_note) == 2

    simulate(dut, run)


def test_init_wrong_line_bytes():
    with pytest.raises(ValueError, match="line_bytes must be a power of two and at least 4, not 12"):
        WriteCombiner(line_bytes=12)
