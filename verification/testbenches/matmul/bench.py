# SPDX-License-Identifier: Apache-2.0
"""The matmul engine in a testbench: a scratchpad that takes its time, a sequencer, a weight FIFO and monitors."""

import cocotb
from cocotb.triggers import RisingEdge

from tepin.control.engine import EngineError
from tepin.memory.ports import ReadPort
from tepin_testbench import options
from tepin_testbench.stream import StreamSink, StreamSource, check_streams, start

__all__ = ["Bench", "ScratchpadModel"]


class ScratchpadModel:
    """Serves read and write ports of a design, each with random pauses.

    Requests of different ports never disturb each other. An address from `limit` on is a fault.
    """

    def __init__(self, dut, memory, *, reads, writes, line_bytes, pause, limit=None):
        self.memory = memory
        self.pause = pause
        self.limit = len(memory) if limit is None else limit
        self.write_count = 0
        self._dut = dut
        self._line_bytes = line_bytes
        for name in reads:
            cocotb.start_soon(self._serve_reads(name))
        for name in writes:
            cocotb.start_soon(self._serve_writes(name))

    async def _serve_reads(self, name):
        rng = options.generator(cocotb.RANDOM_SEED, "scratchpad", name)
        dut = self._dut
        valid, ready, payload, response_valid, response, fault = (
            getattr(dut, f"{name}__{port}")
            for port in (
                "request__valid",
                "request__ready",
                "request__payload",
                "response_valid",
                "response",
                "fault",
            )
        )
        under_way = [None] * (ReadPort.LATENCY - 1)
        granted = False
        while True:
            await RisingEdge(dut.clk)
            address = int(payload.value) & ~3 if granted and valid.value == 1 else None
            under_way.append(None if address is None else self._read(address))
            answer = under_way.pop(0)
            response_valid.value = int(answer is not None)
            response.value = int.from_bytes(
                rng.bytes(self._line_bytes) if answer is None else answer[0], "little"
            )
            fault.value = 0 if answer is None else answer[1]
            granted = bool(rng.random() >= self.pause)
            ready.value = int(granted)

    def _read(self, address):
        line = bytes(self.memory[address : address + self._line_bytes])
        return line.ljust(self._line_bytes, b"\x5a"), int(address >= self.limit)

    async def _serve_writes(self, name):
        rng = options.generator(cocotb.RANDOM_SEED, "scratchpad", name)
        dut = self._dut
        valid, ready, payload, fault = (
            getattr(dut, f"{name}__{port}")
            for port in ("request__valid", "request__ready", "request__payload", "fault")
        )
        line = self._line_bytes
        granted = False
        while True:
            await RisingEdge(dut.clk)
            fault.value = 0
            if granted and valid.value == 1:
                request = int(payload.value)
                address = request & 0xFFFF_FFFC
                content = (request >> 32 & (1 << 8 * line) - 1).to_bytes(line, "little")
                mask = request >> 32 + 8 * line
                if address >= self.limit:
                    fault.value = 1
                else:
                    for index in range(line):
                        if mask >> index & 1:
                            self.memory[address + index] = content[index]
                self.write_count += 1
            granted = bool(rng.random() >= self.pause)
            ready.value = int(granted)


class Bench:
    """The engine with everything that it is connected to.

    Attributes
    ----------
    scratchpad : ScratchpadModel
    signals : list of (cycle, semaphore)
    observed : list of (word, last), as the probe shows them
    errors : list of EngineError
    active : int
        Cycles in which a pass entered the array.
    cycle : int
    """

    def __init__(self, dut, memory, config, *, pause, limit=None):
        self.dut = dut
        self.signals = []
        self.observed = []
        self.errors = []
        self.active = 0
        self.cycle = 0
        self.on_signal = None
        self._word_bytes = config["fifo_word_bytes"]
        self.checkers = check_streams(dut)
        self.scratchpad = ScratchpadModel(
            dut,
            memory,
            reads=["activations", "scratch_weights"],
            writes=["o"],
            line_bytes=config["line_bytes"],
            pause=pause,
            limit=limit,
        )
        self.commands = StreamSource(dut, "control__commands", pause=pause)
        self.weights = StreamSource(dut, "weights", pause=pause)
        self.waits = StreamSink(dut, "control__wait", pause=pause)
        cocotb.start_soon(self._monitor())

    @classmethod
    async def start(cls, dut, memory, config, *, pause=0.0, limit=None):
        await start(dut)
        return cls(dut, memory, config, pause=pause, limit=limit)

    def feed(self, stream):
        """Puts a weight stream into the FIFO."""
        size = self._word_bytes
        self.weights.send(
            int.from_bytes(stream[place : place + size], "little") for place in range(0, len(stream), size)
        )

    async def idle(self, *, signals, limit=100_000):
        """Waits until that many signals have come in all, and the engine is idle."""
        for _ in range(limit):
            await RisingEdge(self.dut.clk)
            assert not self.errors, self.errors
            if len(self.signals) >= signals and self.dut.control__busy.value == 0:
                return
        raise AssertionError(f"{len(self.signals)} of {signals} signals after {limit} cycles")

    async def error(self, limit=10_000):
        """Waits for an error and returns it."""
        for _ in range(limit):
            await RisingEdge(self.dut.clk)
            if self.errors:
                return self.errors[0]
        raise AssertionError(f"no error within {limit} cycles")

    async def _monitor(self):
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            self.cycle += 1
            self.active += int(dut.array_active.value)
            if dut.control__signal_valid.value == 1 and int(dut.control__signal.value):
                self.signals.append((self.cycle, int(dut.control__signal.value)))
                if self.on_signal:
                    self.on_signal(len(self.signals) - 1)
            if dut.probe__valid.value == 1:
                item = int(dut.probe__payload.value)
                self.observed.append((item & 0xFFFF_FFFF, item >> 32))
            if dut.control__error_valid.value == 1:
                self.errors.append(EngineError.from_bits(int(dut.control__error.value)))
