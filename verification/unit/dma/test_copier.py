# SPDX-License-Identifier: Apache-2.0
"""The copier: every byte of random copies, its rules as a master, errors, and how many cycles it takes."""

import pytest

from tepin.dma.copier import Copier
from tepin.isa import ErrorCode
from tepin_host.simulation.axi_memory import AxiMemory
from tepin_testbench.pysim import simulate

SIZE = 1 << 14
ALL = range(1 << 32)


class Bench:
    """A copier, its memory and who feeds it."""

    def __init__(self, rng, *, latency=1, pause=0.0, bad=range(0), read=ALL, write=ALL, **parameters):
        self.rng, self.pause = rng, pause
        self.dut = Copier(**parameters)
        self.data = bytearray(rng.bytes(SIZE))
        self.memory = AxiMemory(self.dut.m_axi, self.data, latency=latency, pause=pause, rng=rng, bad=bad)
        self.before = bytes(self.data)
        self.windows = {"read": read, "write": write}
        self.done = 0
        self.runs = []

    def run(self, runs, *, until, cycles=40_000, then=None):
        """Feed the runs; end when `until(ctx)`; then `then(ctx)`."""
        self.runs = runs

        async def feed(ctx):
            for name, window in self.windows.items():
                ctx.set(getattr(self.dut, f"{name}_base"), window.start)
                ctx.set(getattr(self.dut, f"{name}_limit"), window.stop - 1)
            for source, destination, length in runs:
                while self.pause and self.rng.random() < self.pause:
                    await ctx.tick()
                ctx.set(self.dut.i.payload, {"source": source, "destination": destination, "length": length})
                ctx.set(self.dut.i.valid, 1)
                await ctx.tick().until(self.dut.i.ready)
                ctx.set(self.dut.i.valid, 0)

        async def count(ctx):
            async for _, _, done in ctx.tick().sample(self.dut.done):
                self.done += done

        async def end(ctx):
            while not until(ctx):
                await ctx.tick()
            if then:
                await then(ctx)

        simulate(self.dut, end, background=[self.memory.run, count, feed], cycles=cycles)
        return self

    def copied(self):
        """What memory has to hold."""
        expected = bytearray(self.before)
        for source, destination, length in self.runs:
            expected[destination : destination + length] = expected[source : source + length]
        return expected

    def all(self, runs, **others):
        return self.run(runs, until=lambda ctx: self.done == len(runs), **others)


def random_runs(rng, count, most):
    """Out of the lower half of memory, into places of the upper one that do not meet."""
    runs, place = [], SIZE // 2
    for _ in range(count):
        length = int(rng.integers(1, most + 1))
        place += int(rng.integers(0, 40))
        runs.append((int(rng.integers(0, SIZE // 2 - length)), place, length))
        place += length
    assert place <= SIZE
    return runs


@pytest.mark.parametrize(
    "width, beats, outstanding, buffer", [(16, 2, 1, 8), (64, 16, 16, 256), (64, 4, 3, 16), (128, 8, 4, 32)]
)
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_random_copies(rng, width, beats, outstanding, buffer, pause):
    bench = Bench(
        rng,
        latency=int(rng.integers(1, 30)),
        pause=pause,
        data_width=width,
        burst_beats=beats,
        outstanding=outstanding,
        buffer_beats=buffer,
    )
    bench.all(random_runs(rng, 12, 300 if width > 16 else 100))
    assert bench.data == bench.copied()


def test_every_alignment(rng):
    """All pairs of alignments, with lengths up to three beats, back to back."""
    runs, place = [], SIZE // 2
    for source in range(8):
        for offset in range(8):
            length = int(rng.integers(1, 25))
            place = -(-place // 8) * 8 + 8
            runs.append((64 + source, place + offset, length))
            place += offset + length
    bench = Bench(rng).all(runs)
    assert bench.data == bench.copied()


@pytest.mark.parametrize("latency, most", [(1, 517), (20, 556), (100, 720)])
def test_four_kib(rng, latency, most):
    bench = Bench(rng, latency=latency).all([(0, 8192, 4096)])
    cycles = bench.memory.last_answer - bench.memory.first_address
    assert 512 + 2 * latency <= cycles <= most
    assert bench.data == bench.copied()


@pytest.mark.parametrize("latency, most", [(1, 530), (100, 725)])
@pytest.mark.parametrize("source, destination", [(3, 5), (5, 3)])
def test_four_kib_unaligned(rng, latency, most, source, destination):
    bench = Bench(rng, latency=latency).all([(source, 8192 + destination, 4096)])
    assert bench.memory.last_answer - bench.memory.first_address <= most
    assert bench.data == bench.copied()


async def no_more(ctx, bench):
    """After an error: everything is answered, `idle` is high, nothing moves any more."""
    bench.memory.pause = 0.0
    for _ in range(300):
        await ctx.tick()
    assert ctx.get(bench.dut.idle) and not bench.memory.in_flight
    assert not (
        ctx.get(bench.dut.m_axi.ar.valid)
        or ctx.get(bench.dut.m_axi.aw.valid)
        or ctx.get(bench.dut.m_axi.w.valid)
    )


@pytest.mark.parametrize("pause", [0.0, 0.3])
@pytest.mark.parametrize(
    "settings, code, address",
    [
        ({"read": range(64, 4096 + 700)}, ErrorCode.READ_WINDOW, 4096 + 700),
        ({"write": range(8192, 8192 + 600)}, ErrorCode.WRITE_WINDOW, 8192 + 600),
        ({"write": range(8193, 1 << 32)}, ErrorCode.WRITE_WINDOW, 8192),
        ({"read": range(100, 50)}, ErrorCode.READ_WINDOW, 4096),
        ({"bad": range(4096 + 800, 4096 + 808)}, ErrorCode.READ_RESPONSE, 0),
        ({"bad": range(8192 + 992, 8192 + 1000)}, ErrorCode.WRITE_RESPONSE, 0),
    ],
)
def test_errors(rng, settings, code, address, pause):
    """One error, by its name; what is written before is right, the rest of memory as it was."""
    bench = Bench(rng, latency=7, pause=pause, **settings)
    runs = [(4096, 8192, 1200), (0, 12288, 64)]

    async def ended(ctx):
        assert ctx.get(bench.dut.error) == code and ctx.get(bench.dut.error_address) == address
        await no_more(ctx, bench)

    bench.run(runs, until=lambda ctx: ctx.get(bench.dut.error) != ErrorCode.NONE, then=ended)
    assert bench.done == 0
    expected = bench.copied()
    for place, (new, old, wanted) in enumerate(zip(bench.data, bench.before, expected, strict=True)):
        assert (
            new == old
            or new == wanted
            and place in range(8192, 8192 + 1200)
            and place in bench.windows["write"]
        )


def test_no_bytes(rng):
    bench = Bench(rng)
    bench.run([(0, 8192, 0)], until=lambda ctx: ctx.get(bench.dut.error) == ErrorCode.PARAMETER)
    assert bench.data == bench.before


def test_end_of_the_address_space(rng):
    """A run that passes the end is in error at address 0, whatever the windows."""
    bench = Bench(rng)
    bench.run(
        [((1 << 32) - 64, 8192, 128)], until=lambda ctx: ctx.get(bench.dut.error) == ErrorCode.READ_WINDOW
    )


def test_stop(rng):
    """In the midst of a copy: no error, what is announced is finished."""
    bench = Bench(rng, latency=20)

    async def stop(ctx):
        ctx.set(bench.dut.stop, 1)
        await no_more(ctx, bench)
        assert ctx.get(bench.dut.error) == ErrorCode.NONE

    bench.run([(0, 8192, 4096)], until=lambda ctx: bench.memory.cycle > 150, then=stop)
    wanted = bench.copied()
    assert bench.data != bench.before and bench.data != wanted
    assert all(new in (old, end) for new, old, end in zip(bench.data, bench.before, wanted, strict=True))


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"data_width": 8}, "Data width of the copier must be 16, 32, 64, 128, 256 or 512, not 8"),
        ({"burst_beats": 3}, "Beats of a burst must be a power of two, 2 to 256, not 3"),
        (
            {"data_width": 512, "burst_beats": 128},
            "Beats of a burst must be a power of two, 2 to 64, not 128",
        ),
        ({"outstanding": 0}, "Outstanding bursts of the copier must be 1 to 64, not 0"),
        ({"buffer_beats": 32}, "Beats of the buffer must be a power of two, at least 64, not 32"),
    ],
)
def test_init_wrong(parameters, message):
    with pytest.raises(ValueError, match=message):
        Copier(**parameters)
