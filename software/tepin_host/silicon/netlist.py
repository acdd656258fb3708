# SPDX-License-Identifier: Apache-2.0
"""A mapped design, flat: every gate, flip-flop and memory with its nets as numbers, in arrays."""

from dataclasses import dataclass, field

import numpy as np

from tepin.clock import CLOCK_GATE

__all__ = ["CONSTANTS", "Flat", "Group", "flatten"]

CONSTANTS = {"0": 0, "1": 1, "x": 0, "z": 0}
"""Nets of constants; all others have higher numbers."""


@dataclass
class Group:
    """All instances of one kind of cell.

    Members
    -------
    pins : dict from str to int array
        The net at each pin, by instance; net 0 where a pin is open.
    blocks : int array
        The block that each is in, an index into `Flat.blocks`.
    """

    pins: dict
    blocks: np.ndarray


@dataclass
class Flat:
    """The design.

    Members
    -------
    nets : int
    blocks : list of str
        Paths of instances, as deep as asked for; the top module itself is "".
    cells : dict from str to Group
        By kind of cell.
    memories : list of (path, kind, block, {port: nets})
    gates : dict from int to int
        Of each clock that is stopped at times: its net, and that of its enable.
    registers : dict
        For each bit that holds a state: net -> (path of a variable in the Verilog, bit or None).
    inputs : dict
        Nets of the ports of the top module that are inputs, by name; without `clk`.
    """

    nets: int
    blocks: list
    cells: dict
    memories: list
    registers: dict
    inputs: dict = field(default_factory=dict)
    gates: dict = field(default_factory=dict)


class _Module:
    """What is the same for all instances of a module."""

    def __init__(self, name, module, library, memories):
        self.ports = {port: entry["bits"] for port, entry in module["ports"].items()}
        self.directions = {port: entry["direction"] for port, entry in module["ports"].items()}
        self.local = {}
        for entry in (*module["ports"].values(), *module["netnames"].values()):
            for bit in entry["bits"]:
                if isinstance(bit, int):
                    self.local.setdefault(bit, len(self.local))
        self.cells, self.children, self.memories, self.gates = {}, [], [], []
        states = set()
        for instance, cell in module["cells"].items():
            kind, connections = cell["type"], cell["connections"]
            for bits in connections.values():
                for bit in bits:
                    if isinstance(bit, int):
                        self.local.setdefault(bit, len(self.local))
            if kind in library.cells:
                self.cells.setdefault(kind, []).append({pin: bits[0] for pin, bits in connections.items()})
                if library.cells[kind].next_state:
                    states |= {
                        bits[0] for pin, bits in connections.items() if pin in library.cells[kind].functions
                    }
            elif kind in memories:
                self.memories.append((instance, kind, connections))
            elif kind == CLOCK_GATE:
                self.gates.append((connections["gated"], connections["enable"]))
            else:
                self.children.append((instance, kind, connections))
        self.registers = self._names(name, module, states)

    def _names(self, name, module, states):
        """A variable of the Verilog for each bit of state."""
        result = {}
        for variable, entry in module["netnames"].items():
            if entry.get("hide_name"):
                continue
            for index, bit in enumerate(entry["bits"]):
                if bit in states and bit not in result:
                    result[bit] = (variable, index if len(entry["bits"]) > 1 else None)
        if missing := states - set(result):
            raise ValueError(f"{len(missing)} flip-flops of {name} have lost their names")
        return result

    def pins(self, kind):
        names = sorted({pin for cell in self.cells[kind] for pin in cell})
        return {pin: [cell.get(pin, "x") for cell in self.cells[kind]] for pin in names}


def flatten(mapped, library, *, depth=1):
    """The `Flat` form of a `Mapped` design. Blocks are instances down to `depth` levels below the top module."""
    modules = {
        name: _Module(name, module, library, mapped.memories) for name, module in mapped.modules.items()
    }
    flat = Flat(2, [], {}, [], {})
    aliases = {}
    parts = {}  # by kind of cell: (pins, block) of each instance of a module

    def visit(name, path, bound):
        """`bound`: global nets of ports, by local bit."""
        module = modules[name]
        numbers = np.full(len(module.local), -1, np.int64)
        for bit, net in bound.items():
            numbers[module.local[bit]] = net
        free = numbers < 0
        numbers[free] = flat.nets + np.arange(free.sum())
        flat.nets += int(free.sum())

        def nets(bits):
            return [
                CONSTANTS[bit] if isinstance(bit, str) else int(numbers[module.local[bit]]) for bit in bits
            ]

        block = ".".join(path[:depth])
        if block not in flat.blocks:
            flat.blocks.append(block)
        index = flat.blocks.index(block)
        for kind in module.cells:
            pins = {pin: np.array(nets(bits), np.int64) for pin, bits in module.pins(kind).items()}
            parts.setdefault(kind, []).append((pins, index))
        for bit, (variable, place) in module.registers.items():
            flat.registers[int(numbers[module.local[bit]])] = (".".join([*path, variable]), place)
        for instance, kind, connections in module.memories:
            where = ".".join([*path, instance])
            ports = {port: nets(bits) for port, bits in connections.items()}
            flat.memories.append((where, kind, index, ports))
        for (clock,), (enable,) in (map(nets, gate) for gate in module.gates):
            flat.gates[clock] = enable
        for instance, kind, connections in module.children:
            inner, child = {}, modules[kind]
            for port in sorted(connections, key=lambda port: child.directions[port]):  # inputs first
                for bit, net in zip(child.ports[port], nets(connections[port]), strict=True):
                    # An output that is an input, a constant or another output is a second name of that.
                    source = CONSTANTS[bit] if isinstance(bit, str) else inner.setdefault(bit, net)
                    if source != net:
                        aliases[net] = source
            visit(kind, [*path, instance], inner)
        return numbers

    numbers = visit(mapped.top, [], {})
    top = modules[mapped.top]
    leads = _leads(aliases, flat.nets)
    flat.memories = [
        (where, kind, block, {port: [int(leads[net]) for net in nets] for port, nets in ports.items()})
        for where, kind, block, ports in flat.memories
    ]
    flat.gates = {int(leads[clock]): int(leads[enable]) for clock, enable in flat.gates.items()}
    flat.inputs = {
        port: [int(numbers[top.local[bit]]) for bit in bits]
        for port, bits in top.ports.items()
        if top.directions[port] == "input" and port != "clk"
    }
    for kind, instances in parts.items():
        names = sorted(set().union(*(pins for pins, _ in instances)))
        count = [len(next(iter(pins.values()))) for pins, _ in instances]
        flat.cells[kind] = Group(
            {
                pin: leads[
                    np.concatenate(
                        [
                            pins.get(pin, np.zeros(size, np.int64))
                            for (pins, _), size in zip(instances, count, strict=True)
                        ]
                    )
                ]
                for pin in names
            },
            np.repeat([block for _, block in instances], count),
        )
    return flat


def _leads(aliases, count):
    """For each net, the net that it is another name of."""
    result = np.arange(count)
    for net in aliases:
        source = net
        while source in aliases:
            source = aliases[source]
        result[net] = source
    return result
