# SPDX-License-Identifier: Apache-2.0
"""An interpreter of programs that knows nothing of time: registers, scratchpad words, tokens, commands for engines."""

from tepin.isa import Engine, EngineOp, ErrorCode, ScalarOp
from tepin.program import IllegalInstruction, ScalarInstruction, decode

__all__ = ["Interpreter"]

_MASK = (1 << 32) - 1


def _signed(value):
    return value - (1 << 32) if value >> 31 else value


class Interpreter:
    """Executes a program to its end, or to its first error.

    Attributes
    ----------
    tokens : list of int
    commands : dict from Engine to list of (pc, wait, signal, flags or None for a NOP, {field: value})
    error : (ErrorCode, pc, info)
    """

    def __init__(self, words, *, scratchpad_bytes, limit=5000):
        self.registers = [0] * 16
        self.scratchpad = {}
        self.tokens = []
        self.commands = {engine: [] for engine in Engine}
        self.error = (ErrorCode.NONE, 0, 0)
        self._bytes = scratchpad_bytes
        pc = 0
        for _ in range(limit):
            try:
                instruction, length = decode(words, pc)
            except IllegalInstruction:
                self.error = (ErrorCode.ILLEGAL_INSTRUCTION, pc, words[pc] if pc < len(words) else pc)
                return
            if not isinstance(instruction, ScalarInstruction):
                self._command(instruction, pc)
                pc += length
            elif instruction.op == ScalarOp.END:
                return
            else:
                pc = self._scalar(instruction, pc, pc + length, len(words))
                if self.error[0] != ErrorCode.NONE:
                    return
        raise AssertionError(f"the program did not end within {limit} instructions")

    def _command(self, instruction, pc):
        fields = {
            name: (self.registers[operand.register] + operand.immediate) & _MASK
            for name, operand in instruction.fields.items()
        }
        flags = instruction.flags if instruction.op == EngineOp.RUN else None
        self.commands[instruction.engine].append((pc, instruction.wait, instruction.signal, flags, fields))

    def _scalar(self, instruction, pc, following, words):
        op, registers = instruction.op, self.registers
        rd, rs = registers[instruction.rd], registers[instruction.rs]
        b = registers[instruction.rt] if instruction.immediate is None else instruction.immediate & _MASK
        result, taken = None, False
        match op:
            case ScalarOp.ADD:
                result = rs + b
            case ScalarOp.SUB:
                result = rs - b
            case ScalarOp.MUL:
                result = rs * b
            case ScalarOp.SHL:
                result = rs << b % 32
            case ScalarOp.SHR:
                result = rs >> b % 32
            case ScalarOp.MIN:
                result = min(_signed(rs), _signed(b))
            case ScalarOp.MAX:
                result = max(_signed(rs), _signed(b))
            case ScalarOp.AND:
                result = rs & b
            case ScalarOp.OR:
                result = rs | b
            case ScalarOp.XOR:
                result = rs ^ b
            case ScalarOp.LOAD | ScalarOp.STORE:
                address = (rs + b) & _MASK
                if address % 4 or address >= self._bytes:
                    self.error = (ErrorCode.SCRATCHPAD, pc, address)
                elif op == ScalarOp.LOAD:
                    result = self.scratchpad[address]
                else:
                    self.scratchpad[address] = rd
            case ScalarOp.BEQ:
                taken = rd == rs
            case ScalarOp.BNE:
                taken = rd != rs
            case ScalarOp.BLT:
                taken = _signed(rd) < _signed(rs)
            case ScalarOp.BGE:
                taken = _signed(rd) >= _signed(rs)
            case ScalarOp.DBNZ:
                result = rd - 1
                taken = rd != 1 and instruction.rd != 0
            case ScalarOp.JUMP:
                taken = True
            case ScalarOp.PUSH:
                self.tokens.append(rs)
            case ScalarOp.CLEAR:
                registers[:] = [0] * 16
                self.scratchpad = dict.fromkeys(range(0, self._bytes, 4), 0)
            case ScalarOp.FAIL:
                self.error = (ErrorCode.SOFTWARE, pc, (rs + b) & _MASK)
            case _:
                raise ValueError(f"the model knows no {op}")
        if result is not None and instruction.rd:
            registers[instruction.rd] = result & _MASK
        if taken and b >= words:
            self.error = (ErrorCode.ILLEGAL_INSTRUCTION, pc, b)
        return b if taken else following
