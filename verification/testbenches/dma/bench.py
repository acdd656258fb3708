# SPDX-License-Identifier: Apache-2.0
"""Surroundings of the DMA engine in a simulation: memory behind AXI, scratchpad, sequencer and weight consumer.

One coroutine plays all of them, which keeps the simulation quick. It also checks what no other check would see: that
bursts keep the rules of AXI and stay inside the windows, and that a command signals only after its bytes have arrived.
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

SCRATCHPAD_BYTES = 8192
MEMORY_BYTES = 1 << 17
NAMES = {Engine.WEIGHTS: "weights_control", Engine.LOADS: "loads_control", Engine.STORES: "stores_control"}
OKAY, SLVERR = 0, 2


class Bench:
    """Owns the memories and plays every partner of the design.

    Attributes that a test may set at any time
    -------------------------------------------
    pause : dict from name to probability of pausing in a cycle
        Names: ar, r, aw, w, b, write, read, index, commands, wait, weights.
    latency : int
        Cycles from a read address to its first beat, and from a last write beat to the response, at least.
    bad : range
        Memory addresses that answer with SLVERR.
    read_window, write_window : range
        What the design is told, and what is checked.
    axi : bool
        False: memory is somebody else.
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
        self.memory = bytearray(MEMORY_BYTES)
        self.scratchpad = bytearray(SCRATCHPAD_BYTES)
        self.pause = {}
        self.latency = 1
        self.axi = True
        self.bad = range(0)
        self.cycle = 0
        self.signals = {engine: [] for engine in Engine}  # (cycle, number)
        self.errors = []  # (engine, EngineError constant)
        self.weights = bytearray()  # taken from the FIFO
        self.semaphores = [0] * 16
        self.moved = {Engine.WEIGHTS: 0, Engine.LOADS: 0, Engine.STORES: 0}  # bytes that arrived
        self.expected = {
            engine: deque() for engine in NAMES
        }  # bytes that must have arrived at the next signal
        self.first_address = self.last_answer = None  # cycles, for measurements
        self.first_beat = self.last_beat = None
        self.reads_requested = self.writes_requested = 0
        self.queues = {engine: deque() for engine in NAMES}
        self._total = dict.fromkeys(NAMES, 0)
        self._pool = []  # random numbers drawn ahead
        self._reads = {0: deque(), 1: deque()}
        self._addresses = deque()
        self._write_beats = deque()
        self._answers = deque()
        self.in_flight = 0

    async def start(self):
        await start(self.dut)
        self.set_windows()
        cocotb.start_soon(self._run())
        await RisingEdge(self.dut.clk)

    def set_windows(self, read=range(1 << 32), write=range(1 << 32)):
        self.read_window, self.write_window = read, write
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

    def _go(self, name):
        return self._rng_next() >= self.pause.get(name, 0.0)

    def _rng_next(self):
        if not self._pool:
            self._pool = self.rng.random(4096).tolist()
        return self._pool.pop()

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
            parts += [self._axi_read(), self._axi_write()]
        for part in parts:
            next(part)
        while True:
            await edge
            self.cycle += 1
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
                if queue and self._go("commands"):
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
                    if self.semaphores[semaphore] and self._go("wait"):
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
                    self.signals[engine].append((self.cycle, number))
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
            was_ready = self._go("write")
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
            was_ready = self._go(name)
            ready.value = int(was_ready)

    def _weights(self):
        dut = self.dut
        valid, ready, payload = dut.weights__valid, dut.weights__ready, dut.weights__payload
        was_ready = False
        while True:
            yield
            if was_ready and valid.value == 1:
                self.weights += int(payload.value).to_bytes(self.word, "little")
            was_ready = self._go("weights")
            ready.value = int(was_ready)

    # Memory

    def _check_burst(self, address, length, size, burst, window):
        assert 1 << size == self.beat and burst == 1
        assert address % self.beat == 0
        end = address + self.beat * (length + 1) - 1
        assert address >> 12 == end >> 12, "a burst crosses a 4 KiB boundary"
        assert self.beat * (length + 1) <= self.burst_bytes
        # Beats may stick out of the window, bytes not.
        assert address + self.beat > window.start and end - self.beat < window.stop - 1, (
            "outside of the window"
        )

    def _axi_read(self):
        dut = self.dut
        arvalid, arready = dut.m_axi_arvalid, dut.m_axi_arready
        rvalid, rready = dut.m_axi_rvalid, dut.m_axi_rready
        reads = self._reads  # by ID: [ready cycle, address, beats left]
        accepting = offering = False
        turn = 0
        while True:
            yield
            if accepting and arvalid.value == 1:
                address, length, number = (
                    int(dut.m_axi_araddr.value),
                    int(dut.m_axi_arlen.value),
                    int(dut.m_axi_arid.value),
                )
                self._check_burst(
                    address,
                    length,
                    int(dut.m_axi_arsize.value),
                    int(dut.m_axi_arburst.value),
                    self.read_window,
                )
                reads[number].append([self.cycle + self.latency - 1, address, length + 1])
                self.reads_requested += 1
                self.in_flight += 1
                assert self.in_flight <= self.outstanding
                if self.first_address is None:
                    self.first_address = self.cycle
            if offering is not False:
                assert rready.value == 1, "read data held up"
                burst = reads[offering][0]
                burst[1] += self.beat
                burst[2] -= 1
                if offering == 1:
                    self.moved[Engine.WEIGHTS] += self.beat
                if not burst[2]:
                    reads[offering].popleft()
                    self.in_flight -= 1
                if self.first_beat is None:
                    self.first_beat = self.cycle
                self.last_beat = self.cycle
            # Data of the two IDs may take turns.
            ready = [number for number in (0, 1) if reads[number] and reads[number][0][0] <= self.cycle]
            if ready and self._go("r"):
                if self._rng_next() < 0.3:
                    turn = 1 - turn
                offering = turn if turn in ready else ready[0]
                _, address, left = reads[offering][0]
                at = address % MEMORY_BYTES
                rvalid.value = 1
                dut.m_axi_rid.value = offering
                dut.m_axi_rdata.value = int.from_bytes(self.memory[at : at + self.beat], "little")
                dut.m_axi_rresp.value = SLVERR if address in self.bad else OKAY
                dut.m_axi_rlast.value = int(left == 1)
            elif offering is not False:
                offering = False
                rvalid.value = 0
                dut.m_axi_rdata.value = 0
                dut.m_axi_rlast.value = 1
            accepting = self._go("ar")
            arready.value = int(accepting)

    def _axi_write(self):
        dut = self.dut
        awvalid, awready = dut.m_axi_awvalid, dut.m_axi_awready
        wvalid, wready = dut.m_axi_wvalid, dut.m_axi_wready
        bvalid, bready = dut.m_axi_bvalid, dut.m_axi_bready
        addresses, beats, answers = self._addresses, self._write_beats, self._answers
        accepting = taking = offering = False
        in_flight = 0
        while True:
            yield
            if accepting and awvalid.value == 1:
                address, length = int(dut.m_axi_awaddr.value), int(dut.m_axi_awlen.value)
                self._check_burst(
                    address,
                    length,
                    int(dut.m_axi_awsize.value),
                    int(dut.m_axi_awburst.value),
                    self.write_window,
                )
                addresses.append((address, length + 1))
                self.writes_requested += 1
                in_flight += 1
                assert in_flight <= self.outstanding
                if self.first_address is None:
                    self.first_address = self.cycle
            if taking and wvalid.value == 1:
                beats.append(
                    (int(dut.m_axi_wdata.value), int(dut.m_axi_wstrb.value), int(dut.m_axi_wlast.value))
                )
                if self.first_beat is None:
                    self.first_beat = self.cycle
                self.last_beat = self.cycle
            if offering:
                assert bready.value == 1
                self.moved[Engine.STORES] += answers.popleft()[2]
                in_flight -= 1
                self.last_answer = self.cycle
                offering = False
            while addresses and len(beats) >= addresses[0][1]:
                address, count = addresses.popleft()
                enabled = 0
                bad = False
                for left in range(count, 0, -1):
                    data, strobes, last = beats.popleft()
                    assert last == int(left == 1), "last is not where the address said"
                    enabled += strobes.bit_count()
                    for lane in range(self.beat):
                        if strobes >> lane & 1:
                            assert address + lane in self.write_window, "a strobe outside of the window"
                            if address + lane in self.bad:
                                bad = True
                            else:
                                self.memory[(address + lane) % MEMORY_BYTES] = data >> 8 * lane & 255
                    address += self.beat
                answers.append((self.cycle + self.latency - 1, SLVERR if bad else OKAY, enabled))
            if answers and answers[0][0] <= self.cycle and self._go("b"):
                bvalid.value = 1
                dut.m_axi_bresp.value = answers[0][1]
                offering = True
            else:
                bvalid.value = 0
            accepting = self._go("aw")
            awready.value = int(accepting)
            taking = self._go("w")
            wready.value = int(taking)

    def quiet(self):
        """No transaction is unfinished, as memory sees it."""
        return not (self._reads[0] or self._reads[1] or self._addresses or self._write_beats or self._answers)
