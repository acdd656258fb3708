# SPDX-License-Identifier: Apache-2.0
"""Stores: scratchpad to memory."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.control.engine import EngineSignature
from tepin.dma.addresses import address_queue, send_addresses
from tepin.dma.align import LinesToBeats
from tepin.dma.axi import AXI4Signature
from tepin.dma.beats import BeatWalker, copy_span, span_layout
from tepin.dma.bursts import first_beat
from tepin.dma.completion import Completion
from tepin.dma.fetch import LineFetch
from tepin.dma.front import FrontEnd, attach, command_errors, leave, report
from tepin.dma.index import IndexPort
from tepin.isa import Engine, ErrorCode
from tepin.memory.ports import ReadPort
from tepin.stream import StreamFifo

__all__ = ["Stores"]


class Stores(wiring.Component):
    """Executes store commands.

    The data of a burst follow its address by about 16 cycles. Once a burst's address has been offered, all its beats are
    sent, whatever happens: after `halt`, with empty strobes.

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

    Members
    -------
    control : Out `EngineSignature`
    base, limit : In(32), address window
    index : Out `IndexPort`
    read : Out `ReadPort`
    aw, w, b : the AXI channels
    halt : In, finish what is in flight and start nothing (after this cycle), for good
    failed : Out, a command failed in the last cycle
    idle : Out, nothing is in flight
    """

    def __init__(self, *, data_width, line_bytes, burst_beats, outstanding):
        self.data_width = data_width
        self.line_bytes = line_bytes
        self.beat_bytes = data_width // 8
        self.block_bytes = burst_beats * self.beat_bytes
        self.outstanding = outstanding
        axi = AXI4Signature(addr_width=32, data_width=data_width, id_width=1)
        super().__init__(
            {
                "control": Out(EngineSignature()),
                "base": In(32),
                "limit": In(32),
                "index": Out(IndexPort()),
                "read": Out(ReadPort(line_bytes=line_bytes)),
                "aw": axi.members["aw"],
                "w": axi.members["w"],
                "b": axi.members["b"],
                "halt": In(1),
                "failed": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beat_bits = (self.beat_bytes - 1).bit_length()
        front = FrontEnd(engine=Engine.STORES, block_bytes=self.block_bytes, beat_bytes=self.beat_bytes)
        completion = Completion(runs=self.outstanding)
        attach(m, self, front, completion, arriving=self.b.valid)

        # Addresses. A burst enters the queue of data in the same cycle in which its address goes to the bus.
        checked, burst = front.o.payload, front.o.payload.burst
        answer = data.StructLayout({"pc": 15, "address": 32 - beat_bits, "last_of_run": 1})
        m.submodules.addressed = addressed = StreamFifo(
            shape=span_layout(self.block_bytes), depth=self.outstanding
        )
        m.submodules.in_flight = in_flight = StreamFifo(shape=answer, depth=self.outstanding)
        issue = Signal()
        nothing = Signal()
        # A register of its own. What failed here stops the data as early as `halt` does, before a line that is wrong comes.
        # A burst that is issued while `halt` rises is finished like those before it.
        halted = Signal()
        m.d.sync += halted.eq(self.halt | self.failed)
        m.submodules.offered = offered = address_queue(self.data_width)
        m.d.comb += [
            issue.eq(
                front.o.valid
                & checked.moves
                & offered.i.ready
                & addressed.i.ready
                & in_flight.i.ready
                & completion.room
                & ~halted
            ),
            nothing.eq(front.o.valid & checked.nothing & completion.room),
            *leave(front, completion, issue=issue, nothing=nothing),
            addressed.i.valid.eq(issue),
            *copy_span(addressed.i.payload, burst),
            in_flight.i.valid.eq(issue),
            in_flight.i.payload.pc.eq(burst.pc),
            in_flight.i.payload.address.eq(first_beat(burst, self.beat_bytes)),
            in_flight.i.payload.last_of_run.eq(burst.last_of_run),
            *send_addresses(offered, self.aw, burst, issue, self.data_width),
        ]

        # Data: each span goes to the fetch and, at the same time, to the beats, which wait for its lines.
        m.submodules.fetch = fetch = LineFetch(
            block_bytes=self.block_bytes, beat_bytes=self.beat_bytes, line_bytes=self.line_bytes
        )
        # Deep enough for the spans that begin while the lines of the first one are on their way.
        m.submodules.fetched = fetched = StreamFifo(shape=span_layout(self.block_bytes), depth=16)
        m.submodules.walker = walker = BeatWalker(block_bytes=self.block_bytes, beat_bytes=self.beat_bytes)
        m.submodules.align = align = LinesToBeats(beat_bytes=self.beat_bytes, line_bytes=self.line_bytes)
        connect(m, fetch.read, flipped(self.read))
        connect(m, fetched.o, walker.i)
        connect(m, fetch.o, align.lines)
        place = walker.o.payload
        m.d.comb += [
            fetch.halt.eq(halted),
            fetch.i.valid.eq(addressed.o.valid & fetched.i.ready),
            fetched.i.valid.eq(addressed.o.valid & fetch.i.ready),
            addressed.o.ready.eq(fetch.i.ready & fetched.i.ready),
            fetch.i.payload.eq(addressed.o.payload),
            fetched.i.payload.eq(addressed.o.payload),
            align.i.valid.eq(walker.o.valid),
            walker.o.ready.eq(align.i.ready),
            align.i.payload.mask.eq(place.mask),
            align.i.payload.local.eq(place.local),
            align.i.payload.last_of_run.eq(place.last_of_run),
            align.i.payload.last.eq(place.last),
            align.dry.eq(halted),
            self.w.valid.eq(align.o.valid),
            align.o.ready.eq(self.w.ready),
            self.w.payload.data.eq(align.o.payload.data),
            self.w.payload.strb.eq(align.o.payload.mask),
            self.w.payload.last.eq(align.o.payload.last),
        ]

        # Answers.
        answered, wrong = Signal(), Signal()
        m.d.sync += [answered.eq(self.b.valid), wrong.eq(self.b.payload.resp.as_value()[1])]
        m.d.comb += [
            self.b.ready.eq(1),
            in_flight.o.ready.eq(answered),
            completion.done.eq(answered & in_flight.o.payload.last_of_run),
            self.idle.eq(in_flight.level == 0),
        ]

        failed = report(
            m,
            self.control,
            self.halt,
            [
                (
                    answered & wrong,
                    ErrorCode.WRITE_RESPONSE,
                    in_flight.o.payload.pc,
                    Cat(Const(0, beat_bits), in_flight.o.payload.address),
                ),
                (fetch.fault, ErrorCode.SCRATCHPAD, fetch.fault_pc, fetch.fault_address),
                *command_errors(front),
            ],
        )
        m.d.comb += self.failed.eq(failed)
        return m
