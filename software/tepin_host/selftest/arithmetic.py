# SPDX-License-Identifier: Apache-2.0
"""The self test's arithmetic: every processing element, every vector function, and checksums over all bits of the results."""

from tepin.isa import DataType, Function, Reduction, WeightType
from tepin_host.assembler import Strided, Vector
from tepin_host.selftest.pad import ROWS
from tepin_reference.weights import stream_bytes

__all__ = ["MatmulTest", "VectorTest"]

_RAGGED = 4  # rows of weights, and columns, beyond whole tiles


class MatmulTest:
    """Writes the matmul part: int8 weights through the weight FIFO, then int4 weights with scales from the scratchpad.

    The bytes that pass the FIFO are written to memory first, from address 0 on.

    Parameters
    ----------
    writer : Writer
    """

    def __init__(self, writer):
        self.w, self.a, self.pad = writer, writer.a, writer.pad
        config = writer.config
        # The array is filled twice and a bit in both directions.
        self._k = max(2 * config.rows, 32) + _RAGGED
        self._n = config.columns + _RAGGED
        self._m = min(config.accumulator_rows, ROWS, self.pad.count // (2 * self._k))
        word = config.fifo_word_bytes
        stream = stream_bytes(self._k, self._n, config.columns, WeightType.INT8, False)
        self._stream = -(-stream // word) * word
        # The random numbers as bytes, again and again.
        self._piece = 2 * self.pad.count
        self._pieces = -(-self._stream // self._piece)

    @property
    def memory_bytes(self):
        """Bytes that it writes."""
        return self._pieces * self._piece

    def emit(self):
        """Two products; fails with the wrong checksum as info."""
        w, a, pad = self.w, self.a, self.pad
        a.move(w.r["position"], 0x100)
        w.generate()
        a.vector(
            Function.COPY,
            self._m * self._k,
            a=Vector(pad.values),
            d=Vector(pad.activations),
            d_type=DataType.INT16,
        )
        a.vector(
            Function.MUL,
            self._m,
            a=Vector(pad.values + 2 * pad.count),
            b=w.constant(2.0**-20),
            d=Vector(pad.scales),
        )
        for piece in range(self._pieces):
            a.store(pad.image, piece * self._piece, self._piece)
        a.fence()
        a.weights(0, self._stream)
        self._product(self._n)

        group = 4
        codes = stream_bytes(self._k, group, group, WeightType.INT4, False)
        a.vector(
            Function.MUL,
            group,
            a=Vector(pad.values + 3 * pad.count),
            b=w.constant(2.0**-15),
            d=Vector(pad.image + codes),
        )
        a.fence()
        self._product(group, scratch_weights=pad.image, weights=WeightType.INT4, scales=True)

    def _product(self, n, *, scales=False, **weights):
        w, a, pad = self.w, self.a, self.pad
        a.matmul(
            m=self._m,
            k=self._k,
            n=n,
            activations=pad.activations,
            activation_stride=2 * self._k,
            output=pad.buffers,
            output_stride=4 * n,
            scale=pad.scales,
            maximum=pad.maxima,
            scales=scales,
            **weights,
        )
        a.fence()
        w.clear_sum()
        w.add_to_sum(pad.buffers, self._m * n)
        w.add_to_sum(pad.maxima, self._m)
        w.compare_sum()


class VectorTest:
    """Writes the vector part: all functions, conversions, reductions and ways of walking, on numbers between -8 and 8.

    Parameters
    ----------
    writer : Writer
    """

    _ELEMENTS = 37  # of a function: the last pass is ragged, whatever the lanes
    _REDUCED = 131  # of a reduction: more than two rounds of its partial sums
    _CONVERTED = 36

    def __init__(self, writer):
        self.w, self.a, self.pad = writer, writer.a, writer.pad
        self._end = self.pad.buffers

    def emit(self):
        """Fails with the wrong checksum as info."""
        w, a, pad = self.w, self.a, self.pad
        a.move(w.r["position"], 0x200)
        w.random(3 * self._REDUCED)
        numbers = Vector(pad.values)
        a.vector(
            Function.MADD, 3 * self._REDUCED, a=numbers, b=w.constant(16.0), c=w.constant(-8.0), d=numbers
        )
        self._functions()
        self._conversions()
        self._reductions()
        a.fence()
        w.clear_sum()
        w.add_to_sum(pad.buffers, (self._end - pad.buffers) // 4)
        w.compare_sum()

    def _number(self, index, **modifiers):
        """One of three operands."""
        return Vector(self.pad.values + 4 * self._REDUCED * index, **modifiers)

    def _place(self, size):
        place, self._end = self._end, self._end + size
        return place

    def _functions(self):
        n = self._ELEMENTS
        x, y, z = map(self._number, range(3))
        positive = self._number(0, abs=True)
        flags = None
        for function, operands in (
            (Function.ADD, {"a": x, "b": y}),
            (Function.MUL, {"a": x, "b": y}),
            (Function.MADD, {"a": x, "b": y, "c": z}),
            (Function.MAX, {"a": x, "b": y}),
            (Function.MIN, {"a": x, "b": y}),
            (Function.LE, {"a": x, "b": y}),
            (Function.EQ, {"a": x, "b": positive}),
            (Function.LT, {"a": x, "b": y}),
            (Function.SELECT, {"b": y, "c": z}),  # by what LT gave
            (Function.FLOOR, {"a": x}),
            (Function.EXPM, {"a": x, "b": self.w.constant(12.0)}),
            (Function.LN, {"a": positive}),
            (Function.LOG1P, {"a": positive}),
            (Function.RECIPROCAL, {"a": x}),
            (Function.RSQRT, {"a": positive}),
        ):
            place = Vector(self._place(4 * n))
            self.a.vector(function, n, d=place, **{"a": flags} | operands)
            flags = place

    def _conversions(self):
        n = self._CONVERTED
        for kind, size in ((DataType.INT32, 4), (DataType.INT16, 2), (DataType.INT8, 1)):
            integers, floats = Vector(self._place(n * size)), Vector(self._place(4 * n))
            self.a.vector(
                Function.MUL, n, a=self._number(1), b=self.w.constant(16.0), d=integers, d_type=kind
            )
            self.a.vector(Function.COPY, n, a=integers, a_type=kind, d=floats)

    def _reductions(self):
        n = self._REDUCED
        for reduction in (Reduction.SUM, Reduction.MAX, Reduction.ABSMAX, Reduction.ARGMAX):
            place = self._place(8 if reduction == Reduction.ARGMAX else 4)
            self.a.vector(
                Function.MUL, n, a=self._number(0), b=self._number(1, negate=True), reduce=(reduction, place)
            )
        # Terms of at most 2, and rows that overlap.
        self.a.vector(
            Function.MUL,
            n,
            rows=3,
            a=Strided(self.pad.values, abs=True, stride=4, row_stride=8),
            b=self.w.constant(0.125),
            reduce=(Reduction.FIXED_SUM, self._place(12)),
        )
