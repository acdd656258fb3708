# SPDX-License-Identifier: Apache-2.0
"""What every gate does while registers hold what has been recorded: 64 cycles in each word, gate by gate.

The values of all nets follow from those of registers, memories and inputs in the same cycle, so that cycles can be computed
side by side. Nothing is assumed about the registers: what the gates would put into each of them has to be what was recorded
for the next cycle, or else `Activity` complains. So every count comes with the proof that gates and Verilog did the same.

Delays are zero: a net changes once in a cycle or not at all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tepin_host.silicon.functions import function_of
from tepin_host.silicon.netlist import CONSTANTS

__all__ = ["Activity", "Counts", "Step", "engine_of", "steps"]

_CHUNK = 2048
"""Cycles that are computed at a time."""

_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@dataclass
class Counts:
    """What happened in some cycles.

    Members
    -------
    cycles : int
        Clock edges.
    toggles : int array
        Changes of each net.
    accesses : dict from (memory, port) to (int, float)
        For each enable of a memory: the cycles in which any of its bits is high, and the sum of the parts of it that are.
    enabled : dict from int to int
        For each clock that is stopped at times, by its net: the cycles that end with an edge of it.
    changes : dict from str to int
        For each variable of the Verilog that is a register, the clock edges that change any of its bits.
    engines : dict from str to int
        For each instance in the top module, the clock edges that change any of its registers.
    """

    cycles: int
    toggles: np.ndarray
    accesses: dict
    enabled: dict
    changes: dict
    engines: dict


class Activity:
    """Counts what a flat design does.

    Parameters
    ----------
    flat : Flat
    library : Library
    nets : int array
        Those whose values are given to `count`, see `Recorder.nets`.
    """

    def __init__(self, flat, library, nets):
        self._flat, self._nets = flat, nets
        self._steps = list(steps(flat, library))
        self._d, self._q, clocks = _states(flat, library)
        self._edge = np.array([flat.gates.get(int(clock), CONSTANTS["1"]) for clock in clocks], np.int64)
        self._enables = {
            (path, port): np.array(bits)
            for path, _, _, ports in flat.memories
            for port, bits in ports.items()
            if port.endswith("_en")
        }
        variables = {}
        for net, (path, _) in flat.registers.items():
            variables.setdefault(path, []).append(net)
        self._variables = variables
        self._engines = {engine_of(path): [] for path in variables}
        for path in variables:
            self._engines[engine_of(path)].append(path)

    def count(self, *recordings):
        """The `Counts` of recordings, as `Recorder.recorded` gives them.

        Raises `ValueError` if the gates compute something else than was recorded.
        """
        total = Counts(
            0,
            np.zeros(self._flat.nets, np.int64),
            dict.fromkeys(self._enables, (0, 0.0)),
            dict.fromkeys(self._flat.gates, 0),
            dict.fromkeys(self._variables, 0),
            dict.fromkeys(self._engines, 0),
        )
        for recorded in recordings:
            for start in range(0, len(recorded) - 1, _CHUNK):
                self._add(total, recorded[start : start + _CHUNK + 1])
        return total

    def _add(self, total, recorded):
        cycles = len(recorded)  # the last one is only there to be compared with
        values = self._values(recorded)
        changed = values ^ _next(values)
        mask = _first(cycles - 1, values.shape[1])
        total.cycles += cycles - 1
        total.toggles += np.bitwise_count(changed & mask).sum(1, dtype=np.int64)
        for clock, enable in self._flat.gates.items():
            total.enabled[clock] += int(np.bitwise_count(values[enable] & mask).sum())
        edge, q = values[self._edge], values[self._q]
        wrong = (values[self._d] & edge | q & ~edge) ^ _next(values)[self._q]
        wrong &= mask
        if wrong.any():
            (index, *_), _ = np.nonzero(wrong)
            count = np.bitwise_count(wrong).sum()
            path, bit = self._flat.registers[int(self._q[index])]
            raise ValueError(f"gates and Verilog differ {count} times, first in bit {bit or 0} of {path}")
        for key, bits in self._enables.items():
            enables = values[bits] & mask
            count, share = total.accesses[key]
            count += int(np.bitwise_count(np.bitwise_or.reduce(enables, axis=0)).sum())
            total.accesses[key] = (
                count,
                share + float(np.bitwise_count(enables).sum(dtype=np.int64)) / len(bits),
            )
        any_bit = {
            path: np.bitwise_or.reduce(changed[nets], axis=0) & mask for path, nets in self._variables.items()
        }
        for path, bits in any_bit.items():
            total.changes[path] += int(np.bitwise_count(bits).sum())
        for engine, paths in self._engines.items():
            bits = np.bitwise_or.reduce([any_bit[path] for path in paths], axis=0)
            total.engines[engine] += int(np.bitwise_count(bits).sum())

    def _values(self, recorded):
        """All nets, uint64 [nets, words]: cycle n is bit n of a row."""
        count = -(-len(recorded) // 64)
        values = np.zeros((self._flat.nets, count), np.uint64)
        values[CONSTANTS["1"]] = _ONES
        bits = np.unpackbits(np.ascontiguousarray(recorded).view(np.uint8), axis=1, bitorder="little")
        columns = np.zeros((len(self._nets), 64 * count), np.uint8)
        columns[:, : len(recorded)] = bits[:, : len(self._nets)].T
        values[self._nets] = np.packbits(columns, axis=1, bitorder="little").view("<u8")
        for step in self._steps:
            values[step.output] = step.function(*(values[nets] for nets in step.inputs))
        return values


def engine_of(path):
    """The instance in the top module in which a register is, or ""."""
    first, _, rest = path.partition(".")
    return first if rest else ""


def _next(values):
    """Every bit moved to the cycle before."""
    result = values >> np.uint64(1)
    result[:, :-1] |= values[:, 1:] << np.uint64(63)
    return result


def _first(cycles, words):
    """A mask of the first cycles."""
    bits = np.zeros(64 * words, np.uint8)
    bits[:cycles] = 1
    return np.packbits(bits, bitorder="little").view("<u8")


def _states(flat, library):
    """Nets D, Q and clock of all flip-flops."""
    d, q, clocks = [], [], []
    for kind, group in flat.cells.items():
        cell = library.cells[kind]
        if cell.next_state:
            (output,) = cell.functions
            d.append(group.pins[cell.next_state])
            q.append(group.pins[output])
            clocks.append(group.pins[cell.clock])
    empty = np.zeros(0, np.int64)
    return tuple(np.concatenate([empty, *nets]) for nets in (d, q, clocks))


@dataclass(frozen=True)
class Step:
    """Gates of one kind that can be computed together.

    Members
    -------
    kind, pin : str
        Cell and its output.
    function : callable
        Of its inputs.
    inputs : list of int array
    output : int array
        Nets, by gate.
    """

    kind: str
    pin: str
    function: Callable
    inputs: list
    output: np.ndarray

    def of(self, chosen):
        """The same of some of the gates."""
        inputs = [nets[chosen] for nets in self.inputs]
        return Step(self.kind, self.pin, self.function, inputs, self.output[chosen])


def steps(flat, library):
    """The gates of a flat design, as `Step`s in the order of their levels. Raises `ValueError` if there is a loop."""
    gates = []
    for kind, group in flat.cells.items():
        cell = library.cells[kind]
        if cell.next_state:
            continue
        for output, text in cell.functions.items():
            if output in group.pins:
                function, pins = function_of(text)
                gates.append(
                    Step(kind, output, function, [group.pins[pin] for pin in pins], group.pins[output])
                )
    level = np.zeros(flat.nets, np.int32)
    for _ in range(flat.nets + 1):
        before = level.copy()
        for gate in gates:
            level[gate.output] = np.max([level[nets] for nets in gate.inputs], axis=0, initial=0) + 1
        if (level == before).all():
            break
    else:
        raise ValueError("there is a loop of gates")
    for now in range(1, int(level.max(initial=0)) + 1):
        for gate in gates:
            chosen = level[gate.output] == now
            if chosen.any():
                yield gate.of(chosen)
