# SPDX-License-Identifier: Apache-2.0
"""Encoding and decoding of instructions are inverses, and illegal words are told apart."""

import pytest

from tepin.isa import (
    DataType,
    DmaFlags,
    Engine,
    EngineOp,
    Function,
    Mode,
    Reduction,
    ScalarOp,
    VectorFlags,
)
from tepin.program import (
    CommandInstruction,
    IllegalInstruction,
    Operand,
    ScalarInstruction,
    decode,
    listing,
    present_fields,
)


@pytest.mark.parametrize("op", list(ScalarOp))
@pytest.mark.parametrize("immediate", [None, 0, 77, -1, -(1 << 31)])
def test_scalar_round_trip(op, immediate):
    instruction = ScalarInstruction(op, rd=3, rs=15, rt=9, immediate=immediate)
    words = instruction.encode()
    assert decode(words, 0) == (instruction, len(words))


def test_command_round_trip():
    flags = VectorFlags.const(
        {
            "function": Function.MUL,
            "reduction": Reduction.ARGMAX,
            "d_type": DataType.INT8,
            "a_mode": Mode.VECTOR,
            "b_mode": Mode.STRIDED,
            "d_mode": Mode.SCALAR,
            "two_dimensional": 1,
        }
    ).as_bits()
    names = present_fields(Engine.VECTOR, flags)
    assert names == ["n", "rows", "a", "b", "b_stride", "b_row_stride", "d", "result"]
    fields = {name: Operand(index, (-1) ** index * (index << 20)) for index, name in enumerate(names)}
    instruction = CommandInstruction(Engine.VECTOR, wait=3, signal=15, flags=flags, fields=fields)
    words = [0, *instruction.encode()]
    assert decode(words, 1) == (instruction, len(words) - 1)
    assert any("argmax" in line and "b_stride=r4" in line for line in listing(words))


def test_nop_round_trip():
    instruction = CommandInstruction(Engine.STORES, op=EngineOp.NOP, wait=1)
    assert decode(instruction.encode(), 0) == (instruction, 1)


def test_command_wrong_fields():
    with pytest.raises(ValueError, match="LOADS needs fields"):
        CommandInstruction(Engine.LOADS, fields={"memory": Operand()}).encode()


def test_operand_too_large():
    with pytest.raises(ValueError, match="does not fit 28 bits"):
        _ = Operand(0, 1 << 27).word


@pytest.mark.parametrize(
    "words, message",
    [
        ([0], "0 is no ScalarOp"),
        ([7], "7 is no Engine"),
        ([5 | 2 << 4], "2 is no EngineOp"),
        ([5 | 1 << 4], "is no command header"),
        ([2 | 1 << 4 | 3 << 16, 0, 0], "is no command header"),
        ([2 | 1 << 4 | 1 << 16 | 1 << 31, 0], "is no command header"),
        ([2 | 1 << 4 | 2 << 16, 0, 0, 0], "contradict flags"),
        ([ScalarOp.ADD.value << 4 | 1 << 24], "reserved bits"),
        ([ScalarOp.ADD.value << 4 | 1 << 10], "outside the program"),
    ],
)
def test_illegal(words, message):
    with pytest.raises(IllegalInstruction, match=message):
        decode(words, 0)


def test_decode_outside():
    with pytest.raises(IllegalInstruction, match="word 3 lies outside"):
        decode([0, 0, 0], 3)


def test_dma_fields_follow_dimensions():
    two = DmaFlags.const({"dimensions": 1, "indexed": 1}).as_bits()
    assert present_fields(Engine.WEIGHTS, two) == ["memory", "length", "count", "memory_stride", "index"]
