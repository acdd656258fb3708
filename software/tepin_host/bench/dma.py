# SPDX-License-Identifier: Apache-2.0
"""The copier: cycles from the first address to the last answer, against beats and two latencies of the memory."""

import numpy as np
from amaranth.sim import Simulator

from tepin.dma.copier import Copier
from tepin_host.bench.row import CheckFailed, Row
from tepin_host.simulation.axi_memory import AxiMemory

__all__ = ["copy_cycles", "dma"]

_MEMORY = 1 << 17
_TARGET = _MEMORY // 2
_PERIOD = 1e-8
_CASES = [
    *((32768, latency, 0, 0) for latency in (1, 20, 100)),
    *((4096, latency, 0, 0) for latency in (1, 20, 100)),
    *((4096, latency, source, target) for source, target in ((3, 5), (5, 3)) for latency in (1, 100)),
]
"""(bytes, latency, source, destination)"""

_IDMA = {
    (32768, 1): 100.0, (32768, 20): 99.0, (32768, 100): 78.2,
    (4096, 1): 514, (4096, 20): 552, (4096, 100): 794,
}  # fmt: skip
"""iDMA 0.6.5 with 8 bursts in flight, measured: percent of the limit's bandwidth for 32 KiB, cycles for 4 KiB."""
_IDMA_UNALIGNED = {(4096, 1): 548, (4096, 100): 1375}


def copy_cycles(length, *, latency, source=0, destination=_TARGET, seed=1, **parameters):
    """Cycles of one copy by a `Copier(**parameters)`, from its first address to its last answer; every byte is compared."""
    before = np.random.default_rng(seed).bytes(_MEMORY)
    copier = Copier(**parameters)
    memory = AxiMemory(copier.m_axi, bytearray(before), latency=latency)

    async def host(ctx):
        for name in ("read", "write"):
            ctx.set(getattr(copier, f"{name}_limit"), _MEMORY - 1)
        ctx.set(copier.i.payload, {"source": source, "destination": destination, "length": length})
        ctx.set(copier.i.valid, 1)
        await ctx.tick().until(copier.i.ready)
        ctx.set(copier.i.valid, 0)
        await ctx.tick().until(copier.done)

    simulator = Simulator(copier)
    simulator.add_clock(_PERIOD)
    simulator.add_testbench(host)
    simulator.add_testbench(memory.run, background=True)
    simulator.run()
    expected = bytearray(before)
    expected[destination : destination + length] = before[source : source + length]
    if memory.data != expected:
        raise CheckFailed(f"copy of {length} bytes from {source} to {destination}: wrong bytes")
    return memory.last_answer - memory.first_address


def dma(say):
    """Copies by the RTL in Amaranth's simulator, memory latency on reads and on write responses."""
    for length, latency, source, target in _CASES:
        aligned = source == target == 0
        place = "aligned" if aligned else f"from {source} to {target} bytes off a beat"
        case = f"copy of {length // 1024} KiB {place}, 64 bit, bursts of 16, latency={latency}"
        say(case)
        cycles = copy_cycles(length, latency=latency, source=source, destination=_TARGET + target)
        limit = length // 8 + 2 * latency
        yield Row("dma", case, "cycles", cycles, "cycles", limit)
        yield Row("dma", case, "bandwidth", 100 * length / 8 / cycles, "%", 100 * length / 8 / limit)
        anchor = (_IDMA if aligned else _IDMA_UNALIGNED)[length, latency]
        yield Row("dma", case, "iDMA 0.6.5", anchor, "%" if length > 4096 else "cycles")
