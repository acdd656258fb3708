# SPDX-License-Identifier: Apache-2.0
"""Semaphores against counters in Python, with every client signalling and waiting at once."""

import numpy as np
import pytest

from tepin.control.semaphores import Semaphores
from tepin.isa import SEMAPHORE_MAXIMUM
from tepin_testbench.pysim import simulate


@pytest.mark.parametrize("clients", [1, 2, 6])
@pytest.mark.parametrize("numbers", [2, 16])
def test_random_traffic(clients, numbers, rng):
    """No wait passes without a signal, each that can pass does so soon, and the first client goes first."""
    dut = Semaphores(clients)
    soon = 3

    async def testbench(ctx):
        counts = np.zeros(16, int)
        positive = np.zeros(16, int)  # cycles for which a semaphore has been above zero
        waiting = [None] * clients
        waited, age = [0] * clients, [0] * clients
        passed = 0
        for _ in range(1000):
            signals = [int(rng.integers(numbers)) if rng.random() < 0.15 else None for _ in range(clients)]
            for client in range(clients):
                ctx.set(dut.signal_valid[client], signals[client] is not None)
                ctx.set(
                    dut.signals[client], int(rng.integers(16)) if signals[client] is None else signals[client]
                )
                if waiting[client] is None and rng.random() < 0.6:
                    waiting[client] = int(rng.integers(numbers))
                    waited[client] = age[client] = 0
                ctx.set(dut.waits[client].valid, waiting[client] is not None)
                ctx.set(dut.waits[client].payload, waiting[client] or 0)
            for client, wait in enumerate(dut.waits):
                number = waiting[client]
                if number is None:
                    continue
                waited[client] += 1
                age[client] += 1
                rivals = [other for other in range(client) if waiting[other] == number and age[other] > soon]
                if ctx.get(wait.ready):
                    assert not rivals, "a later client passed"
                    if number:
                        assert counts[number] > 0, "passed without a signal"
                        counts[number] -= 1
                        positive[number] = 0
                    passed += 1
                    waiting[client] = None
                elif any(waiting[other] == number for other in range(clients) if other != client):
                    waited[client] = 0  # from when it is alone again
                else:
                    since = waited[client] if number == 0 else min(positive[number], waited[client])
                    assert since <= soon, "a wait did not pass"
            for number in signals:
                counts[number or 0] += number is not None
            counts[0] = 0
            positive = np.where(counts > 0, positive + 1, 0)
            await ctx.tick()
            assert not ctx.get(dut.overflow)
        assert passed > 20

    simulate(dut, testbench)


@pytest.mark.parametrize("number", [1, 8, 15])
def test_overflow(number):
    dut = Semaphores(3)

    async def signal(ctx, count):
        ctx.set(dut.signals[1], number)
        ctx.set(dut.signal_valid, 0b010)
        await ctx.tick().repeat(count)
        ctx.set(dut.signal_valid, 0)
        await ctx.tick().repeat(2)

    async def testbench(ctx):
        await signal(ctx, SEMAPHORE_MAXIMUM)
        assert not ctx.get(dut.overflow)
        ctx.set(dut.waits[0].payload, number)
        ctx.set(dut.waits[0].valid, 1)
        await ctx.tick().until(dut.waits[0].ready)
        ctx.set(dut.waits[0].valid, 0)
        await signal(ctx, 1)
        assert not ctx.get(dut.overflow)
        await signal(ctx, 1)
        await ctx.tick().until(dut.overflow)
        assert ctx.get(dut.overflow_number) == number

    simulate(dut, testbench)


def test_several_signals_in_one_cycle_count():
    dut = Semaphores(6)

    async def testbench(ctx):
        for client in range(6):
            ctx.set(dut.signals[client], 4)
        ctx.set(dut.signal_valid, 0b111111)
        await ctx.tick()
        ctx.set(dut.signal_valid, 0)
        ctx.set(dut.waits[2].payload, 4)
        ctx.set(dut.waits[2].valid, 1)
        passed = 0
        for _ in range(30):
            passed += ctx.get(dut.waits[2].ready)
            await ctx.tick()
        assert passed == 6

    simulate(dut, testbench)


def test_init_wrong_clients():
    with pytest.raises(ValueError, match="clients must be an integer of at least 1, not 0"):
        Semaphores(0)
