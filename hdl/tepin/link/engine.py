# SPDX-License-Identifier: Apache-2.0
"""The link engine: exchanges parts of the scratchpad with other chips.

control -- CommandReader -- check --+--> Sender ---- o[0], o[1], ...
                                    |      |    read
                                    |      | progress
                                    +--> Receiver -- i[0], i[1], ...
                                    |           write
                                    +--> completion, in order

The ports are streams of 64-bit words. Whatever is between them and another chip's ports must lose nothing and keep
the order; it may hold any number of words, or none.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.control.engine import CommandReader, EngineSignature
from tepin.isa import Engine, ErrorCode
from tepin.link.engine_receive import Receiver
from tepin.link.engine_send import COUNT_BITS, WORD_BITS, Sender, SendJob
from tepin.memory.ports import ReadPort, WritePort
from tepin.stream import StreamFifo

__all__ = ["LinkEngine"]

_LENGTH_BITS = COUNT_BITS + 2


class LinkEngine(wiring.Component):
    """Executes exchanges (`tepin.isa.LinkFlags`).

    Sends and receives go on independently of each other, each in the order of the commands, up to three commands
    apart; a command ends when its own are done and all commands before it have ended. So chips that send to each
    other at the same time never wait in a circle, however little the links hold. One word per cycle and direction; a
    message takes some 20 cycles more than it has words, and a word that is sent on leaves 8 cycles after it has come.

    Errors: PARAMETER for a port that does not exist (info: the flags) or a length that is no multiple of 4 or 2**24
    or more (the length), SCRATCHPAD for an address that is no multiple of 4 or a message that ends outside of the
    scratchpad (the address), LINK if `timeout` comes while a command waits (the port, plus 256 if it waits to send).

    After a reset what the links hold belongs to nobody: the host has to reset them, too, before the next program.

    Parameters
    ----------
    links : int
        Ports, 1 to 15.
    line_bytes : int
        Bytes of a scratchpad line, at least 8.
    scratchpad_bytes : int
        Size of the scratchpad.

    Members
    -------
    control : Out(EngineSignature())
    read : Out(ReadPort)
    write : Out(WritePort)
    i, o : arrays of In and Out streams of 64-bit words
    timeout : In(1)
        The watchdog has lost patience.
    """

    def __init__(self, *, links, line_bytes, scratchpad_bytes):
        if not 1 <= links <= 15:
            raise ValueError(f"links must be 1 to 15, not {links!r}")
        if 8 * line_bytes < WORD_BITS:
            raise ValueError(f"line_bytes must be at least {WORD_BITS // 8}, not {line_bytes!r}")
        self._links = links
        self._line_bytes = line_bytes
        self._scratchpad_bytes = scratchpad_bytes
        words = stream.Signature(WORD_BITS)
        super().__init__(
            {
                "control": Out(EngineSignature()),
                "read": Out(ReadPort(line_bytes=line_bytes)),
                "write": Out(WritePort(line_bytes=line_bytes)),
                "i": In(words).array(links),
                "o": Out(words).array(links),
                "timeout": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = CommandReader(Engine.LINK)
        m.submodules.sender = sender = Sender(links=self._links, line_bytes=self._line_bytes)
        m.submodules.receiver = receiver = Receiver(links=self._links, line_bytes=self._line_bytes)
        m.submodules.send_jobs = send_jobs = StreamFifo(shape=SendJob, depth=2)
        m.submodules.receive_jobs = receive_jobs = StreamFifo(shape=receiver.jobs.payload.shape(), depth=2)
        half_done = data.StructLayout(
            {"pc": 15, "signal": 4, "sends": 1, "receives": 1, "send_port": 4, "receive_port": 4}
        )
        m.submodules.commands = commands = StreamFifo(shape=half_done, depth=4)
        connect(m, flipped(self.control.commands), reader.words)
        connect(m, reader.wait, flipped(self.control.wait))
        connect(m, send_jobs.o, sender.jobs)
        connect(m, receive_jobs.o, receiver.jobs)
        connect(m, sender.read, flipped(self.read))
        connect(m, receiver.write, flipped(self.write))
        for index in range(self._links):
            connect(m, sender.o[index], flipped(self.o[index]))
            connect(m, flipped(self.i[index]), receiver.i[index])
        m.d.comb += sender.progress.eq(receiver.progress)

        command = reader.o.payload
        flags = command.flags
        checked, dispatch = Signal(), Signal()
        code, info = Signal(ErrorCode), Signal(32)
        sends, receives = Signal(), Signal()
        with m.If(dispatch):
            m.d.sync += checked.eq(0)
        with m.Elif(reader.o.valid):
            m.d.sync += checked.eq(1)
        m.d.sync += [
            sends.eq(flags.sends & (command.source_length != 0)),
            receives.eq(flags.receives & (command.target_length != 0)),
        ]
        m.d.sync += code.eq(ErrorCode.NONE)
        # Fields that are absent are zero, and zero is never wrong.
        failures = [
            (flags.sends & (flags.send_port >= self._links), ErrorCode.PARAMETER, flags.as_value()),
            (flags.receives & (flags.receive_port >= self._links), ErrorCode.PARAMETER, flags.as_value()),
            *(
                (length[:2].any() | length[_LENGTH_BITS:].any(), ErrorCode.PARAMETER, length)
                for length in (command.source_length, command.target_length)
            ),
            *(
                (self._outside(address, length), ErrorCode.SCRATCHPAD, address)
                for address, length in (
                    (command.source, command.source_length),
                    (command.target, command.target_length),
                )
            ),
        ]
        for index, (condition, error, value) in enumerate(failures):
            with m.If(condition & ~reader.nop) if index == 0 else m.Elif(condition & ~reader.nop):
                m.d.sync += [code.eq(error), info.eq(value)]

        number = Signal(3)
        m.d.comb += [
            dispatch.eq(
                checked
                & (code == ErrorCode.NONE)
                & send_jobs.i.ready
                & receive_jobs.i.ready
                & commands.i.ready
            ),
            reader.o.ready.eq(dispatch),
            send_jobs.i.valid.eq(dispatch & sends),
            send_jobs.i.payload.number.eq(number),
            send_jobs.i.payload.follows.eq(flags.follows),
            send_jobs.i.payload.port.eq(flags.send_port),
            send_jobs.i.payload.address.eq(command.source),
            send_jobs.i.payload.count.eq(command.source_length >> 2),
            receive_jobs.i.valid.eq(dispatch),
            receive_jobs.i.payload.port.eq(flags.receive_port),
            receive_jobs.i.payload.address.eq(command.target),
            receive_jobs.i.payload.count.eq(command.target_length >> 2),
            commands.i.valid.eq(dispatch),
            commands.i.payload.pc.eq(command.pc),
            commands.i.payload.signal.eq(command.signal),
            commands.i.payload.sends.eq(sends),
            commands.i.payload.receives.eq(receives),
            commands.i.payload.send_port.eq(flags.send_port),
            commands.i.payload.receive_port.eq(flags.receive_port),
        ]
        m.d.sync += number.eq(number + dispatch)

        # Messages that have been sent and received, whose commands have not ended.
        sent, received = Signal(3), Signal(3)
        oldest, retire = commands.o.payload, Signal()
        m.d.comb += [
            retire.eq(
                commands.o.valid & (~oldest.sends | (sent != 0)) & (~oldest.receives | (received != 0))
            ),
            commands.o.ready.eq(retire),
            self.control.signal_valid.eq(retire),
            self.control.signal.eq(oldest.signal),
            self.control.busy.eq(reader.busy | (commands.level != 0)),
        ]
        m.d.sync += [
            sent.eq(sent + sender.done - (retire & oldest.sends)),
            received.eq(received + receiver.done - (retire & oldest.receives)),
        ]

        lost = self.timeout & commands.o.valid
        failed = checked & (code != ErrorCode.NONE)
        m.d.comb += self.control.error_valid.eq(reader.error_valid | failed | lost)
        with m.If(reader.error_valid):
            m.d.comb += [
                self.control.error.code.eq(ErrorCode.ILLEGAL_INSTRUCTION),
                self.control.error.pc.eq(reader.error_pc),
            ]
        with m.Elif(failed):
            m.d.comb += [
                self.control.error.code.eq(code),
                self.control.error.pc.eq(command.pc),
                self.control.error.info.eq(info),
            ]
        with m.Else():
            awaits = oldest.receives & (received == 0)
            m.d.comb += [
                self.control.error.code.eq(ErrorCode.LINK),
                self.control.error.pc.eq(oldest.pc),
                self.control.error.info.eq(Mux(awaits, oldest.receive_port, 256 + oldest.send_port)),
            ]
        return m

    def _outside(self, address, length):
        """Whether a message does not lie in the scratchpad; if it has no bytes, it may be anywhere."""
        end = address[: _LENGTH_BITS + 1] + length[:_LENGTH_BITS]
        far = address[_LENGTH_BITS + 1 :].any() | (end > self._scratchpad_bytes)
        return (length != 0) & (address[:2].any() | far)
