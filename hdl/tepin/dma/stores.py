# SPDX-License-Identifier: Apache-2.0
"""Stores: scratchpad to memory."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.clock import Settled
from tepin.control.engine import EngineSignature
from tepin.dma.align import LinesToBeats
from tepin.dma.axi import AXI4Signature
from tepin.dma.beats import BeatWalker, copy_span, span_layout
from tepin.dma.completion import Completion
from tepin.dma.fetch import LineFetch
from tepin.dma.front import FrontEnd, report
from tepin.dma.index import IndexPort
from tepin.dma.read import address_constants
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
        m.submodules.front = front = FrontEnd(
            engine=Engine.STORES, block_bytes=self.block_bytes, beat_bytes=self.beat_bytes
        )
        m.submodules.settled = settled = Settled()
        m.submodules.completion = completion = Completion(runs=self.outstanding)
        connect(m, front.index, flipped(self.index))
        connect(m, flipped(self.control.commands), front.words)
        connect(m, flipped(self.control.wait), front.wait)
        m.d.comb += [
            front.base.eq(self.base),
            front.limit.eq(self.limit),
            completion.accepted.eq(front.accepted),
            self.control.signal_valid.eq(completion.signal_valid & ~self.halt & ~self.failed),
            self.control.signal.eq(completion.signal),
            self.control.busy.eq(front.busy | completion.busy),
            settled.still.eq(front.waiting & ~completion.busy & ~self.b.valid),
            self.control.resting.eq(settled.o),
        ]

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
        m.submodules.offered = offered = StreamFifo(
            shape=data.StructLayout({"address": 32 - beat_bits, "len": 8}), depth=2
        )
        address = Cat(burst.start[beat_bits:], burst.block)
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
            front.o.ready.eq(issue | nothing),
            completion.issued.eq(issue & burst.last_of_run),
            completion.enter.eq(front.o.ready & burst.last),
            completion.number.eq(burst.signal),
            addressed.i.valid.eq(issue),
            *copy_span(addressed.i.payload, burst),
            in_flight.i.valid.eq(issue),
            in_flight.i.payload.pc.eq(burst.pc),
            in_flight.i.payload.address.eq(address),
            in_flight.i.payload.last_of_run.eq(burst.last_of_run),
            offered.i.valid.eq(issue),
            offered.i.payload.address.eq(address),
            offered.i.payload.len.eq(burst.end[beat_bits:] - burst.start[beat_bits:]),
            self.aw.valid.eq(offered.o.valid),
            offered.o.ready.eq(self.aw.ready),
            self.aw.payload.id.eq(0),
            self.aw.payload.addr.eq(Cat(Const(0, beat_bits), offered.o.payload.address)),
            self.aw.payload.len.eq(offered.o.payload.len),
            *address_constants(self.aw.payload, self.data_width),
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
                (
                    front.o.valid & checked.error,
                    burst.code,
                    burst.pc,
                    Cat(burst.start, burst.block),
                ),
                (front.error_valid, front.error.code, front.error.pc, front.error.info),
            ],
        )
        m.d.comb += self.failed.eq(failed)
        return m
