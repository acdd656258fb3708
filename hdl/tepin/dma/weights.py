# SPDX-License-Identifier: Apache-2.0
"""Weight loads: memory to the weight FIFO."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.control.engine import EngineSignature
from tepin.dma.bursts import first_beat, later_beats
from tepin.dma.completion import Completion
from tepin.dma.front import FrontEnd, command_errors, leave, report
from tepin.dma.index import IndexPort
from tepin.dma.read import BeatPort, BurstRequest
from tepin.dma.room import Room
from tepin.isa import Engine, ErrorCode
from tepin.stream import StreamFifo

__all__ = ["WeightLoads"]


class WeightLoads(wiring.Component):
    """Executes weight load commands and holds the weight FIFO.

    A burst is requested only when the FIFO has room for a whole one. Beats are packed into FIFO words, first beat
    lowest; one beat per cycle. A word is offered 5 cycles after its last beat was received, 4 if the FIFO is small.

    Parameters
    ----------
    data_width : int
        Bits per beat.
    word_bytes : int
        Bytes per FIFO word, at least a beat: a power of two.
    fifo_bytes : int
        Capacity of the FIFO; a memory with a synchronous read port.
    burst_beats : int
        Beats of the longest burst; at most half the FIFO is used for one.
    outstanding : int
        Most bursts in flight.

    Members
    -------
    control : Out `EngineSignature`
    base, limit : In(32), address window
    index : Out `IndexPort`
    request : Out stream of `BurstRequest`
        `valid` may fall without a transfer when `flush` rises or after `halt` has risen.
    beats : In `BeatPort`
    o : Out stream of words
    flush : In
        Hold high until `flush_done`. Drops all commands, of which those still queued outside must be removed before `flush`
        falls, waits for the data that has been requested, and empties the FIFO. Dropped commands do not signal.
    flush_done : Out
        High, from when all that has happened until `flush` falls.
    halt : In, stop requesting (after this cycle), for good
    failed : Out, a command failed in the last cycle
    """

    def __init__(self, *, data_width, word_bytes, fifo_bytes, burst_beats, outstanding):
        self.data_width = data_width
        self.word_bytes = word_bytes
        self.fifo_bytes = fifo_bytes
        self.beat_bytes = data_width // 8
        self.block_bytes = min(burst_beats * self.beat_bytes, fifo_bytes // 2)
        self.outstanding = outstanding
        super().__init__(
            {
                "control": Out(EngineSignature()),
                "base": In(32),
                "limit": In(32),
                "index": Out(IndexPort()),
                "request": Out(stream.Signature(BurstRequest)),
                "beats": In(BeatPort(data_width=data_width)),
                "o": Out(stream.Signature(8 * word_bytes)),
                "flush": In(1),
                "flush_done": Out(1),
                "halt": In(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beat_bits = (self.beat_bytes - 1).bit_length()
        front = FrontEnd(
            engine=Engine.WEIGHTS,
            block_bytes=self.block_bytes,
            beat_bytes=self.beat_bytes,
            run_alignment=self.word_bytes,
        )
        completion = Completion(runs=self.outstanding)
        m.submodules.front = ResetInserter(self.flush)(front)
        m.submodules.completion = ResetInserter(self.flush)(completion)
        connect(m, front.index, flipped(self.index))
        m.d.comb += [
            front.base.eq(self.base),
            front.limit.eq(self.limit),
            front.words.payload.eq(self.control.commands.payload),
            front.words.valid.eq(self.control.commands.valid & ~self.flush),
            self.control.commands.ready.eq(front.words.ready & ~self.flush),
            self.control.wait.payload.eq(front.wait.payload),
            self.control.wait.valid.eq(front.wait.valid & ~self.flush),
            front.wait.ready.eq(self.control.wait.ready & ~self.flush),
            completion.accepted.eq(front.accepted),
            self.control.signal_valid.eq(completion.signal_valid & ~self.halt & ~self.failed),
            self.control.signal.eq(completion.signal),
            self.control.busy.eq(front.busy | completion.busy | self.flush),
        ]

        # Requests.
        checked, burst = front.o.payload, front.o.payload.burst
        ratio = self.word_bytes // self.beat_bytes
        m.submodules.room = room = Room(
            capacity=self.fifo_bytes // self.beat_bytes,
            burst_beats=self.block_bytes // self.beat_bytes,
            given=ratio,
        )
        step = data.StructLayout({"pc": 15, "address": 32 - beat_bits, "last_of_run": 1})
        m.submodules.in_flight = in_flight = StreamFifo(shape=step, depth=self.outstanding)
        issue = self.request.valid & self.request.ready
        nothing = Signal()
        m.d.comb += [
            self.request.valid.eq(
                front.o.valid
                & checked.moves
                & room.enough
                & in_flight.i.ready
                & completion.room
                & ~self.flush
            ),
            self.request.payload.address.eq(Cat(Const(0, beat_bits), first_beat(burst, self.beat_bytes))),
            self.request.payload.len.eq(later_beats(burst, self.beat_bytes)),
            room.take.eq(issue),
            room.amount.eq(checked.beats),
            room.clear.eq(self.flush),
            room.halt.eq(self.halt),
            nothing.eq(front.o.valid & checked.nothing & completion.room),
            *leave(front, completion, issue=issue, nothing=nothing),
            in_flight.i.valid.eq(issue),
            in_flight.i.payload.pc.eq(burst.pc),
            in_flight.i.payload.address.eq(self.request.payload.address[beat_bits:]),
            in_flight.i.payload.last_of_run.eq(burst.last_of_run),
        ]

        # Data.
        m.submodules.fifo = fifo = StreamFifo(
            shape=8 * self.word_bytes, depth=self.fifo_bytes // self.word_bytes
        )
        beat_of_burst = Signal(8)
        with m.If(self.beats.valid):
            m.d.sync += beat_of_burst.eq(Mux(self.beats.last, 0, beat_of_burst + 1))
        m.d.comb += [
            in_flight.o.ready.eq(self.beats.valid & self.beats.last),
            completion.done.eq(in_flight.o.ready & in_flight.o.payload.last_of_run),
            fifo.clear.eq(self.flush),
        ]
        if ratio == 1:
            m.d.comb += [fifo.i.valid.eq(self.beats.valid), fifo.i.payload.eq(self.beats.data)]
        else:
            filled = Signal(range(ratio))
            earlier = Signal(8 * (self.word_bytes - self.beat_bytes))
            word = Cat(earlier, self.beats.data)
            m.d.comb += [
                fifo.i.valid.eq(self.beats.valid & (filled == ratio - 1)),
                fifo.i.payload.eq(word),
            ]
            with m.If(self.beats.valid):
                m.d.sync += [filled.eq(filled + 1), earlier.eq(word[self.data_width :])]
            with m.If(self.flush):
                m.d.sync += filled.eq(0)
        # Whether a word is taken is decided far away, and late.
        m.submodules.output = output = StreamFifo(shape=8 * self.word_bytes, depth=2)
        connect(m, fifo.o, output.i)
        connect(m, output.o, flipped(self.o))
        m.d.comb += output.clear.eq(self.flush)
        m.d.comb += room.give.eq(fifo.o.valid & fifo.o.ready)

        # Flush: everything is held in reset, except for the count of what is in flight.
        flushing = Signal()
        m.d.sync += flushing.eq(self.flush)
        m.d.comb += self.flush_done.eq(self.flush & flushing & (in_flight.level == 0) & ~self.index.busy)

        wrong = self.beats.valid & self.beats.error & ~self.flush
        failed = report(
            m,
            self.control,
            self.halt,
            [
                (
                    wrong,
                    ErrorCode.READ_RESPONSE,
                    in_flight.o.payload.pc,
                    Cat(Const(0, beat_bits), in_flight.o.payload.address + beat_of_burst),
                ),
                *((condition & ~self.flush, *error) for condition, *error in command_errors(front)),
            ],
        )
        m.d.comb += self.failed.eq(failed)
        return m
