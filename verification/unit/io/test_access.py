# SPDX-License-Identifier: Apache-2.0
"""BusAccess against slaves that take their time: the right transaction, once, and its response."""

import pytest

from tepin.dma.axi import Burst, Response
from tepin.io.access import BusAccess
from tepin_testbench.pysim import simulate

RESPONSES = [Response.OKAY, Response.SLVERR, Response.DECERR, Response.EXOKAY]


def slave(bus, log, memory, rng, *, kind):
    """A slave for writes and one for reads, with pauses; the response depends on the address."""

    def respond(address):
        return RESPONSES[address // 16 % len(RESPONSES)]

    async def take(ctx, channel):
        await ctx.tick().repeat(int(rng.integers(1, 4)))
        ctx.set(channel.ready, 1)
        valid = False
        while not valid:
            _, _, valid, payload = await ctx.tick().sample(channel.valid, channel.payload)
        ctx.set(channel.ready, 0)
        return payload

    async def give(ctx, channel, values):
        await ctx.tick().repeat(int(rng.integers(1, 4)))
        for name, value in values.items():
            ctx.set(channel.payload[name], value)
        ctx.set(channel.valid, 1)
        while not (await ctx.tick().sample(channel.ready))[2]:
            pass
        ctx.set(channel.valid, 0)

    def check(address):
        if kind == "memory":
            width = bus.signature.data_width // 8
            assert address.addr % width == 0 and 1 << address.size == width
            assert (address.len, address.burst) == (0, Burst.INCR)

    async def reads(ctx):
        while True:
            address = await take(ctx, bus.ar)
            check(address)
            log.append((kind, "read", address.addr))
            width = bus.signature.data_width // 8
            word = int.from_bytes(bytes(memory[address.addr : address.addr + width]), "little")
            await give(ctx, bus.r, {"data": word, "resp": respond(address.addr)})

    async def writes(ctx):
        while True:
            # Address and data come in either order.
            first, second = (bus.aw, bus.w) if rng.random() < 0.5 else (bus.w, bus.aw)
            one, other = await take(ctx, first), await take(ctx, second)
            address, beat = (one, other) if first is bus.aw else (other, one)
            check(address)
            if kind == "memory":
                assert beat.last == 1
            for lane in range(bus.signature.data_width // 8):
                if beat.strb >> lane & 1:
                    memory[address.addr + lane] = beat.data >> 8 * lane & 0xFF
                    log.append((kind, "write", address.addr + lane))
            await give(ctx, bus.b, {"resp": respond(address.addr)})

    return reads, writes


@pytest.mark.parametrize("data_width", [8, 16, 64, 512])
def test_random_accesses(data_width, rng):
    dut = BusAccess(data_width=data_width)
    logs = {"register": [], "memory": []}
    memories = {kind: bytearray(rng.bytes(256)) for kind in logs}
    expected = {kind: bytearray(memory) for kind, memory in memories.items()}
    width = data_width // 8

    async def host(ctx):
        for _ in range(120):
            register, write = int(rng.integers(2)), int(rng.integers(2))
            kind = "register" if register else "memory"
            address = int(rng.integers(64)) * 4 if register else int(rng.integers(256))
            word = int(rng.integers(1 << 32))
            size, beat = (4, 4) if register else (1, width)
            for log in logs.values():
                log.clear()
            ctx.set(dut.i.payload, {"address": address, "data": word, "write": write, "register": register})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(int(rng.integers(1, 4)))
            ctx.set(dut.o.ready, 1)
            (result,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            ctx.set(dut.o.ready, 0)
            aligned = address // beat * beat
            assert result.response == RESPONSES[aligned // 16 % 4]
            if write:
                data = word.to_bytes(4, "little")[:size]
                expected[kind][address : address + size] = data
                assert logs[kind] == [(kind, "write", address + index) for index in range(size)]
            else:
                found = int.from_bytes(expected[kind][address : address + size], "little")
                assert result.data & ((1 << 8 * size) - 1) == found
                assert logs[kind] == [(kind, "read", aligned)]
            assert memories == expected
            assert not logs["memory" if register else "register"]

    slaves = [
        *slave(dut.registers, logs["register"], memories["register"], rng, kind="register"),
        *slave(dut.memory, logs["memory"], memories["memory"], rng, kind="memory"),
    ]
    simulate(dut, host, background=slaves, cycles=6000)
