# SPDX-License-Identifier: Apache-2.0
"""From a component to Verilog files: one for each distinct module, one for each kind of memory."""

from dataclasses import dataclass, field

from amaranth.back import rtlil as amaranth_rtlil

from tepin import verilog
from tepin.clock import CLOCK_GATE, CLOCK_GATE_VERILOG
from tepin.export import memories, merge, rtlil, writer
from tepin.export.cycles import break_cycles
from tepin.export.names import RESERVED
from tepin.export.simplify import simplify
from tepin.export.traverse import parents_first
from tepin.export.unused import remove_unused

__all__ = ["Design", "convert"]

_SPDX = "// SPDX-License-Identifier: Apache-2.0\n"


@dataclass
class Design:
    """A component in Verilog.

    Members
    -------
    top : str
        Name of the top module.
    modules : dict from str to str
        Text of each module, by its name, the top module first.
    memories : dict from str to Memory
        By the name of its module; their texts are in `modules`, too, at the end.
    instances : dict from str to dict
        How often each module has instances of each other one.
    ports : dict from str to (width, direction)
        Ports of the top module, in order.
    registers : dict from str to int
        Bits of the registers of each module itself, memories apart.
    multipliers : dict from str to int
        How many products of two variables each module itself computes.
    """

    top: str
    modules: dict = field(default_factory=dict)
    memories: dict = field(default_factory=dict)
    instances: dict = field(default_factory=dict)
    ports: dict = field(default_factory=dict)
    registers: dict = field(default_factory=dict)
    multipliers: dict = field(default_factory=dict)

    def text(self):
        """All modules in one text, the top module first."""
        return "\n".join((_SPDX, *(text.removeprefix(_SPDX) for text in self.modules.values())))

    def counts(self, top=None):
        """How often each module is there in the whole design, or in one of its modules."""
        result = dict.fromkeys(self.modules, 0)

        def visit(name, times):
            result[name] += times
            for child, count in self.instances.get(name, {}).items():
                visit(child, times * count)

        visit(top or self.top, 1)
        return result


def convert(component, *, name, port_names=None, comment="", clock_gates=False):
    """Verilog of a component, as `tepin.verilog.convert` makes it, but for people and other people's tools.

    With `clock_gates`, the clock of what rests is stopped by instances of `tepin_clock_gate`, see `tepin.clock`.

    Raises `ValueError` as that does, and if the design has what does not belong into portable silicon: contents of
    memories at power-up, several clocks in a memory, a falling edge, a port whose name is a word of Verilog's.
    """
    flat = verilog.Flat(component, port_names or {})
    if reserved := RESERVED.intersection(flat.ports):
        raise ValueError(f"Verilog keeps the name of port {', '.join(sorted(reserved))} for itself")
    text = amaranth_rtlil.convert(
        flat, name=name, platform=verilog.Target("", clock_gates), ports=flat.ports, emit_src=False
    )
    modules = rtlil.parse(text)
    if clock_gates:
        modules[CLOCK_GATE] = _clock_gate()
    break_cycles(modules, name)
    members = {each: [each] for each in modules}
    size = None
    while size != (size := sum(len(module.cells) + len(module.wires) for module in modules.values())):
        for module in modules.values():
            simplify(module, modules)
        remove_unused(modules, name)
        merged = merge.merge(modules, name)
        members = {kept: [path for each in group for path in members[each]] for kept, group in merged.items()}
    merge.name_modules(modules, name, members, keep=(CLOCK_GATE,))
    merge.name_ports(modules, name)
    return _written(modules, name, list(flat.ports), comment)


def _clock_gate():
    """What stands for the module of a clock gate until it is written: ports, and an output that depends on both inputs."""
    wires = {"clk": "input", "enable": "input", "gated": "output"}
    ports = {port: (rtlil.Slice(f"\\{name}", 0, 1),) for port, name in zip("ABY", wires, strict=True)}
    parameters = {"A_SIGNED": 0, "B_SIGNED": 0, "A_WIDTH": 1, "B_WIDTH": 1, "Y_WIDTH": 1}
    return rtlil.Module(
        CLOCK_GATE,
        wires={f"\\{name}": rtlil.Wire(f"\\{name}", 1, direction) for name, direction in wires.items()},
        cells=[rtlil.Cell("$and", "$gate", parameters, ports)],
    )


def _is_constant(signal):
    return all(isinstance(chunk, rtlil.Const) for chunk in signal)


def _written(modules, top, port_order, comment):
    design = Design(top)
    interfaces, texts, found = {}, {}, {}
    for each in reversed(parents_first(modules, top)):
        module = modules[each]
        taken = memories.extract(module)
        found |= taken
        for memory, kind in taken.items():
            ports = {port: (*rest, port) for port, rest in kind.ports().items()}
            interfaces[memory] = writer.Interface(ports, frozenset(("words", *ports)))
        design.instances[each] = {}
        for cell in module.instances():
            design.instances[each][cell.kind] = design.instances[each].get(cell.kind, 0) + 1
        design.registers[each] = sum(
            rtlil.width_of(cell.ports["Q"]) for cell in module.cells if cell.kind == "$dff"
        )
        design.multipliers[each] = sum(
            cell.kind == "$mul" and not any(_is_constant(cell.ports[port]) for port in "AB")
            for cell in module.cells
        )
        order = port_order if each == top else ()
        head = f"{_SPDX}// {comment}\n\n" if comment else f"{_SPDX}\n"
        text, interfaces[each] = writer.module_text(module, interfaces, port_order=order)
        texts[each] = head + (CLOCK_GATE_VERILOG if each == CLOCK_GATE else text)
    design.modules = {each: texts[each] for each in modules}
    for memory in sorted(found):
        design.memories[memory] = found[memory]
        design.modules[memory] = found[memory].text()
    design.ports = {port: (width, direction) for direction, width, port in interfaces[top].ports.values()}
    return design
