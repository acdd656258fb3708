# SPDX-License-Identifier: Apache-2.0
"""RequestGenerator: the order of a weight stream."""

import pytest

from tepin.isa import WeightSource, WeightType
from tepin.matmul.requests import RequestGenerator, RowKind
from tepin_testbench.pysim import simulate


def requests(rows, columns, k, n, kind, scales, source):
    """What a job asks for, written down directly."""
    result = []
    for start in range(0, n, columns):
        width = min(columns, n - start)
        row_bytes = width if kind == WeightType.INT8 else -(-width // 2)
        for row in range(k):
            if kind == WeightType.INT4 and row % 32 == 0:
                result.append((RowKind.PARAMETERS, width, width, 0))
            result.append((RowKind.CODES, row_bytes, width, int(row % rows == rows - 1 or row == k - 1)))
        for place in range(0, width if scales else 0, columns // 4):
            count = min(columns // 4, width - place)
            result.append((RowKind.SCALES, 4 * count, width, int(place + count == width)))
    return [(*request, source, int(number == len(result) - 1)) for number, request in enumerate(result)]


def begin_tiles(rows, columns, k, n, kind, scales, source):
    """Of each request, whether a weight tile of int8 weights begins with it that has all rows and columns."""
    marks, row = [], 0
    for what, _, width, *_ in requests(rows, columns, k, n, kind, scales, source):
        whole = row % rows == 0 and row + rows <= k and width == columns
        marks.append(int(whole and what == RowKind.CODES and kind == WeightType.INT8))
        row = (row + (what == RowKind.CODES)) % k
    return marks


@pytest.mark.parametrize("rows, columns, tiles", [(2, 8, True), (3, 4, False), (1, 12, False)])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_order(rows, columns, tiles, pause, rng):
    dut = RequestGenerator(rows=rows, columns=columns, tiles=tiles)
    jobs = []
    for _ in range(12):
        k, n = (
            int(rng.choice([1, 2, 5, 32, 33, 65])),
            int(rng.choice([1, 3, columns, columns + 1, 2 * columns])),
        )
        kind, source = WeightType(int(rng.integers(2))), WeightSource(int(rng.integers(2)))
        jobs.append((k, n, kind, int(rng.integers(2)), source))
    expected = sum((requests(rows, columns, *job) for job in jobs), [])
    marks = sum((begin_tiles(rows, columns, *job) for job in jobs), [])

    async def send(ctx):
        for k, n, kind, scales, source in jobs:
            payload = {"k": k, "n": n, "weights": kind, "scales": scales, "source": source}
            ctx.set(dut.i.payload, payload)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def receive(ctx):
        started = False
        for number, wanted in enumerate(expected):
            while True:
                ready = rng.random() >= pause
                ctx.set(dut.o.ready, ready)
                _, _, valid, got = await ctx.tick().sample(dut.o.valid, dut.o.payload)
                assert valid or not started, f"a pause before request {number}"
                started |= bool(valid)
                if valid and ready:
                    break
            meta = got.meta
            assert (meta.kind, got.size, meta.width, meta.end, WeightSource(got.source), got.last) == wanted
            assert not tiles or meta.whole == marks[number]

    simulate(dut, send, receive, cycles=4 * len(expected) + 100)


def test_init_wrong_rows():
    with pytest.raises(ValueError, match="rows must be at least 1, not 0"):
        RequestGenerator(rows=0, columns=4)


@pytest.mark.parametrize("columns", [0, 6])
def test_init_wrong_columns(columns):
    with pytest.raises(ValueError, match=f"columns must be a multiple of 4, not {columns}"):
        RequestGenerator(rows=2, columns=columns)
