# SPDX-License-Identifier: Apache-2.0
"""Pieces of Verilog text: declarations, constants, and expressions that need no parentheses or more than one line."""

__all__ = [
    "LINE",
    "RANDOM_START",
    "bare",
    "bit_range",
    "declaration",
    "fold",
    "is_operand",
    "pattern_text",
    "random_bits",
]

RANDOM_START = "TEPIN_RANDOM_START"
"""Verilog macro: if it is defined, registers and memories begin with random bits, and not unknown, in a simulation."""

LINE = 110
"""Characters of a line."""


def declaration(name, ports):
    """First lines of a module. `ports` are (kind, width, name), the kind such as `input wire`."""
    width = max((len(bit_range(size)) for _, size, _ in ports), default=0)
    kinds = max((len(kind) for kind, _, _ in ports), default=0)
    lines = [f"  {kind:<{kinds}} {bit_range(size):<{width}} {port}".rstrip() for kind, size, port in ports]
    if not width:
        lines = [f"  {kind:<{kinds}} {port}" for kind, _, port in ports]
    return f"module {name} (\n" + ",\n".join(lines) + "\n);\n"


def random_bits(width):
    """An expression of at least so many random bits, for simulations."""
    count = -(-width // 32)
    return "$random" if count == 1 else "{" + ", ".join(["$random"] * count) + "}"


def bit_range(width):
    """The range of a vector in its declaration, empty for a single bit."""
    return f"[{width - 1}:0]" if width > 1 else ""


def is_operand(text):
    """Whether an expression needs no parentheses as an operand: a name, a slice, a constant, braces, or `~` of it."""
    depth = 0
    for character in text.removeprefix("~"):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif depth == 0 and not (character.isalnum() or character in "_'"):
            return False
    return True


def bare(text):
    """An expression without parentheses around all of it."""
    if not text.startswith("("):
        return text
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[1:-1] if index == len(text) - 1 else text
    return text


def fold(text, indent):
    """A long expression in several lines, broken behind its commas and spaces."""
    pad = " " * indent
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(pad) + len(line) + 1 + len(word) > LINE:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join(pad + part for part in (*lines, line))


def pattern_text(pattern):
    """A pattern of a process as a label of `case` or `casez`."""
    if "-" in pattern:
        return f"{len(pattern)}'b{pattern.replace('-', '?')}"
    value = int(pattern, 2)
    return f"{len(pattern)}'d{value}" if value < 16 else f"{len(pattern)}'h{value:x}"
