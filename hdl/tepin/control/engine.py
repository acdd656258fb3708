# SPDX-License-Identifier: Apache-2.0
"""The interface between the sequencer and an engine, and the front end that every engine shares.

An engine has one port of `EngineSignature`. Its `CommandReader` assembles the words of a command, waits for the command's
semaphore and hands the command over; it reads the next command while the engine works on the present one.
"""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..isa import COMMANDS, EngineOp, ErrorCode, QueueHeader, always

__all__ = ["CommandReader", "EngineError", "EngineSignature", "command_layout"]


class EngineError(data.Struct):
    """Why and where a command failed. `info` is the offending address or value."""

    code: ErrorCode
    pc: 15
    info: 32


class EngineSignature(wiring.Signature):
    """An engine's side of the sequencer.

    Members
    -------
    commands : In stream of 32-bit words
        `QueueHeader`, then resolved field words.
    wait : Out stream of 4-bit semaphore numbers
        Transfers when the semaphore was above zero; it has then been decremented.
    signal : Out, `signal_valid` and `signal` number
        Increments a semaphore; never held up. 0 is no semaphore and has no effect.
    busy : Out
        High while a command is being assembled or executed.
    resting : Out
        High if nothing in the engine changes at the next clock edge, so that it needs none: no command is under way, and
        none can begin. Falls in the cycle in which there is a command word, or a semaphore is granted.
    error, error_valid : Out
        `error_valid` is high for at least one cycle when a command fails. The sequencer then stops the program and resets
        every engine.
    """

    def __init__(self):
        super().__init__(
            {
                "commands": In(stream.Signature(32)),
                "wait": Out(stream.Signature(4)),
                "signal_valid": Out(1),
                "signal": Out(4),
                "busy": Out(1),
                "resting": Out(1),
                "error_valid": Out(1),
                "error": Out(EngineError),
            }
        )


def command_layout(engine):
    """Payload of `CommandReader.o`: pc, signal, flags and all fields of the engine's RUN command (absent fields are zero)."""
    command = COMMANDS[engine]
    return data.StructLayout(
        {
            "pc": 15,
            "signal": 4,
            "flags": command.flags,
            **{field.name: 32 for field in command.fields},
        }
    )


class CommandReader(wiring.Component):
    """Turns an engine's queue into a stream of whole commands that may start.

    Takes one word per cycle; offers a command two cycles after its last word if it need not wait, and reads the next one
    as soon as the engine has taken the present one. A NOP is offered like any other command, with `nop` high, so that
    the engine signals it in order.

    Parameters
    ----------
    engine : Engine
        Whose commands these are.

    Members
    -------
    words : In stream of 32-bit words
    wait : Out stream of semaphore numbers
    o : Out stream of commands, `command_layout(engine)`
    nop : Out, valid with `o`: the command does nothing but signal
    busy : Out, high from the first word of a command until it is handed over
    waiting : Out, for a first word or for a semaphore that has not come: nothing changes at the next clock edge
    error_valid, error_pc : Out
        High for good when a command's length contradicts its flags (the stream of words is lost from there on).
    """

    def __init__(self, engine):
        self._command = COMMANDS[engine]
        super().__init__(
            {
                "words": In(stream.Signature(32)),
                "wait": Out(stream.Signature(4)),
                "o": Out(stream.Signature(command_layout(engine))),
                "nop": Out(1),
                "busy": Out(1),
                "waiting": Out(1),
                "error_valid": Out(1),
                "error_pc": Out(15),
            }
        )

    def elaborate(self, platform):
        m = Module()
        header = Signal(QueueHeader)
        flags = Signal(self._command.flags)
        names = [field.name for field in self._command.fields]
        # Without a reset, since every header clears them.
        slots = {name: Signal(32, name=f"slot_{name}", reset_less=True) for name in names}

        # Fields still to come, one bit each: the one that the next word goes to, and all after it.
        lowest, pending = Signal(len(names)), Signal(len(names))
        expected, unchecked = Signal(range(len(names) + 2)), Signal()
        proceed = [lowest.eq(pending & -pending), pending.eq(pending & (pending - 1))]

        m.d.comb += [
            self.wait.payload.eq(header.wait),
            self.nop.eq(header.op == EngineOp.NOP),
            self.error_pc.eq(header.pc),
            self.o.payload.pc.eq(header.pc),
            self.o.payload.signal.eq(header.signal),
            self.o.payload.flags.eq(flags),
        ]
        m.d.comb += [self.o.payload[name].eq(slot) for name, slot in slots.items()]

        with m.FSM() as fsm:
            with m.State("HEADER"):
                incoming = QueueHeader(self.words.payload)
                m.d.comb += self.words.ready.eq(1)
                with m.If(self.words.valid):
                    m.d.sync += [header.eq(incoming), flags.eq(0)]
                    m.d.sync += [slot.eq(0) for slot in slots.values()]
                    with m.If((incoming.op == EngineOp.RUN) & (incoming.length != 0)):
                        m.next = "FLAGS"
                    with m.Elif((incoming.op == EngineOp.NOP) & (incoming.length == 0)):
                        m.next = "WAIT"
                    with m.Else():
                        m.next = "ERROR"
            with m.State("FLAGS"):
                m.d.comb += self.words.ready.eq(1)
                with m.If(self.words.valid):
                    incoming_flags = self._command.flags(self.words.payload[:28])
                    m.d.sync += flags.eq(incoming_flags)
                    m.d.sync += pending.eq(
                        Cat(field.present(incoming_flags) for field in self._command.fields)
                    )
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += expected.eq(1 + sum(pending[index] for index in range(len(names))))
                m.d.sync += [unchecked.eq(1), *proceed]
                m.next = "FIELDS"
                if all(field.present is not always for field in self._command.fields):
                    with m.If(pending == 0):
                        m.next = "WAIT"
                        with m.If(header.length != 1):
                            m.next = "ERROR"
            with m.State("FIELDS"):
                m.d.comb += self.words.ready.eq(1)
                m.d.sync += unchecked.eq(0)
                with m.If(unchecked & (header.length != expected)):
                    m.next = "ERROR"
                with m.Elif(self.words.valid):
                    for index, slot in enumerate(slots.values()):
                        with m.If(lowest[index]):
                            m.d.sync += slot.eq(self.words.payload)
                    m.d.sync += proceed
                    with m.If(pending == 0):
                        m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += self.wait.valid.eq(header.wait != 0)
                with m.If((header.wait == 0) | self.wait.ready):
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "HEADER"
            with m.State("ERROR"):
                m.d.comb += self.error_valid.eq(1)
        m.d.comb += self.waiting.eq(
            (fsm.ongoing("HEADER") & ~self.words.valid)
            | (fsm.ongoing("WAIT") & self.wait.valid & ~self.wait.ready)
        )
        m.d.comb += self.busy.eq(~fsm.ongoing("HEADER") | self.words.valid)
        return m
