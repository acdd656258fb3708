# SPDX-License-Identifier: Apache-2.0
"""Programs as Python objects: instructions, their encoding to 32-bit words and back, and a listing.

`encode` and `decode` are exact inverses on every legal instruction; `decode` raises `IllegalInstruction` where the sequencer
stops with `ErrorCode.ILLEGAL_INSTRUCTION`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .isa import (
    COMMANDS,
    Engine,
    EngineOp,
    FieldWord,
    Header,
    ScalarOp,
    ScalarWord,
)

__all__ = ["CommandInstruction", "IllegalInstruction", "Operand", "ScalarInstruction", "decode", "listing"]

_WORD = 1 << 32


class IllegalInstruction(ValueError):
    """The word at a program counter is no instruction."""


class Operand(NamedTuple):
    """A field of an engine command: value = register + immediate, modulo 2**32."""

    register: int = 0
    immediate: int = 0

    def __add__(self, offset):
        """The operand `offset` further on."""
        return Operand(self.register, self.immediate + offset)

    def __str__(self):
        if self.register == 0:
            return hex(self.immediate) if abs(self.immediate) > 4095 else str(self.immediate)
        if self.immediate == 0:
            return f"r{self.register}"
        return f"r{self.register}{self.immediate:+#x}"

    @property
    def word(self):
        """Encoding of the field; `ValueError` if the immediate needs more than 28 bits."""
        if not -(1 << 27) <= self.immediate < 1 << 27:
            raise ValueError(f"immediate {self.immediate} does not fit 28 bits; put its base in a register")
        word = FieldWord.const({"register": self.register, "immediate": self.immediate & (1 << 28) - 1})
        return word.as_bits()


@dataclass(frozen=True)
class ScalarInstruction:
    """An instruction that the sequencer executes itself. Operand b is `immediate` unless that is None, else `rt`."""

    op: ScalarOp
    rd: int = 0
    rs: int = 0
    rt: int = 0
    immediate: int | None = None

    def encode(self) -> list[int]:
        has_immediate = self.immediate is not None
        word = ScalarWord.const(
            {
                "engine": Engine.SEQUENCER,
                "op": self.op,
                "immediate": has_immediate,
                "rd": self.rd,
                "rs": self.rs,
                "rt": self.rt,
            }
        )
        return [word.as_bits()] + ([self.immediate % _WORD] if has_immediate else [])

    def __str__(self):
        b = f"r{self.rt}" if self.immediate is None else f"{self.immediate}"
        return f"{self.op.name.lower():7} r{self.rd}, r{self.rs}, {b}"


@dataclass(frozen=True)
class CommandInstruction:
    """A command for an engine. `flags` is the integer value of the engine's flags struct; `fields` maps names to operands."""

    engine: Engine
    op: EngineOp = EngineOp.RUN
    wait: int = 0
    signal: int = 0
    flags: int = 0
    fields: dict[str, Operand] = field(default_factory=dict)

    def encode(self) -> list[int]:
        """Words of the instruction; `ValueError` if the fields are not exactly those that the flags ask for."""
        words = []
        if self.op == EngineOp.RUN:
            names = present_fields(self.engine, self.flags)
            if set(names) != set(self.fields):
                raise ValueError(f"{self.engine.name} needs fields {names}, not {list(self.fields)}")
            words = [self.flags] + [self.fields[name].word for name in names]
        header = Header.const(
            {
                "engine": self.engine,
                "op": self.op,
                "wait": self.wait,
                "signal": self.signal,
                "length": len(words),
            }
        )
        return [header.as_bits(), *words]

    def __str__(self):
        waits = f" wait={self.wait}" if self.wait else ""
        signals = f" signal={self.signal}" if self.signal else ""
        if self.op == EngineOp.NOP:
            return f"{self.engine.name.lower():7} nop{waits}{signals}"
        flags = _describe_flags(self.engine, self.flags)
        fields = " ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.engine.name.lower():7} {flags}{fields}{waits}{signals}"


def present_fields(engine, flags):
    """Names of the fields that a RUN command with these flags (an integer) carries, in order."""
    command = COMMANDS[engine]
    view = command.flags.from_bits(flags)
    return [field.name for field in command.fields if field.present(view)]


def _describe_flags(engine, flags):
    view = COMMANDS[engine].flags.from_bits(flags)
    text = ""
    for name, _ in COMMANDS[engine].flags.as_shape():
        value = getattr(view, name)
        if hasattr(value, "name"):
            text += f"{value.name.lower()} " if value.value or name == "function" else ""
        elif value and not name.endswith("_mode"):
            text += f"{name}={int(value)} " if value > 1 else f"{name} "
    return text


def _enum(kind, value, pc):
    try:
        return kind(value)
    except ValueError:
        raise IllegalInstruction(f"{value} is no {kind.__name__} (at word {pc})") from None


def decode(words, pc):
    """Decode the instruction at `words[pc]`.

    Returns
    -------
    instruction, length : ScalarInstruction | CommandInstruction, int
        The instruction and how many words it takes.

    Raises
    ------
    IllegalInstruction
    """
    if not 0 <= pc < len(words):
        raise IllegalInstruction(f"word {pc} lies outside the program")
    word = words[pc]
    engine = _enum(Engine, word & 15, pc)
    if engine == Engine.SEQUENCER:
        bits = ScalarWord.from_bits(word) if _enum(ScalarOp, word >> 4 & 63, pc) else None
        if bits.reserved or bits.reserved_low:
            raise IllegalInstruction(f"reserved bits are set in {word:#010x} (at word {pc})")
        immediate = None
        if bits.immediate:
            if pc + 1 >= len(words):
                raise IllegalInstruction(f"the immediate of word {pc} lies outside the program")
            immediate = words[pc + 1]
            immediate -= _WORD if immediate >> 31 else 0
        return ScalarInstruction(bits.op, bits.rd, bits.rs, bits.rt, immediate), 1 + int(bits.immediate)
    op = _enum(EngineOp, word >> 4 & 15, pc)
    header = Header.from_bits(word)
    length = header.length
    if header.reserved or pc + length >= len(words) or (op == EngineOp.RUN) != (length > 0):
        raise IllegalInstruction(f"{word:#010x} is no command header (at word {pc})")
    common = {"engine": engine, "op": op, "wait": header.wait, "signal": header.signal}
    if op == EngineOp.NOP:
        return CommandInstruction(**common), 1
    flags = words[pc + 1]
    names = present_fields(engine, flags & (1 << 28) - 1)
    if flags >> 28 or length != 1 + len(names):
        raise IllegalInstruction(f"{length} fields contradict flags {flags:#010x} (at word {pc})")
    fields = {}
    for name, raw in zip(names, words[pc + 2 : pc + 1 + length], strict=True):
        value = raw & (1 << 28) - 1
        fields[name] = Operand(raw >> 28, value - (1 << 28 if value >> 27 else 0))
    return CommandInstruction(**common, flags=flags, fields=fields), 1 + length


def listing(words) -> Iterator[str]:
    """One line per instruction: program counter, first word, text. Illegal words are shown as data."""
    pc = 0
    while pc < len(words):
        try:
            instruction, length = decode(words, pc)
            text = str(instruction)
        except IllegalInstruction:
            length, text = 1, "(no instruction)"
        yield f"{pc:5}  {words[pc]:08x}  {text}"
        pc += length
