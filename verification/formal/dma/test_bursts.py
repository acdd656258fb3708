# SPDX-License-Identifier: Apache-2.0
"""Proofs: what leaves the DMA engines as a burst lies inside the window and inside a block, and covers the run.

Runs of any address and length, a window of any base and limit, back-pressure of any pattern. `end` wraps as addresses do,
so a run is followed by its own registers here, not by the splitter's.
"""

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.dma.bursts import BurstSplitter, burst_layout
from tepin.dma.descriptor import Run
from tepin.dma.windows import WindowCheck
from tepin.isa import ErrorCode
from tepin_testbench.formal import Refuted, prove, reach
from tepin_testbench.opened import Opened

BLOCK, BEAT = 128, 8
CODE = ErrorCode.WRITE_WINDOW


class Bursts(Component):
    """A splitter and a window check in a row, and what is claimed about them.

    `bug` puts one in: `"limit"` allows a byte more, `"block"` splits at blocks of twice the size, `"late"` lets the
    limit count only from the second burst of a run on.
    """

    def __init__(self, bug=None):
        self._bug = bug
        super().__init__(
            {
                "i": In(stream.Signature(Run)),
                "o": Out(stream.Signature(burst_layout(BLOCK))),
                "base": In(32),
                "limit": In(32),
                "second": Out(1),
                "refused": Out(1),
                "moved": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter(block_bytes=BLOCK, beat_bytes=BEAT)
        window = WindowCheck(block_bytes=BLOCK, code=CODE)
        m.submodules.window = inside = Opened(window)
        connect(m, flipped(self.i), splitter.i)
        connect(m, splitter.o, window.i)
        connect(m, window.o, flipped(self.o))
        began, base, limit = Signal(), Signal(32), Signal(32)
        m.d.sync += [began.eq(1), base.eq(self.base), limit.eq(self.limit)]
        m.d.comb += [
            Assume(~began | ((self.base == base) & (self.limit == limit))),
            Assume(self.i.payload.empty | (self.i.payload.length != 0)),
            Assume(self.i.payload.code == ErrorCode.NONE),
            window.base.eq(self.base),
            window.limit.eq(self.limit + (1 if self._bug == "limit" else 0)),
        ]
        if self._bug == "late":
            m.d.comb += window.limit.eq(self.limit | splitter.o.payload.first_of_run.replicate(32))

        # What goes to the bus.
        burst = self.o.payload
        moves = self.o.valid & (burst.code == ErrorCode.NONE) & ~burst.empty
        first, last = Cat(burst.start, burst.block), Cat(burst.end, burst.block)
        if self._bug == "block":
            last = Cat(burst.end, burst.block + 1)
        with m.If(moves):
            m.d.comb += [
                Assert(first >= self.base),
                Assert(last <= self.limit),
                Assert(first <= last),
                Assert((first >> 12) == (last >> 12)),
                Assert(last - first < BLOCK),
            ]

        # What induction has to know of the burst that is about to be compared.
        compared = data.View(burst_layout(BLOCK), inside["burst"])
        with m.If(inside["arrived"] & (compared.code == ErrorCode.NONE) & ~compared.empty):
            m.d.comb += Assert(compared.start <= compared.end)

        # Offered until accepted, unchanged.
        waits, held = Signal(), Signal(burst_layout(BLOCK))
        m.d.sync += [waits.eq(self.o.valid & ~self.o.ready), held.eq(burst)]
        with m.If(waits):
            m.d.comb += [Assert(self.o.valid), Assert(burst.as_value() == held.as_value())]

        transfer = self.o.valid & self.o.ready
        m.d.comb += [
            self.second.eq(moves & ~burst.first_of_run),
            self.refused.eq(transfer & (burst.code == CODE)),
            self.moved.eq(transfer & moves & burst.last_of_run & ~burst.first_of_run),
        ]
        return m


def test_bursts_stay_inside():
    prove(Bursts(), depth=6)


@pytest.mark.parametrize("output", ["second", "refused", "moved"])
def test_it_is_about_something(output):
    reach(Bursts(), output, depth=6)


@pytest.mark.parametrize("bug", ["limit", "block", "late"])
def test_bugs_are_found(bug):
    with pytest.raises(Refuted):
        prove(Bursts(bug), depth=6)
