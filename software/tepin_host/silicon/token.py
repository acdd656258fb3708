# SPDX-License-Identifier: Apache-2.0
"""The energy of one decoded token, by block: a chip in gates runs a program that the compiler has made of a model."""

from dataclasses import dataclass

import numpy as np

from tepin_host.compiler.compile import compile_model
from tepin_host.compiler.executable import Request
from tepin_host.runtime import Report, run_reference, run_rtl
from tepin_host.silicon.activity import Activity
from tepin_host.silicon.energy import Costs
from tepin_host.silicon.netlist import flatten
from tepin_host.silicon.recorder import Recorder, sources
from tepin_host.silicon.synthesis import PERIOD, synthesise

__all__ = ["BLOCKS", "MappedChip", "TokenEnergy", "token_of"]

BLOCKS = {
    "array": "multipliers and accumulators of the systolic array",
    "matmul": "the rest of the matmul engine: weight decoder, activations, dequantisation, drain",
    "vector": "vector engine: float32 lanes and their addresses",
    "dma": "DMA engine with the weight FIFO",
    "scratchpad": "crossbar and banks",
    "controller": "sequencer, queues, semaphores, registers for the host",
}
"""What energy is divided among, by the name of the instance."""

_STRETCH = 256
"""Cycles that are counted in one piece."""


@dataclass(frozen=True)
class TokenEnergy:
    """What a token costs.

    Members
    -------
    cycles : int
        From the token before to this one.
    multiplications : int
        Multiply-accumulates of activations with weights, keys and values.
    parts : dict from str to dict from str to float
        Picojoules by block, and there by part: the members of `Energy`, and "total".
    """

    cycles: int
    multiplications: int
    parts: dict

    @property
    def total(self):
        """Picojoules of the chip."""
        return sum(parts["total"] for parts in self.parts.values())

    def with_clock(self, kind):
        """The same with another clock: "gates", "gated" or "stopped", as in `Energy`."""
        return sum(parts["total"] - parts["clock"] + parts[kind] for parts in self.parts.values())


class MappedChip:
    """A chip in standard cells, with gates in its clocks, ready to be measured.

    Parameters
    ----------
    config : ChipConfig
    library : Library
    wire : float
        As of `Costs`.
    progress : callable(str), optional

    Attributes
    ----------
    mapped : Mapped
    flat : Flat
    costs : Costs
    area : dict from str to float
        Of the cells of each block, memories apart.
    """

    def __init__(self, config, library, *, wire=0.0, progress=None):
        self.config, self.library, self._progress = config, library, progress
        self.mapped = synthesise(config, "chip", library, progress, clock_gates=True)
        self.flat = flatten(self.mapped, library, depth=2)
        self.costs = Costs(self.flat, library, self.mapped.memories, wire=wire)
        self.area = self._by_block(self.costs.area)
        self._activity = None

    def with_wire(self, wire):
        """From now on, nets have so many picofarads of wire for each input on them."""
        self.costs = Costs(self.flat, self.library, self.mapped.memories, wire=wire)

    @property
    def memories(self):
        """The `Memory` of every macro."""
        return [self.mapped.memories[kind] for _, kind, _, _ in self.flat.memories]

    def cells_by_block(self):
        """How many cells each block has."""
        count = sum(np.bincount(g.blocks, minlength=len(self.flat.blocks)) for g in self.flat.cells.values())
        return {name: int(value) for name, value in self._by_block(count).items()}

    def _by_block(self, values):
        result = dict.fromkeys(BLOCKS, 0.0)
        for path, value in zip(self.flat.blocks, values, strict=True):
            first, _, second = path.partition(".")
            name = "array" if (first, second) == ("matmul", "array") else first
            # What is in the top module itself are the registers of the resets.
            result[name if name in BLOCKS else "controller"] += float(value)
        return result

    def record(self, model, *, prompt=(1, 5, 9), cycles=None, latency=100, **options):
        """Let the chip decode, and count what happens from the first token to the second, or in some cycles of that.

        Parameters
        ----------
        model : Model
        prompt : sequence of int
        cycles : int, optional
            Fewer than the token takes: stretches of some hundreds, evenly spread over it.
        latency : int
            Of the memory.
        **options
            Of `compile_model`.

        Returns
        -------
        counts : Counts
        token_cycles : int
            That the token takes.
        multiplications : int
            Of the token.

        Raises `ValueError` if gates, Verilog and the functional simulator do not all agree.
        """
        executable = compile_model(model, self.config, **options)
        request = Request(list(prompt), 2, stop=())
        found = sources(self.flat)
        simulator = Recorder(
            self.config,
            executable.memory(request),
            "\n".join(self.mapped.verilog.values()),
            list(found.values()),
            latency=latency,
            progress=self._progress,
        )
        recorded = token_of(simulator, executable, request)
        if self._activity is None:
            self._activity = Activity(self.flat, self.library, np.fromiter(found, np.int64))
        multiplications = executable.plan.multiplications(len(prompt))
        return self._activity.count(*_stretches(recorded, cycles)), len(recorded), multiplications

    def energy(self, counts, token_cycles, multiplications):
        """The `TokenEnergy` of what `record` returns; of fewer cycles than the token takes, in proportion."""
        energy = self.costs.energy(counts, PERIOD)
        scale = token_cycles / counts.cycles
        parts = {name: {} for name in BLOCKS}
        for kind in ("logic", "clock", "gates", "gated", "stopped", "memories", "leakage", "total"):
            for name, value in self._by_block(getattr(energy, kind)).items():
                parts[name][kind] = scale * value
        return TokenEnergy(token_cycles, multiplications, parts)


def token_of(simulator, executable, request):
    """What a `Recorder` records from the first to the second token. Raises `ValueError` if the tokens are wrong."""
    tokens, recorded = [], None
    for token in run_rtl(executable, request, Report(), simulator):
        tokens.append(token)
        if len(tokens) == 2:
            recorded = simulator.recorded()
        simulator.record(len(tokens) == 1)
    if tokens != list(run_reference(executable, request, Report())):
        raise ValueError("the chip and the functional simulator write different tokens")
    return recorded


def _stretches(recorded, cycles):
    """Parts of a recording that have so many cycles, and one more each, evenly spread; the whole of it without a number."""
    if cycles is None or cycles >= len(recorded):
        return [recorded]
    count = -(-cycles // _STRETCH)
    size = cycles // count
    starts = np.linspace(0, len(recorded) - size - 1, count).astype(int)
    return [recorded[start : start + size + 1] for start in starts]
