# SPDX-License-Identifier: Apache-2.0
"""The functional simulator, instruction by instruction: scalars, semaphores, transfers, and every error with its info."""

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin.isa import (
    ActivationType,
    DmaFlags,
    Engine,
    EngineOp,
    ErrorCode,
    Function,
    Header,
    ScalarOp,
    VectorFlags,
)
from tepin.program import CommandInstruction, Operand, ScalarInstruction
from tepin_host.assembler import Assembler, Scalar, Strided, Vector
from tepin_reference.dma import Window
from tepin_reference.simulator import FunctionalSimulator, ProgramError

CONFIG = PRESETS["tiny"]
BANK = CONFIG.bank_bytes
PAD = CONFIG.scratchpad_bytes
WORD = CONFIG.fifo_word_bytes
MEMORY = 8192

EDGES = [0, 1, 2, 31, 32, 33, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFE, 0xFFFF_FFFF, 0x1234_5678]


def signed(word):
    return (word & 0x7FFF_FFFF) - (word & 0x8000_0000)


def simulate(a, *, limit=10_000, **arguments):
    """Run a program to its end; returns the simulator, with the tokens as `tokens`."""
    words = a.assemble() if isinstance(a, Assembler) else a
    memory = (np.arange(MEMORY) * 7).astype(np.uint8)
    simulator = FunctionalSimulator(CONFIG, memory, **arguments)
    simulator.tokens = list(simulator.run(words, limit=limit))
    return simulator


def error_of(a, **arguments):
    """(code, pc, info) of the error that ends a program."""
    with pytest.raises(ProgramError) as error:
        simulate(a, **arguments)
    return error.value.code, error.value.pc, error.value.info


def encode(*instructions):
    return [word for instruction in instructions for word in instruction.encode()]


END = ScalarInstruction(ScalarOp.END)

# Scalars

ARITHMETIC = {
    ScalarOp.ADD: lambda a, b: a + b,
    ScalarOp.SUB: lambda a, b: a - b,
    ScalarOp.MUL: lambda a, b: signed(a) * signed(b),
    ScalarOp.SHL: lambda a, b: a * 2 ** (b % 32),
    ScalarOp.SHR: lambda a, b: a // 2 ** (b % 32),
    ScalarOp.MIN: lambda a, b: a if signed(a) < signed(b) else b,
    ScalarOp.MAX: lambda a, b: b if signed(a) < signed(b) else a,
    ScalarOp.AND: lambda a, b: a & b,
    ScalarOp.OR: lambda a, b: a | b,
    ScalarOp.XOR: lambda a, b: a ^ b,
}

COMPARISONS = {
    ScalarOp.BEQ: lambda a, b: a == b,
    ScalarOp.BNE: lambda a, b: a != b,
    ScalarOp.BLT: lambda a, b: signed(a) < signed(b),
    ScalarOp.BGE: lambda a, b: signed(a) >= signed(b),
}


@pytest.mark.parametrize("op", ARITHMETIC)
def test_arithmetic(op):
    a = Assembler()
    x, y, z = (a.register(name) for name in "xyz")
    expected = []
    for left in EDGES:
        for right in EDGES:
            a.move(x, left)
            a.move(y, right)
            a.scalar(op, z, x, y)
            a.push(z)
            a.scalar(op, x, x, right)
            a.push(x)
            expected += [ARITHMETIC[op](left, right) % 2**32] * 2
    a.end()
    assert simulate(a).tokens == expected


@pytest.mark.parametrize("op", COMPARISONS)
def test_branches(op):
    a = Assembler()
    x, y, taken = (a.register(name) for name in ("x", "y", "taken"))
    expected = []
    for left in EDGES:
        for right in EDGES:
            there = a.label()
            a.move(x, left)
            a.move(y, right)
            a.move(taken, 1)
            a.branch(op, x, y, there)
            a.move(taken, 0)
            a.place(there)
            a.push(taken)
            expected.append(int(COMPARISONS[op](left, right)))
    a.end()
    assert simulate(a).tokens == expected


def test_count_down_branches_until_zero():
    a = Assembler()
    count = a.register("count")
    a.move(count, 3)
    with a.loop(count):
        a.push(count)
    a.end()
    assert simulate(a).tokens == [3, 2, 1]


def test_jump_to_an_address_in_a_register():
    words = encode(
        ScalarInstruction(ScalarOp.ADD, rd=1, immediate=3),
        ScalarInstruction(ScalarOp.JUMP, rt=1),
        ScalarInstruction(ScalarOp.PUSH, rs=1),
        ScalarInstruction(ScalarOp.ADD, rd=1, immediate=9),
        ScalarInstruction(ScalarOp.PUSH, rs=1),
        END,
    )
    assert simulate(words).tokens == [3, 9]
    words[1] = 4
    assert simulate(words).tokens == [9]


def test_register_zero_reads_zero():
    words = encode(
        ScalarInstruction(ScalarOp.ADD, rd=0, immediate=5),
        ScalarInstruction(ScalarOp.PUSH, rs=0),
        ScalarInstruction(ScalarOp.LOAD, rd=0, immediate=0),
        ScalarInstruction(ScalarOp.DBNZ, rd=0, immediate=0),
        ScalarInstruction(ScalarOp.PUSH, rs=0),
        END,
    )
    assert simulate(words).tokens == [0, 0]


def test_words_of_the_scratchpad_are_little_endian():
    a = Assembler()
    x, base = a.register("x"), a.register("base")
    a.move(x, 0x8765_4321)
    a.move(base, 0x100)
    a.store_word(x, 4, base)
    a.load_word(x, -0xFC, base)
    a.push(x)
    a.load_word(x, 0x104)
    a.push(x)
    a.end()
    simulator = simulate(a)
    assert simulator.tokens == [0, 0x8765_4321]
    assert simulator.scratchpad[0x104:0x108].tolist() == [0x21, 0x43, 0x65, 0x87]


# Sequencer errors


def test_empty_memory_is_no_instruction():
    assert error_of([]) == (ErrorCode.ILLEGAL_INSTRUCTION, 0, 0)
    assert error_of(encode(ScalarInstruction(ScalarOp.FENCE))) == (ErrorCode.ILLEGAL_INSTRUCTION, 1, 0)


@pytest.mark.parametrize(
    "word",
    [
        ScalarInstruction(ScalarOp.END).encode()[0] | 1 << 24,  # reserved bits
        63 << 4,  # no such operation
        9,  # no such engine
        Header.const({"engine": Engine.LINK, "op": EngineOp.NOP}).as_bits(),
        Header.const({"engine": Engine.VECTOR, "op": EngineOp.RUN}).as_bits(),  # without fields
        Header.const({"engine": Engine.VECTOR, "op": EngineOp.NOP, "length": 2}).as_bits(),
    ],
)
def test_illegal_instructions(word):
    words = [*encode(ScalarInstruction(ScalarOp.FENCE)), word, 0, 0, 0]
    assert error_of(words) == (ErrorCode.ILLEGAL_INSTRUCTION, 1, word)


@pytest.mark.parametrize("target", [CONFIG.program_words, 0xFFFF_FFFF])
@pytest.mark.parametrize("op", [ScalarOp.JUMP, ScalarOp.BEQ, ScalarOp.DBNZ])
def test_jump_out_of_the_program_memory(op, target):
    words = encode(
        ScalarInstruction(ScalarOp.ADD, rd=1, immediate=2),
        ScalarInstruction(ScalarOp.ADD, rd=2, immediate=2),
        ScalarInstruction(op, rd=1, rs=2, immediate=target),
    )
    assert error_of(words) == (ErrorCode.ILLEGAL_INSTRUCTION, 4, target)


def test_program_that_fills_its_memory_runs_past_the_end():
    words = encode(ScalarInstruction(ScalarOp.FENCE)) * CONFIG.program_words
    assert error_of(words) == (ErrorCode.ILLEGAL_INSTRUCTION, CONFIG.program_words, CONFIG.program_words)


@pytest.mark.parametrize("address", [2, PAD, PAD - 2, 0xFFFF_FFFC])
@pytest.mark.parametrize("op", [ScalarOp.LOAD, ScalarOp.STORE])
def test_word_out_of_range_or_misaligned(op, address):
    words = encode(
        ScalarInstruction(ScalarOp.ADD, rd=1, immediate=8),
        ScalarInstruction(op, rd=2, rs=1, immediate=address - 8),
        END,
    )
    assert error_of(words) == (ErrorCode.SCRATCHPAD, 2, address)


def test_fail_reports_register_plus_constant():
    words = encode(
        ScalarInstruction(ScalarOp.ADD, rd=1, immediate=8),
        ScalarInstruction(ScalarOp.FAIL, rs=1, immediate=-9),
    )
    assert error_of(words) == (ErrorCode.SOFTWARE, 2, 0xFFFF_FFFF)


def test_limit_ends_an_endless_loop():
    a = Assembler()
    start = a.label()
    a.place(start)
    a.push(a.register("x"))
    a.jump(start)
    simulator = FunctionalSimulator(CONFIG, np.zeros(0, np.uint8))
    tokens = simulator.run(a.assemble(), limit=10)
    with pytest.raises(ProgramError, match="10 instructions executed") as error:
        for number, _ in enumerate(tokens, 1):
            last = number
    assert (last, simulator.executed, error.value.code) == (5, 10, ErrorCode.TIMEOUT)


def test_tokens_come_as_they_are_pushed():
    a = Assembler()
    x = a.register("x")
    a.push(x)
    a.move(x, 1)
    a.store_word(x, 0)
    a.push(x)
    a.end()
    simulator = FunctionalSimulator(CONFIG, np.zeros(0, np.uint8))
    tokens = simulator.run(a.assemble())
    assert next(tokens) == 0 and simulator.scratchpad[0] == 0
    assert next(tokens) == 1 and simulator.scratchpad[0] == 1


# Semaphores


def test_semaphores_count():
    a = Assembler()
    s = a.semaphore("s")
    for _ in range(3):
        a.signal(s)
    a.nop(Engine.VECTOR, wait=s, signal=s)
    for _ in range(3):
        a.wait(s)
    a.nop(Engine.LOADS, wait=s)
    assert error_of(a) == (ErrorCode.TIMEOUT, 7, s)


def test_semaphore_zero_is_none():
    a = Assembler()
    a.wait(0)
    a.signal(0)
    a.nop(Engine.LOADS, wait=0, signal=0)
    a.end()
    simulate(a)


def test_wait_for_nobody():
    a = Assembler()
    s = a.semaphore("s")
    a.load(0, 0, 4, signal=s)
    a.wait(s)
    a.wait(s)
    assert error_of(a) == (ErrorCode.TIMEOUT, 6, s)


def test_command_waits_before_anything_happens():
    a = Assembler()
    a.load(0, 0, 4, wait=a.semaphore("s"))
    simulator = FunctionalSimulator(CONFIG, np.full(64, 9, np.uint8))
    with pytest.raises(ProgramError, match="nobody has signalled semaphore 1"):
        list(simulator.run(a.assemble()))
    assert not simulator.scratchpad.any()


def test_semaphore_overflow():
    a = Assembler()
    s, count = a.semaphore("s"), a.register("count")
    a.move(count, 255)
    with a.loop(count):
        a.signal(s)
    a.nop(Engine.VECTOR, signal=s)
    assert error_of(a) == (ErrorCode.SEMAPHORE, 5, s)


# Transfers


def test_load_of_any_alignment():
    a = Assembler()
    a.load(13, 0x101, 7)
    a.end()
    assert simulate(a).scratchpad[0x100:0x109].tolist() == [0, *(7 * n % 256 for n in range(13, 20)), 0]


def test_loops_walk_in_both_memories():
    a = Assembler()
    a.load(100, 0x100, 2, repeat=(3, 10, 4), repeat2=(2, -1, 0x20))
    a.store(0x100, 4000, 2, repeat=(3, 2, 4), repeat2=(2, 8, 0x20))
    a.end()
    simulator = simulate(a)
    expected = [
        [7 * (100 + 10 * inner - outer + byte) % 256 for inner in range(3) for byte in range(2)]
        for outer in range(2)
    ]
    assert simulator.memory[4000:4006].tolist() == expected[0]
    assert simulator.memory[4008:4014].tolist() == expected[1]
    assert simulator.scratchpad[0x120:0x122].tolist() == expected[1][:2]


@pytest.mark.parametrize("loops", [1, 2])
def test_index_list_takes_the_place_of_the_counter(loops):
    indices = [3, 0, 0xFFFF_FFFF]
    a = Assembler()
    x = a.register("x")
    for number, index in enumerate(indices):
        a.move(x, index)
        a.store_word(x, 0x80 + 4 * number)
    a.load(256, 0x100, 1, repeat=(3, 16, 1), repeat2=(2, 5, 3) if loops == 2 else None, index=0x80)
    a.end()
    expected = [7 * (256 + 5 * outer + 16 * step) % 256 for outer in range(loops) for step in (3, 0, -1)]
    assert simulate(a).scratchpad[0x100 : 0x100 + 3 * loops].tolist() == expected


@pytest.mark.parametrize(
    "changes",
    [{"length": 0}, {"count": 0}, {"count2": 0}],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.parametrize("engine", [Engine.WEIGHTS, Engine.LOADS, Engine.STORES])
def test_nothing_to_move_looks_at_no_address(engine, changes):
    """Only the signal comes, whatever the addresses are."""
    everywhere = 0x7FF_FFFF
    names = ["memory", "local", "memory_stride", "local_stride", "memory_stride2", "local_stride2", "index"]
    fields = dict.fromkeys(names, everywhere) | {"length": 4, "count": 4, "count2": 4} | changes
    if engine == Engine.WEIGHTS:
        fields = {name: value for name, value in fields.items() if not name.startswith("local")}
    command = CommandInstruction(
        engine,
        signal=1,
        flags=DmaFlags.const({"dimensions": 2, "indexed": 1}).as_bits(),
        fields={name: Operand(0, value) for name, value in fields.items()},
    )
    simulate(encode(command, ScalarInstruction(ScalarOp.WAIT, rd=1), END))


@pytest.mark.parametrize("dimensions, indexed", [(3, 0), (0, 1), (3, 1)])
def test_loops_that_no_engine_has(dimensions, indexed):
    flags = DmaFlags.const({"dimensions": dimensions, "indexed": indexed}).as_bits()
    names = ["memory", "local", "length"]
    if dimensions:
        names += ["count", "memory_stride", "local_stride", "count2", "memory_stride2", "local_stride2"]
    fields = {name: Operand() for name in names + ["index"] * indexed}
    words = encode(
        ScalarInstruction(ScalarOp.FENCE), CommandInstruction(Engine.LOADS, flags=flags, fields=fields)
    )
    assert error_of(words) == (ErrorCode.PARAMETER, 1, flags)


@pytest.mark.parametrize("address", [PAD, 0x82, 0xFFF_FFFC])
def test_index_list_out_of_range_or_misaligned(address):
    a = Assembler()
    base = a.register("base")
    a.move(base, address)
    a.load(0, 0, 1, repeat=(2, 1, 1), index=base)
    assert error_of(a) == (ErrorCode.SCRATCHPAD, 2, address)


def test_windows_hold_reads_and_writes_apart():
    windows = {"read_window": Window(0x100, 0x200), "write_window": Window(0x400, 0x500)}
    a = Assembler()
    a.load(0x100, 0, 0x100)
    a.store(0, 0x400, 0x100)
    a.weights(0x1F0, 0x10)
    a.end()
    simulate(a, **windows)
    for memory, length, info in [
        (0xFF, 2, 0xFF),
        (0x1F0, 0x11, 0x200),
        (0x200, 1, 0x200),
        (0xF0, 0x200, 0xF0),
    ]:
        a = Assembler()
        a.load(memory, 0, length)
        assert error_of(a, **windows) == (ErrorCode.READ_WINDOW, 0, info)
    a = Assembler()
    a.weights(0x1F0, 0x20)
    assert error_of(a, **windows) == (ErrorCode.READ_WINDOW, 0, 0x200)
    for memory, length, info in [(0x100, 4, 0x100), (0x3FF, 4, 0x3FF), (0x4FF, 2, 0x500)]:
        a = Assembler()
        a.nop(Engine.STORES)
        a.store(0, memory, length)
        assert error_of(a, **windows) == (ErrorCode.WRITE_WINDOW, 1, info)


def test_runs_before_the_bad_one_are_done():
    a = Assembler()
    a.load(0, 0, 4, repeat=(3, MEMORY - 2, 4))
    simulator = FunctionalSimulator(CONFIG, np.full(MEMORY, 5, np.uint8))
    with pytest.raises(ProgramError):
        list(simulator.run(a.assemble()))
    assert simulator.scratchpad[:12].tolist() == [5] * 4 + [0] * 8


def test_no_run_wraps_around_the_address_space():
    a = Assembler()
    base = a.register("base")
    a.move(base, -2)
    a.load(base, 0, 4)
    assert error_of(a, read_window=Window(), write_window=Window())[0] == ErrorCode.READ_WINDOW


def test_addresses_without_memory():
    everything = {"read_window": Window(), "write_window": Window()}
    a = Assembler()
    a.load(MEMORY - 4, 0, 8)
    assert error_of(a, **everything) == (ErrorCode.READ_RESPONSE, 0, MEMORY)
    a = Assembler()
    a.store(0, MEMORY + 4, 8)
    assert error_of(a, **everything) == (ErrorCode.WRITE_RESPONSE, 0, MEMORY + 4)


def test_scratchpad_end_and_banks_bound_a_run():
    for local in (PAD - 3, PAD, 0xFFF_FFFC):
        a = Assembler()
        base = a.register("base")
        a.move(base, local)
        a.load(0, base, 4)
        assert error_of(a) == (ErrorCode.SCRATCHPAD, 2, local)
    a = Assembler()
    a.load(0, BANK - 4, 4, repeat=(2, 4, 4))  # one run on either side
    a.store(BANK - 2, 0, 4)
    assert error_of(a)[::2] == (ErrorCode.SCRATCHPAD, BANK - 2)


@pytest.mark.parametrize(
    "memory, length, info", [(4, WORD, 4), (WORD, 4, 4), (4, 12, 4), (2 * WORD, WORD + 1, WORD + 1)]
)
def test_weight_runs_are_aligned(memory, length, info):
    a = Assembler()
    a.weights(memory, length)
    assert error_of(a) == (ErrorCode.ALIGNMENT, 0, info)


# Matmul

JOB = {"m": 1, "k": 2, "n": 4, "activations": 0x100, "output": 0x200, "scale": 0x80, "scales": False}


def test_weights_pass_the_fifo_in_order_and_whole_words():
    a = Assembler()
    x = a.register("x")
    a.move(x, 1 | 1 << 16)
    a.store_word(x, 0x100)
    a.move(x, 0x3F80_0000)
    a.store_word(x, 0x80)
    a.weights(0, 2 * WORD, repeat=(2, 1024))
    for number in range(4):
        # 6 bytes each; the rest of the word is dropped.
        a.matmul(**JOB | {"n": 3, "output": 0x200 + 16 * number}, observe=number != 1)
    a.matmul(**JOB)
    simulator = FunctionalSimulator(CONFIG, (np.arange(MEMORY) * 7).astype(np.uint8))
    with pytest.raises(ProgramError) as error:
        list(simulator.run(a.assemble()))
    assert (error.value.code, error.value.info) == (ErrorCode.TIMEOUT, WORD)
    codes = simulator.memory.view(np.int8).astype(int)
    starts = [0, WORD, 1024, 1024 + WORD]
    sums = [(codes[start : start + 3] + codes[start + 3 : start + 6]).tolist() for start in starts]
    assert [simulator.scratchpad[0x200 + 16 * i :][:12].view("<f4").tolist() for i in range(4)] == sums
    assert [y.tolist() for y in simulator.observed] == [[sums[0]], [sums[2]], [sums[3]]]


@pytest.mark.parametrize(
    "changes, code, info",
    [
        ({"m": 0}, ErrorCode.PARAMETER, 0),
        ({"m": CONFIG.accumulator_rows + 1}, ErrorCode.PARAMETER, CONFIG.accumulator_rows + 1),
        ({"k": 0}, ErrorCode.PARAMETER, 0),
        ({"k": 131_072}, ErrorCode.PARAMETER, 131_072),
        ({"n": 0}, ErrorCode.PARAMETER, 0),
        ({"activations": 0x102}, ErrorCode.SCRATCHPAD, 0x102),
        ({"activations": PAD}, ErrorCode.SCRATCHPAD, PAD),
        ({"activation_stride": 6}, ErrorCode.SCRATCHPAD, 6),
        ({"output": 0x201}, ErrorCode.SCRATCHPAD, 0x201),
        ({"output": BANK - 4}, ErrorCode.SCRATCHPAD, BANK - 4),
        ({"output_stride": 10}, ErrorCode.SCRATCHPAD, 10),
        ({"scale": 0x82}, ErrorCode.SCRATCHPAD, 0x82),
        ({"maximum": 0x83}, ErrorCode.SCRATCHPAD, 0x83),
        ({"maximum": PAD}, ErrorCode.SCRATCHPAD, PAD),
        ({"scratch_weights": 0x302}, ErrorCode.SCRATCHPAD, 0x302),
        ({"scratch_weights": PAD - 4}, ErrorCode.SCRATCHPAD, PAD - 4),
    ],
)
def test_matmul_parameters(changes, code, info):
    a = Assembler()
    a.fence()
    a.matmul(**{"scratch_weights": 0x300} | JOB | changes)
    assert error_of(a) == (code, 1, info)


def test_int32_results_have_no_maxima():
    a = Assembler()
    a.matmul(**JOB | {"scale": None, "maximum": 0x400})
    words = a.assemble()
    assert error_of(words) == (ErrorCode.PARAMETER, 0, words[1])


def test_rows_of_a_matmul_may_go_backwards():
    a = Assembler()
    job = JOB | {"m": 2, "activation_stride": -4, "output_stride": -16, "scale": None}
    a.matmul(**job, scratch_weights=0x300, activation_type=ActivationType.INT8)
    a.end()
    simulator = FunctionalSimulator(CONFIG, np.zeros(0, np.uint8))
    simulator.scratchpad[0xFC:0x102] = [1, 0, 0, 0, 0, 1]
    simulator.scratchpad[0x300:0x308] = range(8)
    assert list(simulator.run(a.assemble())) == []
    assert simulator.scratchpad[0x1F0:0x210].view("<i4").tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


# Vector


def vector_error(**operands):
    a = Assembler()
    a.fence()
    a.vector(
        Function.ADD, 4, rows=2, **{"a": Vector(0x100), "b": Scalar(0x40), "d": Vector(0x200)} | operands
    )
    return error_of(a)


def test_vector_operands_misaligned_or_out_of_range():
    for name in "abcd":
        assert vector_error(**{name: Vector(0x102)}) == (ErrorCode.SCRATCHPAD, 1, 0x102)
        assert vector_error(**{name: Vector(PAD - 28)}) == (ErrorCode.SCRATCHPAD, 1, PAD - 28)
        for walk in (
            Strided(0x100, stride=2, row_stride=4),
            Strided(0x100, stride=4, row_stride=6),
            Strided(0x100, stride=-4, row_stride=-0x100),
            Strided(0x100, stride=PAD // 3, row_stride=4),
        ):
            assert vector_error(**{name: walk}) == (ErrorCode.SCRATCHPAD, 1, 0x100)


def test_nothing_is_written_before_all_operands_are_known_to_be_good():
    a = Assembler()
    a.vector(Function.ADD, 4, a=Scalar(0x40), b=Scalar(PAD), d=Vector(0x200))
    simulator = FunctionalSimulator(CONFIG, np.zeros(0, np.uint8))
    simulator.scratchpad[:] = 1
    with pytest.raises(ProgramError):
        list(simulator.run(a.assemble()))
    assert (simulator.scratchpad == 1).all()


@pytest.mark.parametrize("shape", [{"n": 0}, {"n": 4, "rows": 0}])
def test_empty_vector_command_looks_at_no_address(shape):
    a = Assembler()
    s = a.semaphore("s")
    a.vector(Function.COPY, **shape, a=Vector(0x7FF_FFFF), d=Vector(0x7FF_FFFF), signal=s)
    a.wait(s)
    a.end()
    simulate(a)


@pytest.mark.parametrize("member, value", [("function", 31), ("reduction", 7)])
def test_unknown_function_or_reduction(member, value):
    a = Assembler()
    a.vector(Function.COPY, 4, a=Vector(0), d=Vector(0x100), reduce=(1, 0x200))
    words = a.assemble()
    place = VectorFlags.as_shape()[member]
    words[1] = words[1] & ~((1 << place.width) - 1 << place.offset) | value << place.offset
    assert error_of(words) == (ErrorCode.PARAMETER, 0, words[1])


def test_last_element_stays_where_results_overlap():
    a = Assembler()
    a.vector(Function.COPY, 4, rows=2, a=Vector(0x100), d=Scalar(0x200))
    a.vector(Function.COPY, 4, rows=2, a=Vector(0x100), d=Strided(0x210, stride=4, row_stride=4))
    a.vector(Function.COPY, 4, rows=2, a=Vector(0x100), d=Strided(0x230, stride=0, row_stride=4))
    a.vector(Function.COPY, 4, rows=2, a=Vector(0x100), d=Strided(0x24C, stride=-4, row_stride=0))
    a.end()
    simulator = FunctionalSimulator(CONFIG, np.zeros(0, np.uint8))
    simulator.scratchpad[0x100:0x120].view("<f4")[:] = range(1, 9)
    assert list(simulator.run(a.assemble())) == []
    floats = lambda address, count: simulator.scratchpad[address:][: 4 * count].view("<f4").tolist()  # noqa: E731
    assert floats(0x200, 1) == [8]
    assert floats(0x210, 5) == [1, 5, 6, 7, 8]
    assert floats(0x230, 2) == [4, 8]
    assert floats(0x240, 4) == [8, 7, 6, 5]


def test_operand_may_be_its_own_result():
    a = Assembler()
    a.vector(Function.ADD, 4, a=Vector(0x100), b=Scalar(0x10C), d=Vector(0x100))
    a.end()
    simulator = FunctionalSimulator(CONFIG, np.zeros(0, np.uint8))
    simulator.scratchpad[0x100:0x110].view("<f4")[:] = [1, 2, 3, 4]
    assert list(simulator.run(a.assemble())) == []
    assert simulator.scratchpad[0x100:0x110].view("<f4").tolist() == [5, 6, 7, 8]
