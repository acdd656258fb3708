# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of the sequencer: what a scalar instruction computes, and the multiplier that takes longer."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from tepin.float.multiplier import IntegerMultiplier
from tepin.isa import ScalarOp

__all__ = ["Alu", "AluSelect", "Comparison", "Multiplier"]


class AluSelect(data.Struct):
    """What an `Alu` does, decoded: the bit that is called like the instruction, or else `ADD`, and both for SUB."""

    ADD: 1
    SUB: 1
    SHL: 1
    SHR: 1
    AND: 1
    OR: 1
    XOR: 1
    MIN: 1
    MAX: 1
    BEQ: 1
    BNE: 1
    BLT: 1
    BGE: 1
    DBNZ: 1
    JUMP: 1

    @classmethod
    def decode(cls, op):
        """Its bits for an instruction."""
        named = [name for name, _ in data.Layout.cast(cls) if name != "ADD"]
        return Cat(
            ~op.as_value().matches(*(ScalarOp[name].value for name in named if name != "SUB")),
            *(op == ScalarOp[name] for name in named),
        )


class Comparison(data.Struct):
    """How `rd` compares, for branches."""

    equal: 1  # to rs
    less: 1  # than rs, signed
    one: 1

    def taken(self, select):
        """Whether the instruction of that `AluSelect` is a jump, or a branch whose condition holds."""
        return (
            select.JUMP
            | (select.BEQ & self.equal)
            | (select.BNE & ~self.equal)
            | (select.BLT & self.less)
            | (select.BGE & ~self.less)
            | (select.DBNZ & ~self.one)
        )


class Alu(Component):
    """Result of every scalar instruction but MUL, and what its branch depends on. Combinational.

    `o` is the new `rd` of the arithmetic instructions and of DBNZ, the address of LOAD and STORE and the info of FAIL.
    For all others it means nothing. A shift takes two steps, in any order: `o` is `rs` shifted by `b` modulo 8, and `shifted`
    is `rs` shifted by the rest.

    Members
    -------
    select : In(AluSelect)
    rd, rs, b : In(32)
        Values of the registers, and of operand b.
    o, shifted : Out(32)
    comparison : Out(Comparison)
    """

    def __init__(self):
        super().__init__(
            {
                "select": In(AluSelect),
                "rd": In(32),
                "rs": In(32),
                "b": In(32),
                "o": Out(32),
                "shifted": Out(32),
                "comparison": Out(Comparison),
            }
        )

    def elaborate(self, platform):
        m = Module()
        select = self.select
        decremented = Signal(32)
        less = Signal()  # rs < b, signed
        take_rs, take_b = Signal(), Signal()
        other = Signal(32)  # all that is neither minimum nor maximum
        m.d.comb += [
            decremented.eq(self.rd - 1),
            less.eq(self.rs.as_signed() < self.b.as_signed()),
            # Which operand is the smaller one is known last, so it does not go through the choice among the others.
            take_rs.eq(Mux(less, select.MIN, select.MAX)),
            take_b.eq(Mux(less, select.MAX, select.MIN)),
            self.o.eq(Mux(take_rs, self.rs, 0) | Mux(take_b, self.b, 0) | other),
        ]
        few, many = self.b[:3], Cat(Const(0, 3), self.b[3:5])
        m.d.comb += [
            self.shifted.eq(Mux(select.SHL, self.rs << many, self.rs >> many)),
            self.comparison.equal.eq(self.rd == self.rs),
            self.comparison.less.eq(self.rd.as_signed() < self.rs.as_signed()),
            self.comparison.one.eq(self.rd == 1),
            other.eq(
                Mux(select.ADD, self.rs + Mux(select.SUB, ~self.b, self.b) + select.SUB, 0)[:32]
                | Mux(select.SHL, self.rs << few, 0)[:32]
                | Mux(select.SHR, self.rs >> few, 0)
                | Mux(select.AND, self.rs & self.b, 0)
                | Mux(select.OR, self.rs | self.b, 0)
                | Mux(select.XOR, self.rs ^ self.b, 0)
                | Mux(select.DBNZ, decremented, 0)
            ),
        ]
        return m


class Multiplier(Component):
    """Low 32 bits of a product, with one 16 x 16 multiplier.

    `done` is high in the fifth cycle after the one with `start`, and `o` is valid then. `a` and `b` must stay until
    then. One multiplication at a time.

    Members
    -------
    start : In(1)
    a, b : In(32)
    o : Out(32)
    done : Out(1)
    """

    def __init__(self):
        super().__init__({"start": In(1), "a": In(32), "b": In(32), "o": Out(32), "done": Out(1)})

    def elaborate(self, platform):
        m = Module()
        low_a, high_a = self.a[:16], self.a[16:]
        low_b, high_b = self.b[:16], self.b[16:]
        step = Signal(5)  # one-hot, from the cycle after `start` on
        m.submodules.multiplier = multiplier = IntegerMultiplier(16, 16, latency=2)
        product = multiplier.o
        m.d.sync += step.eq(Cat(self.start, step[:-1]))
        # In come the low halves, then two mixed pairs; two cycles later the products.
        m.d.comb += [
            multiplier.a.eq(Mux(step[1], high_a, low_a)),
            multiplier.b.eq(Mux(step[0], high_b, low_b)),
        ]
        with m.If(step[1]):
            m.d.sync += self.o.eq(product)
        with m.If(step[2] | step[3]):
            m.d.sync += self.o[16:].eq(self.o[16:] + product[:16])
        m.d.comb += self.done.eq(step[4])
        return m
