# SPDX-License-Identifier: Apache-2.0
"""The functional simulator: what a program does, in every bit, with no notion of time.

It executes instructions one after the other in program order. A chip overlaps them, but a correct program is ordered by its
semaphores so that nobody can tell; a wait for a semaphore that no earlier instruction has signalled is therefore an error
here, as it would be a deadlock or a race there.

Chips that are linked to each other run as co-routines, see `tepin_reference.network`.

It is stricter than a chip in three more things that a program must not do: a row of a matmul's operands or a run of a load
or store must not cross from one bank of the scratchpad into the next, a matmul's addresses must be multiples of 4, and an
exchange that waits for no semaphore must not touch what one of the three before it receives, or receive what one of them
sends, unless it follows it: they may be under way.
"""

import functools
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

from tepin.config import ChipConfig
from tepin.isa import (
    COMMANDS,
    SEMAPHORE_COUNT,
    SEMAPHORE_MAXIMUM,
    DmaFlags,
    Engine,
    EngineOp,
    ErrorCode,
    LinkFlags,
    MatmulFlags,
    OutputType,
    ScalarOp,
    WeightSource,
)
from tepin.program import IllegalInstruction, ScalarInstruction, decode

from . import vector
from .dma import Window, runs
from .link import LINK_LIMIT, Port
from .matmul import K_LIMIT, activation_dtype, matmul, sums
from .weights import stream_bytes, unpack

__all__ = ["FunctionalSimulator", "ProgramError"]

_MASK = (1 << 32) - 1


class ProgramError(Exception):
    """A program stopped with an error: `code`, program counter `pc`, offending value `info`."""

    def __init__(self, code, pc, info=0, reason=""):
        self.code, self.pc, self.info = code, pc, info
        super().__init__(f"{code.name} at word {pc}, info {info:#x}{': ' if reason else ''}{reason}")


def _signed(value):
    return value - (1 << 32) if value >> 31 else value


_ARITHMETIC = {
    ScalarOp.ADD: lambda a, b: a + b,
    ScalarOp.SUB: lambda a, b: a - b,
    ScalarOp.MUL: lambda a, b: a * b,
    ScalarOp.SHL: lambda a, b: a << (b & 31),
    ScalarOp.SHR: lambda a, b: a >> (b & 31),
    ScalarOp.MIN: lambda a, b: min(_signed(a), _signed(b)),
    ScalarOp.MAX: lambda a, b: max(_signed(a), _signed(b)),
    ScalarOp.AND: lambda a, b: a & b,
    ScalarOp.OR: lambda a, b: a | b,
    ScalarOp.XOR: lambda a, b: a ^ b,
}

_BRANCH = {
    ScalarOp.BEQ: lambda a, b: a == b,
    ScalarOp.BNE: lambda a, b: a != b,
    ScalarOp.BLT: lambda a, b: _signed(a) < _signed(b),
    ScalarOp.BGE: lambda a, b: _signed(a) >= _signed(b),
}


@functools.cache
def _flags(engine, bits):
    """Members of an engine's flags by name: as `data.Const`, but quick to read."""
    layout = COMMANDS[engine].flags
    view = layout.from_bits(bits)
    return SimpleNamespace(**{name: getattr(view, name) for name, _ in layout.as_shape()})


class FunctionalSimulator:
    """A chip without time.

    Parameters
    ----------
    config : ChipConfig
        Of which only `columns`, `port_width` (layout of weight streams), `accumulator_rows`, `program_words`, `links`, and
        size and banks of the scratchpad matter.
    memory : uint8 array
        External memory from address 0; changed in place.
    read_window, write_window : Window
        Addresses that the program may read and write; by default all of `memory`.
    ports : sequence of Port
        The chip's ends of its links, `config.links` of them; by default none of them is connected to anything.
    products : callable(a, w8), optional
        What multiplies for matmul commands, as `tepin_reference.matmul.sums` does.

    Attributes
    ----------
    scratchpad : uint8 array
    registers : list of 16 ints
    observed : list of float32 arrays
        Results of matmul commands with the `observe` flag, one array [M, N] each, in program order.
    executed : int
        Instructions executed so far.
    """

    def __init__(
        self, config: ChipConfig, memory, *, read_window=None, write_window=None, ports=None, products=sums
    ):
        self.config = config
        self.memory = memory
        self.read_window = read_window or Window(0, len(memory))
        self.write_window = write_window or Window(0, len(memory))
        self.scratchpad = np.zeros(config.scratchpad_bytes, np.uint8)
        self.registers = [0] * 16
        self.semaphores = [0] * SEMAPHORE_COUNT
        self.observed = []
        self.executed = 0
        self.ports = [Port() for _ in range(config.links)] if ports is None else ports
        self._products = products
        self._weight_fifo = np.zeros(0, np.uint8)
        self._pc = 0
        self._awaited = None
        self._messages = deque(
            maxlen=3
        )  # of the last exchanges: (first address sent, last), the same of what is received
        self._engines = {
            Engine.WEIGHTS: self._weights,
            Engine.LOADS: self._load,
            Engine.STORES: self._store,
            Engine.MATMUL: self._matmul,
            Engine.VECTOR: self._vector,
        }

    # Sequencer

    def run(self, program, *, limit=None) -> Iterator[int]:
        """Execute a program from its first word to END, yielding every token that it pushes.

        Raises `ProgramError`, also if the program waits for another chip; `limit` bounds the number of instructions
        (ErrorCode.TIMEOUT).
        """
        for token in self.steps(program, limit=limit):
            if token is None:
                raise self.lost()
            yield token

    def steps(self, program, *, limit=None) -> Iterator[int | None]:
        """As `run`, for one chip among others: yields None as long as the program waits for another chip."""
        program = [int(word) for word in program]
        program += [0] * (self.config.program_words - len(program))
        cache = {}
        self._pc = 0
        while True:
            pc = self._pc
            if pc not in cache:
                cache[pc] = self._prepare(program, pc)
            instruction, length, flags = cache[pc]
            if limit is not None and self.executed >= limit:
                raise self._error(ErrorCode.TIMEOUT, reason=f"{limit} instructions executed")
            self.executed += 1
            if isinstance(instruction, ScalarInstruction):
                if instruction.op == ScalarOp.END:
                    return
                if instruction.op == ScalarOp.PUSH:
                    yield self.registers[instruction.rs]
                self._pc = pc + length
                self._execute_scalar(instruction, pc)
            else:
                yield from self._execute_command(instruction, flags)
                self._pc = pc + length

    def lost(self):
        """The error with which a chip stops that waits in vain for another one."""
        return self._error(ErrorCode.LINK, self._awaited, f"nothing comes from port {self._awaited}")

    def _prepare(self, program, pc):
        """Everything about an instruction that stays the same every time: itself, its length, the members of its flags."""
        if pc >= len(program):
            raise self._error(ErrorCode.ILLEGAL_INSTRUCTION, pc, "the program runs past its end")
        try:
            instruction, length = decode(program, pc)
            if not self.config.links and getattr(instruction, "engine", None) == Engine.LINK:
                raise IllegalInstruction(f"this chip has no links (at word {pc})")
            if isinstance(instruction, ScalarInstruction) or instruction.op == EngineOp.NOP:
                return instruction, length, None
            return instruction, length, _flags(instruction.engine, instruction.flags)
        except IllegalInstruction as error:
            raise self._error(ErrorCode.ILLEGAL_INSTRUCTION, program[pc], str(error)) from None
        except ValueError as error:  # a vector command without a valid function or reduction
            raise self._error(ErrorCode.PARAMETER, program[pc + 1], str(error)) from None

    def _execute_scalar(self, instruction, pc):
        op, rd, rs = instruction.op, instruction.rd, instruction.rs
        registers = self.registers
        b = registers[instruction.rt] if instruction.immediate is None else instruction.immediate & _MASK
        if op in _ARITHMETIC:
            self._write_register(rd, _ARITHMETIC[op](registers[rs], b))
        elif op in _BRANCH:
            if _BRANCH[op](registers[rd], registers[rs]):
                self._jump(b, pc)
        elif op == ScalarOp.DBNZ:
            self._write_register(rd, registers[rd] - 1)
            if registers[rd]:
                self._jump(b, pc)
        elif op == ScalarOp.JUMP:
            self._jump(b, pc)
        elif op == ScalarOp.LOAD:
            self._write_register(rd, self._read_word((registers[rs] + b) & _MASK, pc))
        elif op == ScalarOp.STORE:
            self._words((registers[rs] + b) & _MASK, 4, pc).view("<u4")[0] = registers[rd]
        elif op == ScalarOp.WAIT:
            self._wait(rd, pc)
        elif op == ScalarOp.SIGNAL:
            self._signal(rd, pc)
        elif op == ScalarOp.FLUSH:
            self._weight_fifo = self._weight_fifo[:0]
        elif op == ScalarOp.CLEAR:
            self._clear()
        elif op == ScalarOp.FAIL:
            raise ProgramError(ErrorCode.SOFTWARE, pc, (registers[rs] + b) & _MASK)

    def _clear(self):
        """Forget everything but what other chips have sent."""
        self.scratchpad[:] = 0
        self.registers[:] = [0] * len(self.registers)
        self.semaphores[:] = [0] * SEMAPHORE_COUNT
        self._weight_fifo = self._weight_fifo[:0]
        self._messages.clear()

    def _jump(self, target, pc):
        if target >= self.config.program_words:
            raise ProgramError(ErrorCode.ILLEGAL_INSTRUCTION, pc, target, "a jump out of the program memory")
        self._pc = target

    def _write_register(self, number, value):
        if number:
            self.registers[number] = value & _MASK

    def _wait(self, semaphore, pc):
        if semaphore == 0:
            return
        if self.semaphores[semaphore] == 0:
            raise ProgramError(
                ErrorCode.TIMEOUT, pc, semaphore, f"nobody has signalled semaphore {semaphore}"
            )
        self.semaphores[semaphore] -= 1

    def _signal(self, semaphore, pc):
        if semaphore == 0:
            return
        if self.semaphores[semaphore] == SEMAPHORE_MAXIMUM:
            raise ProgramError(ErrorCode.SEMAPHORE, pc, semaphore, f"semaphore {semaphore} overflows")
        self.semaphores[semaphore] += 1

    # Engines

    def _execute_command(self, instruction, flags):
        pc = self._pc
        self._wait(instruction.wait, pc)
        if instruction.op == EngineOp.RUN:
            registers = self.registers
            fields = {
                name: (registers[operand.register] + operand.immediate) & _MASK
                for name, operand in instruction.fields.items()
            }
            if instruction.engine == Engine.LINK:
                if instruction.wait:  # then it is up to the semaphores that the exchanges before have ended
                    self._messages.clear()
                yield from self._exchange(flags, fields)
            else:
                self._engines[instruction.engine](flags, fields)
        self._signal(instruction.signal, pc)

    def _weights(self, flags, fields):
        length, word = fields["length"], self.config.fifo_word_bytes
        chunks = [self._weight_fifo]
        for memory, _ in self._runs(flags, fields):
            for value in (memory, length):
                if value % word:
                    raise self._error(ErrorCode.ALIGNMENT, value, f"not a multiple of {word} bytes")
            chunks.append(self._external(memory, length, self.read_window, ErrorCode.READ_WINDOW))
        self._weight_fifo = np.concatenate(chunks)

    def _load(self, flags, fields):
        length = fields["length"]
        for memory, local in self._runs(flags, fields):
            source = self._external(memory, length, self.read_window, ErrorCode.READ_WINDOW)
            self._bytes(local, length)[:] = source

    def _store(self, flags, fields):
        length = fields["length"]
        for memory, local in self._runs(flags, fields):
            target = self._external(memory, length, self.write_window, ErrorCode.WRITE_WINDOW)
            target[:] = self._bytes(local, length)

    def _runs(self, flags, fields):
        if flags.dimensions == 3 or flags.indexed and flags.dimensions == 0:
            value = DmaFlags.const(vars(flags)).as_bits()
            raise self._error(ErrorCode.PARAMETER, value, "three loops, or an index list without a loop")
        return runs(flags, fields, self._read_word)

    def _matmul(self, flags, fields):
        m, k, n = fields["m"], fields["k"], fields["n"]
        if not 1 <= m <= self.config.accumulator_rows:
            raise self._error(ErrorCode.PARAMETER, m)
        if not 1 <= k <= K_LIMIT:
            raise self._error(ErrorCode.PARAMETER, k)
        if n == 0:
            raise self._error(ErrorCode.PARAMETER, n)
        if flags.output == OutputType.INT32 and flags.maximum:
            value = MatmulFlags.const(vars(flags)).as_bits()
            raise self._error(ErrorCode.PARAMETER, value, "int32 results have no maxima")
        for name in ("activation_stride", "output_stride"):
            if fields[name] % 4:
                raise self._error(ErrorCode.SCRATCHPAD, fields[name], f"{name} is not a multiple of 4")
        scales = bool(flags.scales)
        size = stream_bytes(k, n, self.config.columns, flags.weights, scales)
        if flags.source == WeightSource.FIFO:
            word = self.config.fifo_word_bytes
            padded = -(-size // word) * word
            if len(self._weight_fifo) < padded:
                raise self._error(ErrorCode.TIMEOUT, padded, "the weight FIFO holds too few bytes")
            stream, self._weight_fifo = self._weight_fifo[:size], self._weight_fifo[padded:]
        else:
            stream = self._words(fields["weights"], size)
        w8, weight_scale = unpack(stream, k, n, self.config.columns, flags.weights, scales)
        kind = activation_dtype(flags)
        a = np.stack(
            [
                self._words(
                    fields["activations"] + row * fields["activation_stride"], k * kind.itemsize
                ).view(kind)
                for row in range(m)
            ]
        )
        scale = self._words(fields["scale"], 4 * m).view("<f4") if "scale" in fields else None
        y, maximum = matmul(flags, a, w8, weight_scale, scale, self._products)
        for row in range(m):
            self._words(fields["output"] + row * fields["output_stride"], 4 * n)[:] = y[row].view(np.uint8)
        if "maximum" in fields:
            self._words(fields["maximum"], 4 * m)[:] = maximum.view(np.uint8)
        if flags.observe:
            self.observed.append(y)

    def _vector(self, flags, fields):
        try:
            vector.execute(flags, fields, self.scratchpad)
        except vector.OperandError as error:
            raise self._error(ErrorCode.SCRATCHPAD, error.address, str(error)) from None

    def _exchange(self, flags, fields):
        """Send, then receive. A link holds whatever it is given, so only receiving waits."""
        for active, port in ((flags.sends, flags.send_port), (flags.receives, flags.receive_port)):
            if active and port >= self.config.links:
                raise self._error(ErrorCode.PARAMETER, LinkFlags.const(vars(flags)).as_bits(), "no such port")
        for name, value in fields.items():
            if name.endswith("length") and (value % 4 or value >= LINK_LIMIT):
                raise self._error(ErrorCode.PARAMETER, value, f"{name} of {value} bytes")
        messages = {
            name: self._words(fields[name], fields[f"{name}_length"])
            for name in ("source", "target")
            if fields.get(f"{name}_length")
        }
        self._check_messages(flags, fields)
        if "source" in messages:
            self.ports[flags.send_port].send(messages["source"].tobytes())
        if "target" in messages:
            port, target = self.ports[flags.receive_port], messages["target"]
            self._awaited = flags.receive_port
            while not port.holds(len(target)):
                yield None
            target[:] = np.frombuffer(port.receive(len(target)), np.uint8)

    def _check_messages(self, flags, fields):
        """Sends and receives of several commands are under way at the same time: no two of them may need an order."""
        source, target = (
            (fields[name], fields[name] + fields[f"{name}_length"])
            if fields.get(f"{name}_length")
            else (0, 0)
            for name in ("source", "target")
        )
        for age, (sent, received) in enumerate(reversed(self._messages)):
            followed = flags.follows and age == 0 and source == received
            pairs = [(target, sent), (target, received), ((0, 0) if followed else source, received)]
            for (start, end), (other, other_end) in pairs:
                if start < other_end and other < end:
                    raise self._error(
                        ErrorCode.SCRATCHPAD, start, "an exchange before this one may still use it"
                    )
        self._messages.append((source, target))

    # Memories

    def _error(self, code, info=0, reason=""):
        return ProgramError(code, self._pc, info, reason)

    def _external(self, address, length, window, code):
        """View of `length` bytes of external memory."""
        outside = window.first_outside(address, length)
        if outside is not None:
            raise self._error(code, outside & _MASK)
        if address + length > len(self.memory):
            response = ErrorCode.READ_RESPONSE if code == ErrorCode.READ_WINDOW else ErrorCode.WRITE_RESPONSE
            raise self._error(response, max(address, len(self.memory)), "no memory there")
        return self.memory[address : address + length]

    def _bytes(self, address, length, pc=None):
        """View of `length` bytes of the scratchpad within one bank."""
        address &= _MASK
        pc = self._pc if pc is None else pc
        if address + length > len(self.scratchpad):
            raise ProgramError(ErrorCode.SCRATCHPAD, pc, address, "outside the scratchpad")
        if address // self.config.bank_bytes != (address + length - 1) // self.config.bank_bytes:
            raise ProgramError(ErrorCode.SCRATCHPAD, pc, address, "crosses a scratchpad bank")
        return self.scratchpad[address : address + length]

    def _words(self, address, length, pc=None):
        """As `_bytes`, but only at multiples of 4."""
        if address % 4:
            pc = self._pc if pc is None else pc
            raise ProgramError(ErrorCode.SCRATCHPAD, pc, address & _MASK, "not a multiple of 4")
        return self._bytes(address, length, pc)

    def _read_word(self, address, pc=None):
        return int(self._words(address, 4, pc).view("<u4")[0])
