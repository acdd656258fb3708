# SPDX-License-Identifier: Apache-2.0
"""RowWriter: every item becomes one write or one note, in order, whatever the port does."""

import pytest

from tepin.matmul.row_writer import RowWriter
from tepin_testbench.pysim import simulate


@pytest.mark.parametrize("drain_width, line_bytes", [(1, 4), (4, 16), (4, 32)])
@pytest.mark.parametrize("grant", [1.0, 0.4])
def test_items_become_writes(rng, drain_width, line_bytes, grant):
    dut = RowWriter(drain_width=drain_width, line_bytes=line_bytes)
    count, mask = 120, (1 << drain_width) - 1
    items = [
        (
            int(rng.random() < 0.1),
            4 * drain_width * int(rng.integers(0, 1 << 20)),
            int(rng.integers(1, mask + 1)),
        )
        for _ in range(count)
    ]
    sums = [int.from_bytes(rng.bytes(4 * drain_width), "little") for _ in range(count)]
    seen, cycles = [], [0]

    async def testbench(ctx):
        under_way, place = [None, None], 0
        while len(seen) < count:
            offered = place < count and ctx.get(dut.room) and (grant == 1.0 or rng.random() < 0.8)
            ctx.set(dut.i.valid, offered)
            if offered:
                end, address, words = items[place]
                item = {"end": end, "address": address, "words": words, "note": place % 4}
                ctx.set(dut.i.payload, item)
            due = under_way.pop(0)
            ctx.set(dut.sums, 0 if due is None else sums[due])
            under_way.append(place if offered else None)
            place += offered
            ctx.set(dut.o.request.ready, rng.random() < grant)
            request = dut.o.request
            *_, valid, ready, address, data, bytes_, done, note = await ctx.tick().sample(
                request.valid,
                request.ready,
                request.payload.address,
                request.payload.data,
                request.payload.mask,
                dut.done,
                dut.done_note,
            )
            cycles[0] += 1
            if valid and ready:
                seen.append((0, address, data & (1 << 32 * drain_width) - 1, bytes_))
            if done:
                seen.append((1, note))

    simulate(dut, testbench)
    expected = []
    for number, ((end, address, words), data) in enumerate(zip(items, sums, strict=True)):
        if end:
            expected.append((1, number % 4))
        else:
            bytes_ = sum(15 << 4 * index for index in range(drain_width) if words >> index & 1)
            expected.append((0, address, data, bytes_))
    assert seen == expected
    if grant == 1.0:
        assert cycles[0] == count + 4  # one per cycle, and the latency


@pytest.mark.parametrize(
    "change, message",
    [
        ({"drain_width": 3}, "drain_width must be a power of two, not 3"),
        ({"line_bytes": 8}, "line_bytes must be at least 16, not 8"),
    ],
)
def test_init_wrong_parameter(change, message):
    with pytest.raises(ValueError, match=message):
        RowWriter(**{"drain_width": 4, "line_bytes": 16} | change)
