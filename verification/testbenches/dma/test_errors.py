# SPDX-License-Identifier: Apache-2.0
"""Whatever goes wrong in the DMA engine is reported exactly, and memory never sees a broken transaction."""

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from tepin.isa import DmaFlags, Engine, ErrorCode
from tepin_testbench import options
from tepin_testbench.runner import parameters
from tepin_testbench.stream import check_streams
from verification.testbenches.dma.bench import NAMES, SCRATCHPAD_BYTES, Bench
from verification.testbenches.dma.configurations import USUAL_SHAPES, run
from verification.testbenches.dma.model import Descriptor
from verification.testbenches.dma.test_moves import (
    PAUSES,
    READABLE,
    WRITABLE,
    compare,
    expect,
    fill,
    finished,
    random_commands,
    write_indices,
)


@pytest.mark.parametrize("shape", USUAL_SHAPES)
def test_errors(shape):
    run(shape, __name__)


async def comes_to_rest(bench):
    """Waits for `idle`; from then on there is silence, and a reset makes everything good again."""
    dut = bench.dut
    await bench.until(lambda: dut.idle.value == 1)
    assert bench.memory.quiet()
    counts = bench.memory.reads_requested, bench.memory.writes_requested
    for _ in range(20):
        await RisingEdge(dut.clk)
        assert dut.m_axi_arvalid.value == dut.m_axi_awvalid.value == dut.m_axi_wvalid.value == 0
        assert dut.idle.value == 1
    assert (bench.memory.reads_requested, bench.memory.writes_requested) == counts
    await bench.reset()


async def fails_with(bench, command, code, info, *, words=None):
    """Executes a command after a good one of the same engine, and expects exactly one error."""
    before = bytearray(bench.memory.content)
    good = Descriptor(engine=command.engine, memory=WRITABLE.start, length=4 * bench.word, signal=1, pc=1)
    command.pc = 0x5A5A
    command.signal = 2
    bench.send(good, command)
    if words is not None:
        for _ in command.words():
            bench.queues[command.engine].pop()
        bench.queues[command.engine].extend(words)
    await bench.until(lambda: bench.errors)
    await ClockCycles(bench.dut.clk, 5)
    assert len(bench.errors) == 1
    engine, error = bench.errors[0]
    assert (engine, ErrorCode(error.code), error.pc) == (command.engine, code, command.pc)
    assert error.info == info, f"info is {error.info:#x}, not {info:#x}"
    assert all(number != 2 for _, number in bench.signals[command.engine])
    await comes_to_rest(bench)
    return before


async def still_works(bench, rng):
    """A few random commands after the reset."""
    bench.set_windows(read=READABLE, write=WRITABLE)
    bench.memory.bad = range(0)
    commands = random_commands(rng, 6)
    write_indices(bench, commands)
    expected = expect(bench, commands)
    bench.send(*commands)
    await finished(bench, commands)
    await bench.until(lambda: len(bench.weights) == len(expected[2]))
    compare(bench, expected)
    await bench.reset()


async def prepared(dut, name):
    rng = options.generator(name, parameters()["shape"])
    bench = Bench(dut)
    await bench.start()
    fill(bench, rng)
    bench.memory.latency = 10
    return bench, rng


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def windows(dut):
    """One byte outside, at either end, and nothing of that burst is seen on the bus (the bench checks every burst)."""
    bench, rng = await prepared(dut, "windows")
    word = bench.word
    base = WRITABLE.start
    for engine in NAMES:
        code = ErrorCode.WRITE_WINDOW if engine == Engine.STORES else ErrorCode.READ_WINDOW
        unit = word if engine == Engine.WEIGHTS else 1
        outside = WRITABLE.start + 0x2000
        cases = [
            (Descriptor(engine=engine, memory=base + 0x1000, length=0x1000 + unit), outside),
            (Descriptor(engine=engine, memory=outside, length=unit), outside),
            (Descriptor(engine=engine, memory=base - unit, length=4 * unit), base - unit),
            (
                Descriptor(
                    engine=engine, memory=base, length=unit, dimensions=1, count=5, memory_stride=-unit
                ),
                base - unit,
            ),
            (Descriptor(engine=engine, memory=(1 << 32) - 2 * unit, length=unit), (1 << 32) - 2 * unit),
        ]
        for command, info in cases:
            window = range(base, outside)
            bench.set_windows(read=window, write=window)
            before = await fails_with(bench, command, code, info)
            assert bench.memory.content[outside & 0x1FFFF :] == before[outside & 0x1FFFF :]
            assert bench.memory.content[:base] == before[:base]
        # A run that passes the end of the address space is in error there, even if every address is allowed.
        bench.set_windows()
        end = (1 << 32) - 2 * word
        await fails_with(bench, Descriptor(engine=engine, memory=end, length=3 * word), code, 0)
        # A base above the limit allows nothing.
        bench.set_windows()
        dut.read_base.value = dut.write_base.value = 1
        dut.read_limit.value = dut.write_limit.value = 0
        at = bench.memory.reads_requested, bench.memory.writes_requested
        bench.send(Descriptor(engine=engine, memory=0, length=word))
        await bench.until(lambda: bench.errors)
        assert (bench.memory.reads_requested, bench.memory.writes_requested) == at
        await comes_to_rest(bench)
    await still_works(bench, rng)


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def responses(dut):
    """SLVERR on one beat in the middle of other traffic."""
    bench, rng = await prepared(dut, "responses")
    for engine in NAMES:
        bench.set_windows()
        bad = WRITABLE.start + 0x3000 + 3 * bench.word
        bench.memory.bad = range(bad, bad + bench.beat)
        command = Descriptor(
            engine=engine, memory=WRITABLE.start + 0x3000 - 5 * bench.word, length=64 * bench.word
        )
        if engine == Engine.STORES:
            blocks = bench.burst_bytes
            await fails_with(
                bench, command, ErrorCode.WRITE_RESPONSE, max(command.memory, bad // blocks * blocks)
            )
        else:
            await fails_with(bench, command, ErrorCode.READ_RESPONSE, bad)
    await still_works(bench, rng)


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def descriptors(dut):
    """Commands that make no sense."""
    bench, rng = await prepared(dut, "descriptors")
    word = bench.word
    at = WRITABLE.start
    for engine in NAMES:
        loopless = Descriptor(engine=engine, memory=at, length=word, index=0)
        flags = DmaFlags.const({"indexed": 1}).as_value().value
        await fails_with(bench, loopless, ErrorCode.PARAMETER, flags)
        deep = Descriptor(engine=engine, memory=at, length=word, dimensions=3)
        await fails_with(bench, deep, ErrorCode.PARAMETER, 3)
        short = Descriptor(engine=engine, memory=at, length=word)
        short.pc, short.signal = 0x5A5A, 2
        words = short.words()
        words[0] = short.header(1, len(words) - 2)
        await fails_with(bench, short, ErrorCode.ILLEGAL_INSTRUCTION, 0, words=words[:-1])
        odd = Descriptor(engine=engine, memory=at, length=word, dimensions=1, count=1, index=1026)
        await fails_with(bench, odd, ErrorCode.SCRATCHPAD, 1026)
        far = Descriptor(
            engine=engine, memory=at, length=word, dimensions=1, count=20, index=SCRATCHPAD_BYTES - 40
        )
        await fails_with(bench, far, ErrorCode.SCRATCHPAD, SCRATCHPAD_BYTES)
    for command, info in (
        (Descriptor(engine=Engine.WEIGHTS, memory=at + word // 2, length=word), at + word // 2),
        (Descriptor(engine=Engine.WEIGHTS, memory=at, length=word - 1), word - 1),
        (
            Descriptor(
                engine=Engine.WEIGHTS, memory=at, length=word, dimensions=1, count=9, memory_stride=word + 1
            ),
            at + word + 1,
        ),
    ):
        await fails_with(bench, command, ErrorCode.ALIGNMENT, info)
    await still_works(bench, rng)


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def scratchpad_faults(dut):
    """A run that leaves the scratchpad is reported with the first line outside; a store sends none of its bytes."""
    bench, rng = await prepared(dut, "faults")
    line = bench.line
    for engine in (Engine.LOADS, Engine.STORES):
        for local, length, info in (
            (SCRATCHPAD_BYTES - 3 * line - 1, 5 * line, SCRATCHPAD_BYTES),
            (SCRATCHPAD_BYTES + 5 * line + 1, 3, SCRATCHPAD_BYTES + 5 * line),
            ((1 << 32) - 1, 1, (1 << 32) - line),
        ):
            command = Descriptor(engine=engine, memory=WRITABLE.start + 0x1001, local=local, length=length)
            expected = bytearray(bench.memory.content)
            inside = max(0, min(length, SCRATCHPAD_BYTES - local))
            await fails_with(bench, command, ErrorCode.SCRATCHPAD, info)
            if engine == Engine.STORES:
                first = command.memory
                assert (
                    bench.memory.content[first + inside : first + length]
                    == expected[first + inside : first + length]
                )
    await still_works(bench, rng)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def stop_at_any_time(dut):
    """Stopped anywhere in random traffic, the engine finishes what it has begun; every byte is old or new."""
    bench, rng = await prepared(dut, "stop")
    check_streams(dut)
    for trial in range(12):
        bench.set_windows(read=READABLE, write=WRITABLE)
        bench.memory.latency = int(rng.integers(1, 40))
        bench.pace.pause = {name: [0.0, 0.5][int(rng.integers(2))] for name in PAUSES}
        commands = random_commands(rng, 12)
        write_indices(bench, commands)
        old = bytes(bench.memory.content), bytes(bench.scratchpad)
        allowed = [set() for _ in old[0]]
        for command in commands:
            if command.engine == Engine.STORES:
                for address, local in command.runs():
                    for byte in range(command.length):
                        allowed[address + byte].add(old[1][local + byte])
        bench.send(*commands)
        await ClockCycles(dut.clk, int(rng.integers(20, 400)))
        dut.stop.value = 1
        await RisingEdge(dut.clk)
        dut.stop.value = trial % 2  # a pulse is enough
        signals = None
        for _ in range(3):
            await RisingEdge(dut.clk)
        signals = {engine: len(seen) for engine, seen in bench.signals.items()}
        await bench.until(lambda: dut.idle.value == 1)
        assert signals == {engine: len(seen) for engine, seen in bench.signals.items()}
        dut.stop.value = 0
        assert not bench.errors
        await comes_to_rest(bench)
        for address, (now, was) in enumerate(zip(bench.memory.content, old[0], strict=True)):
            assert now == was or now in allowed[address], f"memory byte {address:#x} is neither old nor new"
    bench.pace.pause = {}
    await still_works(bench, rng)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def flush(dut):
    """A flush at any time leaves an empty weight FIFO, and does not touch loads and stores."""
    bench, rng = await prepared(dut, "flush")
    check_streams(
        dut,
        unless={
            "weights": dut.flush,
            "weights_control__wait": dut.flush,
            "weights_control__commands": dut.flush,
        },
    )
    bench.set_windows(read=READABLE, write=WRITABLE)
    for _ in range(12):
        bench.memory.latency = int(rng.integers(1, 40))
        bench.pace.pause = {name: [0.0, 0.5][int(rng.integers(2))] for name in PAUSES}
        commands = random_commands(rng, 12)
        write_indices(bench, commands)
        others = [command for command in commands if command.engine != Engine.WEIGHTS]
        expected = expect(bench, others)
        whole = expect(bench, commands)[2]
        bench.send(*commands)
        await ClockCycles(dut.clk, int(rng.integers(10, 300)))
        taken = len(bench.weights)
        dut.flush.value = 1
        await RisingEdge(dut.clk)  # `flush` is seen by the design from here on
        bench.queues[Engine.WEIGHTS].clear()
        dut.weights_control__commands__valid.value = 0
        await bench.until(lambda: dut.flush_done.value == 1)
        dut.flush.value = 0
        assert taken <= len(bench.weights) <= taken + 3 * bench.word
        assert bench.weights == whole[: len(bench.weights)]
        bench.weights.clear()
        bench.signals[Engine.WEIGHTS].clear()
        bench.restart(Engine.WEIGHTS)
        unit = bench.word
        after = Descriptor(
            engine=Engine.WEIGHTS,
            memory=unit * int(rng.integers(100)),
            length=unit * int(rng.integers(1, 30)),
            signal=9,
        )
        bench.send(after)
        await bench.signalled(Engine.WEIGHTS, 1)
        for engine in (Engine.LOADS, Engine.STORES):
            await bench.signalled(
                engine, sum(command.signal != 0 for command in others if command.engine == engine)
            )
        await bench.until(lambda after=after: len(bench.weights) >= after.length)
        await ClockCycles(dut.clk, 20)
        compare(bench, (expected[0], expected[1], after.move(bench.memory.content, bench.scratchpad)))
        for signals in bench.signals.values():
            signals.clear()
        bench.weights.clear()
