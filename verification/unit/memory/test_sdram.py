# SPDX-License-Identifier: Apache-2.0
"""Pieces of the SDRAM controller: times in cycles, banks, segments, turns, refresh."""

import re
from dataclasses import replace

import pytest

from tepin.dma.axi import AXI4Signature, Response
from tepin.memory.sdram import SdramController
from tepin.memory.sdram_bank import BankState
from tepin.memory.sdram_parts import PARTS
from tepin.memory.sdram_refresh import Refresher, Upkeep
from tepin.memory.sdram_segments import Segmenter
from tepin.memory.sdram_turns import TurnArbiter
from tepin_testbench.pysim import simulate

PART = PARTS["ulx3s"]


def test_cycles():
    """Times are rounded up, whole numbers of cycles stay, nothing is less than a cycle."""
    timing = PART.timing(100_000_000)
    assert (timing.rcd, timing.rp, timing.ras, timing.rc, timing.rfc) == (3, 3, 5, 7, 7)
    assert (timing.rrd, timing.wr, timing.mrd, timing.cas) == (2, 2, 2, 3)
    assert timing.power_up == 20_000
    exact = replace(PART, t_rcd=20, t_rrd=1).timing(100_000_000)
    assert (exact.rcd, exact.rrd) == (2, 1)
    assert PART.timing(25_000_000, cas_latency=2, power_up=5).power_up == 5


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("clock_hz", [25_000_000, 100_000_000, 133_000_000])
def test_refresh_is_in_time(name, clock_hz):
    """The last of a part's refreshes may be late by all that are postponed, and rows are not open for too long."""
    part = PARTS[name]
    timing = part.timing(clock_hz)
    bundle = timing.postponed * timing.rfc + 20
    late = (part.refreshes + timing.postponed) * timing.refresh_interval + bundle
    assert late <= timing.refresh_window
    assert timing.postponed * timing.refresh_interval + 20 <= timing.ras_max
    assert (timing.refresh_interval + 1) * (part.refreshes + 9) > timing.refresh_window  # and no more often


def test_sizes():
    assert PARTS["ulx3s"].bytes == 32 << 20
    assert PARTS["colorlight"].bytes == PARTS["tangnano20k"].bytes == 8 << 20
    assert PARTS["ulx3s"].address_width == 13
    assert PARTS["colorlight"].address_width == 11
    assert replace(PART, column_bits=10, row_bits=11).address_width == 11
    assert replace(PART, column_bits=11, row_bits=11).address_width == 12


@pytest.mark.parametrize(
    "change, message",
    [
        ({"cas_latency": 4}, "CAS latency must be one of [2, 3], not 4"),
        (
            {"clock_hz": 143_000_000},
            "With a CAS latency of 3 the clock is at most 133000000 Hz, not 143000000",
        ),
        ({"read_delay": -1}, "Read delay must be 0 to 7 cycles, not -1"),
        ({"read_depth": 4}, "Read depth must be at least 8 beats, not 4"),
        ({"write_depth": 256}, "Write depth must be at least 260 beats, not 256"),
    ],
)
def test_init_wrong_parameter(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SdramController(**{"part": PART, "clock_hz": 100_000_000, **change})


def test_init_wrong_part():
    with pytest.raises(TypeError, match="^Part must be an SdramPart, not 'ulx3s'$"):
        SdramController(part="ulx3s", clock_hz=100_000_000)
    with pytest.raises(ValueError, match="^Patience must be at least 1 cycle, not 0$"):
        TurnArbiter(shape=8, patience=0)
    address = (
        AXI4Signature(addr_width=32, data_width=16, id_width=1)
        .members["ar"]
        .signature.members["payload"]
        .shape
    )
    with pytest.raises(ValueError, match="^A row must have at least 8 column bits, not 7$"):
        Segmenter(part=replace(PART, column_bits=7), address=address, write=False)


TIMES = replace(PART.timing(100_000_000), rcd=3, rp=4, ras=6, rc=9, wr=3, cas=2)


@pytest.mark.parametrize(
    "commands, signal, cycle",
    [
        ({0: "activate"}, "settled", 3),
        ({0: "activate"}, "closable", 6),
        ({0: "activate", 4: "read"}, "closable", 6),
        ({0: "activate", 5: "read"}, "closable", 7),
        ({0: "activate", 3: "write"}, "closable", 6),
        ({0: "activate", 5: "write"}, "closable", 8),
        ({0: "activate", 5: "write", 6: "read"}, "closable", 8),
        ({0: "precharge"}, "settled", 4),
    ],
)
@pytest.mark.parametrize("longer", [False, True])
def test_bank(commands, signal, cycle, longer):
    """The first cycle in which the next command may come; tRC counts where tRAS + tRP is shorter."""
    timing = replace(TIMES, rc=14) if longer else TIMES
    if longer and signal == "closable":
        cycle = max(cycle, 14 - 4)
    dut = BankState(timing=timing, row_bits=4)

    async def run(ctx):
        names = ("activate", "precharge", "read", "write")
        ctx.set(dut.row, 9)
        for number in range(20):
            high = ctx.get(getattr(dut, signal))
            if number > max(commands):
                assert high == (number >= cycle), number
            for name in names:
                ctx.set(getattr(dut, name), commands.get(number) == name)
            await ctx.tick()
        assert ctx.get(dut.is_open) == ("activate" in commands.values())
        if ctx.get(dut.is_open):
            assert ctx.get(dut.open_row) == 9

    simulate(dut, run)


def test_segments(rng):
    """Bursts against their words listed one by one."""
    part = replace(PART, row_bits=4)
    address = (
        AXI4Signature(addr_width=32, data_width=16, id_width=2)
        .members["ar"]
        .signature.members["payload"]
        .shape
    )
    dut = Segmenter(part=part, address=address, write=True)
    bursts = []
    for _ in range(60):
        near = int(rng.integers(part.bytes // 1024)) * 1024 + int(rng.integers(-64, 64))
        start = near % part.bytes if rng.random() < 0.9 else part.bytes + near * 4
        bursts.append((start, int(rng.integers(256)), int(rng.integers(4))))
    got = []

    async def source(ctx):
        for start, length, number in bursts:
            ctx.set(dut.i.payload, {"addr": start, "len": length, "size": 1, "burst": 1, "id": number})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        while sum(segment.last for segment in got) < len(bursts):
            ready = rng.random() < 0.6
            ctx.set(dut.o.ready, ready)
            _, _, valid, segment = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready:
                got.append(segment)

    simulate(dut, source, sink)
    for start, length, number in bursts:
        words = []
        last = False
        while not last:
            segment = got.pop(0)
            last = segment.last
            assert segment.id == number and segment.write == 1
            assert segment.column + segment.left < 512
            first = ((segment.row << 2 | segment.bank) << 9) + segment.column
            words += range(first, first + segment.left + 1)
            assert segment.resp == (Response.DECERR if start >= part.bytes else Response.OKAY)
        assert len(words) == length + 1
        if start < part.bytes:
            assert words == [(start // 2 + beat) % (part.bytes // 2) for beat in range(length + 1)]
    assert not got


def test_turns():
    """A side keeps its turn while it has items, until the other one has waited long enough."""
    patience = 10
    dut = TurnArbiter(shape=8, patience=patience)
    taken = []

    async def run(ctx):
        ctx.set(dut.o.ready, 1)
        for cycle in range(80):
            ctx.set(dut.first.valid, cycle < 60)
            ctx.set(dut.first.payload, 1)
            ctx.set(dut.second.valid, cycle >= 20)
            ctx.set(dut.second.payload, 2)
            _, _, valid, item = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            taken.append(item if valid else 0)

    simulate(dut, run)
    assert taken[:31] == [1] * 31  # alone for 20 cycles, and `patience` + 1 against the other
    assert taken[31:42] == [2] * 11
    assert taken[42:53] == [1] * 11
    assert taken[62:] == [2] * 18


@pytest.mark.parametrize("traffic", [False, True])
def test_refresh(traffic):
    """One bundle of all that may be postponed under traffic; one by one without."""
    timing = replace(PART.timing(100_000_000, power_up=20), refresh_interval=60, postponed=4)
    dut = Refresher(timing=timing, patience=8)
    log = []

    async def run(ctx):
        ctx.set(dut.traffic, traffic)
        ctx.set(dut.closable, 1)
        for cycle in range(1200):
            _, _, command, stop = await ctx.tick().sample(dut.command, dut.stop)
            if not stop:  # before that no row has ever been open
                ctx.set(dut.interrupted, traffic)
            if command != Upkeep.NONE:
                assert stop
                log.append((cycle, command))

    simulate(dut, run)
    commands = [command for _, command in log]
    start = [Upkeep.CLOSE, *[Upkeep.REFRESH] * 8]
    assert commands[:9] == start
    assert Upkeep.MODE in commands[9:11]
    end = commands.index(Upkeep.MODE) + 1
    bundle = [Upkeep.CLOSE, *[Upkeep.REFRESH] * (4 if traffic else 1), *[Upkeep.REOPEN] * traffic]
    rest = commands[end:]
    whole = len(rest) // len(bundle)
    assert whole >= (4 if traffic else 15)
    assert rest[: whole * len(bundle)] == bundle * whole
    for (cycle, command), (later, following) in zip(log, log[1:], strict=False):
        if following == Upkeep.REFRESH:
            assert later - cycle == (timing.rp if command == Upkeep.CLOSE else timing.rfc)
