# SPDX-License-Identifier: Apache-2.0
"""A kernel: arrays that go in, arrays that come out, and the instructions between them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tepin_host.assembler import Assembler
from tepin_host.compiler.allocate import MemoryMap, ScratchpadMap

__all__ = ["Kernel", "Program"]

_ALIGNMENT = 64


@dataclass(frozen=True)
class Kernel:
    """A program on arrays in the scratchpad.

    Members
    -------
    emit : callable(Assembler, dict)
        Appends the instructions. The dictionary has the scratchpad address of every array below, by name.
    inputs : dict of str to array
        Loaded before the kernel: float32, or integers of 1, 2 or 4 bytes.
    outputs : dict of str to (shape, dtype)
        Stored after it. An output that is an input as well is changed in place.
    scratch : dict of str to int
        Bytes of everything else.
    """

    emit: Callable
    inputs: dict
    outputs: dict
    scratch: dict = field(default_factory=dict)

    def program(self, config, *, repeats=1):
        """The `Program` that loads the inputs, runs the kernel so many times and stores the outputs.

        Raises `UserError` if the arrays do not fit the scratchpad.
        """
        memory, pad = MemoryMap(_ALIGNMENT), ScratchpadMap(config.scratchpad_bytes, config.scratchpad_banks)
        sizes = {name: array.nbytes for name, array in self.inputs.items()}
        for name, (shape, dtype) in self.outputs.items():
            sizes[name] = int(np.prod(shape)) * np.dtype(dtype).itemsize
        for index, (name, size) in enumerate((sizes | self.scratch).items()):
            # One array after the other in another bank, so that those used together are read together.
            pad.add(name, size, index)
        for name, size in sizes.items():
            memory.add(name, size)
        places = {name: buffer.address for name, buffer in pad.buffers.items()}

        a = Assembler()
        for name, array in self.inputs.items():
            a.load(memory.regions[name].address, places[name], array.nbytes)
        a.fence()
        count = a.register("repeats")
        a.move(count, repeats)
        with a.loop(count):
            self.emit(a, places)
        a.fence()
        for name in self.outputs:
            a.store(places[name], memory.regions[name].address, sizes[name])
        a.end()
        return Program(self, a.assemble(), memory)


@dataclass(frozen=True)
class Program:
    """Words of a program and where its arrays are in memory."""

    kernel: Kernel
    words: list
    map: MemoryMap

    def memory(self):
        """External memory before the start, uint8."""
        memory = np.zeros(-(-self.map.size // _ALIGNMENT) * _ALIGNMENT, np.uint8)
        for name, array in self.kernel.inputs.items():
            region = self.map.regions[name]
            memory[region.address : region.end] = np.ascontiguousarray(array).view(np.uint8).ravel()
        return memory

    def results(self, memory):
        """The outputs in a memory, by name."""
        results = {}
        for name, (shape, dtype) in self.kernel.outputs.items():
            region = self.map.regions[name]
            results[name] = memory[region.address : region.end].view(dtype).reshape(shape).copy()
        return results
