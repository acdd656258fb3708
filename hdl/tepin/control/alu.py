# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of the sequencer: what a scalar instruction computes, and the multiplier that takes longer."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from tepin.float.multiplier import IntegerMultiplier
from tepin.isa import ScalarOp

__all__ = ["Alu", "Multiplier"]


class Alu(Component):
    """Result and branch condition of every scalar instruction but MUL. Combinational.

    `o` is the new `rd` of the arithmetic instructions and of DBNZ, the address of LOAD and STORE and the info of FAIL.
    For all others it means nothing.

    Members
    -------
    op : In(ScalarOp)
    rd, rs, b : In(32)
        Values of the registers, and of operand b.
    o : Out(32)
    taken : Out(1)
        The instruction is a jump, or a branch whose condition holds.
    """

    def __init__(self):
        super().__init__(
            {
                "op": In(ScalarOp, init=ScalarOp.ADD),
                "rd": In(32),
                "rs": In(32),
                "b": In(32),
                "o": Out(32),
                "taken": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        decremented = Signal(32)
        less = Signal()  # rs < b, signed
        take_rs, take_b = Signal(), Signal()
        other = Signal(32)  # all that is neither minimum nor maximum
        m.d.comb += [
            decremented.eq(self.rd - 1),
            less.eq(self.rs.as_signed() < self.b.as_signed()),
            other.eq(self.rs + self.b),
            # Which operand is the smaller one is known last, so it does not go through the choice among the others.
            take_rs.eq(((self.op == ScalarOp.MIN) & less) | ((self.op == ScalarOp.MAX) & ~less)),
            take_b.eq(((self.op == ScalarOp.MIN) & ~less) | ((self.op == ScalarOp.MAX) & less)),
            self.o.eq(Mux(take_rs, self.rs, 0) | Mux(take_b, self.b, 0) | other),
        ]
        less_rd = self.rd.as_signed() < self.rs.as_signed()
        with m.Switch(self.op):
            with m.Case(ScalarOp.SUB):
                m.d.comb += other.eq(self.rs - self.b)
            with m.Case(ScalarOp.SHL):
                m.d.comb += other.eq(self.rs << self.b[:5])
            with m.Case(ScalarOp.SHR):
                m.d.comb += other.eq(self.rs >> self.b[:5])
            with m.Case(ScalarOp.AND):
                m.d.comb += other.eq(self.rs & self.b)
            with m.Case(ScalarOp.OR):
                m.d.comb += other.eq(self.rs | self.b)
            with m.Case(ScalarOp.XOR):
                m.d.comb += other.eq(self.rs ^ self.b)
            with m.Case(ScalarOp.MIN, ScalarOp.MAX):
                m.d.comb += other.eq(0)
            with m.Case(ScalarOp.BEQ):
                m.d.comb += self.taken.eq(self.rd == self.rs)
            with m.Case(ScalarOp.BNE):
                m.d.comb += self.taken.eq(self.rd != self.rs)
            with m.Case(ScalarOp.BLT):
                m.d.comb += self.taken.eq(less_rd)
            with m.Case(ScalarOp.BGE):
                m.d.comb += self.taken.eq(~less_rd)
            with m.Case(ScalarOp.DBNZ):
                m.d.comb += [other.eq(decremented), self.taken.eq(decremented != 0)]
            with m.Case(ScalarOp.JUMP):
                m.d.comb += self.taken.eq(1)
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
