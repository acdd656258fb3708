# SPDX-License-Identifier: Apache-2.0
"""Accumulator: passes in any order, both banks, the whole width."""

import pytest

from tepin.matmul.accumulator import ACCUMULATOR_WIDTH, Accumulator
from tepin_testbench.pysim import simulate


@pytest.mark.parametrize("columns, accumulator_rows", [(4, 1), (6, 3)])
@pytest.mark.parametrize("large", [False, True])
def test_passes_add_up(columns, accumulator_rows, large, rng):
    """With `large`, all passes are near the largest sum of 64 rows, so that they reach the limit of the width."""
    dut = Accumulator(rows=64, columns=columns, activation_width=16, accumulator_rows=accumulator_rows)
    limit = 64 << 22
    values = [[[0] * columns for _ in range(accumulator_rows)] for _ in range(2)]

    async def run(ctx):
        for tile in range(4):
            bank = tile % 2
            passes = []
            for number in range(500 if large else 30):
                # Successive passes of one row follow each other directly: the narrow case for a memory.
                row = int(rng.integers(accumulator_rows)) if number >= accumulator_rows else number
                if large:
                    sums = [(-limit if column % 2 else limit - 1) for column in range(columns)]
                else:
                    sums = rng.integers(-limit, limit, columns).tolist()
                high = int(not large and rng.integers(2))
                passes.append((row, sums, high, int(number < accumulator_rows)))
            for number, (row, sums, high, overwrite) in enumerate(passes):
                while rng.random() < 0.2:
                    await ctx.tick()
                tag = {"row": row, "bank": bank, "overwrite": overwrite, "high": high}
                tag["close"] = number == len(passes) - 1
                ctx.set(dut.i.payload, {"sums": sums, "tag": tag})
                ctx.set(dut.i.valid, 1)
                await ctx.tick()
                ctx.set(dut.i.valid, 0)
                for column, value in enumerate(sums):
                    before = 0 if overwrite else values[bank][row][column]
                    values[bank][row][column] = before + (value << 8 * high)
            await ctx.tick().until(dut.closed)
            for row in range(accumulator_rows):
                for column in range(columns):
                    ctx.set(dut.read, {"bank": bank, "row": row, "column": column})
                    await ctx.tick().repeat(3)
                    assert ctx.get(dut.o) == values[bank][row][column]

    simulate(dut, run, cycles=20_000)
    largest = max(abs(value) for bank in values for row in bank for value in row)
    assert largest < 1 << ACCUMULATOR_WIDTH - 1
    if large and accumulator_rows == 1:
        assert largest > 1 << ACCUMULATOR_WIDTH - 5


@pytest.mark.parametrize("accumulator_rows, drain_width", [(1, 1), (5, 1), (4, 4)])
def test_clear(accumulator_rows, drain_width, rng):
    """All sums are zero afterwards, as many cycles later as there are rows and one more; then it works as before."""
    columns = 4
    dut = Accumulator(
        rows=4,
        columns=columns,
        activation_width=8,
        accumulator_rows=accumulator_rows,
        drain_width=drain_width,
    )
    places = [(bank, row) for bank in range(2) for row in range(accumulator_rows)]

    async def add(ctx, bank, row, sums, overwrite):
        tag = {"row": row, "bank": bank, "overwrite": overwrite, "high": 0, "close": 0}
        ctx.set(dut.i.payload, {"sums": sums, "tag": tag})
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)

    async def contents(ctx):
        result = []
        for bank, row in places:
            for column in range(columns):
                ctx.set(dut.read, {"bank": bank, "row": row, "column": column})
                await ctx.tick().repeat(4)
                result.append(ctx.get(dut.o))
        return result

    async def run(ctx):
        for _ in range(2):
            sums = rng.integers(1, 1000, (len(places), columns))
            for (bank, row), values in zip(places, sums.tolist(), strict=True):
                await add(ctx, bank, row, values, 1)
            assert await contents(ctx) == sums.flatten().tolist()
            ctx.set(dut.clear, 1)
            cycles = 0
            while not ctx.get(dut.cleared):
                await ctx.tick()
                cycles += 1
            assert cycles == max(2, accumulator_rows) + 1
            ctx.set(dut.clear, 0)
            await ctx.tick().repeat(2)
            assert await contents(ctx) == [0] * (columns * len(places))
            # Not overwritten but added to: nothing is left to add to.
            await add(ctx, *places[-1], [1, 2, 3, 4], 0)
            await ctx.tick().repeat(2)
            assert (await contents(ctx))[-4:] == [1, 2, 3, 4]

    simulate(dut, run, cycles=20_000)


def test_init_wrong_accumulator_rows():
    with pytest.raises(ValueError, match="accumulator_rows must be at least 1, not 0"):
        Accumulator(rows=2, columns=4, activation_width=8, accumulator_rows=0)
