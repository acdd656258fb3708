# SPDX-License-Identifier: Apache-2.0
"""Address windows: no burst leaves the chip that touches a byte outside of what the host allowed."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tepin.dma.bursts import burst_layout
from tepin.isa import ErrorCode

__all__ = ["WindowCheck"]


class WindowCheck(wiring.Component):
    """Compares every burst with the window [`base`, `limit`]. Latency 2 cycles, one burst per cycle.

    A burst that is not entirely inside gets this window's error code, and its address becomes that of its first byte
    outside. Both ends are part of the window, so that the whole address space is 0 to 0xFFFFFFFF; a window with
    `base` above `limit` contains nothing. What comes after the end of the address space is outside of any window.

    Parameters
    ----------
    block_bytes : int
        Bytes of the longest burst.
    code : ErrorCode
        Error of a burst that is not inside.

    Members
    -------
    i, o : streams of `burst_layout(block_bytes)`
    base, limit : In(32)
        First and last byte that may be touched. Must not change while commands are executed.
    """

    def __init__(self, *, block_bytes, code):
        self.block_bytes = block_bytes
        self.code = code
        super().__init__(
            {
                "i": In(stream.Signature(burst_layout(block_bytes))),
                "o": Out(stream.Signature(burst_layout(block_bytes))),
                "base": In(32),
                "limit": In(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Where a burst ends is known late in a cycle, so it is compared in the next one.
        arrived = Signal()
        burst = Signal(burst_layout(self.block_bytes), reset_less=True)
        free = Signal()
        offset_bits = (self.block_bytes - 1).bit_length()
        first = Cat(burst.start, burst.block)
        last = Cat(burst.end, burst.block)
        checked = Signal(burst_layout(self.block_bytes), reset_less=True)
        first_outside, last_outside = Signal(), Signal()  # of `checked`
        beyond = Signal(32)
        m.d.comb += [
            free.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(~arrived | free),
        ]
        with m.If(self.i.ready):
            m.d.sync += [arrived.eq(self.i.valid), burst.eq(self.i.payload)]
        with m.If(free):
            counts = ~burst.empty & (burst.code == ErrorCode.NONE)
            m.d.sync += [
                self.o.valid.eq(arrived),
                checked.eq(burst),
                first_outside.eq(counts & ((first < self.base) | (first > self.limit) | burst.wrapped)),
                last_outside.eq(counts & (last > self.limit)),
            ]
        m.d.comb += [beyond.eq(self.limit + 1), self.o.payload.eq(checked)]
        with m.If(first_outside | last_outside):
            m.d.comb += self.o.payload.code.eq(self.code)
        with m.If(~first_outside & last_outside):
            m.d.comb += [
                self.o.payload.start.eq(beyond[:offset_bits]),
                self.o.payload.block.eq(beyond[offset_bits:]),
            ]
        return m
