# SPDX-License-Identifier: Apache-2.0
"""The chip and a memory that misbehaves: errors on any beat, answers that take forever, resets, starts at the wrong time."""

import numpy as np
import pytest

from tepin.control.registers import register
from tepin.isa import ErrorCode
from tepin_host.assembler import Assembler
from verification.testbenches.control.test_recovery import CONFIG, MEMORY_BYTES, WRITABLE, Bench, good_program

BEAT = CONFIG.port_bytes
LENGTH = 40 * BEAT  # more than two bursts
START = register("CONTROL").fields[0].mask
SLOW = 10_000


def move(engine, address):
    """A command that moves `LENGTH` bytes, and the end."""
    a = Assembler()
    {
        "loads": lambda: a.load(address, 0, LENGTH),
        "weights": lambda: a.weights(address, LENGTH),
        "stores": lambda: a.store(0, address, LENGTH),
    }[engine]()
    a.fence()
    a.end()
    return a.assemble()


def fail(bench, program):
    """Run a program that fails; returns the error, after which the chip has come to rest."""
    bench.start(program)
    bench.simulator.run(100_000)
    bench.settle()
    return bench.driver.error()


@pytest.mark.parametrize("engine", ["loads", "weights", "stores"])
def test_slverr_on_any_beat(engine, rng):
    """Every beat of three bursts: just that address is reported, and nothing is written but around it."""
    bench = Bench(rng, latency=7, stall=0)
    address = 0x4000 if engine != "stores" else WRITABLE[0] + 0x100
    code = ErrorCode.WRITE_RESPONSE if engine == "stores" else ErrorCode.READ_RESPONSE
    for beat in range(LENGTH // BEAT):
        before = bench.memory.copy()
        place = address + beat * BEAT
        bench.simulator.fault(place, place + BEAT)
        error = fail(bench, move(engine, address))
        # A write is answered once per burst: the burst's address is all that is known.
        wanted = place if engine != "stores" else max(address, place // (16 * BEAT) * 16 * BEAT)
        assert (error.code, error.info) == (code, wanted)
        written = np.flatnonzero(bench.memory != before)
        assert engine == "stores" or not written.size
        assert np.isin(written, np.arange(address, address + LENGTH)).all()
        assert not np.isin(written, np.arange(place, place + BEAT)).any()
    bench.simulator.fault(0, 0)
    bench.assert_healthy(good_program())


@pytest.mark.parametrize("engine", ["loads", "weights", "stores"])
def test_decerr_on_any_beat(engine, rng):
    """The memory ends in the midst of the run."""
    bench = Bench(rng, latency=7, stall=0)
    code = ErrorCode.WRITE_RESPONSE if engine == "stores" else ErrorCode.READ_RESPONSE
    for beat in range(0, LENGTH // BEAT, 2):  # weights start at multiples of the FIFO word
        before = bench.memory[: MEMORY_BYTES - LENGTH].copy()
        address = MEMORY_BYTES - beat * BEAT
        bench.driver.load_program(move(engine, address))
        bench.driver.start(read=(0, 0xFFFF_FFFF), write=(0, 0xFFFF_FFFF))
        bench.simulator.run(100_000)
        bench.settle()
        error = bench.driver.error()
        # The memory ends between two bursts, so a store's second one begins there.
        assert (error.code, error.info) == (code, MEMORY_BYTES)
        np.testing.assert_array_equal(bench.memory[: len(before)], before)
    bench.assert_healthy(good_program())


def test_memory_that_answers_after_10_000_cycles(rng):
    Bench(rng, latency=SLOW, stall=0).assert_healthy(good_program())


def test_reset_at_any_time(rng):
    """Of chip and port, in the midst of bursts: nothing is written but what the program writes, and the next one runs."""
    bench = Bench(rng, latency=30, stall=20)
    program = good_program()
    bench.assert_healthy(program)
    for _ in range(12):
        before = bench.memory.copy()
        bench.start(program)
        bench.simulator.run(int(rng.integers(1, 700)))
        bench.simulator.reset()
        assert not bench.driver.read("STATUS") & register("STATUS").fields[0].mask
        changed = np.flatnonzero(bench.memory != before)
        assert ((changed >= WRITABLE[0]) & (changed < WRITABLE[1])).all()
        bench.assert_healthy(program)


def test_start_while_running(rng):
    """It is refused: the program that runs does what it does, once."""
    bench = Bench(rng, latency=20, stall=0)
    program = good_program()
    for delay in (1, 50, 300):
        memory = bench.memory.copy()
        bench.start(program)
        bench.simulator.run(delay)
        with pytest.raises(RuntimeError, match="response 2"):
            bench.driver.write("CONTROL", START)
        tokens = list(bench.driver.tokens(lambda: bench.simulator.run(100_000)))
        assert bench.driver.error() is None and len(tokens) == 2
        once = bench.memory.copy()
        bench.memory[:] = memory
        bench.assert_healthy(program)
        np.testing.assert_array_equal(bench.memory, once)
