# SPDX-License-Identifier: Apache-2.0
"""Line fetch: reads from the scratchpad, ahead of time, the lines that bursts of a store will need."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.dma.beats import span_layout
from tepin.memory.ports import ReadPort
from tepin.stream import StreamFifo

__all__ = ["LineFetch"]


class LineFetch(wiring.Component):
    """Reads all lines that have bytes of a run, each once, in order; one per cycle.

    A line is offered 4 + `ReadPort.LATENCY` cycles after the span that needs it if the scratchpad accepts the read at once.

    Parameters
    ----------
    block_bytes, beat_bytes, line_bytes : int
        Bytes of the longest burst, of a beat and of a scratchpad line.
    depth : int
        Lines that are requested or wait: a power of two.

    Members
    -------
    i : In stream of spans
    read : Out `ReadPort`
    o : Out stream of lines
    halt : In, take spans without reading
    fault, fault_pc, fault_address : Out
        In the cycle `fault`, an address turned out to be out of range; its line is offered not before two cycles later.
    """

    def __init__(self, *, block_bytes, beat_bytes, line_bytes, depth=16):
        if depth < 1 or depth & (depth - 1):
            raise ValueError(f"Depth of a LineFetch must be a power of two, not {depth!r}")
        self.block_bytes = block_bytes
        self.beat_bytes = beat_bytes
        self.line_bytes = line_bytes
        self.depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(span_layout(block_bytes))),
                "read": Out(ReadPort(line_bytes=line_bytes)),
                "o": Out(stream.Signature(8 * line_bytes)),
                "halt": In(1),
                "fault": Out(1),
                "fault_pc": Out(15),
                "fault_address": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        line_bits = (self.line_bytes - 1).bit_length()
        beat_bits = (self.beat_bytes - 1).bit_length()
        span = self.i.payload
        m.submodules.lines = lines = StreamFifo(shape=8 * self.line_bytes, depth=self.depth)
        connect(m, lines.o, flipped(self.o))

        # Lines still to be requested.
        first = Signal(32)
        past_line = Signal(range(self.line_bytes + self.block_bytes))
        known = Signal()  # the former burst of the run has fetched the first line already
        line = Signal(32 - line_bits)
        count = Signal(range(self.block_bytes // self.line_bytes + 2))
        pc = Signal(15)
        requested = Signal()
        reserved = Signal(range(self.depth + 1))
        m.submodules.requests = requests = StreamFifo(
            shape=data.StructLayout({"line": 32 - line_bits, "pc": 15}), depth=2
        )
        request = requests.o.payload
        m.d.comb += [
            first.eq(span.local + span.start[:beat_bits]),
            past_line.eq(first[:line_bits] + (span.end - span.start)),
            known.eq(~span.first_of_run & (first[:line_bits] != 0)),
            requests.i.valid.eq((count != 0) & ~reserved[-1]),
            requests.i.payload.line.eq(line),
            requests.i.payload.pc.eq(pc),
            requested.eq(requests.i.valid & requests.i.ready),
            self.read.request.valid.eq(requests.o.valid),
            requests.o.ready.eq(self.read.request.ready),
            self.read.request.payload.eq(Cat(Const(0, line_bits), request.line)),
            self.i.ready.eq(self.halt | (count == 0) | ((count == 1) & requested)),
        ]
        with m.If(requested):
            m.d.sync += [line.eq(line + 1), count.eq(count - 1)]
        with m.If(self.i.valid & self.i.ready & ~self.halt):
            m.d.sync += [
                line.eq(first[line_bits:] + known),
                count.eq(past_line[line_bits:] + Mux(known, 0, 1)),
                pc.eq(span.pc),
            ]
        taken = self.o.valid & self.o.ready
        m.d.sync += reserved.eq(reserved + requested - taken)
        m.d.comb += [
            lines.i.valid.eq(self.read.response_valid),
            lines.i.payload.eq(self.read.response),
        ]

        # What to report if a read fails.
        previous = (request.pc, self.read.request.payload)
        for stage in range(ReadPort.LATENCY):
            later = (
                Signal(15, name=f"pc_{stage}", reset_less=True),
                Signal(32, name=f"address_{stage}", reset_less=True),
            )
            m.d.sync += [signal.eq(value) for signal, value in zip(later, previous, strict=True)]
            previous = later
        m.d.comb += [
            self.fault.eq(self.read.response_valid & self.read.fault),
            self.fault_pc.eq(previous[0]),
            self.fault_address.eq(previous[1]),
        ]
        return m
