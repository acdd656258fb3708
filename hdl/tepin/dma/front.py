# SPDX-License-Identifier: Apache-2.0
"""What the three DMA engines have in common: from command words to checked bursts, and error reports."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.control.engine import CommandReader, EngineError
from tepin.dma.bursts import BurstSplitter, burst_layout
from tepin.dma.descriptor import RunGenerator
from tepin.dma.index import IndexPort
from tepin.dma.windows import WindowCheck
from tepin.isa import Engine, ErrorCode

__all__ = ["FrontEnd", "report"]


class FrontEnd(wiring.Component):
    """Command reader, run generator, burst splitter and window check in a row.

    A burst leaves 7 cycles after the last word of its command; then one per cycle.

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
    o : Out stream of `burst_layout(block_bytes)`
    accepted : Out, a command leaves the reader in this cycle
    busy : Out, a command is being read or split
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
                "o": Out(stream.Signature(burst_layout(block_bytes))),
                "accepted": Out(1),
                "busy": Out(1),
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
        connect(m, runs.o, splitter.i)
        connect(m, splitter.o, window.i)
        connect(m, window.o, flipped(self.o))
        connect(m, runs.index, flipped(self.index))
        m.d.comb += [
            runs.nop.eq(reader.nop),
            window.base.eq(self.base),
            window.limit.eq(self.limit),
            self.accepted.eq(reader.o.valid & reader.o.ready),
            self.busy.eq(reader.busy),
            self.error_valid.eq(reader.error_valid),
            self.error.code.eq(ErrorCode.ILLEGAL_INSTRUCTION),
            self.error.pc.eq(reader.error_pc),
        ]
        return m


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
        High in the cycle in which something goes wrong.
    """
    failed = Signal()
    raised = 0
    for index, (condition, code, pc, info) in enumerate(sources):
        raised |= condition
        with m.If(condition) if index == 0 else m.Elif(condition):
            m.d.sync += [control.error.code.eq(code), control.error.pc.eq(pc), control.error.info.eq(info)]
    m.d.comb += failed.eq(raised & ~halt)
    m.d.sync += control.error_valid.eq(failed)
    return failed
