# SPDX-License-Identifier: Apache-2.0
"""A serial line in Amaranth's simulator, with senders and receivers whose rate is free."""

__all__ = ["collect", "levels", "listen", "play", "read_waveform"]


def levels(byte, *, stop=1):
    """The ten bits of a byte in the order in which they are sent."""
    return [0, *(byte >> bit & 1 for bit in range(8)), stop]


async def play(ctx, line, bits, cycles_per_bit, *, spikes=()):
    """Drive `line` with bits that take `cycles_per_bit`, a fraction, each. In the cycles of `spikes` it is wrong."""
    cycle = 0
    for index, bit in enumerate(bits):
        while cycle < (index + 1) * cycles_per_bit:
            ctx.set(line, bit ^ (cycle in spikes))
            await ctx.tick()
            cycle += 1
    ctx.set(line, 1)


async def collect(ctx, stream, cycles, ready=lambda: True):
    """Items that a stream yields within a number of cycles."""
    items = []
    for _ in range(cycles):
        ctx.set(stream.ready, taking := bool(ready()))
        _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
        if valid and taking:
            items.append(payload)
    return items


async def listen(ctx, line, cycles):
    """The level of `line` in each of a number of cycles."""
    waveform = []
    for _ in range(cycles):
        waveform.append((await ctx.tick().sample(line))[2])
    return waveform


def read_waveform(waveform, cycles_per_bit):
    """Bytes in a recorded line, sampled in the middle of the bits; fails if a start or stop bit is missing."""
    result, cycle = [], 0
    while 0 in waveform[cycle:]:
        start = waveform.index(0, cycle)
        bits = [waveform[start + int((index + 0.5) * cycles_per_bit)] for index in range(10)]
        assert (bits[0], bits[9]) == (0, 1)
        result.append(sum(bit << place for place, bit in enumerate(bits[1:9])))
        cycle = start + int(9.5 * cycles_per_bit)
    return result
