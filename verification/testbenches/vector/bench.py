# SPDX-License-Identifier: Apache-2.0
"""The vector engine with a scratchpad that every port can reach in every cycle, and refuses as often as it is told to.

The scratchpad is part of the simulated design, so that a test in Python has nothing to do in most cycles.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.clock import add_clock_gated
from tepin.control.engine import EngineSignature
from tepin.memory.ports import ReadPort
from tepin.vector.engine import VectorEngine

__all__ = ["HOST_BYTES", "VectorBench"]

READERS, WRITERS = ("a", "b", "c"), ("d", "result")
HOST_BYTES = 32
"""Bytes that the test reads or writes per cycle, so that filling the scratchpad takes little of its time."""


class VectorBench(wiring.Component):
    """Vector engine and scratchpad.

    Members
    -------
    control : Out(EngineSignature)
    stall : In(8)
        Of 256 cycles, about as many refuse a request; independently for each port.
    host_address, host_write, host_data : In
        While `host_write` is high, `HOST_BYTES` bytes are written in every cycle.
    host_line : Out
        The bytes at `host_address`.
    signals : Out(16)
        Commands finished since reset.
    watch_a, watch_b, watch_c, watch_d, watch_result : Out
        Copies of the streams between engine and scratchpad, for checkers.
    """

    def __init__(self, *, lanes, line_bytes, size):
        self.lanes = lanes
        self.line_bytes = line_bytes
        self.size = size
        members = {
            "control": Out(EngineSignature()),
            "stall": In(8),
            "host_address": In(32),
            "host_write": In(1),
            "host_data": In(8 * HOST_BYTES),
            "host_line": Out(8 * HOST_BYTES),
            "signals": Out(16),
        }
        for name in (*READERS, *WRITERS):
            width = 32 if name in READERS else 32 + 9 * line_bytes
            members[f"watch_{name}"] = Out(
                wiring.Signature({"valid": Out(1), "ready": Out(1), "payload": Out(width)})
            )
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        engine = VectorEngine(lanes=self.lanes, line_bytes=self.line_bytes)
        add_clock_gated(m, platform, "engine", engine, resting=engine.control.resting)
        m.submodules.memory = memory = Memory(shape=32, depth=self.size // 4, init=[])
        connect(m, engine.control, flipped(self.control))
        m.d.sync += self.signals.eq(self.signals + engine.control.signal_valid)

        # Marsaglia's xorshift; a byte for each port.
        noise = Signal(64, init=0x9E3779B97F4A7C15)
        first, second = Signal(64), Signal(64)
        m.d.comb += [first.eq(noise ^ (noise << 13)), second.eq(first ^ (first >> 7))]
        m.d.sync += noise.eq(second ^ (second << 17))

        for index, name in enumerate((*READERS, *WRITERS)):
            port, watch = getattr(engine, name), getattr(self, f"watch_{name}")
            m.d.comb += [
                port.request.ready.eq(noise.word_select(index, 8) >= self.stall),
                watch.valid.eq(port.request.valid),
                watch.ready.eq(port.request.ready),
                watch.payload.eq(port.request.p),
            ]

        for name in READERS:
            port = getattr(engine, name)
            line = self._line(m, memory, port.request.payload, self.line_bytes)
            valid, fault = port.request.valid & port.request.ready, port.request.payload >= self.size
            # A response is noise when there is none, so that an engine that looks at it is found out.
            line = Mux(valid, line, Cat(noise, ~noise, noise, ~noise)[: 8 * self.line_bytes])
            for cycle in range(ReadPort.LATENCY):
                before = valid, fault, line
                valid, fault = Signal(name=f"{name}_valid_{cycle}"), Signal(name=f"{name}_fault_{cycle}")
                line = Signal(8 * self.line_bytes, name=f"{name}_line_{cycle}")
                m.d.sync += [
                    register.eq(value) for register, value in zip((valid, fault, line), before, strict=True)
                ]
            m.d.comb += [port.response_valid.eq(valid), port.fault.eq(fault), port.response.eq(line)]

        for name in WRITERS:
            port = getattr(engine, name)
            request = port.request.payload
            valid, fault = port.request.valid & port.request.ready, request.address >= self.size
            m.d.sync += port.fault.eq(valid & fault)
            enable = Mux(valid & ~fault, request.mask, 0)
            self._write(m, memory, request.address, request.data, enable, self.line_bytes)
        everything = Mux(self.host_write, Const(-1, HOST_BYTES), 0)
        self._write(m, memory, self.host_address, self.host_data, everything, HOST_BYTES)
        m.d.comb += self.host_line.eq(self._line(m, memory, self.host_address, HOST_BYTES))
        return m

    @staticmethod
    def _line(m, memory, address, count):
        """`count` bytes from `address` on, wrapping at the end of the memory."""
        words = []
        for word in range(count // 4):
            read_port = memory.read_port(domain="comb")
            m.d.comb += read_port.addr.eq(address[2:] + word)
            words.append(read_port.data)
        return Cat(words)

    @staticmethod
    def _write(m, memory, address, value, mask, count):
        """Write those of `count` bytes from `address` on that `mask` enables."""
        for word in range(count // 4):
            write_port = memory.write_port(granularity=8)
            m.d.comb += [
                write_port.addr.eq(address[2:] + word),
                write_port.data.eq(value.word_select(word, 32)),
                write_port.en.eq(mask.word_select(word, 4)),
            ]
