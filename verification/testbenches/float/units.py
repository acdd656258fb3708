# SPDX-License-Identifier: Apache-2.0
"""The float32 units side by side, with one latency, so that one build serves all of their tests."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from tepin.float.add import FloatAdd
from tepin.float.compare import CompareOperation, FloatCompare
from tepin.float.convert import FloatToInt, IntFormat, IntToFloat
from tepin.float.multiply import FloatMultiply

__all__ = ["ACCUMULATOR_WIDTH", "FloatUnits"]

ACCUMULATOR_WIDTH = 41
"""Of the integers that a matmul's sums are."""


class FloatUnits(Component):
    """Sum, product, comparison and conversions of the same operands.

    Members
    -------
    i : In(StructLayout)
        Floats `a` and `b`, an integer, what to compare, and the integer format that `a` is converted to. Each field has a
        32-bit word or two of its own.
    o : Out(StructLayout)
        `latency` cycles later.
    """

    i: In(
        data.StructLayout(
            {"a": 32, "b": 32, "integer": signed(64), "operation": CompareOperation, "format": IntFormat}
        )
    )
    o: Out(data.StructLayout({"sum": 32, "product": 32, "compared": 32, "from_int": 32, "to_int": 32}))

    def __init__(self):
        super().__init__()
        self._units = {
            "sum": FloatAdd(),
            "product": FloatMultiply(multiplier_latency=4, architecture="ecp5-model"),
            "compared": FloatCompare(),
            "from_int": IntToFloat(ACCUMULATOR_WIDTH),
            "to_int": FloatToInt(),
        }

    @property
    def latency(self):
        """Cycles, the largest of all units."""
        return max(unit.latency for unit in self._units.values())

    def elaborate(self, platform):
        m = Module()
        units, i = self._units, self.i
        for name, unit in units.items():
            m.submodules[name] = unit
        for name in ("sum", "product", "compared"):
            m.d.comb += [units[name].i.a.eq(i.a), units[name].i.b.eq(i.b)]
        m.d.comb += [
            units["compared"].i.operation.eq(i.operation),
            units["from_int"].i.eq(i.integer),
            units["to_int"].i.x.eq(i.a),
            units["to_int"].i.format.eq(i.format),
        ]
        for name, unit in units.items():
            result = unit.o
            for cycle in range(unit.latency, self.latency):
                later = Signal(32, name=f"{name}_{cycle}", reset_less=True)
                m.d.sync += later.eq(result)
                result = later
            m.d.comb += self.o[name].eq(result)
        return m
