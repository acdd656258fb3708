# SPDX-License-Identifier: Apache-2.0
"""Descriptors: turns a DMA command, a nest of loops, into its contiguous runs."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tepin.control.engine import command_layout
from tepin.dma.index import IndexPort
from tepin.isa import Engine, ErrorCode
from tepin.stream import StreamFifo

__all__ = ["Run", "RunGenerator"]


class Run(data.Struct):
    """Contiguous bytes of a command.

    A command that moves nothing is one run that is `empty`. A `code` other than NONE tells that the command is in error;
    `memory` then is the offending address or value, and nothing follows.
    """

    code: ErrorCode
    pc: 15
    signal: 4
    empty: 1
    last: 1  # of the command
    memory: 32
    local: 32
    length: 32


class RunGenerator(wiring.Component):
    """Walks through the loops of a command and emits its runs, one per cycle.

    The first run of a command is offered 4 cycles after the command (an indexed one: plus the `IndexReader`'s latency). The
    command is taken together with its last run.

    With an index list, the memory address of run j of the innermost counted loop is `memory + index[j] * memory_stride`;
    every repetition (`count2`) walks through the same list.

    Errors, in the order of the runs: PARAMETER (three or more counted loops, or an index list without a loop; info: the
    flags), SCRATCHPAD (index list not at a multiple of 4 or out of range; info: the address), ALIGNMENT (see below; info: the
    address if that is wrong, else the length).

    Parameters
    ----------
    engine : Engine
        WEIGHTS, LOADS or STORES; weight commands have no local address.
    run_alignment : int
        Memory address and length of every run must be multiples of this power of two.

    Members
    -------
    i : In stream of commands
    nop : In, valid with `i`: the command moves nothing, whatever its fields say
    o : Out stream of `Run`
    index : Out `IndexPort`
    """

    WALK_DEPTH = 16
    """Runs that wait for their index: covers the latency of the index reader."""

    def __init__(self, *, engine, run_alignment=1):
        if engine not in (Engine.WEIGHTS, Engine.LOADS, Engine.STORES):
            raise ValueError(f"Engine of a RunGenerator must be WEIGHTS, LOADS or STORES, not {engine}")
        self.engine = engine
        self.run_alignment = run_alignment
        super().__init__(
            {
                "i": In(stream.Signature(command_layout(engine))),
                "nop": In(1),
                "o": Out(stream.Signature(Run)),
                "index": Out(IndexPort()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        command = self.i.payload
        flags = command.flags
        local = self.engine != Engine.WEIGHTS

        # The walk may be ahead of the output by some runs, which wait for their index in the meantime.
        step = data.StructLayout({"memory": 32, "local": 32 if local else 0, "last": 1})
        m.submodules.walk = walk = StreamFifo(shape=step, depth=self.WALK_DEPTH)
        m.submodules.offsets = offsets = StreamFifo(
            shape=data.StructLayout({"offset": 32, "fault": 1}), depth=self.WALK_DEPTH
        )

        # None of these needs a reset: a command sets them all when it begins.
        inner_left, outer_left = Signal(32, reset_less=True), Signal(32, reset_less=True)
        row_memory, repetition_memory = Signal(32, reset_less=True), Signal(32, reset_less=True)
        row_local, repetition_local = Signal(32, reset_less=True), Signal(32, reset_less=True)
        index_address = Signal(32, reset_less=True)
        last = Signal()
        advance = Signal()
        code = Signal(ErrorCode)
        info = Signal(32)
        # Comparisons of 32 bits are done a step ahead.
        inner_last, outer_last, row_of_one, length_misaligned = Signal(), Signal(), Signal(), Signal()
        alignment_mask = self.run_alignment - 1
        m.d.comb += last.eq(inner_last & outer_last)

        # What a command may have instead of runs: nothing, or an error.
        parameter, nothing, misaligned, wrong = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            parameter.eq((flags.dimensions == 3) | (flags.indexed & (flags.dimensions == 0))),
            nothing.eq(
                (command.length == 0)
                | ((flags.dimensions >= 1) & (command.count == 0))
                | ((flags.dimensions >= 2) & (command.count2 == 0))
            ),
            misaligned.eq(flags.indexed & (command.index[:2] != 0)),
            wrong.eq(parameter | misaligned),
        ]
        emit_alone = Signal()
        with m.FSM():
            with m.State("START"):
                m.d.sync += [
                    inner_left.eq(command.count - 1),
                    outer_left.eq(command.count2 - 1),
                    inner_last.eq((flags.dimensions == 0) | (command.count == 1)),
                    outer_last.eq((flags.dimensions <= 1) | (command.count2 == 1)),
                    row_of_one.eq(command.count == 1),
                    length_misaligned.eq((command.length & alignment_mask) != 0),
                    row_memory.eq(command.memory),
                    repetition_memory.eq(command.memory),
                    index_address.eq(command.index),
                    code.eq(ErrorCode.NONE),
                ]
                if local:
                    m.d.sync += [row_local.eq(command.local), repetition_local.eq(command.local)]
                with m.If(self.i.valid):
                    m.next = "WALK"
                    m.d.sync += emit_alone.eq(self.nop | wrong | nothing)
                    with m.If(self.nop | wrong | nothing):
                        m.next = "ALONE"
                    with m.If(parameter & ~self.nop):
                        m.d.sync += [code.eq(ErrorCode.PARAMETER), info.eq(Value.cast(flags))]
                    with m.Elif(misaligned & ~nothing & ~self.nop):
                        m.d.sync += [code.eq(ErrorCode.SCRATCHPAD), info.eq(command.index)]
            with m.State("WALK"):
                # A place in `walk` is a place in `offsets` as well, since they are emptied together.
                m.d.comb += [
                    self.index.request.valid.eq(flags.indexed & walk.i.ready),
                    advance.eq(walk.i.ready & (~flags.indexed | self.index.request.ready)),
                    walk.i.valid.eq(~flags.indexed | self.index.request.ready),
                ]
                with m.If(advance):
                    m.d.sync += [
                        inner_left.eq(inner_left - 1),
                        inner_last.eq(inner_left == 1),
                        row_memory.eq(row_memory + Mux(flags.indexed, 0, command.memory_stride)),
                        index_address.eq(index_address + 4),
                    ]
                    with m.If(inner_last):
                        m.d.sync += [
                            inner_left.eq(command.count - 1),
                            inner_last.eq(row_of_one),
                            outer_left.eq(outer_left - 1),
                            outer_last.eq(outer_left == 1),
                            row_memory.eq(repetition_memory + command.memory_stride2),
                            repetition_memory.eq(repetition_memory + command.memory_stride2),
                            index_address.eq(command.index),
                        ]
                    if local:
                        m.d.sync += row_local.eq(row_local + command.local_stride)
                        with m.If(inner_last):
                            m.d.sync += [
                                row_local.eq(repetition_local + command.local_stride2),
                                repetition_local.eq(repetition_local + command.local_stride2),
                            ]
                    with m.If(last):
                        m.next = "DRAIN"
            with m.State("DRAIN"):
                with m.If(self.i.ready):
                    m.next = "START"
            with m.State("ALONE"):
                with m.If(self.i.ready):
                    m.d.sync += emit_alone.eq(0)
                    m.next = "START"

        m.d.comb += [
            walk.i.payload.memory.eq(row_memory),
            walk.i.payload.last.eq(last),
            self.index.request.payload.address.eq(index_address),
            self.index.request.payload.stride.eq(command.memory_stride),
            offsets.i.valid.eq(self.index.offset_valid),
            offsets.i.payload.offset.eq(self.index.offset),
            offsets.i.payload.fault.eq(self.index.fault),
        ]
        run = self.o.payload
        memory = Signal(32)
        m.d.comb += [
            memory.eq(walk.o.payload.memory + Mux(flags.indexed, offsets.o.payload.offset, 0)),
            run.pc.eq(command.pc),
            run.signal.eq(command.signal),
            run.empty.eq(emit_alone),
            run.last.eq(emit_alone | walk.o.payload.last),
            run.length.eq(command.length),
            run.code.eq(code),
            run.memory.eq(Mux(emit_alone, info, memory)),
        ]
        if local:
            m.d.comb += [
                walk.i.payload.local.eq(row_local),
                run.local.eq(walk.o.payload.local),
            ]
        with m.If(emit_alone):
            m.d.comb += self.o.valid.eq(1)
        with m.Else():
            m.d.comb += [
                self.o.valid.eq(walk.o.valid & (~flags.indexed | offsets.o.valid)),
                walk.o.ready.eq(self.o.ready & (~flags.indexed | offsets.o.valid)),
                offsets.o.ready.eq(self.o.ready & flags.indexed & walk.o.valid),
            ]
            with m.If(flags.indexed & offsets.o.payload.fault):
                m.d.comb += [run.code.eq(ErrorCode.SCRATCHPAD), run.memory.eq(offsets.o.payload.offset)]
            with m.Elif((memory & alignment_mask) != 0):
                m.d.comb += run.code.eq(ErrorCode.ALIGNMENT)
            with m.Elif(length_misaligned):
                m.d.comb += [run.code.eq(ErrorCode.ALIGNMENT), run.memory.eq(command.length)]
        m.d.comb += self.i.ready.eq(self.o.valid & self.o.ready & run.last)
        return m
