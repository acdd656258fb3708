# SPDX-License-Identifier: Apache-2.0
"""Parity errors from the memory to the host: a program reads a word of which a bit was flipped, the register counts it."""

from tepin.control.registers import register
from tepin.dma.axi import Response
from tepin.isa import ScalarOp
from tepin.memory import bank
from tepin.program import ScalarInstruction
from tepin_testbench.pysim import recorded_memories, simulate
from verification.testbenches.control.bench import SCRATCHPAD_BYTES, ControllerBench

PARAMETERS = {"program_words": 64, "queue_words": 16, "tokens": 4, "line_bytes": 8, "config_hash": 1}
ADDRESS = 0x124
LOADS = 3


class Host:
    """Reads and writes registers, one after the other."""

    def __init__(self, ctx, bus):
        self.ctx, self.bus = ctx, bus
        ctx.set(bus.b.ready, 1)
        ctx.set(bus.r.ready, 1)

    async def write(self, name, value):
        ctx, bus = self.ctx, self.bus
        ctx.set(bus.aw.payload.addr, register(name).offset)
        ctx.set(bus.w.payload, {"data": value, "strb": 15})
        ctx.set(bus.aw.valid, 1)
        ctx.set(bus.w.valid, 1)
        await ctx.tick().until(bus.aw.ready & bus.w.ready)
        ctx.set(bus.aw.valid, 0)
        ctx.set(bus.w.valid, 0)
        (resp,) = await ctx.tick().sample(bus.b.payload.resp).until(bus.b.valid)
        assert resp == Response.OKAY, name

    async def read(self, name):
        """The value, and the response."""
        ctx, bus = self.ctx, self.bus
        ctx.set(bus.ar.payload.addr, register(name).offset)
        ctx.set(bus.ar.valid, 1)
        await ctx.tick().until(bus.ar.ready)
        ctx.set(bus.ar.valid, 0)
        value, resp = await ctx.tick().sample(bus.r.payload.data, bus.r.payload.resp).until(bus.r.valid)
        return value, resp

    async def run(self, instructions):
        await self.write("PROGRAM_ADDRESS", 0)
        for instruction in [*instructions, ScalarInstruction(ScalarOp.END)]:
            for word in instruction.encode():
                await self.write("PROGRAM_DATA", word)
        await self.write("CONTROL", 1)
        while (status := (await self.read("STATUS"))[0]) & 1:
            pass
        assert status == 0b10  # done, no error


def test_register_counts(monkeypatch, rng):
    memories = recorded_memories(monkeypatch, bank)
    dut = ControllerBench(**PARAMETERS, parity=True)
    load = ScalarInstruction(ScalarOp.LOAD, rd=1, immediate=ADDRESS)

    async def testbench(ctx):
        ctx.set(dut.idle, 1)
        host = Host(ctx, dut.s_axil)
        await host.run(
            [
                ScalarInstruction(ScalarOp.ADD, rd=1, immediate=int(rng.integers(1, 1 << 32))),
                ScalarInstruction(ScalarOp.STORE, rd=1, immediate=ADDRESS),
                load,
            ]
        )
        assert await host.read("PARITY_ERRORS") == (0, Response.OKAY)
        # Two memories a bank, of a word in turn.
        rows = SCRATCHPAD_BYTES // 4 // len(memories)
        number, word = divmod(ADDRESS // 4, 2 * rows)
        cell = memories[2 * number + word % 2].data[word // 2]
        assert ctx.get(cell) != 0
        ctx.set(cell, ctx.get(cell) ^ 1 << int(rng.integers(36)))
        await host.run([load] * LOADS)
        assert await host.read("PARITY_ERRORS") == (LOADS, Response.OKAY)
        # A word that is written is a good word; what was counted stays.
        await host.run([ScalarInstruction(ScalarOp.STORE, rd=0, immediate=ADDRESS), load])
        assert await host.read("PARITY_ERRORS") == (LOADS, Response.OKAY)
        ctx.set(cell, ctx.get(cell) ^ 1)
        await host.run([ScalarInstruction(ScalarOp.CLEAR), load])
        assert await host.read("PARITY_ERRORS") == (LOADS, Response.OKAY)

    simulate(dut, testbench)


def test_no_register_without_parity():
    dut = ControllerBench(**PARAMETERS)

    async def testbench(ctx):
        assert (await Host(ctx, dut.s_axil).read("PARITY_ERRORS"))[1] == Response.SLVERR

    simulate(dut, testbench)
