# SPDX-License-Identifier: Apache-2.0
"""CLEAR on the whole chip: the next program finds nothing of the one before, neither data nor time."""

import numpy as np

from tepin.config import PRESETS
from tepin.control.registers import COUNTERS
from tepin.isa import REGISTER_COUNT, Engine, ErrorCode, Function
from tepin_host.assembler import Assembler, Register, Scalar, Vector
from tepin_host.driver import ChipDriver
from tepin_host.simulation import ChipSimulator
from tepin_reference.simulator import FunctionalSimulator

CONFIG = PRESETS["tiny"]
MEMORY_BYTES = 1 << 16
WEIGHTS = 0x1000
SECRETS = 0x2000
COPY = 0x8000  # where programs put what they find in the scratchpad
LIMIT = 100_000
CLEAR_CYCLES = 21 + CONFIG.bank_bytes // CONFIG.line_bytes


def matmul(a):
    """A matmul of secrets: four rows, so that both banks of accumulators are used, and row maxima."""
    a.matmul(
        m=4, k=16, n=16, activations=0, activation_stride=32, output=0x2000, output_stride=64, scale=0x300, maximum=0x2200
    )  # fmt: skip


def leave_traces(a, rng):
    """Data in scratchpad, accumulators, registers, semaphores and weight FIFO, which depend on memory and on `rng`."""
    for bank in range(CONFIG.scratchpad_banks):
        a.load(
            SECRETS, bank * CONFIG.bank_bytes, CONFIG.bank_bytes // 2, repeat=(2, 8, CONFIG.bank_bytes // 2)
        )
    a.weights(WEIGHTS, 16 * 16 + 16 * 4)
    a.weights(WEIGHTS, 8 * int(rng.integers(1, 9)))  # nobody takes these
    a.fence()
    matmul(a)
    a.vector(Function.MUL, 33, a=Vector(0x2000), b=Scalar(0x2004), d=Vector(0x4000))
    for number in range(1, 15):
        if rng.random() < 0.5:
            a.nop(Engine(int(rng.integers(1, 6))), signal=number)
    for number in range(1, REGISTER_COUNT):
        a.load_word(Register(number), 4 * int(rng.integers(CONFIG.scratchpad_bytes // 4)))


def look_around(a):
    """Shows what a program can see: all registers, all of the scratchpad, and work for all engines."""
    for number in range(1, REGISTER_COUNT):
        a.push(Register(number))
    a.store(
        0, COPY, CONFIG.bank_bytes, repeat=(CONFIG.scratchpad_banks, CONFIG.bank_bytes, CONFIG.bank_bytes)
    )
    a.fence()
    a.weights(WEIGHTS, 16 * 16 + 16 * 4)
    a.load(0x100, 0, 1024)
    a.fence()
    matmul(a)
    a.fence()
    a.store(0x2000, 0x100, 512)
    a.load_word(Register(1), 0x2004)
    a.push(Register(1))


def image(rng, secrets):
    memory = rng.integers(0, 256, MEMORY_BYTES, dtype=np.uint8)
    memory[0x400:0x800] = 0
    for place in (WEIGHTS + 128, WEIGHTS + 288, 0x400):
        memory[place : place + 32] = np.linspace(0.5, 2, 8).astype("<f4").view(np.uint8)
    memory[SECRETS:COPY] = secrets.integers(0, 256, COPY - SECRETS, dtype=np.uint8)
    memory[COPY:] = 0
    return memory


class Run:
    """A chip that runs programs one after the other, each of them on the functional simulator, too."""

    def __init__(self, memory):
        self.memory = memory
        self.simulator = ChipSimulator(CONFIG, memory, latency=20)
        self.driver = ChipDriver(self.simulator)

    def execute(self, write):
        """Tokens of a program; the memory afterwards is that of the functional simulator."""
        a = Assembler()
        write(a)
        a.end()
        expected = self.memory.copy()
        tokens = [token & 0x7FFF_FFFF for token in FunctionalSimulator(CONFIG, expected).run(a.assemble())]
        self.driver.load_program(a.assemble())
        self.driver.start(read=(0, MEMORY_BYTES), write=(0, MEMORY_BYTES))
        found = list(self.driver.tokens(lambda: self.simulator.run(LIMIT)))
        assert self.driver.error() is None
        assert found == tokens
        np.testing.assert_array_equal(self.memory, expected)
        return found

    def counters(self):
        """All counters: how long everything took, to the cycle."""
        return {name: self.driver.read(f"{name}_LO") for name, _ in COUNTERS}


def test_next_owner_finds_nothing(rng):
    """Two histories with other secrets and other traces; behind a CLEAR of its own, a program cannot tell them apart."""
    seen = []
    for history in (1, 2):
        secrets = np.random.default_rng(history)
        run = Run(image(np.random.default_rng(0), secrets))
        run.execute(lambda a, secrets=secrets: leave_traces(a, secrets))
        run.execute(lambda a: a.clear())
        run.memory[SECRETS:COPY] = 0
        tokens = run.execute(look_around)
        assert not run.memory[COPY : COPY + CONFIG.scratchpad_bytes].any()
        seen.append((tokens, run.memory.tobytes(), run.counters()))
    assert seen[0] == seen[1]


def test_in_the_middle_of_a_program(rng):
    """Behind the instruction everything is as at a start: registers, scratchpad, and the weight FIFO is empty."""

    def program(a):
        leave_traces(a, np.random.default_rng(5))
        a.clear()
        look_around(a)

    run = Run(image(rng, rng))
    tokens = run.execute(program)
    assert tokens[:-1] == [0] * (len(tokens) - 1) and len(tokens) > 2 and tokens[-1]
    assert not run.memory[COPY : COPY + CONFIG.scratchpad_bytes].any()


def test_semaphores_are_cleared(rng):
    """What was signalled before is not there afterwards, so that whoever waits for it does so in vain."""
    run = Run(image(rng, rng))
    a = Assembler()
    a.signal(3)
    a.clear()
    a.wait(3)
    a.end()
    run.driver.write("WATCHDOG", 500)
    run.driver.load_program(a.assemble())
    run.driver.start(read=(0, 1), write=(0, 1))
    run.simulator.run(LIMIT)
    assert run.driver.error().code == ErrorCode.TIMEOUT


def test_cycles_and_watchdog(rng):
    """CLEAR takes the cycles that are documented, and no watchdog barks at it."""
    run = Run(image(rng, rng))
    run.driver.write("WATCHDOG", 60)
    cycles = []
    for count in (1, 2):
        run.execute(lambda a, count=count: [a.clear() for _ in range(count)])
        cycles.append(run.counters()["CYCLES"])
    assert cycles[1] - cycles[0] == CLEAR_CYCLES
