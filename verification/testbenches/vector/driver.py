# SPDX-License-Identifier: Apache-2.0
"""Runs vector commands on the simulated engine and, for comparison, on the numpy model."""

import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge

from tepin.control.engine import EngineError
from tepin_reference import vector
from tepin_testbench.stream import StreamSource, start
from verification.testbenches.vector.bench import HOST_BYTES

__all__ = ["Driver"]


class Driver:
    """A started bench.

    Parameters
    ----------
    dut : handle
        A `VectorBench`.
    config : mapping
        Its parameters.
    """

    def __init__(self, dut, config):
        self.dut = dut
        self.size = config["size"]
        self.source = StreamSource(dut, "control__commands")
        self.expected = np.zeros(self.size, np.uint8)

    @classmethod
    async def create(cls, dut, config):
        """Reset the bench and make a driver for it."""
        await start(dut)
        driver = cls(dut, config)
        dut.control__wait__ready.value = 1
        return driver

    async def reset(self):
        """Reset the bench once more. The engine has taken all words."""
        await self.source.drained()
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0

    async def load(self, scratchpad):
        """Fill the scratchpad, and that of the model."""
        self.expected = scratchpad.copy()
        self.dut.host_write.value = 1
        for address in range(0, self.size, HOST_BYTES):
            self.dut.host_address.value = address
            self.dut.host_data.value = int.from_bytes(
                scratchpad[address : address + HOST_BYTES].tobytes(), "little"
            )
            await RisingEdge(self.dut.clk)
        self.dut.host_write.value = 0

    async def dump(self):
        """The scratchpad as it is."""
        lines = []
        for address in range(0, self.size, HOST_BYTES):
            self.dut.host_address.value = address
            await RisingEdge(self.dut.clk)
            lines.append(int(self.dut.host_line.value).to_bytes(HOST_BYTES, "little"))
        return np.frombuffer(b"".join(lines), np.uint8)

    async def execute(self, commands, *, limit=100_000):
        """Execute commands; the model executes them too. Returns the cycles from the first word to the last signal."""
        for command in commands:
            vector.execute(command.flags, command.fields, self.expected)
        return await self.finish(
            [word for command in commands for word in command.words()], len(commands), limit=limit
        )

    async def finish(self, words, count, *, limit=100_000):
        """Feed words and wait for `count` signals. Returns the cycles it took, to within the polling interval."""
        dut = self.dut
        done = (int(dut.signals.value) + count) % (1 << 16)
        self.source.send(words)
        for cycles in range(0, limit, 8):
            if int(dut.signals.value) == done and not int(dut.control__busy.value):
                return cycles
            assert not int(dut.control__error_valid.value), f"error {self.error()}"
            await ClockCycles(dut.clk, 8)
        raise AssertionError(
            f"{done - int(dut.signals.value)} of {count} commands not finished after {limit} cycles"
        )

    def error(self):
        """The engine's error, as an `EngineError` constant."""
        return EngineError.from_bits(int(self.dut.control__error.value))

    async def compare(self, what):
        """Compare the scratchpad with the model's."""
        found = await self.dump()
        wrong = np.flatnonzero(found != self.expected)
        if wrong.size:
            word = int(wrong[0]) & ~3
            pair = [int(memory[word : word + 4].view("<u4")[0]) for memory in (found, self.expected)]
            raise AssertionError(
                f"{wrong.size} bytes differ, first at {int(wrong[0]):#x}: "
                f"{pair[0]:#010x} instead of {pair[1]:#010x}, after {what}"
            )
