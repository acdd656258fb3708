# SPDX-License-Identifier: Apache-2.0
"""A module of a netlist as Verilog-2005 that people can read and every tool accepts without a warning.

Operators that have one reader stand where they are read. A register is one `always` block with its conditions in it, ended by
its reset. No register has an initial value; `RANDOM_START` is for simulators, to which an unknown bit times zero is unknown.
What nobody reads, such as the low bits of an address, ends in a wire called `unused`, so that a linter's list of unused wires
is a list of mistakes.
"""

from dataclasses import dataclass

from tepin.export.expressions import Operation, operation
from tepin.export.names import RESERVED, identifiers
from tepin.export.registers import clocked, split_targets
from tepin.export.rtlil import Assign, Const, Slice, Wire
from tepin.export.text import (
    LINE,
    RANDOM_START,
    bare,
    bit_range,
    declaration,
    fold,
    is_operand,
    pattern_text,
    random_bits,
)
from tepin.export.traverse import reads_of, target_of

__all__ = ["Interface", "module_text"]

_NESTED = 60
"""Longest expression that stands within another one."""


@dataclass(frozen=True)
class Interface:
    """What somebody knows of a module who has an instance of it.

    Members
    -------
    ports : dict
        `{name in the netlist: (direction, width, name in Verilog)}`, in the order in which they are declared.
    names : frozenset of str
        All names in the module.
    """

    ports: dict
    names: frozenset


def module_text(module, interfaces, *, port_order=()):
    """Verilog of a module, and its `Interface`.

    Parameters
    ----------
    module : Module
        After `tepin.export.memories.extract`. It is changed on the way: write it once.
    interfaces : dict
        `Interface` of every module that it has instances of, by name.
    port_order : sequence of str
        Names of ports that come last, in this order; the others come before them, clock and reset first.
    """
    writer = _Writer(module, interfaces)
    return writer.text(port_order), writer.interface()


class _Writer:
    def __init__(self, module, interfaces):
        self._module = module
        self._interfaces = interfaces
        split_targets(module)
        self._names = identifiers(module)
        self._registers, self._processes = clocked(module)
        self._operations = {}  # by the wire that the operator drives
        for cell in module.cells:
            if cell.kind.startswith("$") and cell.kind != "$dff":
                (target,) = cell.ports["Y"]
                self._operations[target.wire] = self._widened(target, operation(cell))
        self._readers = self._count_readers()
        self._texts = {}
        self._variables = {target_of(process).wire for process in self._processes}
        self._variables |= {cell.ports["Q"][0].wire for cell, _ in self._registers}

    def _widened(self, target, what):
        """An operator whose result is cut, through a wire that has all its bits."""
        if what.width == target.width:
            return what
        wide = Wire(f"{target.wire}$wide", what.width)
        self._module.wires[wide.name] = wide
        self._names[wide.name] = f"{self._names[target.wire]}_wide"
        self._operations[wide.name] = what
        return Operation("{0}", ((Slice(wide.name, 0, target.width),),), target.width, False)

    # ----- who reads what

    def _reads(self):
        """Every signal that is read."""
        for what in self._operations.values():
            yield from what.operands
        for process in self._processes:
            yield from reads_of(process)
        for cell, body in self._registers:
            yield cell.ports["CLK"]
            yield from reads_of(body)
        for _, value in self._module.connections:
            yield value
        for cell in self._module.instances():
            ports = self._interfaces[cell.kind].ports
            yield from (value for port, value in cell.ports.items() if ports[port][0] == "input")

    def _count_readers(self):
        """How often each wire is read; twice or more if not as a whole."""
        readers = {}
        for signal in self._reads():
            for chunk in signal:
                if isinstance(chunk, Slice):
                    whole = chunk.width == self._module.wires[chunk.wire].width
                    readers[chunk.wire] = readers.get(chunk.wire, 0) + (1 if whole else 2)
        return readers

    # ----- expressions

    def _read(self, signal):
        """A signal as an expression that can be an operand."""
        parts = []
        for chunk in signal:
            text = self._constant(chunk.bits) if isinstance(chunk, Const) else self._slice(chunk)
            if parts and parts[-1][0] == text:
                parts[-1][1] += 1
            else:
                parts.append([text, 1])
        if len(parts) == 1 and parts[0][1] == 1:
            return parts[0][0]
        return (
            "{"
            + ", ".join(f"{{{count}{{{bare(text)}}}}}" if count > 1 else bare(text) for text, count in parts)
            + "}"
        )

    def _constant(self, bits):
        value, width = int(bits.replace("x", "0"), 2), len(bits)
        return f"{width}'d{value}" if value < 16 else f"{width}'h{value:x}"

    def _slice(self, chunk):
        width = self._module.wires[chunk.wire].width
        if chunk.width == width:
            return self._nested(chunk.wire) or self._names[chunk.wire]
        low, high = chunk.low, chunk.low + chunk.width - 1
        return self._names[chunk.wire] + (f"[{high}:{low}]" if high > low else f"[{low}]")

    def _nested(self, wire):
        """The expression of a wire if it stands where the wire is read, or None."""
        if wire in self._texts:
            return self._texts[wire]
        what = self._operations.get(wire)
        result = None
        if what and what.nests and wire.startswith("$") and self._readers.get(wire) == 1:
            text = self._operator(what)
            if len(text) <= _NESTED:
                result = text if is_operand(text) else f"({text})"
        self._texts[wire] = result
        return result

    def _operator(self, what):
        operands = map(self._read, what.operands)
        if what.template[0] in "~-&|^":
            operands = (f"({text})" if text.startswith("~") else text for text in operands)
        return what.template.format(*operands)

    # ----- statements

    def _assign(self, target, text):
        line = f"  assign {target} = {text};"
        return line if len(line) <= LINE else f"  assign {target} =\n{fold(text, 4)};"

    def _steps(self, steps, arrow, indent, target=None):
        pad = " " * indent
        for step in steps:
            if isinstance(step, Assign):
                text = bare(self._read(step.value))
                name = self._slice_target(step.target[0], target)
                line = f"{pad}{name} {arrow} {text};"
                yield line if len(line) <= LINE else f"{pad}{name} {arrow}\n{fold(text, indent + 2)};"
            elif not step.subject:
                yield from self._steps(step.cases[0][1], arrow, indent, target)
            else:
                yield from self._switch(step, arrow, indent, target)

    def _slice_target(self, chunk, target):
        if target:
            chunk = Slice(target, chunk.low, chunk.width)
        width = self._module.wires[chunk.wire].width
        if chunk.width == width:
            return self._names[chunk.wire]
        low, high = chunk.low, chunk.low + chunk.width - 1
        return self._names[chunk.wire] + (f"[{high}:{low}]" if high > low else f"[{low}]")

    def _switch(self, step, arrow, indent, target):
        pad = " " * indent
        cases = [
            (patterns, list(self._steps(body, arrow, indent + 2, target))) for patterns, body in step.cases
        ]
        while cases and not cases[-1][1]:
            cases.pop()
        if not cases:
            return
        if _is_case(cases):
            masked = any("-" in pattern for patterns, _ in cases for pattern in patterns)
            yield f"{pad}{'casez' if masked else 'case'} ({bare(self._read(step.subject))})"
            for patterns, body in cases:
                label = ", ".join(pattern_text(pattern) for pattern in patterns) or "default"
                if len(body) == 1 and "\n" not in body[0] and len(body[0]) + len(label) < LINE - 4:
                    yield f"{pad}  {label}: {body[0].strip()}"
                elif body:
                    yield f"{pad}  {label}: begin"
                    yield from ("  " + line.replace("\n", "\n  ") for line in body)
                    yield f"{pad}  end"
                else:
                    yield f"{pad}  {label}: ;"
            if cases[-1][0]:
                yield f"{pad}  default: ;"
            yield f"{pad}endcase"
            return
        conditions = [self._condition(step.subject, patterns) for patterns, _ in cases]
        if len(cases) == 2 and not cases[0][1] and not cases[1][0]:
            inverse = f"!{conditions[0]}" if is_operand(conditions[0]) else f"!({conditions[0]})"
            cases, conditions = [cases[1]], [inverse]
        for index, ((patterns, body), condition) in enumerate(zip(cases, conditions, strict=True)):
            start = "if" if index == 0 else "else if"
            head = f"{start} ({condition})" if patterns or index == 0 else "else"
            if index:
                head = "end " + head
            yield f"{pad}{head} begin"
            yield from body
        yield f"{pad}end"

    def _condition(self, subject, patterns):
        texts = []
        for pattern in patterns:
            terms = []
            rest = list(zip(pattern, _bits(subject), strict=True))
            if pattern.count("-") == 0 and len(pattern) > 1:
                terms.append(f"{self._read(subject)} == {self._constant(pattern)}")
            else:
                for bit, chunk in rest:
                    if bit != "-":
                        text = self._read((chunk,))
                        text = (
                            bare(text)
                            if bit == "1" and len(patterns) == 1 and pattern.count("-") == len(pattern) - 1
                            else text
                        )
                        terms.append(text if bit == "1" else f"!{text}")
            texts.append(" && ".join(terms) or "1'd1")
        return texts[0] if len(texts) == 1 else " || ".join(f"({text})" for text in texts)

    # ----- the whole

    def text(self, port_order):
        module = self._module
        body = []
        operations = list(self._operations.items())
        rest, blocks, instances = [], [], []
        for process in self._processes:
            lines = list(self._steps(process, "=", 4))
            blocks.append("\n".join(["  always @* begin", *lines, "  end"]))
        for cell, steps in self._registers:
            clock = self._read(cell.ports["CLK"])
            lines = list(self._steps(steps, "<=", 4, cell.ports["Q"][0].wire))
            if len(lines) == 1 and "\n" not in lines[0]:
                blocks.append(f"  always @(posedge {clock}) {lines[0].strip()}")
            else:
                blocks.append("\n".join([f"  always @(posedge {clock}) begin", *lines, "  end"]))
        for target, value in module.connections:
            rest.append(self._assign(self._slice_target(target[0], None), bare(self._read(value))))
        for cell in module.instances():
            instances.append(self._instance(cell))
        assigns = []
        for wire, what in operations:
            if self._nested(wire):
                continue
            assigns.append(self._assign(self._names[wire], self._operator(what)))
        body = [*assigns, *rest]
        unused = self._unused()
        declared = [
            f"  {'reg' if wire.name in self._variables else 'wire'} {bit_range(wire.width)}{' ' if wire.width > 1 else ''}"
            f"{self._names[wire.name]};"
            for wire in module.wires.values()
            if not wire.direction and not self._nested(wire.name)
        ]
        last = {name: index for index, name in enumerate(port_order, 1)}
        self._ports = sorted(module.ports(), key=lambda wire: _port_rank(self._names[wire.name], last))
        head = declaration(
            module.name,
            [
                (
                    f"{wire.direction} {'reg' if wire.name in self._variables else 'wire'}",
                    wire.width,
                    self._names[wire.name],
                )
                for wire in self._ports
            ],
        )
        parts = ["\n".join(part) for part in (declared, body) if part]
        parts += ["\n\n".join(part) for part in (blocks, instances) if part]
        if self._registers:
            starts = [
                f"    {self._slice_target(cell.ports['Q'][0], None)} = {random_bits(cell.ports['Q'][0].width)};"
                for cell, _ in self._registers
            ]
            parts.append("\n".join([f"`ifdef {RANDOM_START}", "  initial begin", *starts, "  end", "`endif"]))
        if unused:
            parts.append(unused)
        return head + "\n\n".join(parts) + "\nendmodule\n"

    def interface(self):
        ports = {wire.name: (wire.direction, wire.width, self._names[wire.name]) for wire in self._ports}
        return Interface(ports, frozenset(self._names.values()))

    def _instance(self, cell):
        ports = self._interfaces[cell.kind].ports
        # Verilator warns of a name in a module that is the name of an instance of it, too.
        name = _instance_name(
            cell.name, RESERVED | set(self._names.values()) | self._interfaces[cell.kind].names
        )
        lines = []
        for port, (_, _, printed) in ports.items():
            if port in cell.ports:
                text = bare(self._read(cell.ports[port]))
                line = f"    .{printed}({text})"
                lines.append(line if len(line) <= LINE else f"    .{printed}(\n{fold(text, 6)}\n    )")
        return f"  {cell.kind} {name} (\n" + ",\n".join(lines) + "\n  );"

    def _unused(self):
        """A wire that reads what nobody else does."""
        used = {}
        for signal in self._reads():
            for chunk in signal:
                if isinstance(chunk, Slice):
                    used[chunk.wire] = used.get(chunk.wire, 0) | ((1 << chunk.width) - 1) << chunk.low
        parts = []
        for wire in self._module.wires.values():
            if wire.direction == "output" or self._nested(wire.name):
                continue
            missing = ((1 << wire.width) - 1) & ~used.get(wire.name, 0)
            high = wire.width
            while missing:
                high = missing.bit_length()
                low = high
                while low and missing >> (low - 1) & 1:
                    low -= 1
                parts.append(self._slice_target(Slice(wire.name, low, high - low), None))
                missing &= (1 << low) - 1
        if not parts:
            return ""
        names = set(self._names.values())
        name = next(name for name in ("unused", "unused_bits", "unused_wires") if name not in names)
        text = "&{1'd0, " + ", ".join(parts) + "}"
        return f"  wire {name};\n" + self._assign(name, text)


def _port_rank(name, last):
    return last.get(name, 0), name not in ("clk", "rst"), name


def _bits(signal):
    for chunk in signal:
        if isinstance(chunk, Const):
            yield from map(Const, chunk.bits)
        else:
            yield from (Slice(chunk.wire, chunk.low + n, 1) for n in reversed(range(chunk.width)))


def _is_case(cases):
    """Whether a switch is written as one: several cases of several bits of which no two can be true at the same time."""
    patterns = [pattern for patterns, _ in cases for pattern in patterns]
    if len(patterns) < 2 or len(patterns[0]) == 1:
        return False
    return not any(
        all(a == b or "-" in (a, b) for a, b in zip(one, other, strict=True))
        for index, one in enumerate(patterns)
        for other in patterns[:index]
    )


def _instance_name(name, taken):
    base = "".join(character if character.isalnum() else "_" for character in name.lstrip("\\")).strip("_")
    while base in taken:
        base += "_i"
    return base
