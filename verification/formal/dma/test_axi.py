# SPDX-License-Identifier: Apache-2.0
"""Proofs: addresses and written data stay until they are accepted, and a burst has as many beats as its address said.

Requests of any kind at any time; the spans of a proof about beats are all alike, but of any kind.
"""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.dma.addresses import address_queue, send_addresses
from tepin.dma.align import LinesToBeats
from tepin.dma.axi import AXI4Signature
from tepin.dma.beats import BeatWalker, span_layout
from tepin.dma.bursts import burst_layout
from tepin.dma.read import BurstRequest, ReadChannel
from tepin_testbench.formal import Refuted, prove, reach

WIDTH, BLOCK, BEAT = 64, 128, 8
AXI = AXI4Signature(addr_width=32, data_width=WIDTH, id_width=1).members


class Addresses(Component):
    """A read channel. `bug` spoils what waits: `"drop"` withdraws it, `"change"` puts another in its place."""

    def __init__(self, bug=None):
        self._bug = bug
        requests = In(stream.Signature(BurstRequest))
        super().__init__(
            {"loads": requests, "weights": requests, "ar": AXI["ar"], "r": AXI["r"], "waited": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.channel = channel = ReadChannel(data_width=WIDTH, outstanding=4)
        for name in ("loads", "weights", "r"):
            connect(m, flipped(getattr(self, name)), getattr(channel, name))
        waits = _follow(m, channel.ar, self.ar, self._bug)
        m.d.comb += [
            Assert(~self.ar.valid | (1 << self.ar.payload.size == BEAT)),
            self.waited.eq(waits & self.ar.ready),
        ]
        return m


class WriteAddresses(Component):
    """Bursts of any kind, issued whenever there is room, on their way to the write address channel. `bug` as above."""

    def __init__(self, bug=None):
        self._bug = bug
        super().__init__({"i": In(stream.Signature(burst_layout(BLOCK))), "aw": AXI["aw"], "waited": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = address_queue(WIDTH)
        burst, offered = self.i.payload, AXI["aw"].signature.create()
        m.d.comb += [
            self.i.ready.eq(queue.i.ready),
            *send_addresses(queue, offered, burst, self.i.valid & self.i.ready, WIDTH),
            Assume(burst.start <= burst.end),
        ]
        waits = _follow(m, offered, self.aw, self._bug)
        m.d.comb += [
            self.waited.eq(waits & self.aw.ready),
        ]
        with m.If(self.aw.valid):
            m.d.comb += [Assert(1 << self.aw.payload.size == BEAT), Assert(self.aw.payload.addr[:3] == 0)]
        # From the burst's first to its last beat, and so within its block.
        issued = Signal(32)
        m.d.comb += issued.eq(queue.i.payload.address << 3)
        with m.If(queue.i.valid):
            m.d.comb += [
                Assert(issued[7:] == burst.block),
                Assert(issued[3:7] == burst.start[3:]),
                Assert(issued[3:7] + queue.i.payload.len == burst.end[3:]),
            ]
        return m


class WrittenBeats(Component):
    """Lines of a scratchpad to beats, with lines, wishes, `dry` and patience of any kind. `bug` as above."""

    def __init__(self, bug=None):
        self._bug = bug
        self._align = LinesToBeats(beat_bytes=4, line_bytes=8)
        members = self._align.signature.members
        super().__init__(
            {name: members[name] for name in ("i", "lines", "dry", "o")} | {"waited": Out(1), "dried": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.align = align = self._align
        for name in ("i", "lines"):
            connect(m, flipped(getattr(self, name)), getattr(align, name))
        m.d.comb += align.dry.eq(self.dry)
        waits = _follow(m, align.o, self.o, self._bug)
        dry = Signal()  # in the cycle before
        m.d.sync += dry.eq(self.dry)
        m.d.comb += [
            self.waited.eq(waits & self.o.ready),
            self.dried.eq(waits & self.dry & ~dry & self.o.payload.mask.any()),
        ]
        return m


def _follow(m, offered, seen, bug):
    """Show `offered` as `seen`, spoilt by `bug`, and claim that what waits stays; returns whether anything waits."""
    waits, held = Signal(), Signal(len(seen.payload.as_value()))
    m.d.comb += [
        offered.ready.eq(seen.ready),
        seen.valid.eq(offered.valid & ~(waits if bug == "drop" else 0)),
        seen.payload.as_value().eq(offered.payload.as_value() ^ (waits if bug == "change" else 0)),
    ]
    m.d.sync += [waits.eq(seen.valid & ~seen.ready), held.eq(seen.payload.as_value())]
    with m.If(waits):
        m.d.comb += [Assert(seen.valid), Assert(seen.payload.as_value() == held)]
    return waits


CHANNELS = [Addresses, WriteAddresses, WrittenBeats]


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_waits_stays(channel):
    prove(channel(), depth=3)


@pytest.mark.parametrize(
    "channel, output", [*((channel, "waited") for channel in CHANNELS), (WrittenBeats, "dried")]
)
def test_it_waits(channel, output):
    reach(channel(), output, depth=12)


@pytest.mark.parametrize("bug", ["drop", "change"])
@pytest.mark.parametrize("channel", CHANNELS)
def test_wavering_is_found(channel, bug):
    with pytest.raises(Refuted):
        prove(channel(bug), depth=12)


class Beats(Component):
    """A walker through spans that are all alike. `bug`: `"short"` claims a beat less of each."""

    def __init__(self, bug=None):
        self._bug = bug
        super().__init__({"i": In(stream.Signature(span_layout(BLOCK))), "whole": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = BeatWalker(block_bytes=BLOCK, beat_bytes=BEAT)
        connect(m, flipped(self.i), walker.i)
        span, beat = self.i.payload, walker.o.payload
        began, before = Signal(), Signal(len(span.as_value()))
        m.d.sync += [began.eq(1), before.eq(span.as_value())]
        first, end = span.start[3:], span.end[3:]
        index = beat.address[3:7]
        follows, expected = Signal(), Signal(4)
        m.d.comb += [
            Assume(~began | (span.as_value() == before)),
            Assume(span.start <= span.end),
            walker.o.ready.eq(1),
        ]
        with m.If(walker.o.valid):
            m.d.sync += [follows.eq(~beat.last), expected.eq(index + 1)]
            m.d.comb += [
                Assert(index == Mux(follows, expected, first)),
                Assert(beat.last == (index == end - (1 if self._bug == "short" else 0))),
                Assert(beat.address[7:] == span.block),
                Assert(beat.mask != 0),
                Assert((beat.mask == 0xFF) | (index == first) | (index == end)),
            ]
        m.d.comb += self.whole.eq(walker.o.valid & beat.last & (index == 15) & (first == 0))
        return m


def test_as_many_beats_as_the_address_said():
    prove(Beats(), depth=6)


def test_whole_bursts():
    reach(Beats(), "whole", depth=20)


def test_a_missing_beat_is_found():
    with pytest.raises(Refuted):
        prove(Beats("short"), depth=6)
