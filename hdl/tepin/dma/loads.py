# SPDX-License-Identifier: Apache-2.0
"""General loads: memory to scratchpad."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from tepin.control.engine import EngineSignature
from tepin.dma.align import BeatsToLines
from tepin.dma.beats import BeatWalker, copy_span, span_layout
from tepin.dma.bursts import first_beat, later_beats
from tepin.dma.completion import Completion
from tepin.dma.front import FrontEnd, attach, command_errors, leave, report
from tepin.dma.index import IndexPort
from tepin.dma.read import BeatPort, BurstRequest
from tepin.dma.room import Room
from tepin.isa import Engine, ErrorCode
from tepin.memory.ports import WritePort
from tepin.stream import StreamFifo

__all__ = ["Loads"]


class Loads(wiring.Component):
    """Executes load commands.

    A burst is requested only when the load buffer has room for a whole one. A beat's bytes are offered to the scratchpad 9
    cycles after the beat was received, at the latest when the line that they belong to is complete or the run ends.

    Parameters
    ----------
    data_width : int
        Bits per beat.
    line_bytes : int
        Bytes per scratchpad line, at least a beat.
    burst_beats : int
        Beats of the longest burst.
    outstanding : int
        Most bursts in flight.
    buffer_beats : int
        Load buffer; a memory with a synchronous read port. One beat more or less per cycle of memory latency is needed.

    Members
    -------
    control : Out `EngineSignature`
    base, limit : In(32), address window
    index : Out `IndexPort`
    request : Out stream of `BurstRequest`; `valid` may fall without a transfer after `halt` has risen
    beats : In `BeatPort`
    write : Out `WritePort`
    halt : In, stop requesting (after this cycle) and writing, for good
    failed : Out, a command failed in the last cycle
    """

    def __init__(self, *, data_width, line_bytes, burst_beats, outstanding, buffer_beats):
        self.data_width = data_width
        self.line_bytes = line_bytes
        self.beat_bytes = data_width // 8
        self.block_bytes = burst_beats * self.beat_bytes
        self.outstanding = outstanding
        self.buffer_beats = buffer_beats
        super().__init__(
            {
                "control": Out(EngineSignature()),
                "base": In(32),
                "limit": In(32),
                "index": Out(IndexPort()),
                "request": Out(stream.Signature(BurstRequest)),
                "beats": In(BeatPort(data_width=data_width)),
                "write": Out(WritePort(line_bytes=line_bytes)),
                "halt": In(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beat_bits = (self.beat_bytes - 1).bit_length()
        front = FrontEnd(engine=Engine.LOADS, block_bytes=self.block_bytes, beat_bytes=self.beat_bytes)
        # Spans wait for their data in memory or in the buffer; some more than can be in flight.
        span_depth = 1 << (self.outstanding + 3).bit_length()
        completion = Completion(runs=span_depth + 4)
        attach(m, self, front, completion, arriving=self.beats.valid)

        # Requests.
        checked, burst = front.o.payload, front.o.payload.burst
        m.submodules.room = room = Room(
            capacity=self.buffer_beats, burst_beats=self.block_bytes // self.beat_bytes
        )
        m.submodules.spans = spans = StreamFifo(shape=span_layout(self.block_bytes), depth=span_depth)
        issue = self.request.valid & self.request.ready
        nothing, places = Signal(), Signal()
        # A register, so for the bursts of this cycle and of the last one.
        m.d.sync += places.eq(completion.room & (spans.level < span_depth - 2))
        m.d.comb += [
            self.request.valid.eq(front.o.valid & checked.moves & room.enough & places),
            self.request.payload.address.eq(Cat(Const(0, beat_bits), first_beat(burst, self.beat_bytes))),
            self.request.payload.len.eq(later_beats(burst, self.beat_bytes)),
            room.take.eq(issue),
            room.amount.eq(checked.beats),
            room.halt.eq(self.halt),
            nothing.eq(front.o.valid & checked.nothing & places),
            *leave(front, completion, issue=issue, nothing=nothing),
            spans.i.valid.eq(issue),
            *copy_span(spans.i.payload, burst),
        ]

        # Data: every beat in the buffer meets its place in a span.
        entry = data.StructLayout({"data": self.data_width, "error": 1})
        m.submodules.buffer = buffer = StreamFifo(shape=entry, depth=self.buffer_beats)
        m.submodules.walker = walker = BeatWalker(block_bytes=self.block_bytes, beat_bytes=self.beat_bytes)
        m.submodules.align = align = BeatsToLines(beat_bytes=self.beat_bytes, line_bytes=self.line_bytes)
        connect(m, spans.o, walker.i)
        place = walker.o.payload
        m.submodules.placed = placed = StreamFifo(shape=align.i.payload.shape(), depth=2)
        connect(m, placed.o, align.i)
        both = Signal()
        wrong = Signal()
        moved = Signal()
        m.d.comb += [
            buffer.i.valid.eq(self.beats.valid),
            buffer.i.payload.data.eq(self.beats.data),
            buffer.i.payload.error.eq(self.beats.error),
            both.eq(walker.o.valid & buffer.o.valid & ~self.halt),
            wrong.eq(both & buffer.o.payload.error),
            placed.i.valid.eq(both & ~wrong),
            moved.eq(placed.i.valid & placed.i.ready),
            walker.o.ready.eq(moved),
            buffer.o.ready.eq(moved),
            placed.i.payload.data.eq(buffer.o.payload.data),
            placed.i.payload.mask.eq(place.mask),
            placed.i.payload.local.eq(place.local),
            placed.i.payload.last_of_run.eq(place.last_of_run),
            placed.i.payload.pc.eq(place.pc),
        ]
        m.d.comb += room.give.eq(moved)

        line = align.o.payload
        written = align.o.valid & align.o.ready
        written_pc, written_address = Signal(15), Signal(32)
        after_write, after_run = Signal(), Signal()
        m.d.comb += [
            self.write.request.valid.eq(align.o.valid),
            align.o.ready.eq(self.write.request.ready),
            self.write.request.payload.address.eq(line.address),
            self.write.request.payload.data.eq(line.data),
            self.write.request.payload.mask.eq(line.mask),
            completion.done.eq(after_run),
        ]
        m.d.sync += [after_write.eq(written), after_run.eq(written & line.last_of_run)]
        m.d.sync += [written_pc.eq(line.pc), written_address.eq(line.address)]

        failed = report(
            m,
            self.control,
            self.halt,
            [
                (after_write & self.write.fault, ErrorCode.SCRATCHPAD, written_pc, written_address),
                (wrong, ErrorCode.READ_RESPONSE, place.pc, place.address),
                *command_errors(front),
            ],
        )
        m.d.comb += self.failed.eq(failed)
        return m
