# SPDX-License-Identifier: Apache-2.0
"""The whole chip fails in every way it knows, with all engines at work, and then runs the next program correctly."""

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin.control.registers import register
from tepin.isa import DmaFlags, Engine, ErrorCode, Function, Reduction, ScalarOp
from tepin_host.assembler import Assembler, Scalar, Vector
from tepin_host.driver import ChipDriver
from tepin_host.simulation import ChipSimulator
from tepin_reference.simulator import FunctionalSimulator

CONFIG = PRESETS["tiny"]
MEMORY_BYTES = 0x10000
READABLE = (0, 0xC000)
WRITABLE = (0x8000, 0xC000)
BAD_READS = (0x3000, 0x3040)
BAD_WRITES = (0xB000, 0xB040)
WEIGHTS = 0x1000
WEIGHT_BYTES = 16 * 8 + 8 * 4  # 16 x 8 codes, 8 scales
OUTSIDE = CONFIG.scratchpad_bytes
LIMIT = 100_000


def image(rng):
    """Activations and floats from 0, a weight stream at `WEIGHTS`, noise elsewhere."""
    memory = rng.integers(0, 256, MEMORY_BYTES, dtype=np.uint8)
    memory[:64] = rng.integers(-32639, 32640, 32).astype("<i2").view(np.uint8)
    memory[0x200:0x400] = rng.normal(size=128).astype("<f4").view(np.uint8)
    memory[WEIGHTS + 128 : WEIGHTS + 160] = rng.uniform(0.5, 2, 8).astype("<f4").view(np.uint8)
    return memory


def matmul(a, **changes):
    shape = {"m": 2, "k": 16, "n": 8, "activations": 0, "activation_stride": 32}
    a.matmul(**(shape | {"output": 0x2000, "output_stride": 32, "scale": 0x200} | changes))


def good_program(*, flush=False):
    """Uses every engine; two rounds, whose results go to memory and to the token FIFO."""
    a = Assembler()
    loaded, multiplied, added, reduced = (a.semaphore(name) for name in ("l", "m", "a", "r"))
    count, target, value = (a.register(name) for name in ("count", "target", "value"))
    a.move(count, 2)
    a.move(target, 0x8003)
    if flush:
        for _ in range(20):  # more than the FIFO holds
            a.weights(WEIGHTS + 8, 128)
        a.flush()
    with a.loop(count):
        a.load(0, 0, 1024, signal=loaded)
        a.weights(WEIGHTS, WEIGHT_BYTES)
        matmul(a, wait=loaded, signal=multiplied)
        a.vector(
            Function.MADD,
            16,
            a=Vector(0x2000),
            b=Vector(0x300),
            c=Scalar(0x340),
            d=Vector(0x4000),
            reduce=(Reduction.MAX, 0x4100),
            wait=multiplied,
            signal=added,
        )
        a.nop(Engine.VECTOR, signal=reduced)
        a.store(0x4000, target, 64, wait=added)
        a.wait(reduced)
        a.load_word(value, 0x4100)
        a.push(value)
        a.scalar(ScalarOp.ADD, target, target, 101)
    a.end()
    return a.assemble()


def noise(a):
    """Work for loads, stores and the vector engine that disturbs nobody."""
    a.load(0x103, 0x6001, 300)
    a.store(0x6001, 0x9002, 200, repeat=(3, 222, 5))
    a.vector(Function.MUL, 40, a=Vector(0x6400), b=Vector(0x6200), d=Vector(0x6600))


def bad_program(bad):
    """Noise on all engines, with something bad in the middle of it."""
    a = Assembler()
    for _ in range(3):
        a.weights(WEIGHTS, 512)
        noise(a)
    bad(a)
    again = a.label()
    a.place(again)
    noise(a)
    a.jump(again)
    return a.assemble()


def dma_alignment(a):
    a.weights(WEIGHTS + 4, 64)


def three_loops(a):
    a._command(Engine.LOADS, DmaFlags.const({"dimensions": 3}), dict.fromkeys(_LOAD_FIELDS, 0), 0, 0)


_LOAD_FIELDS = (
    *("memory", "local", "length", "count", "memory_stride", "local_stride"),
    *("count2", "memory_stride2", "local_stride2"),
)
BAD = {
    "load outside of the window": (lambda a: a.load(0xBFF0, 0x6000, 32), ErrorCode.READ_WINDOW, 0xC000),
    "weights outside of the window": (lambda a: a.weights(0xBFF8, 16), ErrorCode.READ_WINDOW, 0xC000),
    "store outside of the window": (lambda a: a.store(0x6000, 0x7FFE, 8), ErrorCode.WRITE_WINDOW, 0x7FFE),
    "load from bad memory": (lambda a: a.load(0x3000, 0x6000, 32), ErrorCode.READ_RESPONSE, 0x3000),
    "weights from bad memory": (lambda a: a.weights(0x2FE0, 128), ErrorCode.READ_RESPONSE, 0x3000),
    "store to bad memory": (lambda a: a.store(0x6000, 0xB000, 32), ErrorCode.WRITE_RESPONSE, 0xB000),
    "load to nowhere": (lambda a: a.load(0, OUTSIDE, 4), ErrorCode.SCRATCHPAD, OUTSIDE),
    "store from nowhere": (lambda a: a.store(OUTSIDE + 64, 0x9000, 4), ErrorCode.SCRATCHPAD, OUTSIDE + 64),
    "weights not aligned": (dma_alignment, ErrorCode.ALIGNMENT, WEIGHTS + 4),
    "three loops": (three_loops, ErrorCode.PARAMETER, 3),
    "too many rows": (lambda a: matmul(a, m=5), ErrorCode.PARAMETER, 5),
    "activations nowhere": (lambda a: matmul(a, activations=OUTSIDE), ErrorCode.SCRATCHPAD, OUTSIDE),
    "operand nowhere": (
        lambda a: a.vector(Function.COPY, 4, a=Vector(OUTSIDE), d=Vector(0)),
        ErrorCode.SCRATCHPAD,
        OUTSIDE,
    ),
    "word nowhere": (lambda a: a.load_word(a.register("x"), OUTSIDE), ErrorCode.SCRATCHPAD, OUTSIDE),
    "failure": (lambda a: a.fail(1234), ErrorCode.SOFTWARE, 1234),
}


class Bench:
    """A simulated chip, its memory and its host."""

    def __init__(self, rng, *, latency, stall):
        self.memory = image(rng)
        self.simulator = ChipSimulator(CONFIG, self.memory, latency=latency)
        if stall:
            self.simulator.stall(stall, seed=int(rng.integers(1 << 32)))
        self.driver = ChipDriver(self.simulator)
        self.driver.identify(CONFIG)

    def start(self, program):
        self.driver.load_program(program)
        self.driver.start(read=READABLE, write=WRITABLE)

    def settle(self):
        """Lets the chip run until it is ready for the next program."""
        for _ in range(LIMIT):
            status = self.driver.read("STATUS")
            if not status & register("STATUS").fields[0].mask:
                return
        raise AssertionError("the chip does not come to rest")

    def assert_healthy(self, program):
        """The program does on the chip what it does on the functional simulator, from the memory as it is now."""
        memory = self.memory.copy()
        tokens = list(FunctionalSimulator(CONFIG, memory).run(program))
        self.start(program)
        got = list(self.driver.tokens(lambda: self.simulator.run(LIMIT)))
        assert self.driver.error() is None
        assert got == [token & 0x7FFF_FFFF for token in tokens] and len(got) == 2
        np.testing.assert_array_equal(self.memory, memory)


MEMORIES = [(1, 0), (60, 0), (20, 50)]


@pytest.mark.parametrize("latency, stall", MEMORIES)
def test_next_program_runs_after_every_error(latency, stall, rng):
    bench = Bench(rng, latency=latency, stall=stall)
    program = good_program()
    bench.assert_healthy(program)
    for name, (bad, code, info) in BAD.items():
        untouched = bench.memory[: WRITABLE[0]].copy(), bench.memory[WRITABLE[1] :].copy()
        if "bad memory" in name:
            bench.simulator.fault(*(BAD_WRITES if "store" in name else BAD_READS))
        bench.start(bad_program(bad))
        bench.simulator.run(LIMIT)
        bench.settle()
        error = bench.driver.error()
        assert (error.code, error.info) == (code, info), (name, error)
        np.testing.assert_array_equal(bench.memory[: WRITABLE[0]], untouched[0], name)
        np.testing.assert_array_equal(bench.memory[WRITABLE[1] :], untouched[1], name)
        bench.simulator.fault(0, 0)
        bench.assert_healthy(program)


@pytest.mark.parametrize("latency, stall", MEMORIES)
def test_stop_at_any_time(latency, stall, rng):
    bench = Bench(rng, latency=latency, stall=stall)
    program = good_program()
    endless = bad_program(lambda a: matmul(a))
    for _ in range(12):
        bench.start(endless)
        # The interrupt of a token, an end or an error does not come.
        bench.simulator.run(int(rng.integers(400)))
        bench.driver.write("CONTROL", register("CONTROL").fields[1].mask)
        bench.settle()
        assert bench.driver.error().code == ErrorCode.STOPPED
        bench.assert_healthy(program)


@pytest.mark.parametrize("latency, stall", MEMORIES)
def test_flush(latency, stall, rng):
    bench = Bench(rng, latency=latency, stall=stall)
    for _ in range(3):
        bench.assert_healthy(good_program(flush=True))


def test_watchdog_with_weights_that_nobody_takes(rng):
    bench = Bench(rng, latency=20, stall=0)
    a = Assembler()
    for _ in range(40):
        a.weights(WEIGHTS, 128)
    a.end()
    bench.driver.write("WATCHDOG", 500)
    bench.start(a.assemble())
    bench.simulator.run(LIMIT)
    bench.settle()
    assert bench.driver.error().code == ErrorCode.TIMEOUT
    bench.assert_healthy(good_program())
