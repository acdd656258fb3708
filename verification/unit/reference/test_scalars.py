# SPDX-License-Identifier: Apache-2.0
"""Scalar instructions and branches on the functional simulator, and every error of the sequencer with its info."""

import numpy as np
import pytest

from tepin.isa import Engine, EngineOp, ErrorCode, Header, ScalarOp
from tepin.program import ScalarInstruction
from tepin_host.assembler import Assembler
from tepin_reference.simulator import FunctionalSimulator, ProgramError
from verification.unit.reference.programs import CONFIG, END, PAD, encode, error_of, simulate

EDGES = [0, 1, 2, 31, 32, 33, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFE, 0xFFFF_FFFF, 0x1234_5678]


def signed(word):
    return (word & 0x7FFF_FFFF) - (word & 0x8000_0000)


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


# Errors


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
