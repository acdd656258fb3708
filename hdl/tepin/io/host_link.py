# SPDX-License-Identifier: Apache-2.0
"""The host link: does what frames on a line ask for, to the chip's registers and to its memory."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.control.registers import register
from tepin.dma.axi import AXI4LiteSignature, AXI4Signature
from tepin.io.access import BusAccess
from tepin.io.crc import SerialCrc
from tepin.io.frames import FrameReceiver, FrameTransmitter
from tepin.io.protocol import (
    CRC_BYTES,
    PAYLOAD_BYTES,
    REQUEST_HEADER,
    TOKEN_BYTES,
    VERSION,
    Identity,
    Request,
    RequestHeader,
    Status,
)
from tepin.stream import StreamFifo

__all__ = ["HostLink"]

_HEADER_BYTES = REQUEST_HEADER.size
_SHORTEST = _HEADER_BYTES + CRC_BYTES
_LONGEST = _SHORTEST + PAYLOAD_BYTES


class _Page(enum.Enum, shape=2):
    """What the pages of `PAYLOAD_BYTES` of the buffer hold: payloads."""

    REQUEST = 0
    ANSWER = 1  # kept until the next request is executed, in case the host asks again
    IDENTITY = 2  # of which only the last word is ever written


class _Source(enum.Enum, shape=2):
    """Which register is read."""

    ADDRESSED = 0
    TOKEN = 1
    STATUS = 2
    CYCLES = 3


class _State:
    """Registers of a `HostLink`."""

    def __init__(self):
        # The frame that comes in.
        self.header = Signal(RequestHeader)
        self.length = Signal(range(_LONGEST + 2))  # bytes so far, no more than one too many
        self.size = Signal(range(PAYLOAD_BYTES + 1))  # of its payload
        # The session, and the last answer.
        self.opened = Signal()
        self.sequence = Signal(8)
        self.status = Signal(Status)
        self.answer_page = Signal(_Page)
        self.answer_bytes = Signal(range(PAYLOAD_BYTES + 1))
        # The request under way.
        self.position = Signal(16)  # bytes done
        self.word = Signal(32)
        self.loaded = Signal(8)  # what was read from the buffer
        self.left = Signal(2)  # bytes of `word` to store behind the present one
        self.final = Signal()  # `word` is the last of the answer
        self.source = Signal(_Source)


class HostLink(Component):
    """The device's end of the protocol `tepin.io.protocol`.

    One request at a time is received, checked, done and answered; bytes that come meanwhile wait in a FIFO. What cannot
    be trusted has no effect: a frame with a wrong CRC, or out of sequence, is dropped without an answer. A request with the
    sequence number of the one before it is a repetition: it gets the same answer again and is not done again, so that
    the host may repeat what reads a token or writes a word of the program. IDENTIFY is always done, and sets the sequence
    number. Before the first one after a reset every other request is dropped, so that a reset does not go unnoticed.

    Registers are accessed a word per transaction, memory a byte per transaction (`BusAccess`), one at a time and in order.
    There is no limit on the time that a slave takes: one that never responds stops the link.

    Cost: a receive FIFO and a buffer of 1 KiB, one block RAM each; figures are in docs/host-link.md.

    Parameters
    ----------
    config_hash, clock_hz, memory_bytes : int
        What the device says of itself.
    data_width : int
        Bits of the memory port.
    receive_bytes : int
        Depth of the receive FIFO, at least 512. While it is full, `i` is not ready.

    Members
    -------
    i, o : In, Out stream of bytes
        The line.
    registers : Out(AXI4LiteSignature(addr_width=16))
    memory : Out(AXI4Signature(addr_width=32, data_width=data_width, id_width=1))
    irq : In(1)
        The chip's interrupt.
    self_test : In(32)
        Last word of the identity.
    """

    def __init__(self, *, config_hash, clock_hz, memory_bytes, data_width, receive_bytes=2048):
        if not isinstance(receive_bytes, int) or isinstance(receive_bytes, bool):
            raise TypeError(f"Receive buffer of a HostLink must be an integer, not {receive_bytes!r}")
        if receive_bytes < 2 * PAYLOAD_BYTES:
            raise ValueError(
                f"Receive buffer of a HostLink must be at least {2 * PAYLOAD_BYTES} bytes, not {receive_bytes}"
            )
        self._identity = Identity(VERSION, config_hash, clock_hz, memory_bytes, receive_bytes)
        self._identity.encode()  # raises for numbers that are too large
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "registers": Out(AXI4LiteSignature(addr_width=16)),
                "memory": Out(AXI4Signature(addr_width=32, data_width=data_width, id_width=1)),
                "irq": In(1),
                "self_test": In(32),
            }
        )

    @property
    def identity(self):
        """The `Identity` that it answers with."""
        return self._identity

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = StreamFifo(shape=8, depth=self._identity.receive_bytes)
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.transmitter = transmitter = FrameTransmitter()
        m.submodules.access = access = BusAccess(data_width=self.memory.signature.data_width)
        m.submodules.checksum = checksum = SerialCrc()
        contents = [*[0] * (_Page.IDENTITY.value * PAYLOAD_BYTES), *self._identity.encode()]
        m.submodules.buffer = buffer = Memory(shape=8, depth=4 * PAYLOAD_BYTES, init=contents)
        write, read = buffer.write_port(), buffer.read_port()
        connect(m, flipped(self.i), fifo.i)
        connect(m, fifo.o, receiver.i)
        connect(m, transmitter.o, flipped(self.o))
        connect(m, access.registers, flipped(self.registers))
        connect(m, access.memory, flipped(self.memory))

        state = _State()
        m.d.comb += [checksum.i.payload.eq(state.word[:8]), read.en.eq(0)]
        m.d.sync += state.loaded.eq(read.data)  # two cycles behind `read.en`
        with m.FSM():
            self._elaborate_receive(m, state, receiver.o, write)
            self._elaborate_check(m, state, checksum)
            self._elaborate_reads(m, state, receiver.o, access, checksum, write)
            self._elaborate_writes(m, state, access, read)
            self._elaborate_answer(m, state, transmitter.i, read)
        return m

    def _elaborate_receive(self, m, state, frames, write):
        """Header to registers, payload to the buffer, until a good frame has come."""
        index = Signal(9)  # in the payload; the CRC behind 256 bytes of it is not stored
        with m.State("RECEIVE"):
            m.d.comb += [
                frames.ready.eq(1),
                index.eq(state.length - _HEADER_BYTES),
                write.addr.eq(Cat(index[:8], _Page.REQUEST)),
                write.data.eq(frames.payload.data),
            ]
            with m.If(frames.valid & frames.payload.end):
                whole = (state.length >= _SHORTEST) & (state.length <= _LONGEST)
                m.d.sync += [state.length.eq(0), state.size.eq(state.length - _SHORTEST)]
                with m.If(frames.payload.good & whole):
                    m.next = "COMPARE"
            with m.Elif(frames.valid):
                with m.If(state.length <= _LONGEST):
                    m.d.sync += state.length.eq(state.length + 1)
                with m.If(state.length < _HEADER_BYTES):
                    header = state.header.as_value()
                    m.d.sync += header.eq(Cat(header[8:], frames.payload.data))
                with m.Else():
                    m.d.comb += write.en.eq(~index[8])

    def _elaborate_check(self, m, state, checksum):
        """New, repeated, or neither? And if new, does it make sense?"""
        header, count, code = state.header, state.header.count, state.header.code
        writes, sized, repeated, following = Signal(), Signal(), Signal(), Signal()
        sound = Signal()
        words, offset = Signal(), Signal()
        m.d.comb += [
            writes.eq((code == Request.WRITE_REGISTERS) | (code == Request.WRITE_MEMORY)),
            words.eq(count[:2] == 0),
            offset.eq((header.address[:2] == 0) & (header.address[16:] == 0)),
        ]
        with m.State("COMPARE"):
            m.d.sync += [
                sized.eq(state.size == Mux(writes, count, 0)),
                repeated.eq(state.opened & (header.sequence == state.sequence)),
                following.eq(state.opened & (header.sequence == (state.sequence + 1)[:8])),
                sound.eq(0),
            ]
            with m.Switch(code):
                with m.Case(Request.READ_REGISTERS, Request.WRITE_REGISTERS):
                    m.d.sync += sound.eq((count != 0) & (count <= PAYLOAD_BYTES) & words & offset)
                with m.Case(Request.READ_MEMORY, Request.WRITE_MEMORY):
                    m.d.sync += sound.eq((count != 0) & (count <= PAYLOAD_BYTES))
                with m.Case(Request.CHECKSUM):
                    m.d.sync += sound.eq(count != 0)
                with m.Case(Request.TAKE_TOKENS):
                    m.d.sync += sound.eq((count <= TOKEN_BYTES) & words)
            m.next = "CHECK"
        with m.State("CHECK"):
            m.d.comb += checksum.start.eq(1)
            m.d.sync += [state.position.eq(0), state.final.eq(0), state.source.eq(_Source.ADDRESSED)]
            m.next = "RECEIVE"
            with m.If(code == Request.IDENTIFY):
                m.d.sync += [
                    state.opened.eq(1),
                    state.sequence.eq(header.sequence),
                    state.status.eq(Status.OKAY),
                    state.answer_page.eq(_Page.IDENTITY),
                    state.answer_bytes.eq(len(self._identity.encode()) - 4),
                    # The last word is what it is now.
                    state.word.eq(self.self_test),
                    state.left.eq(3),
                    state.final.eq(1),
                ]
                m.next = "STORE"
            with m.Elif(repeated):
                m.next = "ANSWER"
            with m.Elif(following):
                m.d.sync += [
                    state.sequence.eq(header.sequence),
                    state.status.eq(Status.MALFORMED),
                    state.answer_page.eq(_Page.ANSWER),
                    state.answer_bytes.eq(0),
                ]
                m.next = "ANSWER"
                with m.If(sound & sized):
                    m.d.sync += state.status.eq(Status.OKAY)
                    m.next = "READ"
                    with m.If(writes):
                        m.next = "FETCH"
                    with m.Elif(code == Request.TAKE_TOKENS):
                        m.next = "WAIT"

    def _elaborate_reads(self, m, state, frames, access, checksum, write):
        """From the buses to the answer, or to the checksum."""
        code, count, address = state.header.code, state.header.count, state.header.address
        tokens = Signal()
        from_registers = Signal()
        m.d.comb += [
            tokens.eq(code == Request.TAKE_TOKENS),
            from_registers.eq(tokens | (code == Request.READ_REGISTERS)),
        ]
        taken = access.o.payload
        with m.State("WAIT"):
            m.d.sync += [
                address.eq(address - 1),
                state.source.eq(Mux(count == 0, _Source.STATUS, _Source.TOKEN)),
            ]
            # A host that says something has stopped waiting.
            with m.If((address == 0) | self.irq | frames.valid):
                m.next = "READ"
        with m.State("READ"):
            m.d.comb += [
                access.i.valid.eq(1),
                access.i.payload.register.eq(from_registers),
                access.i.payload.address.eq(address),
            ]
            with m.Switch(state.source):
                for source, name in _FIXED_SOURCES.items():
                    with m.Case(source):
                        m.d.comb += access.i.payload.address.eq(register(name).offset)
            with m.If(access.i.ready):
                m.next = "TAKE"
        with m.State("TAKE"):
            m.d.comb += access.o.ready.eq(1)
            m.d.sync += [
                state.word.eq(taken.data),
                state.left.eq(Mux(from_registers, 3, 0)),
                state.final.eq(state.source == _Source.CYCLES),
            ]
            with m.If(state.source == _Source.STATUS):
                m.d.sync += state.word[-1].eq(self.irq)
            with m.If(access.o.valid):
                with m.If(_failed(taken.response)):
                    m.d.sync += state.status.eq(Cat(taken.response))
                    m.next = "ANSWER"
                with m.Elif((state.source == _Source.TOKEN) & ~taken.data[-1]):
                    m.d.sync += state.source.eq(_Source.STATUS)
                    m.next = "READ"
                with m.Elif(code == Request.CHECKSUM):
                    m.next = "SUM"
                with m.Else():
                    m.next = "STORE"
        with m.State("SUM"):
            m.d.comb += checksum.i.valid.eq(1)
            with m.If(checksum.i.ready):
                m.d.sync += [address.eq(address + 1), state.position.eq(state.position + 1)]
                m.next = "NEXT"
        with m.State("STORE"):
            m.d.comb += [
                write.en.eq(1),
                write.addr.eq(Cat(state.answer_bytes[:8], state.answer_page)),
                write.data.eq(state.word[:8]),
            ]
            m.d.sync += [
                state.word.eq(state.word >> 8),
                state.left.eq(state.left - 1),
                state.answer_bytes.eq(state.answer_bytes + 1),
                state.position.eq(state.position + 1),
                address.eq(address + 1),
            ]
            with m.If(state.left == 0):
                m.next = "NEXT"
        with m.State("NEXT"):
            m.next = "READ"
            with m.If(tokens & (state.source == _Source.STATUS)):
                m.d.sync += state.source.eq(_Source.CYCLES)
            with m.Elif(state.final):
                m.next = "ANSWER"
            with m.Elif(state.position == count):
                with m.If(tokens):
                    m.d.sync += state.source.eq(_Source.STATUS)
                with m.Elif(code == Request.CHECKSUM):
                    m.d.sync += [state.word.eq(checksum.crc), state.left.eq(3)]
                    m.next = "NEXT"
                    with m.If(checksum.i.ready):
                        m.d.sync += state.final.eq(1)
                        m.next = "STORE"
                with m.Else():
                    m.next = "ANSWER"

    def _elaborate_writes(self, m, state, access, read):
        """From the request's payload to the buses."""
        address = state.header.address
        to_registers = Signal()
        m.d.comb += to_registers.eq(state.header.code == Request.WRITE_REGISTERS)
        with m.State("FETCH"):
            m.d.comb += [read.en.eq(1), read.addr.eq(Cat(state.position[:8], _Page.REQUEST))]
            m.next = "FETCHING"
        with m.State("FETCHING"):
            m.next = "FETCHED"
        with m.State("FETCHED"):
            m.d.sync += [
                state.word.eq(Cat(state.word[8:], state.loaded)),
                state.position.eq(state.position + 1),
            ]
            m.next = "FETCH"
            with m.If(~to_registers | state.position[:2].all()):
                m.next = "WRITE"
        with m.State("WRITE"):
            m.d.comb += [
                access.i.valid.eq(1),
                access.i.payload.write.eq(1),
                access.i.payload.register.eq(to_registers),
                access.i.payload.address.eq(address),
                access.i.payload.data.eq(Mux(to_registers, state.word, state.word[24:])),
            ]
            with m.If(access.i.ready):
                m.next = "WRITTEN"
        with m.State("WRITTEN"):
            m.d.comb += access.o.ready.eq(1)
            with m.If(access.o.valid):
                m.next = "FETCH"
                m.d.sync += address.eq(address + ~to_registers)
                with m.If(_failed(access.o.payload.response)):
                    m.d.sync += state.status.eq(Cat(access.o.payload.response))
                    m.next = "ANSWER"
                with m.Elif(state.position == state.header.count):
                    m.next = "ANSWER"

    def _elaborate_answer(self, m, state, body, read):
        """Sequence number, status, and the payload, which stays in the buffer."""
        empty = state.answer_bytes == 0
        with m.State("ANSWER"):
            m.d.comb += [body.valid.eq(1), body.payload.data.eq(state.sequence)]
            m.d.sync += state.position.eq(0)
            with m.If(body.ready):
                m.next = "STATUS"
        with m.State("STATUS"):
            m.d.comb += [
                body.valid.eq(1),
                body.payload.data.eq(state.status),
                body.payload.last.eq(empty),
            ]
            with m.If(body.ready):
                m.next = "LOAD"
                with m.If(empty):
                    m.next = "RECEIVE"
        with m.State("LOAD"):
            m.d.comb += [read.en.eq(1), read.addr.eq(Cat(state.position[:8], state.answer_page))]
            m.d.sync += state.position.eq(state.position + 1)
            m.next = "LOADED"
        with m.State("LOADED"):
            m.d.sync += state.final.eq(state.position == state.answer_bytes)
            m.next = "SEND"
        with m.State("SEND"):
            m.d.comb += [
                body.valid.eq(1),
                body.payload.data.eq(state.loaded),
                body.payload.last.eq(state.final),
            ]
            with m.If(body.ready):
                m.next = "LOAD"
                with m.If(state.final):
                    m.next = "RECEIVE"


_FIXED_SOURCES = {_Source.TOKEN: "TOKEN", _Source.STATUS: "STATUS", _Source.CYCLES: "CYCLES_LO"}


def _failed(response):
    """Whether a `tepin.dma.axi.Response` tells failure."""
    return response.as_value()[1]
