# SPDX-License-Identifier: Apache-2.0
"""Surroundings of the DMA engine in a simulation: memory behind AXI, scratchpad, sequencer and weight consumer.

One coroutine plays all of them, which keeps the simulation quick. It also checks what no other check would see: that a
command signals only after its bytes have arrived.
"""

from collections import deque

import cocotb
from cocotb.triggers import RisingEdge

from tepin.control.engine import EngineError
from tepin.control.supervisor import Supervisor
from tepin.isa import Engine
from tepin.memory.ports import ReadPort
from tepin_testbench import options, runner
from tepin_testbench.stream import start
from verification.testbenches.dma.axi_memory import AxiMemory
from verification.testbenches.dma.pace import Pace

SCRATCHPAD_BYTES = 8192
NAMES = {Engine.WEIGHTS: "weights_control", Engine.LOADS: "loads_control", Engine.STORES: "stores_control"}


class Bench:
    """Owns the memories and plays every partner of the design.

    Attributes
    ----------
    pace : Pace
        Its pauses: ar, r, aw, w, b, write, read, index, commands, wait, weights.
    memory : AxiMemory
    axi : bool
        Set to False before the start: memory is somebody else.
    scratchpad : bytearray
    """

    def __init__(self, dut):
        self.dut = dut
        self.rng = options.generator("bench", cocotb.RANDOM_SEED)
        configuration = runner.parameters()
        self.beat = configuration["data_width"] // 8
        self.line = configuration["line_bytes"]
        self.word = configuration["fifo_word_bytes"]
        self.outstanding = configuration["outstanding"]
        self.burst_bytes = self.beat * configuration["burst_beats"]
        self.pace = Pace(self.rng)
        self.scratchpad = bytearray(SCRATCHPAD_BYTES)
        self.signals = {engine: [] for engine in Engine}  # (cycle, number)
        self.errors = []  # (engine, EngineError constant)
        self.weights = bytearray()  # taken from the FIFO
        self.semaphores = [0] * 16
        self.moved = {Engine.WEIGHTS: 0, Engine.LOADS: 0, Engine.STORES: 0}  # bytes that arrived
        self.memory = AxiMemory(dut, configuration, self.pace, self.moved)
        self.axi = True
        self.expected = {
            engine: deque() for engine in NAMES
        }  # bytes that must have arrived at the next signal
        self.queues = {engine: deque() for engine in NAMES}
        self._total = dict.fromkeys(NAMES, 0)

    async def start(self):
        await start(self.dut)
        self.set_windows()
        cocotb.start_soon(self._run())
        await RisingEdge(self.dut.clk)

    def set_windows(self, read=range(1 << 32), write=range(1 << 32)):
        self.memory.read_window, self.memory.write_window = read, write
        self.dut.read_base.value = read.start
        self.dut.read_limit.value = read.stop - 1
        self.dut.write_base.value = write.start
        self.dut.write_limit.value = write.stop - 1

    def send(self, *descriptors):
        """Queues commands for their engines."""
        for descriptor in descriptors:
            self.queues[descriptor.engine].extend(descriptor.words())
            self._total[descriptor.engine] += descriptor.size()
            if descriptor.signal:
                self.expected[descriptor.engine].append(self._total[descriptor.engine])

    async def until(self, condition, cycles=20_000):
        """Waits for a condition, checked after each cycle."""
        for _ in range(cycles):
            await RisingEdge(self.dut.clk)
            if condition():
                return
        raise AssertionError(f"nothing happened for {cycles} cycles")

    async def signalled(self, engine, count):
        await self.until(lambda: len(self.signals[engine]) >= count or self.errors)
        assert not self.errors, self.errors

    async def reset(self):
        """Resets the design, and its partners with it; memories stay. As long as in the chip, for late answers to pass."""
        self.dut.rst.value = 1
        for queue in (*self.queues.values(), *self.expected.values(), *self.signals.values()):
            queue.clear()
        for _ in range(Supervisor.RESET_CYCLES):
            await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        self._total = dict(self.moved)
        self.errors.clear()
        self.weights.clear()
        self.semaphores = [0] * 16
        await RisingEdge(self.dut.clk)

    def restart(self, engine):
        """Forgets what an engine still had to do, after a flush."""
        self.expected[engine].clear()
        self._total[engine] = self.moved[engine]

    # One cycle

    async def _run(self):
        dut = self.dut
        edge = RisingEdge(dut.clk)
        parts = [
            self._commands(),
            self._semaphores(),
            self._status(),
            self._scratchpad_write(),
            self._scratchpad_read("read"),
            self._scratchpad_read("index"),
            self._weights(),
        ]
        if self.axi:
            parts += self.memory.parts()
        for part in parts:
            next(part)
        while True:
            await edge
            self.pace.cycle += 1
            for part in parts:
                part.send(None)

    def _commands(self):
        dut = self.dut
        ports = []
        for engine, name in NAMES.items():
            ports.append(
                (
                    self.queues[engine],
                    getattr(dut, f"{name}__commands__valid"),
                    getattr(dut, f"{name}__commands__ready"),
                    getattr(dut, f"{name}__commands__payload"),
                    [False],
                )
            )
        while True:
            yield
            for queue, valid, ready, payload, offering in ports:
                if offering[0]:
                    if not queue:  # somebody emptied the queue
                        offering[0] = False
                        valid.value = 0
                        continue
                    if ready.value != 1:
                        continue
                    queue.popleft()
                    offering[0] = False
                    valid.value = 0
                if queue and self.pace.go("commands"):
                    valid.value = 1
                    payload.value = queue[0]
                    offering[0] = True

    def _semaphores(self):
        dut = self.dut
        ports = [
            (
                getattr(dut, f"{name}__wait__valid"),
                getattr(dut, f"{name}__wait__ready"),
                getattr(dut, f"{name}__wait__payload"),
            )
            for name in NAMES.values()
        ]
        granted = [False] * len(ports)
        while True:
            yield
            for number, (valid, ready, payload) in enumerate(ports):
                if granted[number]:
                    granted[number] = False
                    ready.value = 0
                elif valid.value == 1:
                    semaphore = int(payload.value)
                    if self.semaphores[semaphore] and self.pace.go("wait"):
                        self.semaphores[semaphore] -= 1
                        granted[number] = True
                        ready.value = 1

    def _status(self):
        dut = self.dut
        ports = [
            (
                engine,
                getattr(dut, f"{name}__signal_valid"),
                getattr(dut, f"{name}__signal"),
                getattr(dut, f"{name}__error_valid"),
                getattr(dut, f"{name}__error"),
            )
            for engine, name in NAMES.items()
        ]
        while True:
            yield
            for engine, signal_valid, signal, error_valid, error in ports:
                if signal_valid.value == 1 and (number := int(signal.value)):
                    assert not self.errors, "a signal after an error"
                    self.signals[engine].append((self.pace.cycle, number))
                    assert self.expected[engine], "a signal that no command asked for"
                    needed = self.expected[engine].popleft()
                    assert self.moved[engine] >= needed, f"{engine} signalled before its bytes arrived"
                    self.semaphores[number] += 1
                if error_valid.value == 1:
                    self.errors.append((engine, EngineError.from_bits(int(error.value))))

    def _scratchpad_write(self):
        dut = self.dut
        valid, ready = dut.write__request__valid, dut.write__request__ready
        payload, fault = dut.write__request__payload, dut.write__fault
        data_bits = 8 * self.line
        was_ready = False
        while True:
            yield
            bad = 0
            if was_ready and valid.value == 1:
                bits = int(payload.value)
                address = bits & 0xFFFFFFFC
                data = (bits >> 32) & ((1 << data_bits) - 1)
                mask = bits >> (32 + data_bits)
                assert mask, "an empty write"
                if address + self.line > SCRATCHPAD_BYTES:
                    bad = 1
                else:
                    new = data.to_bytes(self.line, "little")
                    if mask == (1 << self.line) - 1:
                        self.scratchpad[address : address + self.line] = new
                    else:
                        for lane in range(self.line):
                            if mask >> lane & 1:
                                self.scratchpad[address + lane] = new[lane]
                    self.moved[Engine.LOADS] += mask.bit_count()
            fault.value = bad
            was_ready = self.pace.go("write")
            ready.value = int(was_ready)

    def _scratchpad_read(self, name):
        dut = self.dut
        valid, ready = getattr(dut, f"{name}__request__valid"), getattr(dut, f"{name}__request__ready")
        payload = getattr(dut, f"{name}__request__payload")
        response_valid, response = getattr(dut, f"{name}__response_valid"), getattr(dut, f"{name}__response")
        fault = getattr(dut, f"{name}__fault")
        was_ready = False
        # A transfer is seen one cycle later than it happens; so is what is driven.
        pipeline = deque([None] * (ReadPort.LATENCY - 1))
        idle = True
        while True:
            yield
            answer = None
            if was_ready and valid.value == 1:
                address = int(payload.value) & 0xFFFFFFFC
                if address + 4 <= SCRATCHPAD_BYTES:
                    data = bytes(self.scratchpad[address : address + self.line]).ljust(self.line, b"\xa5")
                    answer = (int.from_bytes(data, "little"), 0)
                else:
                    answer = (0, 1)
            pipeline.append(answer)
            answer = pipeline.popleft()
            if answer is not None:
                response_valid.value = 1
                response.value, fault.value = answer
                idle = False
            elif not idle:
                response_valid.value = 0
                response.value = self.rng.integers(1 << 32).item()
                fault.value = 1  # means nothing now
                idle = True
            was_ready = self.pace.go(name)
            ready.value = int(was_ready)

    def _weights(self):
        dut = self.dut
        valid, ready, payload = dut.weights__valid, dut.weights__ready, dut.weights__payload
        was_ready = False
        while True:
            yield
            if was_ready and valid.value == 1:
                self.weights += int(payload.value).to_bytes(self.word, "little")
            was_ready = self.pace.go("weights")
            ready.value = int(was_ready)
