# SPDX-License-Identifier: Apache-2.0
"""The sequencer's arithmetic against Python integers."""

import operator

import pytest
from amaranth.hdl import Const

from tepin.control.alu import Alu, AluSelect, Multiplier
from tepin.isa import ScalarOp
from tepin_testbench.pysim import simulate

EDGES = [0, 1, 2, 31, 32, 33, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFF]
MASK = (1 << 32) - 1


def signed(value):
    return value - (1 << 32) if value >> 31 else value


RESULTS = {
    ScalarOp.ADD: lambda rd, rs, b: rs + b,
    ScalarOp.SUB: lambda rd, rs, b: rs - b,
    ScalarOp.SHL: lambda rd, rs, b: rs << b % 32,
    ScalarOp.SHR: lambda rd, rs, b: rs >> b % 32,
    ScalarOp.MIN: lambda rd, rs, b: min(signed(rs), signed(b)),
    ScalarOp.MAX: lambda rd, rs, b: max(signed(rs), signed(b)),
    ScalarOp.AND: lambda rd, rs, b: rs & b,
    ScalarOp.OR: lambda rd, rs, b: rs | b,
    ScalarOp.XOR: lambda rd, rs, b: rs ^ b,
    ScalarOp.LOAD: lambda rd, rs, b: rs + b,
    ScalarOp.STORE: lambda rd, rs, b: rs + b,
    ScalarOp.FAIL: lambda rd, rs, b: rs + b,
    ScalarOp.DBNZ: lambda rd, rs, b: rd - 1,
}
CONDITIONS = {
    ScalarOp.BEQ: operator.eq,
    ScalarOp.BNE: operator.ne,
    ScalarOp.BLT: lambda rd, rs: signed(rd) < signed(rs),
    ScalarOp.BGE: lambda rd, rs: signed(rd) >= signed(rs),
    ScalarOp.DBNZ: lambda rd, rs: rd != 1,
    ScalarOp.JUMP: lambda rd, rs: True,
}


def operands(rng, count):
    """Pairs of all edges, then random triples."""
    for first in EDGES:
        for second in EDGES:
            yield first, second, second
    for _ in range(count):
        yield tuple(int(value) for value in rng.integers(0, 1 << 32, 3))


@pytest.mark.parametrize("op", list(ScalarOp), ids=lambda op: op.name)
def test_every_instruction(op, rng):
    dut = Alu()
    from amaranth.sim import Simulator

    async def testbench(ctx):
        ctx.set(dut.select.as_value(), ctx.get(AluSelect.decode(Const(op, ScalarOp))))
        for rd, rs, b in operands(rng, 50):
            ctx.set(dut.rd, rd)
            ctx.set(dut.rs, rs)
            ctx.set(dut.b, b)
            if op in (ScalarOp.SHL, ScalarOp.SHR):
                ctx.set(dut.rs, ctx.get(dut.shifted))
            if op in RESULTS:
                assert ctx.get(dut.o) == RESULTS[op](rd, rs, b) & MASK, (rd, rs, b)
            ctx.set(dut.rs, rs)
            condition = CONDITIONS.get(op, lambda rd, rs: False)
            assert ctx.get(dut.comparison.taken(dut.select)) == condition(rd, rs), (rd, rs, b)

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()


def test_multiplier(rng):
    dut = Multiplier()
    latency = 5

    async def testbench(ctx):
        for _, a, b in operands(rng, 100):
            ctx.set(dut.a, a)
            ctx.set(dut.b, b)
            ctx.set(dut.start, 1)
            for cycle in range(latency):
                assert not ctx.get(dut.done), cycle
                await ctx.tick()
                ctx.set(dut.start, 0)
            assert ctx.get(dut.done)
            assert ctx.get(dut.o) == a * b & MASK, (a, b)
            await ctx.tick().repeat(int(rng.integers(1, 3)))

    simulate(dut, testbench)
