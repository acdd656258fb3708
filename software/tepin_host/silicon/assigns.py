# SPDX-License-Identifier: Apache-2.0
"""Verilog of gates without assignments to concatenations, which Yosys writes and OpenSTA does not read."""

import re

__all__ = ["without_concatenations"]

_DECLARATION = re.compile(r"^  (?:input|output|wire) \[(\d+):(\d+)\] (\\\S+ |\w+)")
_ASSIGNMENT = re.compile(r"^  assign \{(.*)\} = (.*);$")
_PART = re.compile(r"(\d+)'([hb])([0-9a-fA-FxzXZ]+)|(\\\S+ |\w+)(?:\s*\[(\d+)(?::(\d+))?\])?")


def without_concatenations(lines):
    """The lines of a netlist, with an assignment for each part of a concatenation that is assigned to."""
    widths = {}
    for line in lines:
        if line.startswith("module "):
            widths = {}
        if found := _DECLARATION.match(line):
            widths[found[3]] = int(found[1]), int(found[2])
        found = _ASSIGNMENT.match(line)
        if not found:
            yield line
            continue
        values = iter(_bits(found[2], widths))
        for target in _PART.finditer(found[1]):
            parts = [next(values) for _ in _bits(target[0], widths)]
            value = parts[0] if len(parts) == 1 else f"{{ {', '.join(parts)} }}"
            yield f"  assign {target[0]} = {value};\n"
        if next(values, None) is not None:
            raise ValueError(f"an assignment has more bits on its right: {line[:80]}")


def _bits(text, widths):
    """Each bit of an expression, the highest first."""
    for found in _PART.finditer(text):
        size, base, digits, name, high, low = found.groups()
        if size:
            value = bin(int(digits, 16))[2:] if base == "h" else digits
            yield from (f"1'b{bit}" for bit in value.zfill(int(size))[-int(size) :])
        elif high is not None:
            last = int(high if low is None else low)
            yield from (f"{name}[{place}]" for place in range(int(high), last - 1, -1))
        elif name in widths:
            first, last = widths[name]
            yield from (f"{name}[{place}]" for place in range(first, last - 1, -1))
        else:
            yield name
