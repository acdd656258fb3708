# SPDX-License-Identifier: Apache-2.0
"""Two links with clocks of their own, pin to pin."""

import pytest
from amaranth.hdl import ClockDomain, DomainRenamer, Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from tepin import verilog
from tepin.link.phy import DdrPhy
from tepin.link.serial_link import SerialLink

LANES = 8
PERIOD = 10_000  # ps


class Board(wiring.Component):
    """A link with its pins."""

    def __init__(self):
        self.link = SerialLink(lanes=LANES, pause=100)
        self.phy = DdrPhy(lanes=LANES)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.link, m.submodules.phy = self.link, self.phy
        wiring.connect(m, self.link.tx, self.phy.line_tx)
        wiring.connect(m, self.phy.line_rx, self.link.rx)
        return m


class Boards(wiring.Component):
    """Two of them, in the clock domains sync_a, line_clock_a and so on."""

    def __init__(self):
        self.boards = {side: Board() for side in "ab"}
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        for side, board in self.boards.items():
            names = {name: f"{name}_{side}" for name in ("sync", "line_clock")}
            for name in names.values():
                m.domains += ClockDomain(name)
            m.submodules[side] = DomainRenamer(names)(board)
        for side, other in ("ab", "ba"):
            here, there = self.boards[side].phy.pins, self.boards[other].phy.pins
            m.d.comb += [there.rx.eq(here.tx), there.rx_clock.eq(here.tx_clock)]
        return m


def clocked(boards, ratio, phase=2_300):
    """A simulator with the clocks of two boards: `ratio` of their periods, `phase` of the second in ps."""
    simulator = Simulator(boards)
    for side, period, begin in (("a", PERIOD, 1_000), ("b", round(PERIOD * ratio), 1_000 + phase)):
        simulator.add_clock(period * 1e-12, phase=begin * 1e-12, domain=f"sync_{side}")
        # A quarter of a period later.
        simulator.add_clock(period * 1e-12, phase=(begin + period // 4) * 1e-12, domain=f"line_clock_{side}")
    return simulator


@pytest.mark.parametrize("ratio", [1.0, 1.005, 0.995])
def test_two_clocks(rng, ratio):
    """The clocks differ by half a percent at most, and beats that are left out make up for that: no error at all."""
    boards = Boards()
    simulator = clocked(boards, ratio)
    words = [int.from_bytes(rng.bytes(8), "little") for _ in range(60)]
    ended = []

    def source(side):
        async def run(ctx):
            link = boards.boards[side].link
            for word in words:
                ctx.set(link.i.payload, word)
                ctx.set(link.i.valid, 1)
                await ctx.tick(f"sync_{side}").until(link.i.ready)
            ctx.set(link.i.valid, 0)

        return run

    def sink(side):
        async def run(ctx):
            link = boards.boards[side].link
            ctx.set(link.o.ready, 1)
            for word in words:
                (got,) = await ctx.tick(f"sync_{side}").sample(link.o.payload).until(link.o.valid)
                assert got == word
            assert ctx.get(link.status.up)
            assert ctx.get(link.status.errors) == 0
            ended.append(side)

        return run

    for side in "ab":
        simulator.add_testbench(source(side))
        simulator.add_testbench(sink(side))
    for piece in range(1, 31):
        simulator.run_until(piece * 1e-6)
        if len(ended) == 2:
            return
    raise AssertionError(f"words have arrived at {ended or 'no side'} only")


def test_latency_from_pin_to_pin():
    """One word at a time, clocks of the same frequency in any phase: 20 cycles, or one more after a beat that is left out."""
    latencies = {}
    for phase in (2_300, 5_100):
        boards = Boards()
        simulator = clocked(boards, 1.0, phase)
        sender, receiver = (boards.boards[side].link for side in "ab")
        now, accepted, offered = {"a": 0}, [], []

        async def count(ctx, now=now):
            async for _ in ctx.tick("sync_a"):
                now["a"] += 1

        async def source(ctx, sender=sender, accepted=accepted, now=now):
            while not ctx.get(sender.status.up):
                await ctx.tick("sync_a")
            for number in range(6):
                for _ in range(100 + 7 * number):
                    await ctx.tick("sync_a")
                ctx.set(sender.i.valid, 1)
                before = now["a"]
                await ctx.tick("sync_a")
                accepted.append(before + 1)
                ctx.set(sender.i.valid, 0)

        async def sink(ctx, receiver=receiver, offered=offered):
            ctx.set(receiver.o.ready, 1)
            time = 0
            async for _, _, valid in ctx.tick("sync_b").sample(receiver.o.valid):
                time += 1
                if valid:
                    offered.append(time)

        simulator.add_testbench(count, background=True)
        simulator.add_testbench(source)
        simulator.add_testbench(sink, background=True)
        simulator.run_until(14e-6)
        assert len(offered) == len(accepted) == 6
        latency = [end - begin + phase / PERIOD for begin, end in zip(accepted, offered, strict=True)]
        latencies[phase] = min(latency), max(latency)
        print(f"phase {phase} ps: {min(latency):.1f} to {max(latency):.1f} cycles")
    assert max(low for low, _ in latencies.values()) <= 20
    assert max(high for _, high in latencies.values()) <= 24


def test_cells_of_an_ecp5():
    """A cell for every wire of data in each direction, and one for the clock."""
    text = verilog.convert(DdrPhy(lanes=4, clock_domain="sync"), name="phy", device="LFE5U-85F")
    assert text.count("ODDRX1F ") == 5
    assert text.count("IDDRX1F ") == 4


def test_init_wrong_lanes():
    with pytest.raises(ValueError, match="^Lanes must be one of 1, 2, 4, 8, not 3$"):
        DdrPhy(lanes=3)
