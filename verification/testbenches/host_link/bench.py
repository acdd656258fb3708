# SPDX-License-Identifier: Apache-2.0
"""Around the host link in a simulation: a host, a line with noise, registers with side effects, memory."""

import logging
from collections import deque

import cocotb
from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteSlave, AxiRam

from tepin.control.registers import register
from tepin.dma.axi import AXI4LiteSignature, AXI4Signature
from tepin.io.host_link import HostLink
from tepin.io.protocol import ANSWER_HEADER, REQUEST_HEADER, FrameParser, Request, Status, encode_frame
from tepin_testbench import options
from tepin_testbench.stream import StreamSink, StreamSource, check_streams, start

__all__ = ["MEMORY_BYTES", "Bench", "LinkBench", "Line"]

MEMORY_BYTES = 1 << 14
TOKEN, STATUS, CYCLES = (register(name).offset for name in ("TOKEN", "STATUS", "CYCLES_LO"))
FIRST_FREE, REFUSED = 0x100, 0x400
"""Registers from the one to the other are plain words; those behind it refuse every access."""


class LinkBench(Component):
    """The host link with names of its buses that the world knows."""

    def __init__(self, **parameters):
        self._link = HostLink(**parameters)
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "m_axil": Out(AXI4LiteSignature(addr_width=16)),
                "m_axi": Out(AXI4Signature(addr_width=32, data_width=parameters["data_width"], id_width=1)),
                "irq": In(1),
                "self_test": In(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.link = link = self._link
        connect(m, flipped(self.i), link.i)
        connect(m, link.o, flipped(self.o))
        connect(m, link.registers, flipped(self.m_axil))
        connect(m, link.memory, flipped(self.m_axi))
        m.d.comb += [link.irq.eq(self.irq), link.self_test.eq(self.self_test)]
        return m


class Registers:
    """Registers that remember every access. The interrupt is high while there are tokens, or `irq` is set."""

    def __init__(self):
        self.words = {}
        self.tokens = deque()
        self.status = 0
        self.irq = False
        self.log = []  # ("read" or "write", offset, value)
        self.cycles = 0

    async def read(self, offset, length):
        assert length == 4
        if offset >= REFUSED:
            raise ValueError("refused")
        if offset == TOKEN:
            value = self.tokens.popleft() | 1 << 31 if self.tokens else 0
        elif offset == STATUS:
            value = self.status | bool(self.tokens) << 3
        elif offset == CYCLES:
            self.cycles += 1000
            value = self.cycles
        else:
            value = self.words.get(offset, 0)
        self.log.append(("read", offset, value))
        return value.to_bytes(4, "little")

    async def write(self, offset, data):
        assert len(data) == 4
        if offset >= REFUSED:
            raise ValueError("refused")
        value = int.from_bytes(data, "little")
        self.words[offset] = value
        self.log.append(("write", offset, value))


class Memory(AxiRam):
    """Memory that remembers the addresses of its writes."""

    def __init__(self, dut):
        self.log = []
        super().__init__(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
        plain = self.write_if._write

        async def write(address, data):
            if address >= MEMORY_BYTES:
                raise ValueError("beyond the end")
            self.log.extend((address + index, byte) for index, byte in enumerate(data))
            await plain(address, data)

        self.write_if._write = write


class Line:
    """One direction of the line: changes, drops and inserts bytes.

    Parameters
    ----------
    rate : float
        Share of the bytes to which something happens.
    """

    def __init__(self, rate, *names):
        self.rate = rate
        self._rng = options.generator("line", *names)

    def transmit(self, data):
        """What comes out at the other end."""
        result = bytearray()
        for byte in data:
            if self._rng.random() >= self.rate:
                result.append(byte)
                continue
            kind = self._rng.integers(4)
            if kind == 0:
                continue
            if kind == 1:
                result.append(int(self._rng.integers(256)))
            result.append(byte ^ (1 << int(self._rng.integers(8)) if kind == 2 else 0))
        return bytes(result)


class Bench:
    """Everything around the design, and a host that waits for each answer.

    Attributes
    ----------
    registers : Registers
    memory : Memory
    there, back : Line
    attempts : int
        Requests sent, repetitions included.
    timeout : int
        Cycles without a byte after which a request is repeated.
    """

    def __init__(self, dut, *, pause=0.0, noise=0.0):
        self.dut = dut
        for name in ("m_axi", "m_axil"):
            logging.getLogger(f"cocotb.{dut._name}.{name}").setLevel(logging.ERROR)
        check_streams(dut)
        self.registers = Registers()
        self.memory = Memory(dut)
        slave = AxiLiteSlave(AxiLiteBus.from_prefix(dut, "m_axil"), dut.clk, dut.rst, target=self.registers)
        rng = options.generator("pauses", pause)
        for slave_of in (slave, self.memory):
            write, read = slave_of.write_if, slave_of.read_if
            for channel in (
                *(write.aw_channel, write.w_channel, write.b_channel),
                *(read.ar_channel, read.r_channel),
            ):
                channel.set_pause_generator(iter(lambda: bool(rng.random() < pause), None))
        self.there, self.back = Line(noise, "there"), Line(noise, "back")
        self.source = StreamSource(dut, "i", pause=pause)
        self.sink = StreamSink(dut, "o", pause=pause)
        self.parser = FrameParser()
        self.bodies = deque()
        self.sequence = 0
        self.attempts = 0
        self.timeout = 4000
        cocotb.start_soon(self._interrupt())

    @classmethod
    async def start(cls, dut, **options):
        await start(dut)
        return cls(dut, **options)

    async def _interrupt(self):
        while True:
            await RisingEdge(self.dut.clk)
            self.dut.irq.value = int(bool(self.registers.tokens) or self.registers.irq)

    def send(self, data):
        """Bytes onto the line, through the noise."""
        self.source.send(self.there.transmit(data))

    def send_request(self, code, *, count=0, address=0, payload=b"", sequence=None):
        sequence = self.sequence if sequence is None else sequence
        self.send(encode_frame(REQUEST_HEADER.pack(sequence, code, count, address) + payload))
        self.attempts += 1

    async def answer(self, sequence=None, *, timeout=None):
        """(status, payload) of the next answer with this sequence number; None after so many cycles without a byte."""
        sequence = self.sequence if sequence is None else sequence
        quiet = 0
        while quiet < (timeout or self.timeout):
            while self.bodies:
                body = self.bodies.popleft()
                if body[0] == sequence and len(body) >= ANSWER_HEADER.size:
                    return Status(body[1]), body[2:]
            await ClockCycles(self.dut.clk, 20)
            quiet += 20
            waiting = self.sink.waiting()
            if waiting:
                quiet = 0
                received = bytes(await self.sink.receive(waiting))
                self.bodies.extend(self.parser.feed(self.back.transmit(received)))
        return None

    async def request(self, code, *, attempts=60, **others):
        """A request with the next sequence number, repeated until it is answered."""
        self.sequence = (self.sequence + 1) % 256
        for _ in range(attempts):
            self.send_request(code, **others)
            answer = await self.answer()
            if answer is not None:
                return answer
        raise AssertionError(f"no answer to {code!r} in {attempts} attempts")

    async def okay(self, code, **others):
        """The payload of an answer that must be OKAY."""
        status, payload = await self.request(code, **others)
        assert status == Status.OKAY, status
        return payload

    async def open(self, sequence=0):
        """Begin a session; returns the payload."""
        self.sequence = (sequence - 1) % 256
        return await self.okay(Request.IDENTIFY)

    async def write_registers(self, offset, words):
        payload = b"".join(word.to_bytes(4, "little") for word in words)
        await self.okay(Request.WRITE_REGISTERS, address=offset, count=len(payload), payload=payload)

    async def read_register(self, offset):
        return int.from_bytes(await self.okay(Request.READ_REGISTERS, address=offset, count=4), "little")

    async def write_memory(self, address, data):
        await self.okay(Request.WRITE_MEMORY, address=address, count=len(data), payload=bytes(data))

    async def read_memory(self, address, count):
        return await self.okay(Request.READ_MEMORY, address=address, count=count)

    async def take_tokens(self, *, most=62, cycles=0):
        """(tokens, STATUS word, CYCLES)."""
        payload = await self.okay(Request.TAKE_TOKENS, count=4 * most, address=cycles)
        words = [int.from_bytes(payload[at : at + 4], "little") for at in range(0, len(payload), 4)]
        *tokens, status, elapsed = words
        assert all(token >> 31 for token in tokens)
        return [token & 0x7FFF_FFFF for token in tokens], status, elapsed
