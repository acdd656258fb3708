# SPDX-License-Identifier: Apache-2.0
"""Drives blocks with streams in Amaranth's simulator."""

from tepin_testbench.pysim import simulate

__all__ = ["transform"]


def transform(dut, inputs, count, *, rng=None, also=(), setup=None, cycles=20_000):
    """What comes out of `dut` when items go in.

    Parameters
    ----------
    dut : component with the streams `i` and `o`
    inputs : list of dictionaries or integers
        Items for `i`.
    count : int
        Number of items to take from `o`.
    rng : numpy generator, optional
        Both sides pause at random, half of the time; without it, never.
    also : sequence of async functions
        Further testbenches, in the background.
    setup : function of the simulator context, optional
        Sets inputs before the first cycle.

    Returns
    -------
    (list of items, list of the cycles in which they were taken)
    """
    pause = (lambda: rng.random() < 0.5) if rng is not None else (lambda: False)
    outputs, times = [], []

    async def source(ctx):
        if setup:
            setup(ctx)
        for item in inputs:
            while pause():
                await ctx.tick()
            ctx.set(dut.i.payload, item)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        cycle = 0
        while len(outputs) < count:
            ctx.set(dut.o.ready, not pause())
            _, _, valid, ready, payload = await ctx.tick().sample(dut.o.valid, dut.o.ready, dut.o.payload)
            if valid and ready:
                outputs.append(payload)
                times.append(cycle)
            cycle += 1
        ctx.set(dut.o.ready, 1)
        for _ in range(8):  # nothing else may come
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            assert not valid

    simulate(dut, source, sink, background=also, cycles=cycles)
    return outputs, times
