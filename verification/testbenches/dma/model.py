# SPDX-License-Identifier: Apache-2.0
"""DMA commands as a testbench sees them: their words, their bytes as plain Python loops, and random ones."""

from dataclasses import dataclass, field

import numpy as np

from tepin.isa import COMMANDS, DmaFlags, Engine, EngineOp, QueueHeader

MASK = (1 << 32) - 1


@dataclass(kw_only=True)
class Descriptor:
    """A RUN command of one of the DMA engines."""

    engine: Engine
    memory: int = 0
    local: int = 0
    length: int = 0
    dimensions: int = 0
    count: int = 1
    memory_stride: int = 0
    local_stride: int = 0
    count2: int = 1
    memory_stride2: int = 0
    local_stride2: int = 0
    index: int | None = None
    indices: list = field(default_factory=list)
    pc: int = 0
    wait: int = 0
    signal: int = 0

    def words(self):
        """The command as the queue delivers it."""
        flags = DmaFlags.const({"dimensions": self.dimensions, "indexed": int(self.index is not None)})
        present = {"count": 1, "memory_stride": 1, "local_stride": 1}
        present |= {"count2": 2, "memory_stride2": 2, "local_stride2": 2}
        fields = []
        for slot in COMMANDS[self.engine].fields:
            if slot.name == "index" and self.index is None:
                continue
            if present.get(slot.name, 0) <= self.dimensions:
                fields.append(getattr(self, slot.name) & MASK)
        return [self.header(EngineOp.RUN, 1 + len(fields)), flags.as_value().value, *fields]

    def header(self, op, length):
        header = {"op": op, "wait": self.wait, "signal": self.signal, "length": length, "pc": self.pc}
        return QueueHeader.const(header).as_value().value

    def runs(self):
        """(memory, local) of each run, in order."""
        for outer in range(self.count2 if self.dimensions >= 2 else 1):
            for inner in range(self.count if self.dimensions >= 1 else 1):
                step = self.indices[inner] if self.indices else inner
                memory = self.memory + outer * self.memory_stride2 + step * self.memory_stride
                local = self.local + outer * self.local_stride2 + inner * self.local_stride
                yield memory & MASK, local & MASK

    def move(self, memory, scratchpad):
        """Execute on bytearrays; returns the bytes that a weight load delivers. Memory repeats after its size."""
        delivered = bytearray()
        for address, local in self.runs():
            at = address % len(memory)
            if self.engine == Engine.WEIGHTS:
                delivered += memory[at : at + self.length]
            elif self.engine == Engine.LOADS:
                scratchpad[local : local + self.length] = memory[at : at + self.length]
            else:
                memory[at : at + self.length] = scratchpad[local : local + self.length]
        return delivered

    def size(self):
        """Bytes moved."""
        return self.length * sum(1 for _ in self.runs())


def nop(*, pc=0, wait=0, signal=0):
    """Words of a NOP."""
    return [Descriptor(engine=Engine.LOADS, pc=pc, wait=wait, signal=signal).header(EngineOp.NOP, 0)]


def random_descriptor(rng, engine, memory, local, *, beat, unit=1, index=None, most=600):
    """A random descriptor within ranges of addresses.

    Lengths and addresses of all alignments, small ones more often; strides so that runs touch, overlap, lie apart or go
    backwards.

    Parameters
    ----------
    memory, local : range
        Where all runs must lie.
    beat : int
        Bytes per beat.
    unit : int
        Addresses in memory and lengths are multiples of this.
    index : range, optional
        Where an index list may lie; without it the descriptor is not indexed.
    most : int
        Most bytes to move.
    """
    integer = lambda low, high: int(rng.integers(low, high + 1))  # noqa: E731
    while True:
        kind = integer(0, 3)
        length = unit * integer(1, [3, beat, 4 * beat, most][integer(0, 3)])
        result = Descriptor(engine=engine, length=length, dimensions=min(kind, 2))
        result.memory = memory.start + unit * integer(0, (len(memory) - length) // unit)
        result.local = integer(local.start, local.stop - length) if engine != Engine.WEIGHTS else 0
        if rng.random() < 0.3:  # towards a 4 KiB boundary
            result.memory = (result.memory | 4095) + 1 - unit * integer(0, 2 * beat)
        near = lambda size: integer(-2 * size, 2 * size) // unit * unit  # noqa: E731
        if kind:
            result.count = integer(1, 12)
            result.memory_stride = near(length + 5 * unit)
            result.local_stride = length if rng.random() < 0.5 else integer(0, length + 9)
        if kind >= 2:
            result.count2 = integer(1, 4)
            result.memory_stride2 = near(3 * length + 100)
            result.local_stride2 = (
                integer(0, length + 9) if rng.random() < 0.3 else result.count * result.local_stride
            )
        if kind and index is not None and rng.random() < 0.5:
            result.index = index.start + 4 * integer(0, (len(index) - 4 * result.count) // 4)
            result.memory_stride = unit * integer(1, 40)
            reach = max(1, (memory.stop - result.memory - length) // result.memory_stride)
            result.indices = [integer(0, reach - 1) for _ in range(result.count)]
        inside = all(
            memory.start <= at
            and at + length <= memory.stop
            and local.start <= to
            and to + length <= local.stop
            if engine != Engine.WEIGHTS
            else memory.start <= at and at + length <= memory.stop
            for at, to in result.runs()
        )
        if inside and result.size() <= most:
            return result


def random_bytes(rng, count):
    return bytearray(rng.integers(256, size=count, dtype=np.uint8).tobytes())
