# SPDX-License-Identifier: Apache-2.0
"""The counting semaphores that order engines."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from tepin.isa import SEMAPHORE_COUNT, SEMAPHORE_MAXIMUM

__all__ = ["Semaphores"]


class Semaphores(Component):
    """Fifteen counters, 1 to 15, that clients increment and wait for. Number 0 is none: waits pass, signals do nothing.

    Any number of signals may come in one cycle, also for the same semaphore. A wait transfers when the semaphore was
    above zero, and decrements it; of several clients that wait for the same one, the first in the order of the clients
    passes. A wait takes two cycles, and transfers in the third cycle after that of its signal at the earliest.

    Parameters
    ----------
    clients : int
        Number of clients.

    Members
    -------
    waits : array of In stream of 4-bit numbers
    signal_valid : In(clients)
    signals : array of In(4)
    overflow, overflow_number : Out(1), Out(4)
        High for one cycle after a semaphore exceeded `SEMAPHORE_MAXIMUM`, with the lowest such number; its value is wrong
        from then on.
    """

    def __init__(self, clients):
        if not isinstance(clients, int) or clients < 1:
            raise ValueError(f"clients must be an integer of at least 1, not {clients!r}")
        self._clients = clients
        super().__init__(
            {
                "waits": In(stream.Signature(4)).array(clients),
                "signal_valid": In(clients),
                "signals": In(4).array(clients),
                "overflow": Out(1),
                "overflow_number": Out(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        counts = [Signal(range(SEMAPHORE_MAXIMUM + 1), name=f"count_{n}") for n in range(SEMAPHORE_COUNT)]
        gains = [Signal(range(self._clients + 1), name=f"gain_{n}") for n in range(SEMAPHORE_COUNT)]
        above_zero = Signal(SEMAPHORE_COUNT)
        m.d.comb += above_zero.eq(
            Cat(1, *(Cat(count, gain).any() for count, gain in zip(counts[1:], gains[1:], strict=True)))
        )

        # `passing` is a register: who has it set passes in this cycle. Who is behind somebody who waits for the same
        # semaphore, or passes just now, has to wait.
        passing = Signal(self._clients)
        losses = [
            Signal(SEMAPHORE_COUNT, name=f"loss_{client}") for client in range(self._clients)
        ]  # one-hot
        numbers = [wait.payload for wait in self.waits]
        for client, wait in enumerate(self.waits):
            before = [
                (passing[other] if other > client else self.waits[other].valid)
                & (numbers[other] == numbers[client])
                for other in range(self._clients)
                if other != client
            ]
            available = Array(above_zero)[numbers[client]] & ~Cat(*before).any()
            passes = wait.valid & ~passing[client] & available
            m.d.sync += passing[client].eq(passes)
            m.d.sync += losses[client].eq(
                Cat(passes & (numbers[client] == n) for n in range(SEMAPHORE_COUNT))
            )
            m.d.comb += wait.ready.eq(passing[client])

        # Signals come from all over the chip: a cycle for the way, one to add up those of a cycle, then they are counted.
        arrived, arrivals = (
            Signal(self._clients),
            [Signal.like(signal, name="arrival") for signal in self.signals],
        )
        m.d.sync += arrived.eq(self.signal_valid)
        m.d.sync += [arrival.eq(signal) for arrival, signal in zip(arrivals, self.signals, strict=True)]
        exceeded = Signal(SEMAPHORE_COUNT)
        for number in range(1, SEMAPHORE_COUNT):
            signalled = [arrived[client] & (arrivals[client] == number) for client in range(self._clients)]
            loss = Cat(loss[number] for loss in losses).any()
            total = Signal(12, name=f"total_{number}")
            m.d.sync += gains[number].eq(sum(signalled))
            m.d.comb += total.eq(counts[number] + (gains[number] - loss))
            m.d.sync += [counts[number].eq(total), exceeded[number].eq(total > SEMAPHORE_MAXIMUM)]

        m.d.sync += self.overflow.eq(exceeded.any())
        for number in reversed(range(1, SEMAPHORE_COUNT)):
            with m.If(exceeded[number]):
                m.d.sync += self.overflow_number.eq(number)
        return m
