# SPDX-License-Identifier: Apache-2.0
"""The assembler: names, labels, and every form of operand, by executing what it wrote."""

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin.isa import DataType, Engine, ErrorCode, Function, Reduction, ScalarOp, WeightType
from tepin.program import CommandInstruction, ScalarInstruction, decode
from tepin_host.assembler import Assembler, Register, Scalar, Strided, Vector
from tepin_host.layout import pack_matrix
from tepin_host.quantize import quantize
from tepin_reference.simulator import FunctionalSimulator, ProgramError
from tepin_testbench.options import generator

CONFIG = PRESETS["tiny"]


def execute(a, *, memory=None, limit=10_000, **words):
    """Run the program; `words` puts float32 arrays into the scratchpad at x0, x100, ... before it starts."""
    simulator = FunctionalSimulator(CONFIG, np.zeros(4096, np.uint8) if memory is None else memory)
    for address, values in words.items():
        put(simulator, int(address[1:], 16), np.asarray(values, "<f4"))
    simulator.tokens = list(simulator.run(a.assemble(), limit=limit))
    return simulator


def put(simulator, address, values):
    data = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
    simulator.scratchpad[address : address + len(data)] = data


def floats(simulator, address, count):
    return simulator.scratchpad[address : address + 4 * count].view("<f4").tolist()


# Flow


def test_loops_nest_and_count_down_to_zero():
    a = Assembler()
    outer, inner, total = (a.register(name) for name in ("outer", "inner", "total"))
    a.move(outer, 3)
    a.move(total, 0)
    with a.loop(outer):
        a.move(inner, 5)
        with a.loop(inner):
            a.scalar(ScalarOp.ADD, total, total, outer)
    for register in (total, outer, inner):
        a.push(register)
    a.end()
    assert execute(a).tokens == [5 * (3 + 2 + 1), 0, 0]


@pytest.mark.parametrize(
    "op, holds",
    [
        (ScalarOp.BEQ, lambda a, b: a == b),
        (ScalarOp.BNE, lambda a, b: a != b),
        (ScalarOp.BLT, lambda a, b: a < b),
        (ScalarOp.BGE, lambda a, b: a >= b),
    ],
)
@pytest.mark.parametrize("left, right", [(1, 2), (2, 2), (2, -3), (-3, -2)])
def test_unless_skips_its_block_if_the_comparison_holds(op, holds, left, right):
    a = Assembler()
    x, y, executed = (a.register(name) for name in ("x", "y", "executed"))
    a.move(x, left)
    a.move(y, right)
    a.move(executed, 0)
    with a.unless(op, x, y):
        a.move(executed, 1)
    a.push(executed)
    a.end()
    assert execute(a).tokens == [0 if holds(left, right) else 1]


def test_labels_point_forwards_backwards_and_behind_the_last_instruction():
    a = Assembler()
    number = a.register("number")
    first, second, last = a.label(), a.label(), a.label()
    a.jump(second)
    a.place(first)
    a.move(number, 7)
    a.push(number)
    a.jump(last)
    a.place(second)
    a.jump(first)
    a.place(last)
    words = a.assemble()
    tokens = FunctionalSimulator(CONFIG, np.zeros(0, np.uint8)).run(words)
    assert next(tokens) == 7
    with pytest.raises(ProgramError) as error:
        next(tokens)
    assert (error.value.code, error.value.pc) == (ErrorCode.ILLEGAL_INSTRUCTION, len(words))


def test_label_errors():
    a = Assembler()
    label = a.label("there")
    a.jump(label)
    with pytest.raises(ValueError, match=r"label there\.1 is never placed"):
        a.assemble()
    a.place(label)
    with pytest.raises(ValueError, match=r"label there\.1 is placed twice"):
        a.place(label)
    assert a.label("there") != label


# Names


def test_registers_run_out():
    a = Assembler()
    registers = [a.register(f"r{number}") for number in range(15)]
    assert sorted(register.number for register in registers) == list(range(1, 16))
    with pytest.raises(ValueError, match="no register is left for more; in use: zero, r0, r1"):
        a.register("more")


def test_names_are_used_once():
    a = Assembler()
    a.register("x")
    a.semaphore("x")
    with pytest.raises(ValueError, match="register x is in use already"):
        a.register("x")
    with pytest.raises(ValueError, match="register zero is in use already"):
        a.register("zero")
    with pytest.raises(ValueError, match="semaphore x is in use already"):
        a.semaphore("x")


def test_temporaries_are_free_again_behind_their_block():
    a = Assembler()
    for _ in range(40):
        with a.temporary("x") as x, a.temporary("y") as y:
            assert x.number != y.number
    with pytest.raises(RuntimeError, match="inside"), a.temporary("x"):
        raise RuntimeError("inside")
    a.register("x")


def test_semaphores_run_out():
    a = Assembler()
    assert [a.semaphore(f"s{number}") for number in range(15)] == list(range(1, 16))
    with pytest.raises(ValueError, match="no semaphore is left for more; in use: s0, s1"):
        a.semaphore("more")


# Scalars


def test_scalar_operand_b_is_a_register_or_a_constant():
    a = Assembler()
    x, y, z = (a.register(name) for name in "xyz")
    a.move(x, 1000)
    a.move(y, x)
    a.scalar(ScalarOp.SUB, z, x, 1)
    a.push(z)
    a.scalar(ScalarOp.SUB, z, z, y)
    a.push(z)
    a.scalar(ScalarOp.ADD, z, z, -0x8000_0000)
    a.push(z)
    a.end()
    assert execute(a).tokens == [999, 2**32 - 1, 0x7FFF_FFFF]


def test_words_of_the_scratchpad():
    a = Assembler()
    base, x = a.register("base"), a.register("x")
    a.move(base, 0x100)
    a.move(x, 0x12345678)
    a.store_word(x, 0x20)
    a.store_word(x, 8, base)
    a.store_word(x, base)
    a.move(x, 0)
    a.load_word(x, 0x108)
    a.push(x)
    a.load_word(x, -0xE0, base)
    a.push(x)
    a.load_word(x, base)
    a.push(x)
    a.end()
    simulator = execute(a)
    assert simulator.tokens == [0x12345678] * 3
    assert simulator.scratchpad[0x108:0x10C].tolist() == [0x78, 0x56, 0x34, 0x12]


def test_fail_stops_with_its_value():
    a = Assembler()
    a.fence()
    a.fail(42)
    with pytest.raises(ProgramError) as error:
        execute(a)
    assert (error.value.code, error.value.pc, error.value.info) == (ErrorCode.SOFTWARE, 1, 42)


# Engine commands


def test_fields_are_constants_registers_or_registers_with_offset():
    a = Assembler()
    x, count = a.register("x"), a.register("count")
    a.move(x, 0x100)
    a.move(count, 4)
    a.vector(Function.ADD, count, a=Vector(x), b=Vector(x + 16), d=Vector(0x200))
    a.vector(Function.ADD, 4, a=Vector(x), b=Vector(0x110), d=Vector(x - 0x80))
    a.end()
    simulator = execute(a, x100=[1, 2, 3, 4, 10, 20, 30, 40])
    assert floats(simulator, 0x200, 4) == [11, 22, 33, 44]
    assert floats(simulator, 0x80, 4) == [11, 22, 33, 44]


def test_large_offset_needs_a_register():
    a = Assembler()
    a.load(1 << 27, 0, 4)
    with pytest.raises(ValueError, match="immediate 134217728 does not fit 28 bits"):
        a.assemble()


def test_vector_operand_modes_and_modifiers():
    a = Assembler()
    x = Vector(0x100)
    a.vector(
        Function.MADD,
        3,
        rows=2,
        a=x,
        b=Scalar(0x140),
        c=Strided(0x150, stride=0, row_stride=4),
        d=Vector(0x200),
    )
    a.vector(Function.ADD, 6, a=Vector(0x100, negate=True), b=Scalar(0x140), d=Vector(0x240))
    a.vector(Function.COPY, 6, a=Vector(0x100, abs=True, negate=True), d=Vector(0x280))
    # The transpose, as int8.
    a.vector(Function.COPY, 3, rows=2, a=x, d=Strided(0x2C0, stride=2, row_stride=1), d_type=DataType.INT8)
    a.vector(Function.COPY, 6, a=Vector(0x2C0), a_type=DataType.INT8, d=Vector(0x300))
    a.end()
    simulator = execute(a, x100=[1, -2, 3, 4, 5, -6], x140=[10], x150=[100, 200])
    assert floats(simulator, 0x200, 6) == [110, 80, 130, 240, 250, 140]
    assert floats(simulator, 0x240, 6) == [9, 12, 7, 6, 5, 16]
    assert floats(simulator, 0x280, 6) == [-1, -2, -3, -4, -5, -6]
    assert floats(simulator, 0x300, 6) == [1, 4, -2, 5, 3, -6]


def test_reductions_go_to_their_own_address():
    a = Assembler()
    a.vector(Function.COPY, 3, rows=2, a=Vector(0x100), reduce=(Reduction.SUM, 0x200))
    a.vector(Function.COPY, 3, rows=2, a=Vector(0x100), d=Vector(0x300), reduce=(Reduction.ARGMAX, 0x220))
    a.end()
    simulator = execute(a, x100=[1, -2, 3, 4, 5, -6])
    assert floats(simulator, 0x200, 2) == [2, 3]
    assert simulator.scratchpad[0x220:0x230].view("<i4")[::2].tolist() == [2, 1]
    assert floats(simulator, 0x220, 4)[1::2] == [3, 5]
    assert floats(simulator, 0x300, 6) == [1, -2, 3, 4, 5, -6]


def test_transfers_with_loops_and_index_list():
    memory = np.arange(4096, dtype=np.uint32).astype(np.uint8)
    a = Assembler()
    a.load(16, 0x100, 5)
    a.load(0, 0x120, 2, repeat=(3, 16, 4))
    a.load(0, 0x140, 2, repeat=(2, 16, 4), repeat2=(2, 3, 8))
    a.load(1, 0x160, 2, repeat=(3, 10, 2), index=0x200)
    a.store(0x100, 1000, 5)
    a.store(0x120, 1100, 2, repeat=(3, -2, 4))
    a.end()
    simulator = FunctionalSimulator(CONFIG, memory)
    put(simulator, 0x200, np.array([4, 0, 2], "<u4"))
    assert list(simulator.run(a.assemble())) == []
    pad = simulator.scratchpad
    assert pad[0x100:0x106].tolist() == [16, 17, 18, 19, 20, 0]
    assert pad[0x120:0x12C].tolist() == [0, 1, 0, 0, 16, 17, 0, 0, 32, 33, 0, 0]
    assert pad[0x140:0x150].tolist() == [0, 1, 0, 0, 16, 17, 0, 0, 3, 4, 0, 0, 19, 20, 0, 0]
    assert pad[0x160:0x166].tolist() == [41, 42, 1, 2, 21, 22]
    assert memory[1000:1005].tolist() == [16, 17, 18, 19, 20]
    assert memory[1096:1102].tolist() == [32, 33, 16, 17, 0, 1]


@pytest.mark.parametrize("kind", ["int8", "int4"])
@pytest.mark.parametrize("source", ["fifo", "scratchpad"])
def test_matmul(kind, source):
    matrix = quantize(generator("assembler", kind).standard_normal((11, 40)), kind)
    activations = generator("activations").integers(-32639, 32640, (2, 40)).astype("<i2")
    stream = np.frombuffer(pack_matrix(matrix, CONFIG.columns, CONFIG.fifo_word_bytes), np.uint8)
    memory = np.zeros(4096, np.uint8)
    memory[512 : 512 + len(stream)] = stream
    a = Assembler()
    if source == "fifo":
        a.weights(512, len(stream))
    a.matmul(
        m=2,
        k=40,
        n=11,
        activations=0x100,
        activation_stride=80,
        output=0x400,
        output_stride=48,
        scale=0x80,
        scratch_weights=None if source == "fifo" else 0x800,
        maximum=0x90,
        weights=WeightType[kind.upper()],
        observe=True,
    )
    a.end()
    simulator = FunctionalSimulator(CONFIG, memory)
    put(simulator, 0x100, activations)
    put(simulator, 0x80, np.array([0.5, 2], "<f4"))
    put(simulator, 0x800, stream)
    assert list(simulator.run(a.assemble())) == []
    sums = (activations.astype(np.int64) @ matrix.w8.T.astype(np.int64)).astype(np.float32)
    y = (sums * matrix.scale) * np.array([[0.5], [2]], np.float32)
    (observed,) = simulator.observed
    np.testing.assert_array_equal(observed, y)
    for row in range(2):
        assert floats(simulator, 0x400 + 48 * row, 11) == y[row].tolist()
    assert floats(simulator, 0x90, 2) == np.abs(y).max(axis=1).tolist()


def test_matmul_without_scale_leaves_integer_sums():
    a = Assembler()
    job = {"m": 1, "k": 2, "n": 4, "activations": 0x100, "scratch_weights": 0x200, "scales": False}
    a.matmul(**job, output=0x300)
    a.end()
    simulator = FunctionalSimulator(CONFIG, np.zeros(64, np.uint8))
    put(simulator, 0x100, np.array([100, -1000], "<i2"))
    put(simulator, 0x200, np.array([[1, 2, 3, 4], [5, 6, 7, -8]], "i1"))
    assert list(simulator.run(a.assemble())) == []
    assert simulator.scratchpad[0x300:0x310].view("<i4").tolist() == [-4900, -5800, -6700, 8400]


def test_commands_wait_and_signal():
    a = Assembler()
    first, second = a.semaphore("first"), a.semaphore("second")
    a.signal(first)
    a.nop(Engine.STORES, wait=first, signal=second)
    a.wait(second)
    a.load(0, 0, 4, wait=second, signal=first)
    words = a.assemble()
    kinds, pc = [], 0
    while pc < len(words):
        instruction, length = decode(words, pc)
        kinds.append(instruction)
        pc += length
    assert kinds[0] == ScalarInstruction(ScalarOp.SIGNAL, rd=1)
    assert (kinds[1].wait, kinds[1].signal, kinds[1].engine) == (1, 2, Engine.STORES)
    assert kinds[2] == ScalarInstruction(ScalarOp.WAIT, rd=2)
    assert isinstance(kinds[3], CommandInstruction)
    assert (kinds[3].wait, kinds[3].signal) == (2, 1)


def test_flush_empties_the_weight_fifo():
    a = Assembler()
    a.weights(0, 16)
    a.flush()
    job = {"m": 1, "k": 2, "n": 8, "activations": 0x100, "scales": False}
    a.matmul(**job, output=0x300)
    a.end()
    with pytest.raises(ProgramError, match="the weight FIFO holds too few bytes"):
        execute(a)


def test_register_operands_compare_by_number():
    assert Register(3) + 5 == (3, 5)
    assert Register(3) - 5 == (3, -5)
