# SPDX-License-Identifier: Apache-2.0
"""Proofs: addresses of reads stay until they are accepted, and a burst has as many beats as its address said.

Requests of any kind at any time; the spans of a proof about beats are all alike, but of any kind.
"""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.dma.axi import AXI4Signature
from tepin.dma.beats import BeatWalker, span_layout
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
        waits, held = Signal(), Signal(len(self.ar.payload.as_value()))
        offered = channel.ar.payload.as_value()
        m.d.comb += [
            channel.ar.ready.eq(self.ar.ready),
            self.ar.valid.eq(channel.ar.valid & ~(waits if self._bug == "drop" else 0)),
            self.ar.payload.as_value().eq(offered ^ (waits if self._bug == "change" else 0)),
        ]
        m.d.sync += [waits.eq(self.ar.valid & ~self.ar.ready), held.eq(self.ar.payload.as_value())]
        with m.If(waits):
            m.d.comb += [Assert(self.ar.valid), Assert(self.ar.payload.as_value() == held)]
        m.d.comb += [
            Assert(~self.ar.valid | (1 << self.ar.payload.size == BEAT)),
            self.waited.eq(waits & self.ar.ready),
        ]
        return m


def test_addresses_stay():
    prove(Addresses(), depth=3)


def test_addresses_wait():
    reach(Addresses(), "waited", depth=8)


@pytest.mark.parametrize("bug", ["drop", "change"])
def test_wavering_is_found(bug):
    with pytest.raises(Refuted):
        prove(Addresses(bug), depth=8)


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
