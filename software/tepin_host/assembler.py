# SPDX-License-Identifier: Apache-2.0
"""Writes programs: one method per instruction, labels for branches, names for registers and semaphores.

a = Assembler()
count = a.register("count")
a.move(count, 10)
with a.loop(count):
    a.vector(Function.MUL, 64, a=Vector(0x100), b=Scalar(0x40), d=Vector(0x200))
a.end()
words = a.assemble()
"""

from contextlib import contextmanager
from dataclasses import dataclass, replace

from tepin.isa import (
    REGISTER_COUNT,
    SEMAPHORE_COUNT,
    ActivationType,
    DataType,
    DmaFlags,
    Engine,
    EngineOp,
    LinkFlags,
    MatmulFlags,
    Mode,
    OutputType,
    Reduction,
    ScalarOp,
    VectorFlags,
    WeightSource,
    WeightType,
)
from tepin.program import CommandInstruction, Operand, ScalarInstruction

__all__ = ["Assembler", "Register", "Scalar", "Strided", "Vector"]


@dataclass(frozen=True)
class Register:
    """A sequencer register; `register + 12` is a field operand."""

    number: int

    def __add__(self, offset):
        return Operand(self.number, offset)

    def __sub__(self, offset):
        return Operand(self.number, -offset)


def _operand(value):
    if isinstance(value, Operand):
        return value
    if isinstance(value, Register):
        return Operand(value.number, 0)
    return Operand(0, int(value))


@dataclass(frozen=True)
class _Walk:
    """How a vector operand walks through the scratchpad, with the source modifiers (abs before negate)."""

    base: object
    abs: bool = False
    negate: bool = False


class Scalar(_Walk):
    """One element for all rows and columns."""


class Vector(_Walk):
    """Contiguous elements, rows behind each other."""


@dataclass(frozen=True)
class Strided(_Walk):
    """Any strides, in bytes; 0 broadcasts."""

    stride: object = 0
    row_stride: object = 0


class Assembler:
    """A program in the making. `zero` is the register that always reads as zero."""

    zero = Register(0)

    def __init__(self):
        self._instructions = []
        self._labels = {}
        self._registers = {"zero": 0}
        self._semaphores = {}
        self._label_count = 0

    # Names

    def register(self, name):
        """Reserve a register; `ValueError` when all are in use, or the name is."""
        if name in self._registers:
            raise ValueError(f"register {name} is in use already")
        free = [number for number in range(REGISTER_COUNT) if number not in self._registers.values()]
        if not free:
            raise ValueError(f"no register is left for {name}; in use: {', '.join(self._registers)}")
        self._registers[name] = free[0]
        return Register(free[0])

    @contextmanager
    def temporary(self, name):
        """A register for the duration of a `with` block."""
        register = self.register(name)
        try:
            yield register
        finally:
            del self._registers[name]

    def semaphore(self, name):
        """Reserve a semaphore number; `ValueError` when all are in use, or the name is."""
        if name in self._semaphores:
            raise ValueError(f"semaphore {name} is in use already")
        number = len(self._semaphores) + 1
        if number >= SEMAPHORE_COUNT:
            raise ValueError(f"no semaphore is left for {name}; in use: {', '.join(self._semaphores)}")
        self._semaphores[name] = number
        return number

    # Flow

    def label(self, name=None):
        """A fresh label; `place` says where it points."""
        self._label_count += 1
        return f"{name or 'label'}.{self._label_count}"

    def place(self, label):
        """Let a label point at the next instruction."""
        if label in self._labels:
            raise ValueError(f"label {label} is placed twice")
        self._labels[label] = len(self._instructions)

    @contextmanager
    def loop(self, count):
        """Repeat the block; `count` (a register, at least 1) counts down to 0."""
        start = self.label("loop")
        self.place(start)
        yield
        self._scalar(ScalarOp.DBNZ, rd=count, b=start)

    @contextmanager
    def unless(self, op, a, b):
        """Skip the block if the comparison of two registers holds."""
        skip = self.label("skip")
        self.branch(op, a, b, skip)
        yield
        self.place(skip)

    def branch(self, op, a, b, label):
        """`op` is BEQ, BNE, BLT or BGE."""
        self._scalar(op, rd=a, rs=b, b=label)

    def jump(self, label):
        self._scalar(ScalarOp.JUMP, b=label)

    # Scalars

    def move(self, rd, value):
        """rd = a constant, another register, or a register plus a constant."""
        if isinstance(value, (Register, Operand)):
            operand = _operand(value)
            self._scalar(ScalarOp.ADD, rd=rd, rs=Register(operand.register), b=operand.immediate)
        else:
            self._scalar(ScalarOp.ADD, rd=rd, b=value)

    def scalar(self, op, rd, rs, b):
        """rd = rs op b; b is a register or a constant."""
        self._scalar(op, rd=rd, rs=rs, b=b)

    def load_word(self, rd, address, base=None):
        """rd = scratchpad word at base + address; or at an operand alone."""
        if isinstance(address, Operand):
            address, base = address.immediate, Register(address.register)
        self._scalar(ScalarOp.LOAD, rd=rd, rs=base, b=address)

    def store_word(self, rd, address, base=None):
        """Scratchpad word at base + address = rd."""
        self._scalar(ScalarOp.STORE, rd=rd, rs=base, b=address)

    def wait(self, semaphore):
        self._instructions.append(ScalarInstruction(ScalarOp.WAIT, rd=semaphore))

    def signal(self, semaphore):
        self._instructions.append(ScalarInstruction(ScalarOp.SIGNAL, rd=semaphore))

    def push(self, rs):
        self._scalar(ScalarOp.PUSH, rs=rs)

    def fail(self, value):
        """Stop with ErrorCode.SOFTWARE and this info."""
        self._scalar(ScalarOp.FAIL, b=value)

    def fence(self):
        self._scalar(ScalarOp.FENCE)

    def flush(self):
        self._scalar(ScalarOp.FLUSH)

    def clear(self):
        """Leave nothing behind in scratchpad, accumulators, registers, semaphores and weight FIFO."""
        self._scalar(ScalarOp.CLEAR)

    def end(self):
        self._scalar(ScalarOp.END)

    def _scalar(self, op, *, rd=None, rs=None, b=None):
        number = lambda register: register.number if register else 0  # noqa: E731
        if isinstance(b, Register):
            instruction = ScalarInstruction(op, number(rd), number(rs), b.number)
        else:
            instruction = ScalarInstruction(op, number(rd), number(rs), 0, b)
        self._instructions.append(instruction)

    # Engine commands

    def nop(self, engine, *, wait=0, signal=0):
        """Let an engine wait or signal."""
        self._instructions.append(CommandInstruction(engine, EngineOp.NOP, wait, signal))

    def weights(self, memory, length, *, repeat=None, repeat2=None, index=None, wait=0, signal=0):
        """Memory to weight FIFO; `repeat` = (count, memory stride)."""
        self._dma(Engine.WEIGHTS, memory, None, length, repeat, repeat2, index, wait, signal)

    def load(self, memory, local, length, *, repeat=None, repeat2=None, index=None, wait=0, signal=0):
        """Memory to scratchpad; `repeat` = (count, memory stride, scratchpad stride), `repeat2` repeats all of that.

        `index` is the scratchpad address of a list of words that take the place of 0, 1, 2... in the memory addresses of
        `repeat`.
        """
        self._dma(Engine.LOADS, memory, local, length, repeat, repeat2, index, wait, signal)

    def store(self, local, memory, length, *, repeat=None, repeat2=None, index=None, wait=0, signal=0):
        """Scratchpad to memory; the rest as for `load`."""
        self._dma(Engine.STORES, memory, local, length, repeat, repeat2, index, wait, signal)

    def _dma(self, engine, memory, local, length, repeat, repeat2, index, wait, signal):
        fields = {"memory": memory, "length": length}
        if local is not None:
            fields["local"] = local
        loops = [loop for loop in (repeat, repeat2) if loop is not None]
        for suffix, loop in zip(("", "2"), loops, strict=False):
            names = ("count", "memory_stride", "local_stride")[: 2 if local is None else 3]
            fields.update(zip((name + suffix for name in names), loop, strict=True))
        if index is not None:
            fields["index"] = index
        flags = DmaFlags.const({"dimensions": len(loops), "indexed": index is not None})
        self._command(engine, flags, fields, wait, signal)

    def matmul(
        self,
        *,
        m,
        k,
        n,
        activations,
        output,
        scale=None,
        activation_stride=0,
        output_stride=0,
        scratch_weights=None,
        maximum=None,
        weights=WeightType.INT8,
        activation_type=ActivationType.INT16,
        scales=True,
        observe=False,
        wait=0,
        signal=0,
    ):
        """y = a @ w; weights from the FIFO, or from the scratchpad at `scratch_weights`.

        `scale` is the address of the activations' scales, one per row; without it y are the plain int32 sums.
        """
        flags = {
            "source": WeightSource.FIFO if scratch_weights is None else WeightSource.SCRATCHPAD,
            "weights": weights,
            "activations": activation_type,
            "scales": scales,
            "output": OutputType.INT32 if scale is None else OutputType.FLOAT32,
            "maximum": maximum is not None,
            "observe": observe,
        }
        fields = {
            "m": m,
            "k": k,
            "n": n,
            "activations": activations,
            "activation_stride": activation_stride,
            "output": output,
            "output_stride": output_stride,
        }
        if scale is not None:
            fields["scale"] = scale
        if scratch_weights is not None:
            fields["weights"] = scratch_weights
        if maximum is not None:
            fields["maximum"] = maximum
        self._command(Engine.MATMUL, MatmulFlags.const(flags), fields, wait, signal)

    def vector(
        self,
        function,
        n,
        *,
        a,
        b=None,
        c=None,
        d=None,
        rows=None,
        reduce=None,
        a_type=DataType.FLOAT32,
        d_type=DataType.FLOAT32,
        wait=0,
        signal=0,
    ):
        """d = function(a, b, c); `reduce` = (Reduction, scratchpad address) of the results."""
        flags = {
            "function": function,
            "a_type": a_type,
            "d_type": d_type,
            "two_dimensional": rows is not None,
        }
        fields = {"n": n}
        if rows is not None:
            fields["rows"] = rows
        for name, walk in {"a": a, "b": b, "c": c, "d": d}.items():
            if walk is None:
                continue
            flags[f"{name}_mode"] = {Scalar: Mode.SCALAR, Vector: Mode.VECTOR, Strided: Mode.STRIDED}[
                type(walk)
            ]
            fields[name] = walk.base
            if isinstance(walk, Strided):
                fields |= {f"{name}_stride": walk.stride, f"{name}_row_stride": walk.row_stride}
            if name != "d":
                flags |= {f"{name}_abs": walk.abs, f"{name}_negate": walk.negate}
        if reduce is not None:
            flags["reduction"], fields["result"] = reduce
        else:
            flags["reduction"] = Reduction.NONE
        self._command(Engine.VECTOR, VectorFlags.const(flags), fields, wait, signal)

    def exchange(self, *, send=None, receive=None, follows=False, wait=0, signal=0):
        """Send to another chip and receive from one; `send` and `receive` are (port, scratchpad address, bytes) or None."""
        flags, fields = {"follows": follows}, {}
        for name, place, message in (("send", "source", send), ("receive", "target", receive)):
            if message is not None:
                port, address, length = message
                flags |= {f"{name}s": 1, f"{name}_port": port}
                fields |= {place: address, f"{place}_length": length}
        self._command(Engine.LINK, LinkFlags.const(flags), fields, wait, signal)

    def _command(self, engine, flags, fields, wait, signal):
        operands = {name: _operand(value) for name, value in fields.items()}
        self._instructions.append(
            CommandInstruction(engine, EngineOp.RUN, wait, signal, flags.as_bits(), operands)
        )

    def __len__(self):
        """Instructions so far."""
        return len(self._instructions)

    def assemble(self):
        """The program as a list of 32-bit words; `ValueError` for a label that was never placed."""
        encoded = []
        addresses = [0]
        for instruction in self._instructions:
            branches = isinstance(instruction, ScalarInstruction) and isinstance(instruction.immediate, str)
            # An instruction with an immediate takes two words, whatever its value.
            words = [0, 0] if branches else instruction.encode()
            encoded.append(words)
            addresses.append(addresses[-1] + len(words))
        for number, instruction in enumerate(self._instructions):
            if isinstance(instruction, ScalarInstruction) and isinstance(instruction.immediate, str):
                if instruction.immediate not in self._labels:
                    raise ValueError(f"label {instruction.immediate} is never placed")
                target = addresses[self._labels[instruction.immediate]]
                encoded[number] = replace(instruction, immediate=target).encode()
        return [word for words in encoded for word in words]
