# SPDX-License-Identifier: Apache-2.0
"""The harness around a single block reaches every input and lets no output go unseen."""

from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from tepin_fpga.harness import Harness
from tepin_testbench.pysim import simulate


class Adder(Component):
    a: In(3)
    b: In(2)
    o: Out(4)
    unstoppable: Out(stream.Signature(1, always_ready=True))

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.o.eq(self.a + self.b), self.unstoppable.payload.eq(self.a[0])]
        return m


def test_bits():
    harness = Harness(Adder())
    assert (harness.input_bits, harness.output_bits) == (5, 4 + 2)


def test_every_bit_passes(rng):
    dut = Harness(Adder())
    sent = [int(bit) for bit in rng.integers(0, 2, 200)]
    received = []

    async def testbench(ctx):
        for bit in sent:
            ctx.set(dut.i, bit)
            received.append(ctx.get(dut.o))
            await ctx.tick()

    simulate(dut, testbench)
    chain, captured, folded, expected = 0, 0, 0, []
    for bit in sent:
        expected.append(folded >> 5)
        a, b = chain & 7, chain >> 3
        # Outputs in the order of the signature: o, then the stream's payload and valid.
        outputs = (a + b) | (a & 1) << 4
        folded = captured ^ (folded << 1 & 0x3F | chain >> 4)
        captured, chain = outputs, chain << 1 & 0x1F | bit
    assert received == expected and any(received)
