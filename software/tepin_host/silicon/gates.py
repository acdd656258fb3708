# SPDX-License-Identifier: Apache-2.0
"""How often the gates of clocks that `tepin verilog --clock-gates` writes are closed while a token is decoded."""

import re
from dataclasses import dataclass

import numpy as np

from tepin.clock import CLOCK_GATE
from tepin.export.convert import convert
from tepin.tops import TOPS
from tepin_host.compiler.compile import compile_model
from tepin_host.compiler.executable import Request
from tepin_host.silicon.recorder import Recorder
from tepin_host.silicon.token import token_of

__all__ = ["Gate", "closed_gates"]


@dataclass(frozen=True)
class Gate:
    """A gate and what it stops.

    Members
    -------
    path : str
        Of the instance that gets the clock.
    flip_flops : int
        In it.
    closed : int
        Cycles that end without an edge of its clock.
    """

    path: str
    flip_flops: int
    closed: int


def closed_gates(config, model, *, prompt=(1, 5, 9), latency=100, progress=None, **options):
    """Let a chip with gates decode.

    Returns
    -------
    gates : list of Gate
    flip_flops : int
        Of the whole chip.
    cycles : int
        From the first to the second token.
    """
    top = TOPS["chip"]
    design = convert(top.make(config), name=top.module, port_names=top.port_names, clock_gates=True)
    instances = dict(_instances(design))
    gates = [path for path, kind in instances.items() if kind == CLOCK_GATE]
    executable = compile_model(model, config, **options)
    request = Request(list(prompt), 2, stop=())
    simulator = Recorder(
        config,
        executable.memory(request),
        "\n".join(design.modules.values()),
        [(f"{path}.enable", None) for path in gates],
        latency=latency,
        progress=progress,
    )
    recorded = token_of(simulator, executable, request)
    found = []
    for index, path in enumerate(gates):
        block = path.removesuffix("_clock_gate")
        enabled = recorded[:, index // 32] >> np.uint32(index % 32) & 1
        found.append(Gate(block, _flip_flops(design, instances[block]), int(len(enabled) - enabled.sum())))
    return found, _flip_flops(design, design.top), len(recorded)


def _flip_flops(design, module):
    """In a module, those of memories that are read without a clock included."""
    counts = design.counts(module)
    memories = (
        memory.width * memory.depth * counts[name]
        for name, memory in design.memories.items()
        if memory.parts and not memory.clocked
    )
    return sum(design.registers.get(name, 0) * count for name, count in counts.items()) + sum(memories)


def _instances(design):
    """Path and module of every instance."""
    kinds = "|".join(map(re.escape, design.modules))
    pattern = re.compile(rf"^  ({kinds}) (\w+) \($", re.MULTILINE)

    def visit(module, path):
        for kind, name in pattern.findall(design.modules[module]):
            yield ".".join([*path, name]), kind
            yield from visit(kind, [*path, name])

    yield from visit(design.top, [])
