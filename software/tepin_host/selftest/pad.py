# SPDX-License-Identifier: Apache-2.0
"""Scratchpad and common steps of the self test: random numbers, constants, checksums, and failing."""

import struct

from tepin.isa import DataType, Function, ScalarOp
from tepin_host.assembler import Assembler, Register, Scalar, Vector

__all__ = ["ROWS", "ZERO", "Pad", "Writer"]

ZERO = Register(0)
ROWS = 16
"""Most activation rows of a matmul of the test."""
WORDS = 32

_FEWEST_BYTES = 4096
_MOST_BYTES = 8192
_SEED = 0x7E91
_FACTOR = 0x9E3779B1  # odd, so that no bit of a checksum is lost


class Pad:
    """Places in the scratchpad: four regions of `size` bytes, in four banks if there are as many.

    Members
    -------
    count : int
        Numbers in `values` and in `image`.
    values : address
        float32, `count` of them: random integers that an int16 can hold.
    image : address
        The same as int16.
    verdicts : address
        As many words as half of `values`.
    buffers : address
        `size` bytes.
    words : address
        `WORDS` constants and single results.
    scales, maxima : address
        Room for `ROWS` words each.
    activations : address
        `size` / 2 bytes.
    """

    def __init__(self, config):
        quarter = config.scratchpad_bytes // 4
        self.size = min(quarter, config.bank_bytes, _MOST_BYTES)
        if self.size < _FEWEST_BYTES:
            raise ValueError(
                f"The self test needs scratchpad banks, and quarters of the scratchpad, of {_FEWEST_BYTES} bytes, "
                f"not {self.size}"
            )
        self.count = self.size // 4
        self.values, self.image, self.buffers, self.words = (quarter * index for index in range(4))
        self.verdicts = self.image + self.size // 2
        self.scales = self.words + 4 * WORDS
        self.maxima = self.scales + 4 * ROWS
        self.activations = self.maxima + 4 * ROWS


class Writer:
    """Writes the steps that all parts of the self test need.

    Parameters
    ----------
    config : ChipConfig
    expected : list of int, optional
        Checksums to compare with, in order. Without it the program pushes the checksums instead.
    """

    def __init__(self, config, expected=None):
        self.config = config
        self.pad = Pad(config)
        self.a = Assembler()
        self._expected = None if expected is None else iter(expected)
        self._constants = {}
        names = ("position", "address", "sum", "word", "pointer", "count")
        self.r = {name: self.a.register(name) for name in names}
        for name in ("position", "sign", "bias"):
            self.variable(name)

    # Constants and variables

    def variable(self, name):
        """Address of the word `name`, which is reserved the first time."""
        if name not in self._constants and len(self._constants) == WORDS:
            raise ValueError(f"no word is left for {name}")
        return self._constants.setdefault(name, self.pad.words + 4 * len(self._constants))

    def set(self, name, value):
        """Let the word `name` hold a float, or the bits of an integer."""
        bits = value if isinstance(value, int) else struct.unpack("<I", struct.pack("<f", value))[0]
        self.a.move(self.r["word"], bits)
        self.a.store_word(self.r["word"], self.variable(name))

    def constant(self, value):
        """An operand of this float; a word of its own is filled the first time."""
        if value not in self._constants:
            self.variable(value)
            self.set(value, float(value))
        return Scalar(self.variable(value))

    # Steps

    def begin(self, part):
        """Say what is tested from here on."""
        if self._expected is not None:
            self.a.move(self.r["word"], part)
            self.a.push(self.r["word"])

    def random(self, count):
        """Fill `values` with numbers in (0, 1) that depend on the register `position`; wait for all before."""
        self.a.fence()
        self.a.store_word(self.r["position"], self.variable("position"))
        self.a.vector(
            Function.RANDOM,
            count,
            a=Scalar(self.variable("zero")),
            b=Scalar(self.variable("seed")),
            c=Scalar(self.variable("position")),
            d=Vector(self.pad.values),
        )

    def generate(self):
        """Fill `values` and `image` with integers that depend on `position`, or, with sign and bias -1, their complements."""
        a, pad = self.a, self.pad
        values = Vector(pad.values)
        self.random(pad.count)
        a.vector(
            Function.MADD,
            pad.count,
            a=values,
            b=Scalar(self.variable("span")),
            c=Scalar(self.variable("low")),
            d=values,
        )
        a.vector(Function.FLOOR, pad.count, a=values, d=values)
        a.vector(
            Function.MADD,
            pad.count,
            a=values,
            b=Scalar(self.variable("sign")),
            c=Scalar(self.variable("bias")),
            d=values,
        )
        a.vector(Function.COPY, pad.count, a=values, d=Vector(pad.image), d_type=DataType.INT16)
        a.fence()

    def prepare(self):
        """What `random` and `generate` rely on."""
        self.set("zero", 0)
        self.set("seed", _SEED)
        # Onto -32639 to 32638, of which each is the complement of another.
        self.set("span", 65278.0)
        self.set("low", -32639.0)
        self.set("sign", 1.0)
        self.set("bias", 0.0)

    def clear_sum(self):
        self.a.move(self.r["sum"], 0)

    def add_to_sum(self, address, words):
        """sum = sum * odd ^ word, for each of the words."""
        a, r = self.a, self.r
        a.move(r["pointer"], address)
        a.move(r["count"], words)
        with a.loop(r["count"]):
            a.load_word(r["word"], 0, r["pointer"])
            a.scalar(ScalarOp.MUL, r["sum"], r["sum"], _FACTOR)
            a.scalar(ScalarOp.XOR, r["sum"], r["sum"], r["word"])
            a.scalar(ScalarOp.ADD, r["pointer"], r["pointer"], 4)

    def compare_sum(self):
        """Fail with the sum as info unless it is what the functional simulator found."""
        a, r = self.a, self.r
        if self._expected is None:
            a.push(r["sum"])
            return
        a.move(r["word"], next(self._expected))
        with a.unless(ScalarOp.BEQ, r["sum"], r["word"]):
            a.fail(r["sum"])
