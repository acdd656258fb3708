# SPDX-License-Identifier: Apache-2.0
"""RTLIL text, as Amaranth writes it, taken as modules of wires, cells and processes.

RTLIL is the language in which Yosys keeps designs; its manual defines it. Of it, only what Amaranth writes is understood;
anything else is an error, never skipped.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = [
    "Assign",
    "Cell",
    "Const",
    "Module",
    "Slice",
    "Switch",
    "Wire",
    "bits_of",
    "cut",
    "join",
    "parse",
    "rename_wires",
    "width_of",
]


class Slice(NamedTuple):
    """Bits `low` to `low + width - 1` of a wire."""

    wire: str
    low: int
    width: int


class Const(NamedTuple):
    """Bits of a constant, each `0`, `1` or `x`, the highest first."""

    bits: str


@dataclass
class Wire:
    """`direction` is None, "input" or "output"."""

    name: str
    width: int
    direction: str | None = None


@dataclass
class Cell:
    """An operator, register or memory port (`kind` begins with `$`), or an instance of a module.

    Ports of instances are called as the wires in the module are, with a backslash; those of the others without.
    """

    kind: str
    name: str
    parameters: dict = field(default_factory=dict)
    ports: dict = field(default_factory=dict)
    attributes: dict = field(default_factory=dict)


class Assign(NamedTuple):
    """Part of a process: `target` gets `value`. Both are tuples of `Slice` and `Const`, the highest bits first."""

    target: tuple
    value: tuple


class Switch(NamedTuple):
    """Part of a process: the first of `cases` (patterns, body) with a pattern equal to `subject`; no pattern means any."""

    subject: tuple
    cases: list


@dataclass
class Module:
    """A module.

    Members
    -------
    wires : dict from str to Wire
    cells : list of Cell
    processes : list of list of Assign and Switch
    connections : list of Assign
    memories : dict from str to (width, depth, attributes)
    """

    name: str
    wires: dict = field(default_factory=dict)
    cells: list = field(default_factory=list)
    processes: list = field(default_factory=list)
    connections: list = field(default_factory=list)
    memories: dict = field(default_factory=dict)

    def ports(self):
        """Wires that are ports, in order."""
        return [wire for wire in self.wires.values() if wire.direction]

    def instances(self):
        """Cells that are instances of modules."""
        return [cell for cell in self.cells if not cell.kind.startswith("$")]


def width_of(signal):
    """Bits of a tuple of chunks."""
    return sum(len(chunk.bits) if isinstance(chunk, Const) else chunk.width for chunk in signal)


def cut(signal, low, width):
    """Bits `low` to `low + width - 1` of a tuple of chunks."""
    result = []
    position = 0
    for chunk in reversed(signal):
        size = len(chunk.bits) if isinstance(chunk, Const) else chunk.width
        first, last = max(low, position), min(low + width, position + size)
        if first < last:
            if isinstance(chunk, Const):
                end = size - (first - position)
                result.append(Const(chunk.bits[end - (last - first) : end]))
            else:
                result.append(Slice(chunk.wire, chunk.low + first - position, last - first))
        position += size
    return tuple(reversed(result))


def join(chunks):
    """A tuple of chunks with neighbours that belong together in one."""
    result = []
    for chunk in chunks:
        last = result[-1] if result else None
        if isinstance(chunk, Const) and isinstance(last, Const):
            result[-1] = Const(last.bits + chunk.bits)
        elif (
            isinstance(chunk, Slice)
            and isinstance(last, Slice)
            and chunk.wire == last.wire
            and chunk.low + chunk.width == last.low
        ):
            result[-1] = Slice(chunk.wire, chunk.low, chunk.width + last.width)
        else:
            result.append(chunk)
    return tuple(result)


def bits_of(signal):
    """Single bits of a tuple of chunks, the highest first."""
    for chunk in signal:
        if isinstance(chunk, Const):
            yield from map(Const, chunk.bits)
        else:
            yield from (Slice(chunk.wire, chunk.low + n, 1) for n in reversed(range(chunk.width)))


def rename_wires(module, names):
    """Gives some wires of a module other names. In place."""
    if not names:
        return

    def rename(signal):
        return tuple(
            Slice(names.get(chunk.wire, chunk.wire), chunk.low, chunk.width)
            if isinstance(chunk, Slice)
            else chunk
            for chunk in signal
        )

    def rename_steps(steps):
        return [
            Assign(rename(step.target), rename(step.value))
            if isinstance(step, Assign)
            else Switch(
                rename(step.subject), [(patterns, rename_steps(body)) for patterns, body in step.cases]
            )
            for step in steps
        ]

    for wire in module.wires.values():
        wire.name = names.get(wire.name, wire.name)
    module.wires = {wire.name: wire for wire in module.wires.values()}
    module.connections = [Assign(rename(target), rename(value)) for target, value in module.connections]
    module.processes = [rename_steps(process) for process in module.processes]
    for cell in module.cells:
        cell.ports = {port: rename(value) for port, value in cell.ports.items()}


def parse(text):
    """Modules of an RTLIL text by name, without the backslash, in order."""
    return _Parser(text).modules()


_SIGNAL = re.compile(r"([\\$]\S+)(?: \[(\d+)(?::(\d+))?\])?|\d+'([01xz-]*)|([{}])")


class _Parser:
    def __init__(self, text):
        self._lines = [line for line in map(str.strip, text.splitlines()) if line]
        self._position = 0
        self._widths = {}

    def _next(self):
        line = self._lines[self._position]
        self._position += 1
        return line

    def modules(self):
        result = {}
        while self._position < len(self._lines):
            word, _, rest = self._next().partition(" ")
            if word == "module":
                module = self._module(_name(rest))
                result[module.name] = module
            elif word != "attribute":
                raise ValueError(f"RTLIL has {word!r} where a module was expected")
        return result

    def _module(self, name):
        module = Module(name)
        self._widths = {}
        attributes = {}
        while True:
            line = self._next()
            word, _, rest = line.partition(" ")
            if word == "end":
                return module
            if word == "attribute":
                key, _, value = rest.partition(" ")
                attributes[key[1:]] = value
                continue
            if word == "wire":
                wire = self._wire(rest.split())
                module.wires[wire.name] = wire
            elif word == "memory":
                _, width, _, depth, memory = rest.split()
                module.memories[memory] = (int(width), int(depth), attributes)
            elif word == "cell":
                module.cells.append(self._cell(*rest.split(" ", 1), attributes))
            elif word == "process":
                module.processes.append(self._body(("end",)))
                self._next()
            elif word == "connect":
                module.connections.append(Assign(*self._two_signals(rest)))
            else:
                raise ValueError(f"RTLIL has {word!r} in a module")
            attributes = {}

    def _wire(self, words):
        name = words.pop()
        width, direction = 1, None
        while words:
            word = words.pop(0)
            if word == "width":
                width = int(words.pop(0))
            elif word in ("input", "output"):
                direction = word
                words.pop(0)
            elif word != "signed":
                raise ValueError(f"RTLIL has a wire with {word!r}")
        self._widths[name] = width
        return Wire(name, width, direction)

    def _cell(self, kind, name, attributes):
        cell = Cell(kind.removeprefix("\\"), name, attributes=attributes)
        while (line := self._next()) != "end":
            word, _, rest = line.partition(" ")
            if word == "parameter":
                rest = rest.removeprefix("signed ")
                key, _, value = rest.partition(" ")
                cell.parameters[key[1:]] = _value(value)
            else:
                key, _, value = rest.partition(" ")
                cell.ports[key[1:] if kind.startswith("$") else key] = self._signal(value)
        return cell

    def _body(self, ends):
        """Assignments and switches up to a line that begins with one of `ends`, which stays."""
        body = []
        while True:
            line = self._lines[self._position]
            word, _, rest = line.partition(" ")
            if word in ends:
                return body
            self._position += 1
            if word == "assign":
                body.append(Assign(*self._two_signals(rest)))
            elif word == "switch":
                subject = self._signal(rest)
                cases = []
                while (line := self._next()) != "end":
                    patterns = [
                        pattern.split("'")[1] for pattern in line[len("case") :].split(",") if pattern.strip()
                    ]
                    cases.append((patterns, self._body(("case", "end"))))
                body.append(Switch(subject, cases))
            else:
                raise ValueError(f"RTLIL has {word!r} in a process")

    def _two_signals(self, text):
        first, end = self._one_signal(text, 0)
        second, _ = self._one_signal(text, end)
        return first, second

    def _signal(self, text):
        return self._one_signal(text, 0)[0]

    def _one_signal(self, text, start):
        chunks = []
        depth = 0
        while True:
            match = _SIGNAL.search(text, start)
            if match is None:
                raise ValueError(f"RTLIL has a signal {text!r} without an end")
            start = match.end()
            name, high, low, bits, brace = match.groups()
            if brace == "{":
                depth += 1
            elif brace == "}":
                depth -= 1
            elif name:
                if high is None:
                    chunks.append(Slice(name, 0, self._widths[name]))
                else:
                    low = int(high if low is None else low)
                    chunks.append(Slice(name, low, int(high) - low + 1))
            elif bits:
                chunks.append(Const(bits))
            if depth == 0:
                return join(chunks), start


def _name(text):
    return text.removeprefix("\\")


def _value(text):
    """A parameter: an integer, the bits of a constant as a string, or a string without its quotes."""
    if text.startswith('"'):
        return text[1:-1].replace("\\\\", "\\")
    if "'" in text:
        return text.split("'")[1]
    return int(text)
