# SPDX-License-Identifier: Apache-2.0
"""What a host may do to a chip that is at work: stop it, disturb it, let it wait. And broken memory while everything runs."""

import numpy as np
import pytest

from tepin.control.registers import REGISTERS, register
from tepin.isa import Engine, ErrorCode
from tepin.program import CommandInstruction, decode
from tepin_reference.dma import Window
from verification.testbenches.chip.guarded import MEMORY_BYTES, READABLE, GuardedChip, assemble, model
from verification.testbenches.chip.runs import TINY

START, STOP = (field.mask for field in register("CONTROL").fields)
RUN_CYCLES = 8000  # of the model's program, more or less


@pytest.fixture
def chip():
    return GuardedChip(np.zeros(MEMORY_BYTES, np.uint8))


def start_model(chip):
    """Start the model, which may write nothing but its KV cache; returns memory as it was."""
    chip.prepare()
    cache = model().plan.memory["cache"]
    chip.start(model().program, read=Window(0, cache.end), write=Window(cache.address, cache.end))
    return chip.memory.copy()


def assert_rest_untouched(chip, before):
    cache = model().plan.memory["cache"]
    changed = np.flatnonzero(chip.memory != before)
    assert all(cache.address <= address < cache.end for address in changed)


def commands_of(engine):
    """Program counters of an engine's commands in the model's program."""
    program = [*model().program, *[0] * 16]
    pc, found = 0, []
    while pc < len(model().program):
        instruction, length = decode(program, pc)
        if isinstance(instruction, CommandInstruction) and instruction.engine == engine:
            found.append(pc)
        pc += length
    return found


def test_stop_at_any_time(chip, rng):
    for _ in range(12):
        before = start_model(chip)
        cycles = int(rng.integers(1, RUN_CYCLES))
        chip.driver.write("IRQ_ENABLE", 3)
        assert chip.simulator.run(cycles) == cycles
        chip.driver.write("CONTROL", STOP)
        chip.wait()
        while "busy" in chip.status():
            pass
        assert chip.status() - {"token"} == {"error"}
        error = chip.driver.error()
        assert (error.code, error.info) == (ErrorCode.STOPPED, 0) and error.pc < len(model().program)
        assert_rest_untouched(chip, before)
        chip.driver.read("TOKEN")
        chip.assert_works()


def test_stop_without_a_program(chip):
    chip.driver.write("CONTROL", STOP)
    assert chip.driver.error() is None and chip.status() == set()
    chip.assert_works()


@pytest.mark.parametrize("region, engine", [("weights", Engine.WEIGHTS), ("norms", Engine.LOADS)])
def test_broken_memory_while_everything_runs(chip, region, engine, rng):
    """The bad beat comes while all engines are busy with other things."""
    region = model().plan.memory[region]
    for _ in range(4):
        before = start_model(chip)
        bad = region.address + int(rng.integers(region.size // 4)) * 4
        chip.simulator.fault(bad, bad + 4)
        _, error = chip.finish()
        assert (error.code, error.info) == (ErrorCode.READ_RESPONSE, bad)
        assert error.pc in commands_of(engine)
        assert_rest_untouched(chip, before)
        chip.assert_works()


def test_broken_cache(chip):
    """The answers to the first stores are bad."""
    before = start_model(chip)
    cache = model().plan.memory["cache"]
    chip.simulator.fault(cache.address, cache.end)
    _, error = chip.finish()
    # The page is loaded before anything is stored to it.
    assert error.code in (ErrorCode.READ_RESPONSE, ErrorCode.WRITE_RESPONSE)
    assert cache.address <= error.info < cache.end
    assert error.pc in commands_of(Engine.LOADS) + commands_of(Engine.STORES)
    np.testing.assert_array_equal(chip.memory, before)
    chip.assert_works()


def test_running_program_is_not_disturbed(chip):
    """A start, a new program and other windows are refused while a program runs, and nothing comes of them."""
    start_model(chip)
    chip.simulator.run(RUN_CYCLES // 4)
    assert "busy" in chip.status()
    for name in ("PROGRAM_DATA", "READ_BASE", "READ_LIMIT", "WRITE_BASE", "WRITE_LIMIT"):
        value = chip.driver.read(name) if name != "PROGRAM_DATA" else 0
        with pytest.raises(RuntimeError, match="response 2"):
            chip.driver.write(name, 0x55)
        if name != "PROGRAM_DATA":
            assert chip.driver.read(name) == value
    with pytest.raises(RuntimeError, match="response 2"):
        chip.driver.write("CONTROL", START)
    with pytest.raises(RuntimeError, match="response 2"):
        chip.driver.read("PROGRAM_DATA")
    tokens, error = chip.finish()
    assert error is None
    after = chip.memory.copy()
    start_model(chip)
    assert (tokens, None) == chip.finish()
    np.testing.assert_array_equal(chip.memory, after)
    chip.assert_works()


def test_accesses_to_no_register_are_refused(chip):
    offsets = {entry.offset for entry in REGISTERS if entry.name != "PARITY_ERRORS"}
    missing = sorted(set(range(0, 0x200, 4)) - offsets)
    assert missing
    for offset in [*missing, 0x8000, 0xFFFC]:
        with pytest.raises(RuntimeError, match="response 2"):
            chip.simulator.read(offset)
        with pytest.raises(RuntimeError, match="response 2"):
            chip.simulator.write(offset, 1)
    for entry in REGISTERS:
        if entry.offset in offsets and entry.access == "ro":
            with pytest.raises(RuntimeError, match="response 2"):
                chip.driver.write(entry.name, 1)
    chip.assert_works()


def test_program_ends_if_nobody_takes_its_tokens(chip):
    """The token FIFO fills; the watchdog ends the wait; the tokens are there."""
    depth = TINY.token_fifo_depth

    def push(a):
        token = a.register("token")
        for number in range(depth + 1):
            a.move(token, 100 + number)
            a.push(token)
        a.end()

    chip.driver.write("WATCHDOG", 500)
    chip.start(assemble(push))
    chip.driver.write("IRQ_ENABLE", 3)
    chip.wait()
    error = chip.driver.error()
    # A move takes two words, a push one.
    assert (error.code, error.pc, error.info) == (ErrorCode.TIMEOUT, 3 * depth + 2, 0)
    assert chip.driver.read("TOKEN_LEVEL") == depth
    chip.driver.write("IRQ_ENABLE", 7)
    tokens, again = chip.finish()
    assert tokens == [100 + number for number in range(depth)] and again == error
    chip.assert_works()


def test_nothing_may_be_read_before_the_host_allows_it(chip):
    """The windows are closed after power-up."""

    def load(a):
        a.load(READABLE.base, 0, 4)
        a.end()

    chip.driver.load_program(assemble(load))
    chip.driver.write("IRQ_ENABLE", 3)
    chip.driver.write("CONTROL", START)
    chip.wait()
    error = chip.driver.error()
    assert (error.code, error.pc, error.info) == (ErrorCode.READ_WINDOW, 0, READABLE.base)
    chip.assert_works()
