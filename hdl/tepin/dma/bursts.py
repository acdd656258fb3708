# SPDX-License-Identifier: Apache-2.0
"""Bursts: cuts runs at the boundaries of aligned blocks of memory.

A block is what the longest burst covers, at most 4 KiB, so no burst crosses a 4 KiB boundary.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tepin.dma.descriptor import Run
from tepin.isa import ErrorCode

__all__ = ["BurstSplitter", "burst_layout", "check_bursts", "first_beat", "later_beats"]


def burst_layout(block_bytes):
    """What one burst moves: bytes `start` to `end`, both included, of block number `block` of memory.

    `local` is the scratchpad address that belongs to the first byte of the burst's first beat, also when the run starts
    later in that beat. With `code` other than NONE, or `empty`, it is no burst; `block` and `start` together are the
    offending address or value.
    """
    offset_bits = (block_bytes - 1).bit_length()
    return data.StructLayout(
        {
            "code": ErrorCode,
            "pc": 15,
            "signal": 4,
            "empty": 1,
            "wrapped": 1,  # the run passed 2**32 before this burst
            "first_of_run": 1,
            "last_of_run": 1,
            "last": 1,  # of the command
            "start": offset_bits,
            "block": 32 - offset_bits,
            "end": offset_bits,
            "local": 32,
        }
    )


def check_bursts(master, *, data_width, burst_beats, outstanding):
    """Raise a ValueError unless `master`, such as "the DMA", can have bursts like these.

    Parameters
    ----------
    data_width : int
        Bits per beat, 16 to 512.
    burst_beats : int
        Beats of the longest burst: a power of two, at least 2, not more than 4 KiB.
    outstanding : int
        Most bursts in flight per direction, 1 to 64.
    """
    if data_width not in (16, 32, 64, 128, 256, 512):
        raise ValueError(f"Data width of {master} must be 16, 32, 64, 128, 256 or 512, not {data_width}")
    most = min(256, 4096 // (data_width // 8))
    if burst_beats not in (1 << bits for bits in range(1, most.bit_length())):
        raise ValueError(f"Beats of a burst must be a power of two, 2 to {most}, not {burst_beats}")
    if not 1 <= outstanding <= 64:
        raise ValueError(f"Outstanding bursts of {master} must be 1 to 64, not {outstanding}")


def first_beat(burst, beat_bytes):
    """Address of a burst's first beat, in beats."""
    return Cat(burst.start[(beat_bytes - 1).bit_length() :], burst.block)


def later_beats(burst, beat_bytes):
    """Beats of a burst besides its first one: the length that AXI knows."""
    beat_bits = (beat_bytes - 1).bit_length()
    return burst.end[beat_bits:] - burst.start[beat_bits:]


class BurstSplitter(wiring.Component):
    """Splits runs into bursts, one per cycle; the first one is offered a cycle after the run. Addresses wrap at 2**32.

    Parameters
    ----------
    block_bytes : int
        Bytes of the longest burst: a power of two, more than `beat_bytes`, up to 4096.
    beat_bytes : int
        Bytes per beat: a power of two.

    Members
    -------
    i : In stream of `Run`
    o : Out stream of `burst_layout(block_bytes)`
    """

    def __init__(self, *, block_bytes, beat_bytes):
        if block_bytes not in (1 << bits for bits in range(1, 13)):
            raise ValueError(f"Block of bursts must be a power of two of 2 to 4096 bytes, not {block_bytes}")
        self.block_bytes = block_bytes
        self.beat_bytes = beat_bytes
        super().__init__(
            {
                "i": In(stream.Signature(Run)),
                "o": Out(stream.Signature(burst_layout(block_bytes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        run = self.i.payload
        offset_bits = (self.block_bytes - 1).bit_length()
        beat_bits = (self.beat_bytes - 1).bit_length()

        valid = Signal()
        first = Signal()
        left = Signal(33 - offset_bits)  # blocks after this one
        burst = Signal(
            burst_layout(self.block_bytes)
        )  # `end`: of the run's last block; `local`: of the block's start
        final = Signal()  # none is left
        m.d.comb += [
            self.i.ready.eq(~valid | (self.o.ready & final)),
            self.o.valid.eq(valid),
            self.o.payload.eq(burst),
            self.o.payload.first_of_run.eq(first),
            self.o.payload.last_of_run.eq(final),
            self.o.payload.last.eq(burst.last & final),
            self.o.payload.end.eq(Mux(final, burst.end, self.block_bytes - 1)),
            self.o.payload.local.eq(burst.local + Cat(Const(0, beat_bits), burst.start[beat_bits:])),
        ]

        with m.If(self.o.ready & ~final):
            m.d.sync += [
                left.eq(left - 1),
                final.eq(left == 1),
                burst.block.eq(burst.block + 1),
                burst.wrapped.eq(burst.wrapped | burst.block.all()),
                burst.local.eq(burst.local + self.block_bytes),
                burst.start.eq(0),
                first.eq(0),
            ]
        with m.If(self.i.ready):
            start = run.memory[:offset_bits]
            end = ((start - 1) + run.length)[:33]
            # The same as that no bit of `end` is left beyond its block, but known earlier.
            low, high = run.length[:offset_bits], run.length[offset_bits:]
            within = (high == 0) & (start + low <= self.block_bytes)
            whole = (run.length == self.block_bytes) & (start == 0)
            m.d.sync += [
                valid.eq(self.i.valid),
                first.eq(1),
                left.eq(end[offset_bits:]),
                final.eq(run.empty | (run.code != ErrorCode.NONE) | within | whole),
                burst.code.eq(run.code),
                burst.pc.eq(run.pc),
                burst.signal.eq(run.signal),
                burst.empty.eq(run.empty),
                burst.wrapped.eq(0),
                burst.last.eq(run.last),
                burst.start.eq(start),
                burst.block.eq(run.memory[offset_bits:]),
                burst.end.eq(end[:offset_bits]),
                burst.local.eq(run.local - start),
            ]
        return m
