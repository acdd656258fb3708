# SPDX-License-Identifier: Apache-2.0
"""What cells cost: picojoules for each change of a net, each edge of a clock, each access of a memory; and area.

A change of a net costs half of C V^2, C being the inputs that hang on it (and so much of wire for each of them), and what
the library says that goes on inside of the cell that drives it and of those that it drives. Those tables ask for slews: each
net's follows from its load and the slews of the driver's inputs, primary ones have `SLEW`.
"""

from dataclasses import dataclass

import numpy as np

from tepin_host.silicon.activity import engine_of, steps
from tepin_host.silicon.memories import MemoryModel

__all__ = ["SLEW", "Costs", "Energy"]

SLEW = 0.1
"""Nanoseconds, of clock and inputs."""


@dataclass
class Energy:
    """Picojoules by block, arrays in the order of `Flat.blocks`.

    Members
    -------
    logic : float array
        Gates, and what flip-flops need for a new value.
    clock : float array
        Flip-flops, for the edges of the clock, all of them at all edges.
    gates : float array
        The same, with the gates of clocks that the design has, for each of which a flip-flop's share is added.
    gated : float array
        The same, were each register clocked in no other cycles than those that change it: no gating can save more.
    stopped : float array
        The same, were the clock of a whole engine stopped in the cycles that change none of its registers.
    memories : float array
        Of macros: by model, not by the library.
    leakage : float array
        Of the cells, in the time that the cycles take.
    """

    logic: np.ndarray
    clock: np.ndarray
    gates: np.ndarray
    gated: np.ndarray
    stopped: np.ndarray
    memories: np.ndarray
    leakage: np.ndarray

    @property
    def total(self):
        """All of it, without gating."""
        return self.logic + self.clock + self.memories + self.leakage


class Costs:
    """What a flat design costs.

    Parameters
    ----------
    flat : Flat
    library : Library
    memories : dict from str to Memory
        Kinds of macros.
    wire : float
        Picofarads of wire for each input on a net.

    Attributes
    ----------
    toggle : float array
        Of each net: picojoules for a change.
    switching : float array
        The part of it that charges inputs and wires.
    owner : int array
        Of each net: block of the cell or memory that drives it, or -1.
    area : float array
        Of the cells of each block.
    """

    def __init__(self, flat, library, memories, *, wire=0.0):
        self._flat, self._library = flat, library
        self._model = MemoryModel(library.voltage)
        self._kinds = memories
        count = len(flat.blocks)
        load = np.zeros(flat.nets)
        fanout = np.zeros(flat.nets)
        self.owner = np.full(flat.nets, -1)
        self.area, self._leakage = np.zeros(count), np.zeros(count)
        for kind, group in flat.cells.items():
            cell = library.cells[kind]
            self.area += cell.area * np.bincount(group.blocks, minlength=count)
            self._leakage += cell.leakage * np.bincount(group.blocks, minlength=count)
            for pin, nets in group.pins.items():
                if pin in cell.functions:
                    self.owner[nets] = group.blocks
                else:
                    np.add.at(load, nets, cell.capacitance[pin])
                    np.add.at(fanout, nets, 1)
        for _, _, block, ports in flat.memories:
            for port, nets in ports.items():
                if port.endswith("_data") and port.startswith("r"):
                    self.owner[nets] = block
        load += wire * fanout
        self._slew = _slews(flat, library, load)
        self.switching = 0.5 * load * library.voltage**2
        self.toggle = self.switching.copy()
        self._clocks = {}  # by variable: picojoules for both edges of all its flip-flops, block, net of the clock
        self._add_cells(load, wire)
        self.toggle[:2] = 0

    def _add_cells(self, load, wire):
        flat, library = self._flat, self._library
        for kind, group in flat.cells.items():
            cell = library.cells[kind]
            for pin, nets in group.pins.items():
                if pin == cell.clock:
                    continue
                tables = cell.output_energy.get(pin) or cell.input_energy.get(pin) or ()
                if pin in cell.functions:
                    slew = SLEW if cell.next_state else _mean_slew(self._slew, group, cell)
                else:
                    slew = self._slew[nets]
                if tables:
                    both = np.mean([table(load[nets], slew) for table in tables], axis=0)
                    np.add.at(self.toggle, nets, both / 2)
            if cell.next_state:
                (output,) = cell.functions
                pin = cell.capacitance[cell.clock] + wire
                edges = sum(float(table(0.0, SLEW)) for table in cell.input_energy[cell.clock])
                cost = edges + pin * library.voltage**2
                clocks = group.pins[cell.clock]
                for net, block, clock in zip(group.pins[output], group.blocks, clocks, strict=True):
                    path, _ = flat.registers[int(net)]
                    before, *_ = self._clocks.get(path, (0.0,))
                    self._clocks[path] = (before + cost, int(block), int(clock))
                self._edge = cost

    def energy(self, counts, period):
        """The `Energy` of `Counts`, at a clock of this period in nanoseconds."""
        flat, count = self._flat, len(self._flat.blocks)
        driven = self.owner >= 0
        logic = np.bincount(self.owner[driven], (counts.toggles * self.toggle)[driven], minlength=count)
        clock, gates, gated, stopped, memories = (np.zeros(count) for _ in range(5))
        owners = {}  # of each gate: the block of what it stops
        for path, (cost, block, net) in self._clocks.items():
            clock[block] += cost * counts.cycles
            gates[block] += cost * counts.enabled.get(net, counts.cycles)
            owners[net] = block
            gated[block] += cost * counts.changes[path]
            stopped[block] += cost * counts.engines[engine_of(path)]
        for path, kind, block, ports in flat.memories:
            memory = self._kinds[kind]
            for port in ports:
                if port.endswith("_en"):
                    count, words = counts.accesses[path, port]
                    reads = port.startswith("r")
                    model = self._model
                    memories[block] += (
                        model.read(memory, count) if reads else model.write(memory, count, words)
                    )
        for net in counts.enabled:
            gates[owners[net]] += self._edge * counts.cycles
        leakage = self._leakage * period * counts.cycles * 1e-6  # nW x ns = 1e-18 J
        return Energy(logic, clock, gates, gated, stopped, memories, leakage)


def _mean_slew(slews, group, cell):
    inputs = [nets for pin, nets in group.pins.items() if pin not in cell.functions]
    return np.mean([slews[nets] for nets in inputs], axis=0)


def _slews(flat, library, load):
    """Nanoseconds of each net, gate by gate; of both edges and all inputs, the mean."""
    result = np.full(flat.nets, SLEW)
    for kind, group in flat.cells.items():
        cell = library.cells[kind]
        if cell.next_state:
            (output,) = cell.functions
            nets = group.pins[output]
            result[nets] = _mean(cell.transitions[output], load[nets], SLEW)
    for step in steps(flat, library):
        tables = library.cells[step.kind].transitions[step.pin]
        slew = np.mean([result[nets] for nets in step.inputs], axis=0) if step.inputs else SLEW
        result[step.output] = _mean(tables, load[step.output], slew)
    return result


def _mean(tables, load, slew):
    """Of what tables say; without any, `SLEW`."""
    return np.mean([table(load, slew) for table in tables], axis=0) if tables else SLEW
