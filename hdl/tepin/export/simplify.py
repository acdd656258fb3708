# SPDX-License-Identifier: Apache-2.0
"""Says a module of a netlist in fewer words: no second names of wires, nothing twice, no bits that only a carry is put into.

Nothing here changes what an output is in any cycle. Registers and memories keep their names and widths.
"""

from tepin.export.rtlil import Assign, Const, Slice, Switch, cut, join, width_of
from tepin.export.traverse import output_of, read_chunks, rewrite

__all__ = ["simplify"]

_PIECES = 4
"""A slice is replaced by what drives it if that has at most so many parts."""


def _resolve_aliases(module, modules):
    """Refers to every wire that is nothing but other wires or constants by those.

    A process without a condition counts as a connection. Connections stay, for those who still need them.
    """
    conditional = []
    for process in module.processes:
        if any(isinstance(step, Switch) and step.subject for step in process):
            conditional.append(process)
        else:
            module.connections.append(_unconditional(process))
    module.processes = conditional
    drivers = {}
    for target, value in module.connections:
        position = 0
        for chunk in reversed(target):
            entry = (chunk.low, chunk.width, cut(value, position, chunk.width))
            drivers.setdefault(chunk.wire, []).append(entry)
            position += chunk.width
    known = {}

    def resolve_slice(chunk):
        if chunk in known:
            return known[chunk]
        pieces, position, end = [], chunk.low, chunk.low + chunk.width
        for low, width, value in sorted(drivers[chunk.wire], key=lambda entry: entry[0]):
            first, last = max(low, position), min(low + width, end)
            if first >= last:
                continue
            if first > position:
                pieces.append((Slice(chunk.wire, position, first - position),))
            pieces.append(resolve(cut(value, first - low, last - first)))
            position = last
        if position < end:
            pieces.append((Slice(chunk.wire, position, end - position),))
        result = join(piece for part in reversed(pieces) for piece in part)
        known[chunk] = result if len(result) <= _PIECES else (chunk,)
        return known[chunk]

    def resolve(signal):
        return join(
            piece
            for chunk in signal
            for piece in (
                resolve_slice(chunk) if isinstance(chunk, Slice) and chunk.wire in drivers else (chunk,)
            )
        )

    rewrite(module, resolve, modules)


def _unconditional(process):
    """What a process without conditions comes to."""
    steps = [step for part in process for step in ([part] if isinstance(part, Assign) else part.cases[0][1])]
    (target,), value = steps[0]
    for (part,), new in steps[1:]:
        low = part.low - target.low
        above = cut(value, low + part.width, target.width - low - part.width)
        value = join((*above, *new, *cut(value, 0, low)))
    return Assign((target,), value)


def simplify(module, modules):
    """Brings a module into its shortest form. In place. `modules` are those that it has instances of, by name."""
    module.processes = [_prune(_from_last_value(process)) for process in module.processes]
    _fold_comparisons(module)
    _resolve_aliases(module, modules)
    while _share(module, modules) | _narrow(module, modules):
        pass


def _from_last_value(process):
    """A process from the last step on that gives all of what it drives a value."""
    whole = process[0].target
    last = max(
        index for index, step in enumerate(process) if isinstance(step, Assign) and step.target == whole
    )
    return process[last:]


def _prune(steps):
    """Steps of a process without those that have no effect: empty conditions, and values that are replaced at once."""
    result, replaced = [], []
    for step in reversed(steps):
        if isinstance(step, Assign):
            (target,) = step.target
            if not any(low <= target.low and target.low + target.width <= high for low, high in replaced):
                result.append(step)
            replaced.append((target.low, target.low + target.width))
        else:
            cases = [(patterns, _prune(body)) for patterns, body in step.cases]
            while cases and not cases[-1][1]:
                cases.pop()
            if cases:
                result.append(Switch(step.subject, cases))
    return result[::-1]


_HOLDS = {
    "$lt": lambda a, b: a < b,
    "$le": lambda a, b: a <= b,
    "$gt": lambda a, b: a > b,
    "$ge": lambda a, b: a >= b,
}


def _fold_comparisons(module):
    """Decides comparisons of unsigned numbers that the constant bits in them decide."""
    kept = []
    for cell in module.cells:
        verdict = None
        if cell.kind in _HOLDS and not cell.parameters["A_SIGNED"]:
            (a_low, a_high), (b_low, b_high) = map(_bounds, (cell.ports["A"], cell.ports["B"]))
            extremes = {_HOLDS[cell.kind](a_low, b_high), _HOLDS[cell.kind](a_high, b_low)}
            verdict = extremes.pop() if len(extremes) == 1 else None
        if verdict is None:
            kept.append(cell)
        else:
            module.connections.append(Assign(cell.ports["Y"], (Const("01"[verdict]),)))
    module.cells = kept


def _bounds(signal):
    """Lowest and highest number that a signal can be."""
    low = high = "0"
    for chunk in signal:
        low += chunk.bits if isinstance(chunk, Const) else "0" * chunk.width
        high += chunk.bits if isinstance(chunk, Const) else "1" * chunk.width
    return int(low.replace("x", "0"), 2), int(high.replace("x", "1"), 2)


def _share(module, modules):
    """Makes one of operators without a name that do the same to the same. Returns whether there were any."""
    first, same = {}, {}
    for cell in module.cells:
        if not cell.kind.startswith("$") or output_of(cell) != "Y":
            continue
        (target,) = cell.ports["Y"]
        key = (
            cell.kind,
            *sorted(cell.parameters.items()),
            cell.ports.get("S"),
            cell.ports.get("A"),
            cell.ports.get("B"),
        )
        if key in first and target.wire.startswith("$"):
            same[target.wire] = first[key]
        else:
            first.setdefault(key, target.wire)
    if not same:
        return False
    module.cells = [
        cell
        for cell in module.cells
        if not cell.kind.startswith("$") or output_of(cell) != "Y" or cell.ports["Y"][0].wire not in same
    ]
    for wire in same:
        del module.wires[wire]

    def change(signal):
        return join(
            Slice(same.get(chunk.wire, chunk.wire), chunk.low, chunk.width)
            if isinstance(chunk, Slice)
            else chunk
            for chunk in signal
        )

    rewrite(module, change, modules)
    return True


_NARROW = {"$add", "$sub", "$mul", "$neg", "$not", "$and", "$or", "$xor", "$mux", "$shl"}
"""Operators of whose result no bit depends on a higher bit of an operand."""


def _narrow(module, modules):
    """Takes the highest bits from operators without a name if nobody reads them. Returns whether there were any."""
    top = {}
    for chunk in read_chunks(module, modules):
        top[chunk.wire] = max(top.get(chunk.wire, 0), chunk.low + chunk.width)
    changed = False
    for cell in module.cells:
        if cell.kind not in _NARROW:
            continue
        (target,) = cell.ports["Y"]
        width = top.get(target.wire, 0)
        if not target.wire.startswith("$") or not 0 < width < target.width:
            continue
        changed = True
        module.wires[target.wire].width = width
        cell.ports["Y"] = (Slice(target.wire, 0, width),)
        cell.parameters["WIDTH" if cell.kind == "$mux" else "Y_WIDTH"] = width
        for port in "AB" if cell.kind != "$shl" else "A":
            if port in cell.ports and width_of(cell.ports[port]) > width:
                cell.ports[port] = cut(cell.ports[port], 0, width)
                if cell.kind != "$mux":
                    cell.parameters[f"{port}_WIDTH"] = width
    return changed
