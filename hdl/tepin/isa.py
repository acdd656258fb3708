# SPDX-License-Identifier: Apache-2.0
"""The instruction set: the one definition that decoder, assembler, functional simulator and docs share.

A program is a list of 32-bit words, which the *sequencer* executes from word 0 on, one instruction after the other.
An instruction is either *scalar* (the sequencer executes it) or an *engine command* (the sequencer resolves its
fields and appends it to the queue of that engine). Engines execute their own commands in order and independently of
each other; fifteen counting semaphores order them across engines.

Engine command: one `Header` word, then `length` field words. A field word is a register number (4 bits) and a signed
28-bit immediate; its value is the register plus the immediate, modulo 2**32. Register 0 always reads zero. The first
field is the command's `flags`; which other fields follow depends on the flags, in the order of `COMMANDS[...]`.

Scalar instruction: one `ScalarWord`, then a 32-bit immediate word if its `immediate` bit is set. Operand b is the immediate
or register `rt`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib import data, enum

__all__ = [
    "always",
    "COMMANDS",
    "IMMEDIATE_BITS",
    "ISA_VERSION",
    "REGISTER_COUNT",
    "SEMAPHORE_COUNT",
    "SLOT_COUNT",
    "ActivationType",
    "Command",
    "DataType",
    "DmaFlags",
    "Engine",
    "EngineOp",
    "ErrorCode",
    "Field",
    "FieldWord",
    "Function",
    "Header",
    "LinkFlags",
    "MatmulFlags",
    "Mode",
    "OutputType",
    "QueueHeader",
    "Reduction",
    "ScalarOp",
    "ScalarWord",
    "VectorFlags",
    "WeightSource",
    "WeightType",
]

ISA_VERSION = 1
REGISTER_COUNT = 16
SEMAPHORE_COUNT = 16
"""Semaphores are numbered 1 to 15; 0 means none."""
SEMAPHORE_MAXIMUM = 255
IMMEDIATE_BITS = 28
SLOT_COUNT = 16
"""Most field words of a command."""


class Engine(enum.Enum, shape=4):
    """Who executes an instruction."""

    SEQUENCER = 0
    WEIGHTS = 1  # memory -> weight FIFO
    LOADS = 2  # memory -> scratchpad
    STORES = 3  # scratchpad -> memory
    MATMUL = 4
    VECTOR = 5
    LINK = 6  # scratchpad <-> other chips; only on chips with links


class EngineOp(enum.Enum, shape=4):
    """What an engine does with a command."""

    NOP = 0  # nothing but wait and signal; no fields
    RUN = 1


class Header(data.Struct):
    """First word of an engine command in program memory."""

    engine: Engine
    op: EngineOp
    wait: 4  # semaphore to wait for before the command starts, 0 for none
    signal: 4  # semaphore to increment when all effects are visible, 0 for none
    length: 5  # field words that follow
    reserved: 11


class QueueHeader(data.Struct):
    """First word of an engine command in the engine's queue: as `Header`, with the program counter for error reports."""

    op: EngineOp
    wait: 4
    signal: 4
    length: 5
    pc: 15


class FieldWord(data.Struct):
    """A field in program memory: value = register + sign-extended immediate."""

    immediate: 28
    register: 4


class ScalarOp(enum.Enum, shape=6):
    """Instructions of the sequencer; b is the immediate or register `rt`. Zero is no instruction, so empty memory traps."""

    ADD = 1  # rd = rs + b
    SUB = 2  # rd = rs - b
    MUL = 3  # rd = rs * b, low 32 bits
    SHL = 4  # rd = rs << b[4:0]
    SHR = 5  # rd = rs >> b[4:0], logical
    MIN = 6  # rd = min(rs, b), signed
    MAX = 7  # rd = max(rs, b), signed
    AND = 8
    OR = 9
    XOR = 10
    LOAD = 16  # rd = scratchpad word at rs + b
    STORE = 17  # scratchpad word at rs + b = rd
    BEQ = 24  # if rd == rs: pc = immediate
    BNE = 25
    BLT = 26  # signed
    BGE = 27  # signed
    DBNZ = 28  # rd = rd - 1; if rd != 0: pc = immediate (the loop instruction)
    JUMP = 29  # pc = b
    WAIT = 32  # wait for semaphore number `rd`, then decrement it
    SIGNAL = 33  # increment semaphore number `rd`
    PUSH = 34  # append rs to the token FIFO; waits while it is full
    FENCE = 35  # wait until every queue is empty and every engine idle
    FLUSH = 36  # abandon all weight loads and empty the weight FIFO
    FAIL = 37  # stop with ErrorCode.SOFTWARE and info = rs + b
    END = 38  # FENCE, then stop: the program is done
    CLEAR = (
        39  # FENCE, then zeros in scratchpad, accumulators and registers, semaphores at 0, weight FIFO empty
    )


class ScalarWord(data.Struct):
    """A sequencer instruction. `engine` is `Engine.SEQUENCER`."""

    engine: Engine
    op: ScalarOp
    immediate: 1  # a 32-bit immediate word follows
    reserved_low: 1
    rd: 4
    rs: 4
    rt: 4
    reserved: 8


class ErrorCode(enum.Enum, shape=8):
    """Why a program stopped."""

    NONE = 0
    ILLEGAL_INSTRUCTION = 1
    READ_WINDOW = 2  # a read outside the windows that the host allowed
    WRITE_WINDOW = 3
    READ_RESPONSE = 4  # SLVERR or DECERR on a read
    WRITE_RESPONSE = 5
    TIMEOUT = 6  # the watchdog ended a wait
    SCRATCHPAD = 7  # scratchpad address out of range or misaligned
    ALIGNMENT = 8  # weight run not aligned to the weight FIFO word
    PARAMETER = 9  # a field outside the range that the engine supports
    SEMAPHORE = 10  # a semaphore exceeded its maximum
    SOFTWARE = 11  # the FAIL instruction
    STOPPED = 12  # the host wrote the stop bit
    LINK = (
        13  # the watchdog ended a wait for another chip; info: the port, plus 256 if it was for room to send
    )


class DmaFlags(data.Struct):
    """Flags of weight loads, general loads and stores.

    The descriptor is a nest of up to three loops: `length` bytes contiguous, `count` of these runs, `count2` of those.
    With `indexed`, run j of the innermost counted loop starts at `memory + index[j] * memory_stride`, where `index` is a list
    of 32-bit words in the scratchpad.
    """

    dimensions: 2  # loops around the contiguous run: 0, 1 or 2
    indexed: 1  # needs dimensions >= 1
    reserved: 25


class WeightSource(enum.Enum, shape=1):
    FIFO = 0
    SCRATCHPAD = 1


class WeightType(enum.Enum, shape=1):
    INT8 = 0
    INT4 = 1


class ActivationType(enum.Enum, shape=1):
    INT16 = 0
    INT8 = 1


class OutputType(enum.Enum, shape=1):
    FLOAT32 = 0
    INT32 = 1  # low 32 bits of the accumulator, no scales applied


class MatmulFlags(data.Struct):
    """Flags of a matmul: y[m][n] = (f32(sum over k of a[m][k] * w[k][n]) * s_w[n]) * s_a[m]."""

    source: WeightSource
    weights: WeightType
    activations: ActivationType
    scales: 1  # channel scales follow the codes of each column tile in the weight stream; otherwise s_w = 1 (no multiply)
    output: OutputType
    maximum: 1  # store max over n of abs(y[m][n]) for each row
    observe: 1  # results are shown on the chip's probe port as well; has no other effect
    reserved: 21


class Function(enum.Enum, shape=5):
    """Element-wise functions of the vector unit. An absent b or c reads as +0.0."""

    COPY = 0  # a
    ADD = 1  # a + b
    MUL = 2  # a * b
    MADD = 3  # (a * b) + c, two roundings
    MAX = 4
    MIN = 5
    LT = 6  # a < b: 1.0 or 0.0
    LE = 7
    EQ = 8
    SELECT = 9  # b if a != 0 else c
    FLOOR = 10
    EXPM = 16  # 2 ** (a * log2(e) - b); b holds an integer
    LN = 17
    LOG1P = 18
    RECIPROCAL = 19
    RSQRT = 20
    RANDOM = 24  # uniform in (0, 1) from (seed = bits of b, position = bits of c, counter = bits of a + i)


class Reduction(enum.Enum, shape=3):
    """Reduction of the results of one row (before conversion to `d_type`)."""

    NONE = 0
    SUM = 1  # float32, 64 partials and a fixed tree
    FIXED_SUM = 2  # exact sum of elements truncated to multiples of 2**-40, rounded once
    MAX = 3
    ABSMAX = 4
    ARGMAX = 5  # two words per row: index of the first maximum (int32), its value


class DataType(enum.Enum, shape=2):
    FLOAT32 = 0
    INT32 = 1
    INT16 = 2
    INT8 = 3


class Mode(enum.Enum, shape=2):
    """How an operand walks through the scratchpad."""

    NONE = 0  # absent
    SCALAR = 1  # one element for all; field: base
    VECTOR = 2  # contiguous, rows behind each other; field: base
    STRIDED = 3  # fields: base, element stride, row stride, in bytes


class VectorFlags(data.Struct):
    """Flags of a vector command: d[r][i] = function(a[r][i], b[r][i], c[r][i]), with source modifiers (abs, then negate)."""

    function: Function
    reduction: Reduction
    a_type: DataType
    d_type: DataType
    a_mode: Mode
    b_mode: Mode
    c_mode: Mode
    d_mode: Mode
    a_abs: 1
    a_negate: 1
    b_abs: 1
    b_negate: 1
    c_abs: 1
    c_negate: 1
    two_dimensional: 1  # a `rows` field is present; otherwise there is one row
    reserved: 1


class LinkFlags(data.Struct):
    """Flags of an exchange with other chips: sends from the scratchpad to one port, and receives from one, at a time.

    Sends of one command after the other leave in order, and so do receives; but a command's send does not wait for the
    receives before it, unless it `follows`: then it sends, byte for byte, what the command before it receives, each byte as
    soon as it is in the scratchpad. A link loses nothing and keeps the order. Each message takes whole 64-bit words of the
    link, so both sides must state the same length.
    """

    sends: 1
    receives: 1
    follows: 1
    reserved_low: 1
    send_port: 4
    receive_port: 4
    reserved: 16


def always(_flags):
    """Of a field that every command has."""
    return True


@dataclass(frozen=True)
class Field:
    """A field of a command: `present(flags)` works on a constant (bool) and on a signal (Amaranth value)."""

    name: str
    doc: str
    present: Callable = always


@dataclass(frozen=True)
class Command:
    """Shape of an engine's RUN command: its flags and the fields that follow them, in order."""

    flags: type
    fields: tuple[Field, ...]


def _dma_fields(*, local):
    one = lambda flags: flags.dimensions >= 1  # noqa: E731
    two = lambda flags: flags.dimensions >= 2  # noqa: E731
    fields = [
        Field("memory", "byte address in memory of the first run"),
        Field("local", "byte address in the scratchpad of the first run"),
        Field("length", "bytes per run"),
        Field("count", "runs", one),
        Field("memory_stride", "bytes from run to run in memory", one),
        Field("local_stride", "bytes from run to run in the scratchpad", one),
        Field("count2", "repetitions of all runs", two),
        Field("memory_stride2", "bytes from repetition to repetition in memory", two),
        Field("local_stride2", "bytes from repetition to repetition in the scratchpad", two),
        Field("index", "scratchpad address of the index list (32-bit words)", lambda flags: flags.indexed),
    ]
    return tuple(field for field in fields if local or not field.name.startswith("local"))


def _operand_fields(operand):
    mode = lambda flags: getattr(flags, f"{operand}_mode")  # noqa: E731
    return (
        Field(operand, f"scratchpad address of operand {operand}", lambda flags: mode(flags) != Mode.NONE),
        Field(
            f"{operand}_stride", "bytes from element to element", lambda flags: mode(flags) == Mode.STRIDED
        ),
        Field(f"{operand}_row_stride", "bytes from row to row", lambda flags: mode(flags) == Mode.STRIDED),
    )


COMMANDS = {
    Engine.WEIGHTS: Command(DmaFlags, _dma_fields(local=False)),
    Engine.LOADS: Command(DmaFlags, _dma_fields(local=True)),
    Engine.STORES: Command(DmaFlags, _dma_fields(local=True)),
    Engine.MATMUL: Command(
        MatmulFlags,
        (
            Field("m", "activation rows"),
            Field("k", "inner dimension, 1 to 131,071"),
            Field("n", "output channels"),
            Field("activations", "scratchpad address of a[0][0]; a multiple of 4"),
            Field("activation_stride", "bytes from row to row; a multiple of 4"),
            Field("output", "scratchpad address of y[0][0]; a multiple of 4"),
            Field("output_stride", "bytes from row to row; a multiple of 4"),
            Field(
                "scale",
                "scratchpad address of s_a[0]; rows 4 bytes apart",
                lambda flags: flags.output == OutputType.FLOAT32,
            ),
            Field(
                "weights",
                "scratchpad address of the weight stream; a multiple of 4",
                lambda flags: flags.source == WeightSource.SCRATCHPAD,
            ),
            Field(
                "maximum",
                "scratchpad address of the row maxima; rows 4 bytes apart",
                lambda flags: flags.maximum,
            ),
        ),
    ),
    Engine.VECTOR: Command(
        VectorFlags,
        (
            Field("n", "elements per row"),
            Field("rows", "rows", lambda flags: flags.two_dimensional),
            *_operand_fields("a"),
            *_operand_fields("b"),
            *_operand_fields("c"),
            *_operand_fields("d"),
            Field(
                "result",
                "scratchpad address of the reductions; rows behind each other",
                lambda flags: flags.reduction != Reduction.NONE,
            ),
        ),
    ),
    Engine.LINK: Command(
        LinkFlags,
        (
            Field("source", "scratchpad address of what is sent; a multiple of 4", lambda flags: flags.sends),
            Field("source_length", "bytes sent; a multiple of 4, below 2**24", lambda flags: flags.sends),
            Field(
                "target",
                "scratchpad address of what is received; a multiple of 4",
                lambda flags: flags.receives,
            ),
            Field(
                "target_length", "bytes received; a multiple of 4, below 2**24", lambda flags: flags.receives
            ),
        ),
    ),
}
"""RUN command of each engine. The word after the header is `flags`; then these fields, if present."""
