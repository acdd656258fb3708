# SPDX-License-Identifier: Apache-2.0
"""Comparison of float32 numbers, and rounding down to an integer."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from tepin.float.format import FLOAT32
from tepin.float.pipeline import deliver, stage, wire

__all__ = ["CompareOperation", "FloatCompare", "FloatFloor"]

_ONE = 0x3F80_0000


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
    o : Out(32)
        Encoding of the result, `latency` cycles later.
    """

    i: In(data.StructLayout({"a": 32, "b": 32, "operation": CompareOperation}))
    o: Out(32)

    @property
    def latency(self):
        """Cycles from operands to result."""
        return 3

    def elaborate(self, platform):
        m = Module()

        # 1: Keys, integers that sort as the numbers do, but for zeros and NaN. Whether an operand is one of these is known
        # later than its key, and goes along.
        a, b = FLOAT32.decode(self.i.a), FLOAT32.decode(self.i.b)
        keys = stage(
            m,
            "keys",
            a=Cat(Mux(a.sign, ~a.magnitude, a.magnitude), a.sign).as_signed(),
            b=Cat(Mux(b.sign, ~b.magnitude, b.magnitude), b.sign).as_signed(),
            a_zero=a.zero,
            b_zero=b.zero,
            nan=a.nan | b.nan,
            operation=self.i.operation,
        )

        # 2: Order. All zeros have the key 0; of a NaN the key does not matter.
        key_a = wire(m, "key_a", Mux(keys.a_zero, 0, keys.a))
        key_b = wire(m, "key_b", Mux(keys.b_zero, 0, keys.b))
        a_less = wire(m, "a_less", key_a < key_b)
        minimum = wire(m, "minimum", keys.operation == CompareOperation.MIN.value)
        ordered = stage(
            m,
            "ordered",
            key=Mux(a_less ^ minimum, key_b, key_a),
            nan=keys.nan,
            a_less=a_less,
            equal=key_a == key_b,
            operation=keys.operation,
        )

        # 3: Selection; a key turned back into a number.
        key = ordered.key
        number = Mux(ordered.nan, FLOAT32.nan, Cat(Mux(key[-1], ~key[:-1], key[:-1]), key[-1]))
        true = Signal()
        with m.Switch(ordered.operation):
            with m.Case(CompareOperation.LT):
                m.d.comb += true.eq(ordered.a_less & ~ordered.nan)
            with m.Case(CompareOperation.LE):
                m.d.comb += true.eq((ordered.a_less | ordered.equal) & ~ordered.nan)
            with m.Case(CompareOperation.EQ):
                m.d.comb += true.eq(ordered.equal & ~ordered.nan)
        selects = ordered.operation.matches(CompareOperation.MAX, CompareOperation.MIN)
        deliver(m, self.o, Mux(selects, number, Mux(true, _ONE, 0)))
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
