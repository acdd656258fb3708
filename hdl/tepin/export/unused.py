# SPDX-License-Identifier: Apache-2.0
"""Removes from a netlist what no output depends on: operators, registers, memories, fields of structures, ports."""

from tepin.export.rtlil import Assign, Const, Slice, Wire, cut
from tepin.export.traverse import elements, output_names, output_of, parents_first, read_chunks, rewrite

__all__ = ["remove_unused"]


def remove_unused(modules, top):
    """Removes what no output of the module `top` depends on, ports included. In place; until nothing more is to be found."""
    while _remove_once(modules, top):
        pass


def _remove_once(modules, top):
    changed = False
    needed = {name: set() for name in modules}  # outputs of each module that some instance needs
    needed[top] = {wire.name for wire in modules[top].ports() if wire.direction == "output"}
    for name in parents_first(modules, top):
        module = modules[name]
        live = _live_bits(module, modules, needed[name])
        changed |= _drop_dead(module, live, modules)
        for cell in module.instances():
            outputs = output_names(modules[cell.kind])
            needed[cell.kind] |= {
                port for port in outputs if any(_is_live(chunk, live) for chunk in cell.ports.get(port, ()))
            }
    for name in [name for name in modules if name != top]:
        module = modules[name]
        read = {chunk.wire for chunk in read_chunks(module, modules)}
        gone = set()
        for wire in module.ports():
            used = wire.name in (needed[name] if wire.direction == "output" else read)
            if not used:
                gone.add(wire.name)
                wire.direction = None
                if wire.name not in read:
                    del module.wires[wire.name]
        if gone:
            changed = True
            for parent in modules.values():
                for cell in parent.instances():
                    if cell.kind == name:
                        cell.ports = {port: value for port, value in cell.ports.items() if port not in gone}
    for name in set(modules) - set(parents_first(modules, top)):
        del modules[name]
    return changed


def _mask(chunk):
    return ((1 << chunk.width) - 1) << chunk.low


def _is_live(chunk, live):
    return isinstance(chunk, Slice) and bool(live.get(chunk.wire, 0) & _mask(chunk))


def _live_bits(module, modules, needed):
    """Mask of the bits that matter, for every wire."""
    drivers = {}
    for drives, reads, element in elements(module, modules):
        for chunk in drives:
            drivers.setdefault(chunk.wire, []).append((_mask(chunk), reads, id(element)))
    connections = {}
    for target, value in module.connections:
        position = 0
        for chunk in reversed(target):
            connections.setdefault(chunk.wire, []).append((chunk, cut(value, position, chunk.width)))
            position += chunk.width
    live, done = {}, set()
    todo = [Slice(name, 0, module.wires[name].width) for name in needed if name in module.wires]
    while todo:
        chunk = todo.pop()
        if isinstance(chunk, Const):
            continue
        new = _mask(chunk) & ~live.get(chunk.wire, 0)
        if not new:
            continue
        live[chunk.wire] = live.get(chunk.wire, 0) | new
        for mask, reads, element in drivers.get(chunk.wire, ()):
            if mask & new and element not in done:
                done.add(element)
                todo.extend(piece for signal in reads for piece in signal)
        for target, value in connections.get(chunk.wire, ()):
            first = max(target.low, chunk.low)
            last = min(target.low + target.width, chunk.low + chunk.width)
            if first < last:
                todo.extend(cut(value, first - target.low, last - first))
    return live


def _drop_dead(module, live, modules):
    """Keeps of a module what drives live bits, and the wires that this leaves."""
    before = len(module.cells), len(module.processes), len(module.connections), len(module.wires)
    keep = {
        id(element)
        for drives, _, element in elements(module, modules)
        if any(_is_live(chunk, live) for chunk in drives)
    }
    read_memories = {
        cell.parameters["MEMID"] for cell in module.cells if cell.kind == "$memrd_v2" and id(cell) in keep
    }
    module.cells = [
        cell
        for cell in module.cells
        if id(cell) in keep or (output_of(cell) is None and cell.parameters["MEMID"] in read_memories)
    ]
    module.memories = {name: memory for name, memory in module.memories.items() if name in read_memories}
    module.processes = [process for process in module.processes if id(process) in keep]
    connections = []
    for target, value in module.connections:
        position = 0
        for chunk in reversed(target):
            for low, width in _runs(live.get(chunk.wire, 0), chunk.low, chunk.width):
                part = cut(value, position + low - chunk.low, width)
                connections.append(Assign((Slice(chunk.wire, low, width),), part))
            position += chunk.width
    module.connections = connections
    _split(module, live, modules)
    used = {chunk.wire for chunk in read_chunks(module, modules)}
    used |= {chunk.wire for drives, _, _ in elements(module, modules) for chunk in drives}
    used |= {target[0].wire for target, _ in module.connections}
    module.wires = {
        name: wire for name, wire in module.wires.items() if name in used or wire.direction is not None
    }
    return before != (len(module.cells), len(module.processes), len(module.connections), len(module.wires))


def _split(module, live, modules):
    """Makes of a wire that is only connected, and of which not every bit matters, one for each range that does."""
    connected = {target[0].wire for target, _ in module.connections}
    connected -= {chunk.wire for drives, _, _ in elements(module, modules) for chunk in drives}
    places = {}  # of each such wire: (first bit, width, new name) of its ranges
    for name in sorted(connected):
        wire = module.wires[name]
        runs = list(_runs(live.get(name, 0), 0, wire.width))
        if wire.direction or runs == [(0, wire.width)]:
            continue
        for low, width in runs:
            part = name if len(runs) == 1 else f"{name}${low + width - 1}_{low}"
            places.setdefault(name, []).append((low, width, part))
            module.wires[part] = Wire(part, width)

    def change(signal):
        return tuple(map(place, signal))

    def place(chunk):
        if isinstance(chunk, Slice):
            for low, width, part in places.get(chunk.wire, ()):
                if low <= chunk.low and chunk.low + chunk.width <= low + width:
                    return Slice(part, chunk.low - low, chunk.width)
        return chunk

    if places:
        rewrite(module, change, modules)
        module.connections = [Assign(change(target), value) for target, value in module.connections]


def _runs(mask, low, width):
    """Ranges (low, width) of the ones in some bits of a mask."""
    start = None
    for bit in range(low, low + width + 1):
        one = bit < low + width and mask >> bit & 1
        if one and start is None:
            start = bit
        elif not one and start is not None:
            yield start, bit - start
            start = None
