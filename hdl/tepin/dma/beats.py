# SPDX-License-Identifier: Apache-2.0
"""Beats: walks through the beats of a burst."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.dma.align import byte_range
from tepin.stream import StreamFifo

__all__ = ["BeatWalker", "copy_span", "span_layout"]


def span_layout(block_bytes):
    """What is left to know about a burst once its address has been sent; see `burst_layout`."""
    offset_bits = (block_bytes - 1).bit_length()
    return data.StructLayout(
        {
            "pc": 15,
            "first_of_run": 1,
            "last_of_run": 1,
            "start": offset_bits,
            "block": 32 - offset_bits,
            "end": offset_bits,
            "local": 32,
        }
    )


def copy_span(span, burst):
    """Statements that take a span out of a burst."""
    return [span[name].eq(burst[name]) for name, _ in span.shape()]


class BeatWalker(wiring.Component):
    """Turns each span into its beats, one per cycle. Latency 1 cycle.

    Parameters
    ----------
    block_bytes, beat_bytes : int
        Bytes of the longest burst and of a beat.

    Members
    -------
    i : In stream of spans
    o : Out stream of {mask, local, address, last_of_run, last, pc}
        `mask`: which bytes of the beat belong to the run. `local`: scratchpad address that belongs to its byte 0. `address`:
        memory address of its byte 0. `last`: of the burst.
    """

    def __init__(self, *, block_bytes, beat_bytes):
        self.block_bytes = block_bytes
        self.beat_bytes = beat_bytes
        beat = {"mask": beat_bytes, "local": 32, "address": 32, "last_of_run": 1, "last": 1, "pc": 15}
        super().__init__(
            {
                "i": In(stream.Signature(span_layout(block_bytes))),
                "o": Out(stream.Signature(data.StructLayout(beat))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.beats = beats = StreamFifo(shape=self.o.payload.shape(), depth=2)
        connect(m, beats.o, flipped(self.o))
        span = self.i.payload
        beat = beats.i.payload
        beat_bits = (self.beat_bytes - 1).bit_length()
        block_bits = (self.block_bytes - 1).bit_length()

        first = Signal(init=1)
        later_index = Signal(block_bits - beat_bits)
        later_local = Signal(32)
        later_last = Signal()
        start, end = span.start[beat_bits:], span.end[beat_bits:]
        index = Signal(block_bits - beat_bits)
        m.d.comb += [
            beats.i.valid.eq(self.i.valid),
            index.eq(Mux(first, start, later_index)),
            beat.local.eq(Mux(first, span.local, later_local)),
            beat.address.eq((span.block << block_bits) | (index << beat_bits)),
            beat.last.eq(Mux(first, start == end, later_last)),
            beat.last_of_run.eq(beat.last & span.last_of_run),
            beat.pc.eq(span.pc),
            beat.mask.eq(
                byte_range(
                    Mux(first, span.start[:beat_bits], 0),
                    Mux(beat.last, span.end[:beat_bits], self.beat_bytes - 1),
                    self.beat_bytes,
                )
            ),
            self.i.ready.eq(beats.i.ready & beat.last),
        ]
        with m.If(beats.i.valid & beats.i.ready):
            m.d.sync += [
                first.eq(beat.last),
                later_index.eq(index + 1),
                later_last.eq((index + 1)[: len(index)] == end),
                later_local.eq(beat.local + self.beat_bytes),
            ]
        return m
