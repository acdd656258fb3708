# SPDX-License-Identifier: Apache-2.0
"""Which processes of a module become `always` blocks of a register, and which stay logic of their own."""

from tepin.export.rtlil import Assign, Slice, Switch, Wire
from tepin.export.traverse import output_of, reads_of, target_of

__all__ = ["clocked", "split_targets"]


def split_targets(module):
    """Gives every process a wire of its own, where several drive parts of one."""
    for index, process in enumerate(module.processes):
        target = target_of(process)
        if target.width == module.wires[target.wire].width:
            continue
        name = f"{target.wire}${target.low + target.width - 1}_{target.low}"
        module.wires[name] = Wire(name, target.width)
        module.processes[index] = _retarget(process, target, name)
        module.connections.append(Assign((target,), (Slice(name, 0, target.width),)))


def _retarget(steps, old, name):
    result = []
    for step in steps:
        if isinstance(step, Assign):
            (target,) = step.target
            result.append(Assign((Slice(name, target.low - old.low, target.width),), step.value))
        else:
            cases = [(patterns, _retarget(body, old, name)) for patterns, body in step.cases]
            result.append(Switch(step.subject, cases))
    return result


def clocked(module):
    """Registers as (cell, steps that give its next value), and the processes that are left."""
    processes = {target_of(process).wire: process for process in module.processes}
    readers = {}
    for cell in module.cells:
        for port, value in cell.ports.items():
            if not cell.kind.startswith("$") or port != output_of(cell):
                for chunk in value:
                    if isinstance(chunk, Slice):
                        readers[chunk.wire] = readers.get(chunk.wire, 0) + 1
    for process in module.processes:
        for signal in reads_of(process):
            for chunk in signal:
                if isinstance(chunk, Slice):
                    readers[chunk.wire] = readers.get(chunk.wire, 0) + 1
    for _, value in module.connections:
        for chunk in value:
            if isinstance(chunk, Slice):
                readers[chunk.wire] = readers.get(chunk.wire, 0) + 1
    registers = []
    for cell in module.cells:
        if cell.kind != "$dff":
            continue
        if cell.parameters["CLK_POLARITY"] != 1:
            raise ValueError(f"{module.name} has a register at the falling edge")
        (q,) = cell.ports["Q"]
        data = cell.ports["D"]
        process = processes.get(data[0].wire) if len(data) == 1 and isinstance(data[0], Slice) else None
        if (
            process
            and data[0].width == module.wires[data[0].wire].width
            and readers[data[0].wire] == 1
            and module.wires[data[0].wire].direction is None
        ):
            del processes[data[0].wire]
            del module.wires[data[0].wire]
            if isinstance(process[0], Assign) and process[0].value == (q,):
                process = process[1:]
            registers.append((cell, process))
        else:
            registers.append((cell, [Assign((q,), data)]))
    return registers, list(processes.values())
