# SPDX-License-Identifier: Apache-2.0
"""A compiled chip that is made to fail, and shown to be as good as new afterwards."""

import functools

import numpy as np

from tepin.control.registers import register
from tepin.isa import Function
from tepin_host.assembler import Assembler, Scalar, Vector
from tepin_host.compiler import Request, compile_model
from tepin_host.driver import ChipDriver
from tepin_host.simulation import ChipSimulator
from tepin_reference.dma import Window
from tepin_testbench import options
from tepin_testbench.random_model import random_model
from verification.testbenches.chip.runs import TINY, assert_same, reference, rtl_on

__all__ = ["MEMORY_BYTES", "READABLE", "WRITABLE", "GuardedChip", "assemble", "model"]

MEMORY_BYTES = 1 << 16
READABLE = Window(0x1000, 0x6000)
WRITABLE = Window(0x4000, 0x8000)

_PATIENCE = 200_000
_REQUEST = Request([3, 9], 2, stop=())


@functools.cache
def model():
    """A small compiled model."""
    return compile_model(random_model(options.seed(), n_layers=1), TINY)


def assemble(write):
    """Words of the instructions that `write(assembler)` appends."""
    assembler = Assembler()
    write(assembler)
    return assembler.assemble()


def _clear_scratchpad(a):
    a.store_word(None, 0)
    a.store_word(None, 4)
    a.vector(Function.COPY, TINY.scratchpad_bytes // 4 - 2, a=Scalar(4), d=Vector(8))
    a.end()


class GuardedChip:
    """A chip with `MEMORY_BYTES` of memory, and a host that loses patience.

    Attributes
    ----------
    memory : uint8 array
    simulator : ChipSimulator
    driver : ChipDriver
    """

    def __init__(self, memory):
        self.memory = memory
        self.simulator = ChipSimulator(TINY, memory, latency=20)
        self.driver = ChipDriver(self.simulator)

    def start(self, words, *, read=READABLE, write=WRITABLE):
        """Load a program and start it."""
        self.driver.load_program(words)
        self.driver.start(read=(read.base, read.limit), write=(write.base, write.limit))

    def finish(self):
        """Run to the end of the program: its tokens and its `ChipError`, or None."""
        tokens = list(self.driver.tokens(self.wait))
        error = self.driver.error()
        assert self.status() == ({"error"} if error else {"done"})
        return tokens, error

    def wait(self):
        """Run to the next interrupt."""
        assert self.simulator.run(_PATIENCE) < _PATIENCE, "the chip raises no interrupt"

    def status(self):
        """Names of the bits of STATUS that are set."""
        value = self.driver.read("STATUS")
        return {field.name for field in register("STATUS").fields if value & field.mask}

    def prepare(self):
        """Put the model's image and request into memory."""
        self.memory[:] = 0
        image = model().memory(_REQUEST)
        self.memory[: len(image)] = image

    def assert_works(self):
        """Run the model and compare everything, down to the last byte of memory, with the functional simulator."""
        self.simulator.fault(0, 0)
        self.driver.write("WATCHDOG", register("WATCHDOG").reset)
        # What a broken program left there would get into unused places of KV pages.
        self.start(assemble(_clear_scratchpad))
        assert self.finish() == ([], None)
        self.simulator.observed()
        self.prepare()
        expected = reference(model(), _REQUEST, memory=self.memory.copy())
        assert_same(rtl_on(self.simulator, model(), _REQUEST), expected)
        assert len(expected.tokens) == 2 and np.ptp(expected.logits) > 0
