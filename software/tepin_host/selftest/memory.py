# SPDX-License-Identifier: Apache-2.0
"""The self test's memory part: blocks of random numbers that depend on their address, written, then read and compared.

A block is a window of the random numbers that moves on by one from block to block; when the numbers are used up, new ones are
drawn. So no two blocks hold the same, and a block that has been written to another's place, or read from there, is noticed.
All is done twice, the second time with the complement of every bit.
"""

from contextlib import contextmanager

from tepin.isa import DataType, Function, Reduction, ScalarOp
from tepin_host.assembler import Vector
from tepin_host.selftest.pad import ZERO

__all__ = ["MemoryTest"]


class MemoryTest:
    """Writes the memory part into a program.

    `address_lines` tests a block at 0 and one at each power of two, which is enough to find address lines that are stuck,
    missing or short-circuited. `march` tests every byte of the first `span` bytes. Both fail with the address of a block that
    differs as info.

    Parameters
    ----------
    writer : Writer
    memory_bytes, span : int
        Powers of two, at least a block.
    """

    def __init__(self, writer, memory_bytes, span):
        self.w, self.a, self.pad = writer, writer.a, writer.pad
        self.elements = self.pad.count // 2
        self.block = 2 * self.elements
        windows = self.pad.count - self.elements
        for name, value in (("memory", memory_bytes), ("span", span)):
            if value < self.block or value & (value - 1):
                raise ValueError(
                    f"The {name} must be a power of two, at least {self.block} bytes, not {value}"
                )
        if span > memory_bytes:
            raise ValueError(f"The span must be at most the memory, {memory_bytes} bytes, not {span}")
        self._places = (memory_bytes // self.block).bit_length()
        self._blocks = min(windows, span // self.block)
        self._groups = span // (self._blocks * self.block)
        a = self.a
        self._free, self._full = a.semaphore("free"), a.semaphore("full")
        self._r = {
            name: a.register(f"memory {name}") for name in ("offset", "buffer", "left", "groups", "base")
        }
        for _ in range(2):
            a.signal(self._free)

    def address_lines(self):
        """Blocks at 0, `block`, 2 `block`, 4 `block` and so on."""
        a, r, address = self.a, self._r, self.w.r["address"]

        def step():
            a.scalar(ScalarOp.ADD, address, address, address)
            a.scalar(ScalarOp.MAX, address, address, self.block)

        def fail(index):
            # Shifted all the way out for the block at 0.
            a.scalar(ScalarOp.SUB, index, index, 1)
            a.move(r["base"], self.block)
            a.scalar(ScalarOp.SHL, r["base"], r["base"], index)
            a.fail(r["base"])

        with self._both_polarities():
            a.move(self.w.r["position"], 0)
            a.move(address, 0)
            self.w.generate()
            self._write(self._places, step)
            a.fence()
            a.move(address, 0)
            self._compare(self._places, step, fail)

    def march(self):
        """All blocks of the span."""
        a, r, address, position = self.a, self._r, self.w.r["address"], self.w.r["position"]

        def step():
            a.scalar(ScalarOp.ADD, address, address, self.block)

        def fail(index):
            a.scalar(ScalarOp.MUL, index, index, self.block)
            a.scalar(ScalarOp.ADD, r["base"], r["base"], index)
            a.fail(r["base"])

        with self._both_polarities():
            for compare in (False, True):
                a.move(address, 0)
                a.move(position, 1)
                a.move(r["groups"], self._groups)
                with a.loop(r["groups"]):
                    self.w.generate()
                    a.move(r["base"], address)
                    if compare:
                        self._compare(self._blocks, step, fail)
                    else:
                        self._write(self._blocks, step)
                    a.scalar(ScalarOp.ADD, position, position, 1)

    @contextmanager
    def _both_polarities(self):
        """Twice what is in the block: the second time with complements."""
        a, word = self.a, self.w.r["word"]
        again = a.label("again")
        a.place(again)
        yield
        # From (1, 0) to (-1, -1) and back, so that the next part begins as this one did.
        for name, change in (("sign", 0x80000000), ("bias", 0xBF800000)):
            a.load_word(word, self.w.variable(name))
            a.scalar(ScalarOp.XOR, word, word, change)
            a.store_word(word, self.w.variable(name))
        a.branch(ScalarOp.BNE, word, ZERO, again)

    def _write(self, count, step):
        a, r, pad = self.a, self._r, self.pad
        a.move(r["offset"], pad.image)
        a.move(r["left"], count)
        with a.loop(r["left"]):
            a.store(r["offset"], self.w.r["address"], self.block)
            a.scalar(ScalarOp.ADD, r["offset"], r["offset"], 2)
            step()

    def _compare(self, count, step, fail):
        """One buffer is loaded while the other one is compared; the largest difference of each block is kept."""
        a, r, pad = self.a, self._r, self.pad
        a.move(r["offset"], 0)
        a.move(r["buffer"], pad.buffers)
        a.move(r["left"], count)
        with a.loop(r["left"]):
            a.load(self.w.r["address"], r["buffer"], self.block, wait=self._free, signal=self._full)
            a.vector(
                Function.ADD,
                self.elements,
                a=Vector(r["buffer"]),
                b=Vector(r["offset"] + pad.values, negate=True),
                reduce=(Reduction.ABSMAX, r["offset"] + pad.verdicts),
                a_type=DataType.INT16,
                wait=self._full,
                signal=self._free,
            )
            a.scalar(ScalarOp.ADD, r["offset"], r["offset"], 4)
            a.scalar(ScalarOp.XOR, r["buffer"], r["buffer"], self.block)
            step()
        worst = self.w.variable("worst block")
        difference = self.w.variable("worst difference")
        a.vector(Function.COPY, count, a=Vector(pad.verdicts), reduce=(Reduction.ARGMAX, worst))
        a.fence()
        a.load_word(r["left"], difference)
        with a.unless(ScalarOp.BEQ, r["left"], ZERO):
            a.load_word(r["left"], worst)
            fail(r["left"])
