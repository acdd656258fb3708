# SPDX-License-Identifier: Apache-2.0
"""Comparison of float32 numbers, and rounding down to an integer."""

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from tepin.float.format import FLOAT32
from tepin.float.pipeline import deliver, stage, wire

__all__ = ["CompareOperation", "FloatCompare", "FloatFloor", "sort_key"]

_ONE = 0x3F80_0000


def sort_key(m, name, value):
    """Return a signed 32-bit key of the float32 encoding `value` that sorts as the values do.

    -0 and subnormals have the key of +0; NaN has 0x7FC00000, which is above that of infinity. Combinational.
    """
    x = FLOAT32.decode(value)
    ordered = Cat(Mux(x.sign, ~x.magnitude, x.magnitude), x.sign)
    usual = Mux(x.zero, 0, ordered)
    return wire(m, name, Mux(x.nan, Const(FLOAT32.nan, 32), usual)[:32].as_signed())


class CompareOperation(enum.Enum, shape=3):
    """What :class:`FloatCompare` gives."""

    MAX = 0
    MIN = 1
    LT = 2
    LE = 3
    EQ = 4


class FloatCompare(wiring.Component):
    """Maximum, minimum and comparison of float32 numbers. One result per cycle, no stall, no multipliers.

    Subnormals are read as zero, and both zeros are the same number. MAX has NaN above +infinity, MIN gives NaN if one
    operand is; neither gives -0. LT, LE and EQ give 1.0 or 0.0, which is 0.0 for NaN.

    Members
    -------
    i : In(StructLayout)
        `a` and `b`, encodings, and `operation`.
    o : Out(StructLayout)
        `result`, an encoding; `a_less` and `equal`, the order of the keys (see :func:`sort_key`) whatever the operation,
        for a search of the largest element. `latency` cycles later.
    """

    i: In(data.StructLayout({"a": 32, "b": 32, "operation": CompareOperation}))
    o: Out(data.StructLayout({"result": 32, "a_less": 1, "equal": 1}))

    @property
    def latency(self):
        """Cycles from operands to result."""
        return 3

    def elaborate(self, platform):
        m = Module()

        # 1: Keys.
        a, b = FLOAT32.decode(self.i.a), FLOAT32.decode(self.i.b)
        keys = stage(
            m,
            "keys",
            a=sort_key(m, "key_a", self.i.a),
            b=sort_key(m, "key_b", self.i.b),
            nan=a.nan | b.nan,
            operation=self.i.operation,
        )

        # 2: Order.
        a_less = wire(m, "a_less", keys.a < keys.b)
        equal = wire(m, "equal", keys.a == keys.b)
        minimum = wire(m, "minimum", keys.operation == CompareOperation.MIN.value)
        ordered = stage(
            m,
            "ordered",
            key=Mux(a_less ^ minimum, keys.b, keys.a),
            nan=keys.nan,
            a_less=a_less,
            equal=equal,
            operation=keys.operation,
        )

        # 3: Selection; a key turned back into a number.
        key = ordered.key
        number = Mux(ordered.nan, FLOAT32.nan, Cat(Mux(key[-1], ~key[:-1], key[:-1]), key[-1]))
        with m.Switch(ordered.operation):
            with m.Case(CompareOperation.LT):
                truth = ordered.a_less
                m.d.sync += self.o.result.eq(Mux(truth & ~ordered.nan, _ONE, 0))
            with m.Case(CompareOperation.LE):
                truth = ordered.a_less | ordered.equal
                m.d.sync += self.o.result.eq(Mux(truth & ~ordered.nan, _ONE, 0))
            with m.Case(CompareOperation.EQ):
                m.d.sync += self.o.result.eq(Mux(ordered.equal & ~ordered.nan, _ONE, 0))
            with m.Default():
                m.d.sync += self.o.result.eq(number)
        m.d.sync += [self.o.a_less.eq(ordered.a_less), self.o.equal.eq(ordered.equal)]
        return m


class FloatFloor(wiring.Component):
    """Rounds float32 down to an integer. One result per cycle, no stall, no multipliers.

    Zeros, to which subnormals belong, keep their sign; infinities stay; NaN gives the canonical NaN.

    Members
    -------
    i : In(32)
        The encoding.
    o : Out(32)
        Encoding of the largest integer that is not above it, `latency` cycles later.
    """

    i: In(32)
    o: Out(32)

    @property
    def latency(self):
        """Cycles from operand to result."""
        return 2

    def elaborate(self, platform):
        m = Module()
        x = FLOAT32.decode(self.i)

        # 1: The bits behind the binary point. Adding their mask to a negative number's magnitude before they are cleared
        # rounds it up; the carry goes on into the exponent.
        integer = FLOAT32.bias + FLOAT32.fraction_width
        behind = Cat(x.exponent < integer - bit for bit in range(FLOAT32.fraction_width))
        below_one = x.exponent < FLOAT32.bias
        masked = stage(
            m,
            "masked",
            magnitude=x.magnitude,
            sign=x.sign,
            mask=behind,
            zero=x.zero | (below_one & ~x.sign),
            minus_one=below_one & x.sign & ~x.zero,
            nan=x.nan,
        )

        # 2: The sum.
        total = masked.magnitude + Mux(masked.sign, masked.mask, 0)
        cleared = wire(m, "cleared", total & ~Cat(masked.mask, Const(0, 8)))
        magnitude = Mux(masked.minus_one, _ONE, Mux(masked.zero, 0, cleared))
        deliver(m, self.o, Mux(masked.nan, FLOAT32.nan, Cat(magnitude[:31], masked.sign)))
        return m
