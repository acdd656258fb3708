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
    dut = Semaphores(clients)

    async def testbench(ctx):
        counts = np.zeros(16, int)
        waiting = [None] * clients
        passed = 0
        for _ in range(600):
            signals = []
            for client in range(clients):
                if rng.random() < 0.3:
                    signals.append(int(rng.integers(numbers)))
                else:
                    signals.append(None)
                ctx.set(dut.signal_valid[client], signals[client] is not None)
                ctx.set(
                    dut.signals[client], int(rng.integers(16)) if signals[client] is None else signals[client]
                )
                if waiting[client] is None and rng.random() < 0.6:
                    waiting[client] = int(rng.integers(numbers))
                ctx.set(dut.waits[client].valid, waiting[client] is not None)
                ctx.set(dut.waits[client].payload, waiting[client] or 0)
            taken = set()
            for client, wait in enumerate(dut.waits):
                number = waiting[client]
                if number is None:
                    continue
                # The first client that waits for a semaphore passes.
                expected = number == 0 or (counts[number] > 0 and number not in taken)
                assert ctx.get(wait.ready) == expected, (client, number, counts)
                if expected:
                    taken.add(number)
                    passed += 1
                    waiting[client] = None
            for number in taken:
                counts[number] -= 1
            for number in signals:
                counts[number or 0] += number is not None
            counts[0] = 0
            await ctx.tick()
            assert not ctx.get(dut.overflow)
        assert passed > 20

    simulate(dut, testbench)


@pytest.mark.parametrize("number", [1, 8, 15])
def test_overflow(number):
    dut = Semaphores(3)

    async def testbench(ctx):
        ctx.set(dut.signals[1], number)
        ctx.set(dut.signal_valid, 0b010)
        await ctx.tick().repeat(SEMAPHORE_MAXIMUM)
        assert not ctx.get(dut.overflow)
        # One more with one less is none at all.
        ctx.set(dut.waits[0].payload, number)
        ctx.set(dut.waits[0].valid, 1)
        await ctx.tick()
        assert not ctx.get(dut.overflow)
        ctx.set(dut.waits[0].valid, 0)
        await ctx.tick()
        assert ctx.get(dut.overflow)
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
        for _ in range(6):
            assert ctx.get(dut.waits[2].ready)
            await ctx.tick()
        assert not ctx.get(dut.waits[2].ready)

    simulate(dut, testbench)


def test_init_wrong_clients():
    with pytest.raises(ValueError, match="clients must be an integer of at least 1, not 0"):
        Semaphores(0)
