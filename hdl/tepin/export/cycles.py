# SPDX-License-Identifier: Apache-2.0
"""Breaks cycles that there are between variables though there is none between bits.

A process that drives a structure becomes an `always` block that begins with a value for all of it. Where one bit of the
structure depends on another one, the block would wake up itself or others without end in simulators that take events one by
one, or read what it has not yet finished. So bits that are read in such a cycle get a process of their own.
"""

from tepin.export.rtlil import Assign, Slice, Switch, Wire, cut
from tepin.export.traverse import elements, output_names, parents_first, rewrite, target_of

__all__ = ["break_cycles", "cycles"]


def break_cycles(modules, top):
    """Takes bits that are read in a cycle of variables out of the processes that drive them, in all modules. In place."""
    through = {}  # of each module: inputs that an output depends on in the same cycle of the clock
    for name in reversed(parents_first(modules, top)):
        module = modules[name]
        for group in _groups(_edges(module, modules, through)):
            _separate(module, modules, group)
        edges = _edges(module, modules, through)
        inputs = {wire.name for wire in module.ports() if wire.direction == "input"}
        through[name] = {port: _reached(edges, port) & inputs for port in output_names(module)}


def cycles(modules, top):
    """Groups of variables that depend on each other in the same cycle of the clock: [(module, set of wires)]."""
    through, result = {}, []
    for name in reversed(parents_first(modules, top)):
        edges = _edges(modules[name], modules, through)
        result += [(name, group) for group in _groups(edges)]
        inputs = {wire.name for wire in modules[name].ports() if wire.direction == "input"}
        through[name] = {port: _reached(edges, port) & inputs for port in output_names(modules[name])}
    return result


def _edges(module, modules, through):
    """For each wire, those that it depends on."""
    result = {}

    def add(drives, reads):
        sources = {chunk.wire for signal in reads for chunk in signal if isinstance(chunk, Slice)}
        for chunk in drives:
            if isinstance(chunk, Slice):
                result.setdefault(chunk.wire, set()).update(sources)

    for drives, reads, element in elements(module, modules):
        if isinstance(element, list):
            add(drives, reads)
        elif not element.kind.startswith("$"):
            for port, inputs in through[element.kind].items():
                add(
                    element.ports.get(port, ()),
                    [element.ports[name] for name in inputs if name in element.ports],
                )
        elif element.kind == "$memrd_v2":
            if not element.parameters["CLK_ENABLE"]:
                add(drives, [element.ports["ADDR"]])
        elif element.kind != "$dff":
            add(drives, reads)
    for target, value in module.connections:
        add(target, [value])
    return result


def _reached(edges, start):
    found, todo = set(), [start]
    while todo:
        for wire in edges.get(todo.pop(), ()):
            if wire not in found:
                found.add(wire)
                todo.append(wire)
    return found


def _groups(edges):
    """Sets of wires that depend on each other, and on themselves: Tarjan's strongly connected components."""
    index, low, stack, on_stack, result = {}, {}, [], set(), []
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(edges.get(root, ())))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            wire, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(edges.get(other, ()))))
                    break
                if other in on_stack:
                    low[wire] = min(low[wire], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[wire])
                if low[wire] == index[wire]:
                    group = set()
                    while wire not in group:
                        group.add(stack.pop())
                    on_stack -= group
                    if len(group) > 1 or wire in edges.get(wire, ()):
                        result.append(group)
    return result


def _separate(module, modules, group):
    """Gives the bits that are read in a cycle processes of their own, for all who read them."""
    read = [
        chunk
        for drives, reads, _ in [*elements(module, modules), *((t, [v], None) for t, v in module.connections)]
        if any(isinstance(chunk, Slice) and chunk.wire in group for chunk in drives)
        for signal in reads
        for chunk in signal
        if isinstance(chunk, Slice) and chunk.wire in group
    ]
    pieces = {}  # slice of what a process drives: wire that stands for it
    separated = []
    for process in module.processes:
        for piece in _pieces(process, [chunk for chunk in read if _overlap(chunk, target_of(process))]):
            wire = Slice(f"{piece.wire}$own{piece.low + piece.width - 1}_{piece.low}", 0, piece.width)
            module.wires[wire.wire] = Wire(wire.wire, wire.width)
            pieces[piece] = wire
            separated.append(_narrowed(process, piece, wire))
    module.processes += separated
    rewrite(module, lambda signal: tuple(part for chunk in signal for part in _parts(chunk, pieces)), modules)


def _overlap(one, other):
    return one.wire == other.wire and one.low < other.low + other.width and other.low < one.low + one.width


def _bounds(steps):
    """Where slices begin and end that steps of a process drive."""
    for step in steps:
        if isinstance(step, Assign):
            yield from (step.target[0].low, step.target[0].low + step.target[0].width)
        else:
            for _, body in step.cases:
                yield from _bounds(body)


def _pieces(process, read):
    """Slices of what a process drives that are read, each of which every step drives as a whole or not at all."""
    target = target_of(process)
    bounds = {*_bounds(process), *(chunk.low for chunk in read), *(chunk.low + chunk.width for chunk in read)}
    bounds = sorted(bound for bound in bounds if target.low <= bound <= target.low + target.width)
    pieces = [Slice(target.wire, low, high - low) for low, high in zip(bounds, bounds[1:], strict=False)]
    return [piece for piece in pieces if piece != target and any(_overlap(piece, chunk) for chunk in read)]


def _parts(chunk, pieces):
    """A chunk that is read, with the wires of pieces in it, the highest first."""
    if not isinstance(chunk, Slice):
        return (chunk,)
    result, position = [], chunk.low
    for piece, wire in sorted(pieces.items()):
        if _overlap(piece, chunk):
            first, last = max(piece.low, chunk.low), min(piece.low + piece.width, chunk.low + chunk.width)
            if first > position:
                result.append(Slice(chunk.wire, position, first - position))
            result.append(Slice(wire.wire, first - piece.low, last - first))
            position = last
    if position < chunk.low + chunk.width:
        result.append(Slice(chunk.wire, position, chunk.low + chunk.width - position))
    return tuple(reversed(result))


def _narrowed(steps, piece, wire):
    """The steps that drive a piece, into the wire that stands for it."""
    result = []
    for step in steps:
        if isinstance(step, Switch):
            cases = [(patterns, _narrowed(body, piece, wire)) for patterns, body in step.cases]
            result.append(Switch(step.subject, cases))
        elif _overlap(step.target[0], piece):
            low = piece.low - step.target[0].low
            result.append(Assign((wire,), cut(step.value, low, piece.width)))
    return result
