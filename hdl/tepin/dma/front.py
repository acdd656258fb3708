# SPDX-License-Identifier: Apache-2.0
"""What the three DMA engines have in common: from command words to checked bursts, their end, and error reports."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.clock import Settled
from tepin.control.engine import CommandReader, EngineError
from tepin.dma.bursts import BurstSplitter, burst_layout, later_beats
from tepin.dma.descriptor import Run, RunGenerator
from tepin.dma.index import IndexPort
from tepin.dma.windows import WindowCheck
from tepin.isa import Engine, ErrorCode
from tepin.stream import StreamFifo

__all__ = ["FrontEnd", "attach", "checked_burst", "command_errors", "leave", "report"]


def checked_burst(block_bytes, beat_bytes):
    """A burst and what follows from it.

    Members: `burst`, a `burst_layout(block_bytes)`; `moves`, it is one, rather than `nothing` or an `error`; `beats`, how
    many.
    """
    return data.StructLayout(
        {
            "burst": burst_layout(block_bytes),
            "moves": 1,
            "nothing": 1,
            "error": 1,
            "beats": range(block_bytes // beat_bytes + 1),
        }
    )


class FrontEnd(wiring.Component):
    """Command reader, run generator, burst splitter and window check in a row, with queues between them.

    A burst leaves 10 cycles after the last word of its command; then one per cycle.

    Parameters
    ----------
    engine : Engine
        WEIGHTS, LOADS or STORES.
    block_bytes, beat_bytes : int
        Bytes of the longest burst and of a beat.
    run_alignment : int
        Address and length of each run must be multiples of this.

    Members
    -------
    words : In stream of command words
    wait : Out stream of semaphore numbers
    base, limit : In(32), the address window
    index : Out `IndexPort`
    o : Out stream of `checked_burst(block_bytes, beat_bytes)`
    accepted : Out, a command leaves the reader in this cycle
    busy : Out, a command is being read or split
    waiting : Out, as that of `CommandReader`
    error_valid, error : Out, a command that could not be read
    """

    def __init__(self, *, engine, block_bytes, beat_bytes, run_alignment=1):
        self.engine = engine
        self.block_bytes = block_bytes
        self.beat_bytes = beat_bytes
        self.run_alignment = run_alignment
        super().__init__(
            {
                "words": In(stream.Signature(32)),
                "wait": Out(stream.Signature(4)),
                "base": In(32),
                "limit": In(32),
                "index": Out(IndexPort()),
                "o": Out(stream.Signature(checked_burst(block_bytes, beat_bytes))),
                "accepted": Out(1),
                "busy": Out(1),
                "waiting": Out(1),
                "error_valid": Out(1),
                "error": Out(EngineError),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = CommandReader(self.engine)
        m.submodules.runs = runs = RunGenerator(engine=self.engine, run_alignment=self.run_alignment)
        m.submodules.splitter = splitter = BurstSplitter(
            block_bytes=self.block_bytes, beat_bytes=self.beat_bytes
        )
        m.submodules.window = window = WindowCheck(
            block_bytes=self.block_bytes,
            code=ErrorCode.WRITE_WINDOW if self.engine == Engine.STORES else ErrorCode.READ_WINDOW,
        )
        connect(m, flipped(self.words), reader.words)
        connect(m, flipped(self.wait), reader.wait)
        connect(m, reader.o, runs.i)
        m.submodules.run_queue = run_queue = StreamFifo(shape=Run, depth=2)
        m.submodules.burst_queue = burst_queue = StreamFifo(shape=self.o.payload.shape(), depth=2)
        connect(m, runs.o, run_queue.i)
        connect(m, run_queue.o, splitter.i)
        connect(m, splitter.o, window.i)
        connect(m, burst_queue.o, flipped(self.o))
        burst, checked = window.o.payload, burst_queue.i.payload
        fine = burst.code == ErrorCode.NONE
        m.d.comb += [
            burst_queue.i.valid.eq(window.o.valid),
            window.o.ready.eq(burst_queue.i.ready),
            checked.burst.eq(burst),
            checked.moves.eq(fine & ~burst.empty),
            checked.nothing.eq(fine & burst.empty),
            checked.error.eq(~fine),
            checked.beats.eq(later_beats(burst, self.beat_bytes) + Const(1, 1)),
        ]
        connect(m, runs.index, flipped(self.index))
        m.d.comb += [
            runs.nop.eq(reader.nop),
            window.base.eq(self.base),
            window.limit.eq(self.limit),
            self.accepted.eq(reader.o.valid & reader.o.ready),
            self.busy.eq(reader.busy),
            self.waiting.eq(reader.waiting),
            self.error_valid.eq(reader.error_valid),
            self.error.code.eq(ErrorCode.ILLEGAL_INSTRUCTION),
            self.error.pc.eq(reader.error_pc),
        ]
        return m


def attach(m, engine, front, completion, *, arriving):
    """Add front end and completion to an engine, between its commands and its signals.

    Parameters
    ----------
    m : Module
    engine : component with `control`, `base`, `limit`, `index`, `halt` and `failed`
    front : FrontEnd
    completion : Completion
    arriving : Value
        Something comes from memory, which keeps the engine from resting.
    """
    m.submodules.front = front
    m.submodules.settled = settled = Settled()
    m.submodules.completion = completion
    connect(m, front.index, flipped(engine.index))
    connect(m, flipped(engine.control.commands), front.words)
    connect(m, flipped(engine.control.wait), front.wait)
    m.d.comb += [
        front.base.eq(engine.base),
        front.limit.eq(engine.limit),
        completion.accepted.eq(front.accepted),
        engine.control.signal_valid.eq(completion.signal_valid & ~engine.halt & ~engine.failed),
        engine.control.signal.eq(completion.signal),
        engine.control.busy.eq(front.busy | completion.busy),
        settled.still.eq(front.waiting & ~completion.busy & ~arriving),
        engine.control.resting.eq(settled.o),
    ]


def leave(front, completion, *, issue, nothing):
    """Statements for what leaves the front end, and is complete some time: a burst that is issued, or `nothing` to move."""
    burst = front.o.payload.burst
    return [
        front.o.ready.eq(issue | nothing),
        completion.issued.eq(issue & burst.last_of_run),
        completion.enter.eq(front.o.ready & burst.last),
        completion.number.eq(burst.signal),
    ]


def command_errors(front):
    """What `report` has to know of commands: bursts outside of the window and the like, and words that are no command."""
    checked, burst = front.o.payload, front.o.payload.burst
    return [
        (front.o.valid & checked.error, burst.code, burst.pc, Cat(burst.start, burst.block)),
        (front.error_valid, front.error.code, front.error.pc, front.error.info),
    ]


def report(m, control, halt, sources):
    """Report the first of `sources` that is raised, unless `halt` is high already.

    Parameters
    ----------
    m : Module
    control : `EngineSignature` interface that reports, a cycle later
    halt : Signal
        High when the DMA has stopped: what goes wrong after that is of no interest.
    sources : list of (condition, code, pc, info)

    Returns
    -------
    Signal
        High for one cycle after something went wrong.
    """
    failed = Signal()
    raised = 0
    for index, (condition, code, pc, info) in enumerate(sources):
        raised |= condition
        with m.If(condition) if index == 0 else m.Elif(condition):
            m.d.sync += [control.error.code.eq(code), control.error.pc.eq(pc), control.error.info.eq(info)]
    # `halt` follows `error_valid`; what goes wrong meanwhile does not count any more.
    m.d.comb += failed.eq(raised & ~halt & ~control.error_valid)
    m.d.sync += control.error_valid.eq(failed)
    return control.error_valid
