# SPDX-License-Identifier: Apache-2.0
"""One float32 lane: the units that compute, and the paths between them.

                     +-> compare --------------------------+
                     +-> floor ----------------------------+
    a, b -> modifiers+-> special function -----------------+-> result -> integer
                     +-> (copy, select) -------------------+
                     +-> multiply -+-----------------------+
                     +-------------+-> add ----------------+
    c --------------------------------^

A command uses one path for all of its elements, so there is nothing to arbitrate: `FUNCTIONS` says which path. A random word
r becomes a number by one addition: 1.r - (1 - 2**-24), which is exact.
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from tepin.float.add import FloatAdd
from tepin.float.compare import CompareOperation, FloatCompare, FloatFloor
from tepin.float.convert import FloatToInt, IntFormat
from tepin.float.format import FLOAT32
from tepin.float.multiply import FloatMultiply
from tepin.float.special import SpecialFunction, SpecialOperation
from tepin.isa import DataType, Function
from tepin.vector.random import RandomLane, RandomStep

__all__ = ["FUNCTIONS", "Lane", "LaneControl", "Source"]

_ONE = 0x3F80_0000
_JUST_BELOW_ONE_NEGATED = 0xBF7F_FFFF


class Source(enum.Enum, shape=3):
    """The unit whose output is the result."""

    COPY = 0
    FLOOR = 1
    COMPARE = 2
    PRODUCT = 3
    SUM = 4
    SPECIAL = 5


class Augend(enum.Enum, shape=2):
    """What c, or b, is added to."""

    A = 0
    PRODUCT = 1
    RANDOM = 2


@dataclass(frozen=True)
class _Path:
    """How a function is computed."""

    source: Source
    select: bool = False
    compare: CompareOperation = CompareOperation.MAX
    augend: Augend = Augend.A
    special: SpecialOperation = SpecialOperation.EXPM


FUNCTIONS = {
    Function.COPY: _Path(Source.COPY),
    Function.ADD: _Path(Source.SUM),
    Function.MUL: _Path(Source.PRODUCT),
    Function.MADD: _Path(Source.SUM, augend=Augend.PRODUCT),
    Function.MAX: _Path(Source.COMPARE, compare=CompareOperation.MAX),
    Function.MIN: _Path(Source.COMPARE, compare=CompareOperation.MIN),
    Function.LT: _Path(Source.COMPARE, compare=CompareOperation.LT),
    Function.LE: _Path(Source.COMPARE, compare=CompareOperation.LE),
    Function.EQ: _Path(Source.COMPARE, compare=CompareOperation.EQ),
    Function.SELECT: _Path(Source.COPY, select=True),
    Function.FLOOR: _Path(Source.FLOOR),
    Function.EXPM: _Path(Source.SPECIAL, special=SpecialOperation.EXPM),
    Function.LN: _Path(Source.SPECIAL, special=SpecialOperation.LN),
    Function.LOG1P: _Path(Source.SPECIAL, special=SpecialOperation.LOG1P),
    Function.RECIPROCAL: _Path(Source.SPECIAL, special=SpecialOperation.RECIPROCAL),
    Function.RSQRT: _Path(Source.SPECIAL, special=SpecialOperation.RSQRT),
    Function.RANDOM: _Path(Source.SUM, augend=Augend.RANDOM),
}
"""Path of every function."""


class Modifier(data.Struct):
    """What is done to the sign of an operand: first `absolute`, then `negate`."""

    absolute: 1
    negate: 1

    def apply(self, value):
        """The modified encoding."""
        return Cat(value[:31], (value[31] & ~self.absolute) ^ self.negate)


class LaneControl(data.Struct):
    """Settings of all lanes for one command."""

    source: Source
    select: 1
    compare: CompareOperation
    augend: Augend
    special: SpecialOperation
    a: Modifier
    b: Modifier
    c: Modifier
    integer: IntFormat

    @staticmethod
    def decode(m, control, flags):
        """Set `control`, combinationally, by the flags of a command."""
        with m.Switch(flags.function):
            for function, path in FUNCTIONS.items():
                with m.Case(function):
                    m.d.comb += [
                        control.source.eq(path.source),
                        control.select.eq(path.select),
                        control.compare.eq(path.compare),
                        control.augend.eq(path.augend),
                        control.special.eq(path.special),
                    ]
        with m.If(flags.function != Function.RANDOM):
            for name in "abc":
                m.d.comb += [
                    control[name].absolute.eq(flags[f"{name}_abs"]),
                    control[name].negate.eq(flags[f"{name}_negate"]),
                ]
        with m.Switch(flags.d_type):
            with m.Case(DataType.INT32):
                m.d.comb += control.integer.eq(IntFormat.INT32)
            with m.Case(DataType.INT16):
                m.d.comb += control.integer.eq(IntFormat.INT16)
            with m.Case(DataType.INT8):
                m.d.comb += control.integer.eq(IntFormat.INT8)


class Lane(wiring.Component):
    """Computes one element per cycle. Never stalls.

    Operands are registered, and so is the result: it is at `o` `latency(function)` + 2 cycles after them, and at `integer`
    another `integer_latency` cycles later. For RANDOM, the first cycle that counts is that in which the words are there.

    Members
    -------
    control : In(LaneControl)
        Stays as it is while elements are under way.
    a, b, c : In(32)
        Operands.
    load : In(1)
        Take the operands into their registers. Only random numbers need them for longer than a cycle. For a multiply-add `c`
        comes as many cycles after its `a` and `b` as a product takes; otherwise together with them.
    step, index : In
        Steps of the random generator, and what is added to its counter.
    o : Out(32)
        float32 result.
    integer : Out(signed 32)
        The result converted to `control.integer`.
    """

    control: In(LaneControl)
    a: In(32)
    b: In(32)
    c: In(32)
    load: In(1)
    step: In(RandomStep)
    index: In(32)
    o: Out(32)
    integer: Out(32)

    def __init__(self):
        super().__init__()
        self._compare = FloatCompare()
        self._floor = FloatFloor()
        self._special = SpecialFunction()
        self._multiply = FloatMultiply()
        self._add = FloatAdd()
        self._to_int = FloatToInt()

    @property
    def add_latency(self):
        """Cycles that the last step of an addition or a multiply-add takes."""
        return self._add.latency

    @property
    def multiply_latency(self):
        """Cycles that a product takes."""
        return self._multiply.latency

    @property
    def integer_latency(self):
        """Cycles from a float32 result to the integer."""
        return self._to_int.latency

    @property
    def longest(self):
        """The largest latency of all functions."""
        return max(self.latency(function) for function in FUNCTIONS)

    def latency(self, function):
        """Cycles from the operand registers to the output of the unit that gives the result."""
        path = FUNCTIONS[function]
        latency = {
            Source.COPY: 1,
            Source.FLOOR: self._floor.latency,
            Source.COMPARE: self._compare.latency,
            Source.PRODUCT: self._multiply.latency,
            Source.SUM: self._add.latency,
            Source.SPECIAL: self._special.latency + 1,
        }[path.source]
        chained = path.source == Source.SUM and path.augend == Augend.PRODUCT
        return latency + (self._multiply.latency if chained else 0)

    def elaborate(self, platform):
        m = Module()
        control = self.control
        a, b, c = (Signal(32, name=name, reset_less=True) for name in "abc")
        with m.If(self.load):
            m.d.sync += [
                a.eq(control.a.apply(self.a)),
                b.eq(control.b.apply(self.b)),
                c.eq(control.c.apply(self.c)),
            ]

        # Copy and select.
        a_zero = FLOAT32.decode(a).zero
        chosen = Signal(32, reset_less=True)
        m.d.sync += chosen.eq(Mux(control.select, Mux(a_zero, c, b), a))
        x = FLOAT32.decode(chosen)
        copied = Mux(x.nan, FLOAT32.nan, Mux(x.zero, Cat(Const(0, 31), x.sign), chosen))

        m.submodules.compare = compare = self._compare
        m.d.comb += [compare.i.a.eq(a), compare.i.b.eq(b), compare.i.operation.eq(control.compare)]

        m.submodules.floor = floor = self._floor
        m.d.comb += floor.i.eq(a)

        m.submodules.special = special = self._special
        with m.If(control.source == Source.SPECIAL):  # Otherwise its inputs rest.
            m.d.sync += [special.i.a.eq(a), special.i.b.eq(b), special.i.operation.eq(control.special)]

        m.submodules.random = random = RandomLane()
        m.d.comb += [
            random.step.eq(self.step),
            random.counter.eq(a),
            random.key[0].eq(b),
            random.key[1].eq(c),
            random.index.eq(self.index),
        ]

        m.submodules.multiply = multiply = self._multiply
        m.d.comb += [multiply.i.a.eq(a), multiply.i.b.eq(b)]

        m.submodules.add = add = self._add
        with m.Switch(control.augend):
            with m.Case(Augend.A):
                m.d.comb += [add.i.a.eq(a), add.i.b.eq(b)]
            with m.Case(Augend.PRODUCT):
                m.d.comb += [add.i.a.eq(multiply.o), add.i.b.eq(c)]
            with m.Case(Augend.RANDOM):
                m.d.comb += [add.i.a.eq(_ONE | random.o[9:]), add.i.b.eq(_JUST_BELOW_ONE_NEGATED)]

        o = Signal(32, reset_less=True)
        with m.Switch(control.source):
            with m.Case(Source.COPY):
                m.d.sync += o.eq(copied)
            with m.Case(Source.FLOOR):
                m.d.sync += o.eq(floor.o)
            with m.Case(Source.COMPARE):
                m.d.sync += o.eq(compare.o)
            with m.Case(Source.PRODUCT):
                m.d.sync += o.eq(multiply.o)
            with m.Case(Source.SUM):
                m.d.sync += o.eq(add.o)
            with m.Case(Source.SPECIAL):
                m.d.sync += o.eq(special.o)

        m.d.comb += self.o.eq(o)

        m.submodules.to_int = to_int = self._to_int
        m.d.comb += [to_int.i.x.eq(self.o), to_int.i.format.eq(control.integer), self.integer.eq(to_int.o)]
        return m
