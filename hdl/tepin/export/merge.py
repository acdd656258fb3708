# SPDX-License-Identifier: Apache-2.0
"""Makes one module of all that are equal, and gives modules and their ports readable names.

Amaranth makes a module for every instance, and calls a port that only carries a wire through the hierarchy by a number
which runs through the whole design. Two modules are equal here if they differ in nothing but their names and such numbers.
"""

import re

from tepin import netlist
from tepin.export.rtlil import Slice, rename_wires
from tepin.export.traverse import parents_first, read_chunks

__all__ = ["merge", "name_modules", "name_ports"]

_NUMBERED_PORT = re.compile(r"\\port\$\d+\$\d+$")


def merge(modules, top):
    """Merges equal modules below `top`. In place.

    Returns a dictionary from each module that stays to the names of all that it stands for.
    """
    kinds, first_of, members = {}, {}, {}
    children = {}  # of instances, whose ports get other names
    for name in reversed(parents_first(modules, top)):
        module = modules[name]
        for cell in module.instances():
            cell.ports = {children[cell.kind].get(port, port): value for port, value in cell.ports.items()}
            cell.kind = kinds[cell.kind]
        children[name] = _number_ports(module, modules)
        kinds[name] = first_of.setdefault(_key(module), name)
        members.setdefault(kinds[name], []).append(name)
    for name in set(modules) - set(members):
        del modules[name]
    return members


def _number_ports(module, modules):
    """Numbers the ports without a name of their own in the order in which they are read; returns old and new names."""
    order = [chunk.wire for chunk in read_chunks(module, modules)]
    order += [wire.name for wire in module.ports()]
    names = {}
    for name in order:
        if _NUMBERED_PORT.match(name) and name not in names:
            names[name] = f"\\through${len(names) + 1}"
    rename_wires(module, names)
    return names


def _key(module):
    """Equal for equal modules."""
    return repr(
        (
            sorted((wire.name, wire.width, wire.direction) for wire in module.wires.values()),
            [
                (
                    cell.kind,
                    cell.name if not cell.kind.startswith("$") else "",
                    sorted(cell.parameters.items()),
                    sorted(cell.ports.items()),
                )
                for cell in module.cells
            ],
            module.processes,
            module.connections,
            sorted(module.memories.items()),
        )
    )


def name_modules(modules, top, members, keep=()):
    """Names each module, but for those to `keep`, after what the paths of all that it stands for have in common. In place."""
    order = netlist.top_down(
        {name: [cell.kind for cell in modules[name].instances()] for name in modules}, top
    )
    names = netlist.readable_names({name: members[name] for name in order if name not in keep}, top)
    names |= {name: name for name in keep}
    result = {}
    for name in order:
        module = modules[name]
        module.name = names[name]
        for cell in module.instances():
            cell.kind = names[cell.kind]
        result[module.name] = module
    modules.clear()
    modules.update(result)


def name_ports(modules, top):
    """Calls ports that only carry something through by what the first instance has there. In place."""
    named = set()
    for name in parents_first(modules, top):
        for cell in modules[name].instances():
            if cell.kind in named:
                continue
            named.add(cell.kind)
            child = modules[cell.kind]
            names = {}
            for port, value in cell.ports.items():
                if port.startswith("\\through$"):
                    chunk = value[0] if value else None
                    base = chunk.wire.lstrip("\\").split("$")[0] if isinstance(chunk, Slice) else ""
                    names[port] = _unused("\\" + (base or "through"), child.wires, names)
            rename_wires(child, names)
            for parent in modules.values():
                for other in parent.instances():
                    if other.kind == cell.kind:
                        other.ports = {names.get(port, port): value for port, value in other.ports.items()}


def _unused(name, wires, names):
    number = 1
    result = name
    while result in wires or result in names.values():
        number += 1
        result = f"{name}_{number}"
    return result
