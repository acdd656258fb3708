# SPDX-License-Identifier: Apache-2.0
"""RowGearbox: rows of any size out of words, from one source or two."""

import pytest

from tepin.matmul.gearbox import RowGearbox
from tepin_testbench.pysim import simulate


@pytest.mark.parametrize(
    "word_bytes, row_bytes, sources, message",
    [
        (6, 4, 1, "word_bytes must be a power of two, not 6"),
        (8, 9, 1, r"row_bytes must be 1 to word_bytes \(8\), not 9"),
        (8, 0, 1, r"row_bytes must be 1 to word_bytes \(8\), not 0"),
        (8, 4, 0, "sources must be at least 1, not 0"),
    ],
)
def test_init_wrong_argument(word_bytes, row_bytes, sources, message):
    with pytest.raises(ValueError, match=message):
        RowGearbox(word_bytes=word_bytes, row_bytes=row_bytes, sources=sources)


def draw(rng, word_bytes, row_bytes, sources, count):
    """Requests, the words of each source, and the rows that belong to them."""
    requests, words, rows = [], [[] for _ in range(sources)], []
    while len(requests) < count:
        source = int(rng.integers(sources))
        sizes = rng.integers(1, row_bytes + 1, rng.integers(1, 12)).tolist()
        content = rng.bytes(sum(sizes))
        place = 0
        for index, size in enumerate(sizes):
            rows.append((content[place : place + size], len(requests) % 8))
            requests.append(
                {"size": size, "source": source, "last": index == len(sizes) - 1, "meta": len(requests) % 8}
            )
            place += size
        padded = content + rng.bytes(-len(content) % word_bytes)
        words[source] += [padded[i : i + word_bytes] for i in range(0, len(padded), word_bytes)]
    return requests, words, rows


@pytest.mark.parametrize("word_bytes, row_bytes", [(4, 4), (8, 5), (16, 4), (1, 1)])
@pytest.mark.parametrize("sources", [1, 2])
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_rows_are_cut(word_bytes, row_bytes, sources, pause, rng):
    requests, words, rows = draw(rng, word_bytes, row_bytes, sources, 150)
    dut = RowGearbox(word_bytes=word_bytes, row_bytes=row_bytes, sources=sources, meta=3)
    cycles = 0

    def feed(port, items):
        async def run(ctx):
            for item in items:
                while rng.random() < pause:
                    await ctx.tick()
                ctx.set(port.payload, item)
                ctx.set(port.valid, 1)
                await ctx.tick().until(port.ready)
                ctx.set(port.valid, 0)

        return run

    async def take(ctx):
        nonlocal cycles
        for content, meta in rows:
            while rng.random() < pause:
                await ctx.tick()
                cycles += 1
            ctx.set(dut.o.ready, 1)
            while True:
                _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
                cycles += 1
                if valid:
                    break
            ctx.set(dut.o.ready, 0)
            assert (payload.bytes & (1 << 8 * len(content)) - 1).to_bytes(len(content), "little") == content
            assert payload.meta == meta

    numbers = [[int.from_bytes(word, "little") for word in source] for source in words]
    feeders = [feed(port, items) for port, items in zip(dut.i, numbers, strict=True)]
    simulate(dut, feed(dut.i_requests, requests), take, *feeders)
    if pause == 0:
        assert cycles <= len(rows) + 4


def test_word_waits_for_its_request():
    """A word that no request needs yet stays in its source."""
    dut = RowGearbox(word_bytes=4, row_bytes=4, meta=1)

    async def run(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i[0].valid, 1)
        ctx.set(dut.i[0].payload, 0x04030201)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.i[0].ready)
        ctx.set(dut.i_requests.valid, 1)
        ctx.set(dut.i_requests.payload, {"size": 3, "last": 0})
        assert not ctx.get(dut.i[0].ready)
        await ctx.tick()
        assert ctx.get(dut.i[0].ready)
        ctx.set(dut.i_requests.payload, {"size": 1, "last": 0})
        await ctx.tick()
        assert not ctx.get(dut.i[0].ready)
        await ctx.tick()
        assert ctx.get(dut.o.payload.bytes) & 255 == 4

    simulate(dut, run)
