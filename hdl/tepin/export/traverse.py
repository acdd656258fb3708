# SPDX-License-Identifier: Apache-2.0
"""Ways through a netlist: what drives what, what reads what, which module is above which."""

from tepin.export.rtlil import Assign, Slice, Switch

__all__ = [
    "elements",
    "output_names",
    "output_of",
    "parents_first",
    "read_chunks",
    "reads_of",
    "rewrite",
    "target_of",
]

_OUTPUTS = {"$dff": "Q", "$memrd_v2": "DATA"}


def output_of(cell):
    """Name of the port through which an operator, register or memory's read port drives; None for a write port."""
    return None if cell.kind in ("$memwr_v2", "$meminit_v2") else _OUTPUTS.get(cell.kind, "Y")


def rewrite(module, change, modules):
    """Applies `change`, from a tuple of chunks to another, wherever a module reads something. In place.

    `modules` are those that it has instances of, by name.
    """
    module.connections = [Assign(target, change(value)) for target, value in module.connections]
    module.processes = [[_rewrite_step(step, change) for step in process] for process in module.processes]
    for cell in module.cells:
        driven = {output_of(cell)} if cell.kind.startswith("$") else output_names(modules[cell.kind])
        for port, value in cell.ports.items():
            if port not in driven:
                cell.ports[port] = change(value)


def _rewrite_step(step, change):
    if isinstance(step, Assign):
        return Assign(step.target, change(step.value))
    cases = [(patterns, [_rewrite_step(part, change) for part in body]) for patterns, body in step.cases]
    return Switch(change(step.subject), cases)


def reads_of(process):
    """Every signal that a process reads."""
    for step in process:
        if isinstance(step, Assign):
            yield step.value
        else:
            yield step.subject
            for _, body in step.cases:
                yield from reads_of(body)


def target_of(process):
    """What a process drives: a slice."""
    return process[0].target[0]


def parents_first(modules, top):
    """Names of the modules below `top`, each after all that have instances of it."""
    done = {}

    def visit(name):
        if name not in done:
            for cell in modules[name].instances():
                visit(cell.kind)
            done[name] = None

    visit(top)
    return list(reversed(done))


def output_names(module):
    return {wire.name for wire in module.ports() if wire.direction == "output"}


def elements(module, modules):
    """Everything that drives something: (what it drives, what it reads, itself)."""
    memories = {}
    for cell in module.cells:
        if cell.kind in ("$memwr_v2", "$meminit_v2"):
            memories.setdefault(cell.parameters["MEMID"], []).extend(cell.ports.values())
    for cell in module.cells:
        if cell.kind.startswith("$"):
            port = output_of(cell)
            if port:
                reads = [value for name, value in cell.ports.items() if name != port]
                if cell.kind == "$memrd_v2":
                    reads += memories.get(cell.parameters["MEMID"], ())
                yield cell.ports[port], reads, cell
        else:
            outputs = output_names(modules[cell.kind])
            drives = tuple(chunk for port in outputs for chunk in cell.ports.get(port, ()))
            yield drives, [value for port, value in cell.ports.items() if port not in outputs], cell
    for process in module.processes:
        yield (target_of(process),), list(reads_of(process)), process


def read_chunks(module, modules):
    """Slices that a module reads."""
    for _, reads, _ in elements(module, modules):
        for signal in reads:
            yield from (chunk for chunk in signal if isinstance(chunk, Slice))
    for _, value in module.connections:
        yield from (chunk for chunk in value if isinstance(chunk, Slice))
