# SPDX-License-Identifier: Apache-2.0
"""The sequencer: executes scalar instructions, resolves the fields of engine commands and hands them to the queues."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from tepin.control.alu import Alu, AluSelect, Comparison, Multiplier
from tepin.control.engine import EngineError
from tepin.control.fetch import ProgramWord
from tepin.control.queue import QueueWord
from tepin.isa import (
    REGISTER_COUNT,
    SLOT_COUNT,
    EngineOp,
    ErrorCode,
    FieldWord,
    Header,
    QueueHeader,
    ScalarOp,
    ScalarWord,
)
from tepin.memory.ports import ReadPort, WritePort

__all__ = ["Sequencer"]

_WITH_RESULT = (
    *(ScalarOp.ADD, ScalarOp.SUB, ScalarOp.SHL, ScalarOp.SHR, ScalarOp.MIN, ScalarOp.MAX),
    *(ScalarOp.AND, ScalarOp.OR, ScalarOp.XOR, ScalarOp.DBNZ),
)
_BRANCHES = (ScalarOp.BEQ, ScalarOp.BNE, ScalarOp.BLT, ScalarOp.BGE, ScalarOp.JUMP)


class Sequencer(Component):
    """Executes a program: in order, one instruction at a time.

    Cycles per instruction, when nothing has to wait: engine commands one per word; shifts 4, MUL 7, jumps and branches
    3 if not taken and 5 if taken, LOAD 9, STORE 4, CLEAR 21 and one per row of the memories, all others 3; and 1 more for
    the immediate. The first instruction
    begins 17 cycles after `start`, since the registers are set to zero before. Words of commands, and errors, leave a
    cycle late, out of a register.

    Errors (all but those of FAIL, LOAD and STORE are `ILLEGAL_INSTRUCTION`; `pc` is that of the instruction):

    ============================================================  ==========================
    cause                                                         info
    ============================================================  ==========================
    no such operation or engine, reserved bits set, a length of   the instruction's word
    0 or above 16 with RUN, another one than 0 with NOP
    a jump to an address outside of the program memory            that address
    the program runs past the end of the program memory           address of the missing word
    SCRATCHPAD: LOAD or STORE out of range or misaligned          the scratchpad address
    SOFTWARE: FAIL                                                rs + b
    ============================================================  ==========================

    After an error, or the END of the program, the sequencer does nothing until it is reset.

    Parameters
    ----------
    program_words : int
        Size of the program memory.
    engines : int
        Engines 1 to `engines` exist.
    line_bytes : int
        Bytes of a scratchpad line.

    Members
    -------
    start, start_pc : In(1), In(15)
        Begin with this word.
    redirect_valid, redirect : Out(1), Out(15)
    words : In stream of ProgramWord
    o : Out stream of QueueWord; `engine` counts from 0
    wait : Out stream of semaphore numbers
    signal_valid, signal : Out(1), Out(4)
    tokens : Out stream of 32-bit words
    read, write : Out(ReadPort), Out(WritePort)
    quiet : In(1)
        Nothing is queued and no engine was busy, one cycle ago or less.
    flush, flush_done : Out(1), In(1)
        Held high from a FLUSH until it is done.
    renew : Out(1)
        High for 16 cycles in a CLEAR, when nothing is under way: engines and semaphores are reset.
    clear, cleared : Out(1), In(1)
        Held high after that, until the memories are zero.
    done : Out(1)
        The program has ended. Stays high.
    error_valid, error : Out(1), Out(EngineError)
    pc : Out(15)
        Of the present instruction.
    stalled : Out(1)
        Waiting for a queue, a semaphore, the token FIFO, the engines or a flush.
    """

    def __init__(self, *, program_words, engines, line_bytes):
        self._program_words = program_words
        self._engines = engines
        super().__init__(
            {
                "start": In(1),
                "start_pc": In(15),
                "redirect_valid": Out(1),
                "redirect": Out(15),
                "words": In(stream.Signature(ProgramWord)),
                "o": Out(stream.Signature(QueueWord)),
                "wait": Out(stream.Signature(4)),
                "signal_valid": Out(1),
                "signal": Out(4),
                "tokens": Out(stream.Signature(32)),
                "read": Out(ReadPort(line_bytes=line_bytes)),
                "write": Out(WritePort(line_bytes=line_bytes)),
                "quiet": In(1),
                "flush": Out(1),
                "flush_done": In(1),
                "renew": Out(1),
                "clear": Out(1),
                "cleared": In(1),
                "done": Out(1),
                "error_valid": Out(1),
                "error": Out(EngineError),
                "pc": Out(15),
                "stalled": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.alu = alu = Alu()
        m.submodules.multiplier = multiplier = Multiplier()
        m.submodules.registers = registers = Memory(shape=32, depth=REGISTER_COUNT, init=[])
        read_d = registers.read_port(domain="comb")
        read_s = registers.read_port(domain="comb")
        read_t = registers.read_port(domain="comb")
        write_d = registers.write_port()

        word = self.words.payload.word
        fetched = ScalarWord(word)
        header = Header(word)
        instruction_word = Signal(32)
        instruction = ScalarWord(instruction_word)
        select = Signal(AluSelect)
        rd, rs, b = Signal(32), Signal(32), Signal(32)
        # What the ALU gave in the last cycle, and whether that is a result; whether to jump.
        result, comparison, writes_back = Signal(32), Signal(Comparison), Signal()
        taken = Signal()
        loading, storing = Signal(), Signal()  # an access waits for the scratchpad
        remaining = Signal(range(SLOT_COUNT + 1))
        engine = Signal(4)  # of the command that is being issued, counted from 0
        in_fields = Signal()
        failing, failure = Signal(), Signal(EngineError)
        m.d.sync += [self.error_valid.eq(failing), self.error.eq(failure)]

        # What is told besides the code depends on the state alone, so that it does not wait for what has gone wrong.
        m.d.comb += failure.pc.eq(self.pc)

        def fail(code):
            m.d.comb += [failing.eq(1), failure.code.eq(code)]
            m.next = "STOPPED"

        # Registers: three are read while an instruction is fetched, one for a field.
        m.d.comb += [
            read_d.addr.eq(fetched.rd),
            read_s.addr.eq(Mux(in_fields, FieldWord(word).register, fetched.rs)),
            read_t.addr.eq(fetched.rt),
            write_d.addr.eq(instruction.rd),
            write_d.data.eq(result),
        ]
        # Register 0 reads zero after its decrement, too.
        register_zero = (instruction.op == ScalarOp.DBNZ) & (instruction.rd == 0)
        m.d.sync += [
            result.eq(alu.o),
            writes_back.eq(instruction.op.as_value().matches(*(op.value for op in _WITH_RESULT))),
            comparison.eq(alu.comparison),
        ]
        m.d.comb += taken.eq(comparison.taken(select) & ~register_zero)
        result_valid = Signal()
        clear = Signal()
        m.d.comb += write_d.en.eq((result_valid & (instruction.rd != 0)) | clear)

        # Header and fields, as they go to the queue: first the summands, from program word and register, then the sum.
        command = Signal(QueueHeader)
        offered, issue, free = Signal(), Signal(), Signal()
        immediate, base, destination = Signal(32), Signal(32), Signal(4)
        m.d.comb += [
            free.eq(~offered | self.o.ready),
            self.o.valid.eq(offered),
            self.o.payload.word.eq(immediate + base),
            self.o.payload.engine.eq(destination),
        ]
        with m.If(free):
            m.d.sync += [
                offered.eq(issue),
                immediate.eq(Mux(in_fields, FieldWord(word).immediate.as_signed(), command.as_value())),
                base.eq(Mux(in_fields, read_s.data, 0)),
                destination.eq(Mux(in_fields, engine, header.engine.as_value() - 1)),
            ]
        m.d.comb += [
            command.op.eq(header.op),
            command.wait.eq(header.wait),
            command.signal.eq(header.signal),
            command.length.eq(header.length),
            command.pc.eq(self.words.payload.pc),
        ]
        right_length = Mux(
            header.op == EngineOp.RUN,
            (header.length != 0) & (header.length <= SLOT_COUNT),
            (header.op == EngineOp.NOP) & (header.length == 0),
        )
        is_scalar, is_command, is_outside = Signal(), Signal(), Signal()
        m.d.comb += [
            is_outside.eq(self.words.payload.outside),
            is_scalar.eq(~is_outside & (header.engine.as_value() == 0)),
            is_command.eq(
                ~is_outside
                & ~is_scalar
                & (header.engine.as_value() <= self._engines)
                & right_length
                & (header.reserved == 0)
            ),
        ]

        m.d.comb += [
            alu.select.eq(select),
            alu.rd.eq(rd),
            alu.rs.eq(rs),
            alu.b.eq(b),
            multiplier.a.eq(rs),
            multiplier.b.eq(b),
            self.wait.payload.eq(instruction.rd),
            self.signal.eq(instruction.rd),
            self.tokens.payload.eq(rs),
            self.read.request.payload.eq(result),
            self.read.request.valid.eq(loading),
            self.write.request.valid.eq(storing),
            self.write.request.payload.address.eq(result),
            self.write.request.payload.data.eq(rd),
            self.write.request.payload.mask.eq(0b1111),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.redirect.eq(self.start_pc), self.redirect_valid.eq(self.start)]
                with m.If(self.start):
                    m.d.sync += instruction_word.eq(0)
                    m.next = "CLEAR"

            with m.State("CLEAR"):
                m.d.comb += [clear.eq(1), write_d.data.eq(0)]
                m.d.sync += instruction.rd.eq(instruction.rd + 1)
                with m.If(instruction.rd == REGISTER_COUNT - 1):
                    m.d.sync += [self.renew.eq(0), self.clear.eq(self.renew)]
                    m.next = "HEADER"
                    with m.If(self.renew):
                        m.next = "ERASE"

            with m.State("HEADER"):
                # Whether the word is a command or not decides too late whether to wait for the queue.
                m.d.comb += [
                    self.words.ready.eq(free),
                    issue.eq(self.words.valid & is_command),
                    failure.pc.eq(self.words.payload.pc),
                    failure.info.eq(Mux(is_outside, self.words.payload.pc, word)),
                    self.stalled.eq(~free),
                ]
                with m.If(self.words.valid & free):
                    m.d.sync += [
                        self.pc.eq(self.words.payload.pc),
                        instruction_word.eq(word),
                        select.eq(AluSelect.decode(fetched.op)),
                        rd.eq(read_d.data),
                        rs.eq(read_s.data),
                        b.eq(read_t.data),
                        engine.eq(header.engine.as_value() - 1),
                        remaining.eq(header.length),
                    ]
                    with m.If(is_outside):
                        fail(ErrorCode.ILLEGAL_INSTRUCTION)
                    with m.Elif(is_scalar):
                        m.next = "EXECUTE"
                        with m.If(fetched.immediate):
                            m.next = "IMMEDIATE"
                        with m.If((fetched.reserved != 0) | fetched.reserved_low):
                            fail(ErrorCode.ILLEGAL_INSTRUCTION)
                    with m.Elif(is_command & (header.length != 0)):
                        m.next = "FIELDS"
                    with m.Elif(~is_command):
                        fail(ErrorCode.ILLEGAL_INSTRUCTION)

            with m.State("FIELDS"):
                m.d.comb += [
                    in_fields.eq(1),
                    failure.info.eq(self.words.payload.pc),
                    self.words.ready.eq(free),
                    self.stalled.eq(~free),
                ]
                with m.If(self.words.valid & is_outside):
                    fail(ErrorCode.ILLEGAL_INSTRUCTION)
                with m.Elif(self.words.valid):
                    m.d.comb += issue.eq(1)
                    with m.If(free):
                        m.d.sync += remaining.eq(remaining - 1)
                        with m.If(remaining == 1):
                            m.next = "HEADER"

            with m.State("IMMEDIATE"):
                m.d.comb += [self.words.ready.eq(1), failure.info.eq(self.words.payload.pc)]
                m.d.sync += b.eq(word)
                with m.If(self.words.valid):
                    m.next = "EXECUTE"
                    with m.If(is_outside):
                        fail(ErrorCode.ILLEGAL_INSTRUCTION)

            with m.State("EXECUTE"):
                m.next = "COMMIT"
                aligned = (rs[:2] + b[:2])[:2] == 0
                with m.Switch(instruction.op):
                    with m.Case(ScalarOp.MUL):
                        m.d.comb += multiplier.start.eq(1)
                        m.next = "MULTIPLY"
                    with m.Case(ScalarOp.SHL, ScalarOp.SHR):
                        m.d.sync += rs.eq(alu.shifted)
                        m.next = "SHIFT"
                    with m.Case(ScalarOp.LOAD):
                        m.d.sync += loading.eq(aligned)
                        m.next = "ACCESS"
                    with m.Case(ScalarOp.STORE):
                        m.d.sync += storing.eq(aligned)
                        m.next = "ACCESS"

            with m.State("SHIFT"):
                m.next = "COMMIT"

            with m.State("COMMIT"):
                m.next = "HEADER"
                stopped = instruction.op == ScalarOp.FAIL
                m.d.comb += failure.info.eq(Mux(taken, b, Mux(stopped, result, instruction_word)))
                self._elaborate_commit(m, instruction, result, writes_back, taken, b, result_valid, fail)
                with m.If((instruction.op == ScalarOp.CLEAR) & self.quiet):
                    m.d.sync += [self.renew.eq(1), instruction_word.eq(0)]
                    m.next = "CLEAR"

            with m.State("MULTIPLY"):
                m.d.comb += [write_d.data.eq(multiplier.o), result_valid.eq(multiplier.done)]
                with m.If(multiplier.done):
                    m.next = "HEADER"

            with m.State("ACCESS"):
                m.d.comb += failure.info.eq(result)
                with m.If(~loading & ~storing):
                    fail(ErrorCode.SCRATCHPAD)
                with m.Elif(Mux(loading, self.read.request.ready, self.write.request.ready)):
                    m.d.sync += [loading.eq(0), storing.eq(0)]
                    m.next = "RESPONSE"

            with m.State("RESPONSE"):
                m.d.comb += failure.info.eq(result)
                # A load's answer, or, one cycle after the write, the fault that it may have raised.
                m.d.comb += write_d.data.eq(self.read.response[:32])
                with m.If(instruction.op != ScalarOp.LOAD):
                    m.next = "HEADER"
                    with m.If(self.write.fault):
                        fail(ErrorCode.SCRATCHPAD)
                with m.Elif(self.read.response_valid):
                    m.d.comb += result_valid.eq(~self.read.fault)
                    m.next = "HEADER"
                    with m.If(self.read.fault):
                        fail(ErrorCode.SCRATCHPAD)

            with m.State("FLUSH"):
                m.d.comb += self.stalled.eq(1)
                with m.If(self.flush_done):
                    m.d.sync += self.flush.eq(0)
                    m.next = "HEADER"

            with m.State("ERASE"):
                m.d.comb += self.stalled.eq(1)
                with m.If(self.cleared):
                    m.d.sync += self.clear.eq(0)
                    m.next = "HEADER"

            with m.State("STOPPED"):
                pass
        return m

    def _elaborate_commit(self, m, instruction, result, writes_back, taken, b, result_valid, fail):
        def wait_until(condition):
            with m.If(~condition):
                m.d.comb += self.stalled.eq(1)
                m.next = "COMMIT"

        m.d.comb += [
            result_valid.eq(writes_back),
            self.redirect_valid.eq(taken),
            self.redirect.eq(b),
        ]
        with m.If(taken & (b >= self._program_words)):
            fail(ErrorCode.ILLEGAL_INSTRUCTION)
        with m.Switch(instruction.op):
            with m.Case(*_WITH_RESULT, *_BRANCHES):
                pass
            with m.Case(ScalarOp.WAIT):
                m.d.comb += self.wait.valid.eq(1)
                wait_until(self.wait.ready)
            with m.Case(ScalarOp.SIGNAL):
                m.d.comb += self.signal_valid.eq(1)
            with m.Case(ScalarOp.PUSH):
                m.d.comb += self.tokens.valid.eq(1)
                wait_until(self.tokens.ready)
            with m.Case(ScalarOp.FENCE, ScalarOp.CLEAR):
                wait_until(self.quiet)
            with m.Case(ScalarOp.FLUSH):
                m.d.sync += self.flush.eq(1)
                m.next = "FLUSH"
            with m.Case(ScalarOp.FAIL):
                fail(ErrorCode.SOFTWARE)
            with m.Case(ScalarOp.END):
                wait_until(self.quiet)
                with m.If(self.quiet):
                    m.d.sync += self.done.eq(1)
                    m.next = "STOPPED"
            with m.Default():
                fail(ErrorCode.ILLEGAL_INSTRUCTION)
