# SPDX-License-Identifier: Apache-2.0
"""The self test's hardware: it starts the program once, watches it, tells how it went, and then is not in the way."""

import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib.wiring import Component, connect

from tepin.boot import SelfTest, SelfTestState
from tepin.control.fetch import Fetch
from tepin.control.host import HostRegisters
from tepin.control.registers import register
from tepin_testbench.pysim import simulate

BYTES = 1 << 20


class _Chip(Component):
    """The registers of a chip behind the self test; the program is played by the test."""

    def __init__(self, **arguments):
        super().__init__({})
        self.self_test = SelfTest(memory_bytes=BYTES, **arguments)
        self.registers = HostRegisters(config_hash=1, program_words=1024, tokens=4)
        self.reset = Signal()

    def elaborate(self, platform):
        m = Module()
        m.submodules.self_test = ResetInserter(self.reset)(self.self_test)
        m.submodules.registers = ResetInserter(self.reset)(self.registers)
        connect(m, self.self_test.m_axil, self.registers.s_axil)
        return m


async def _play(ctx, registers, tokens, *, failed):
    """A program that takes a while, pushes tokens on its way, and ends."""
    await ctx.tick().until(registers.start)
    windows = {name: ctx.get(getattr(registers, name)) for name in ("read_base", "read_limit")}
    windows |= {name: ctx.get(getattr(registers, name)) for name in ("write_base", "write_limit")}
    ctx.set(registers.busy, 1)
    for token in tokens:
        await ctx.tick().repeat(20)
        ctx.set(registers.tokens.payload, token)
        ctx.set(registers.tokens.valid, 1)
        await ctx.tick().until(registers.tokens.ready)
        ctx.set(registers.tokens.valid, 0)
    await ctx.tick().repeat(20)
    ctx.set(registers.failed if failed else registers.done, 1)
    ctx.set(registers.busy, 0)
    return windows


async def _read(ctx, bus, name):
    """A host's read; returns the value and the cycles that it took."""
    ctx.set(bus.ar.payload.addr, register(name).offset)
    ctx.set(bus.ar.valid, 1)
    ctx.set(bus.r.ready, 1)
    cycles = 0
    async for _, _, ready in ctx.tick().sample(bus.ar.ready):
        cycles += 1
        if ready:
            break
    ctx.set(bus.ar.valid, 0)
    (value,) = await ctx.tick().sample(bus.r.payload.data).until(bus.r.valid)
    return value, cycles


@pytest.mark.parametrize("failed", [False, True])
def test_the_program_is_run_and_the_result_is_shown(failed):
    dut = _Chip()
    status = dut.self_test.status

    async def testbench(ctx):
        await ctx.tick().repeat(10)
        assert (
            ctx.get(status.state) == SelfTestState.RUNNING
        )  # from the start, though the memory is not ready
        assert not ctx.get(dut.registers.start)
        ctx.set(dut.self_test.ready, 1)
        windows = await _play(ctx, dut.registers, [3, 7, 9], failed=failed)
        assert windows == {
            "read_base": 0,
            "read_limit": BYTES - 1,
            "write_base": 0,
            "write_limit": BYTES - 1,
        }
        await ctx.tick().repeat(100)
        assert ctx.get(status.state) == (SelfTestState.FAILED if failed else SelfTestState.PASSED)
        assert ctx.get(status.part) == 9
        for name in ("read_base", "read_limit", "write_base", "write_limit"):
            assert ctx.get(getattr(dut.registers, name)) == register(name.upper()).reset

    simulate(dut, testbench)


def test_an_error_of_a_chip_that_stays_busy_is_the_end():
    dut = _Chip()

    async def testbench(ctx):
        ctx.set(dut.self_test.ready, 1)
        await ctx.tick().until(dut.registers.start)
        ctx.set(dut.registers.busy, 1)
        ctx.set(dut.registers.failed, 1)
        await ctx.tick().repeat(100)
        assert ctx.get(dut.self_test.status.state) == SelfTestState.FAILED

    simulate(dut, testbench)


def test_the_host_waits_for_the_end_and_then_has_a_clean_chip():
    dut = _Chip()
    ended = Signal()

    async def program(ctx):
        ctx.set(dut.self_test.ready, 1)
        await _play(ctx, dut.registers, [1], failed=False)
        ctx.set(ended, 1)

    async def host(ctx):
        value, cycles = await _read(ctx, dut.self_test.s_axil, "ID")
        assert value == register("ID").reset
        assert cycles > 40 and ctx.get(ended)
        _, cycles = await _read(ctx, dut.self_test.s_axil, "TOKEN")
        assert cycles == 1
        assert (await _read(ctx, dut.self_test.s_axil, "IRQ_STATUS"))[0] == 0

    simulate(dut, program, host)


def test_a_reset_during_the_test_begins_it_again_and_one_after_it_does_not():
    dut = _Chip()
    status = dut.self_test.status

    async def reset(ctx):
        for level in (1, 0):
            ctx.set(dut.reset, level)
            await ctx.tick()
        for signal in (dut.registers.busy, dut.registers.done):
            ctx.set(signal, 0)

    async def testbench(ctx):
        ctx.set(dut.self_test.ready, 1)
        await ctx.tick().until(dut.registers.start)
        await ctx.tick().repeat(30)
        await reset(ctx)
        await _play(ctx, dut.registers, [2], failed=False)
        await ctx.tick().repeat(100)
        assert ctx.get(status.state) == SelfTestState.PASSED
        await reset(ctx)
        for _ in range(100):
            assert not ctx.get(dut.registers.start)
            await ctx.tick()
        assert ctx.get(status.state) == SelfTestState.NONE
        assert (await _read(ctx, dut.self_test.s_axil, "ID"))[1] == 1

    simulate(dut, testbench)


def test_without_a_program_the_host_never_waits():
    dut = _Chip(present=False)

    async def testbench(ctx):
        assert (await _read(ctx, dut.self_test.s_axil, "ID"))[1] <= 2
        ctx.set(dut.self_test.ready, 1)
        for _ in range(50):
            assert not ctx.get(dut.registers.start)
            await ctx.tick()
        assert ctx.get(dut.self_test.status.state) == SelfTestState.NONE

    simulate(dut, testbench)


@pytest.mark.parametrize("memory_bytes", [0, (1 << 32) + 1])
def test_init_wrong_memory_bytes(memory_bytes):
    with pytest.raises(
        ValueError, match=rf"Memory of a SelfTest must be 1 to 2\*\*32 bytes, not {memory_bytes}"
    ):
        SelfTest(memory_bytes=memory_bytes)


def test_a_program_is_in_memory_at_power_up(rng):
    program = [int(word) for word in rng.integers(1 << 32, size=20)]
    dut = Fetch(32, program)

    async def testbench(ctx):
        ctx.set(dut.run, 1)
        ctx.set(dut.redirect_valid, 1)
        await ctx.tick()
        ctx.set(dut.redirect_valid, 0)
        ctx.set(dut.o.ready, 1)
        for word in [*program, 0, 0]:
            (payload,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            assert payload.word == word

    simulate(dut, testbench)


def test_init_wrong_program():
    with pytest.raises(ValueError, match="program must have at most 32 words, not 33"):
        Fetch(32, [0] * 33)
