# SPDX-License-Identifier: Apache-2.0
"""The DMA engine moves what it should, and nothing else: random descriptors, all alignments, three engines at once."""

import logging

import cocotb
import pytest
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiBus, AxiRam

from tepin.isa import Engine
from tepin_testbench import options
from tepin_testbench.runner import parameters
from tepin_testbench.stream import check_streams
from verification.testbenches.dma.axi_memory import MEMORY_BYTES
from verification.testbenches.dma.bench import NAMES, SCRATCHPAD_BYTES, Bench
from verification.testbenches.dma.configurations import USUAL_SHAPES, run
from verification.testbenches.dma.model import Descriptor, nop, random_bytes, random_descriptor

READABLE = range(0, MEMORY_BYTES // 2)
WRITABLE = range(MEMORY_BYTES // 2, MEMORY_BYTES)
LOADED = range(0, SCRATCHPAD_BYTES // 2)
STORED = range(SCRATCHPAD_BYTES // 2, SCRATCHPAD_BYTES - 512)
INDICES = range(SCRATCHPAD_BYTES - 512, SCRATCHPAD_BYTES)
PAUSES = ("ar", "r", "aw", "w", "b", "write", "read", "index", "commands", "weights")


@pytest.mark.parametrize("shape", USUAL_SHAPES)
def test_moves(shape):
    run(shape, __name__)


def _moved(addresses, base):
    return range(addresses.start + base, addresses.stop + base)


def fill(bench, rng):
    bench.memory.content[:] = random_bytes(rng, MEMORY_BYTES)
    bench.scratchpad[:] = random_bytes(rng, SCRATCHPAD_BYTES)


def random_commands(rng, count):
    """Commands for all three engines, with distinct places for all index lists."""
    settings = parameters()
    result = []
    places = [range(INDICES.start + 128 * part, INDICES.start + 128 * (part + 1)) for part in range(4)]
    for number in range(count):
        engine = list(NAMES)[number % 3]
        unit = settings["fifo_word_bytes"] if engine == Engine.WEIGHTS else 1
        command = random_descriptor(
            rng,
            engine,
            WRITABLE if engine == Engine.STORES else READABLE,
            STORED if engine == Engine.STORES else LOADED,
            beat=settings["data_width"] // 8,
            unit=unit,
            index=places.pop() if places else None,
            most=400 if settings["data_width"] > 16 else 150,
        )
        command.pc = number
        command.signal = 1 + number % 15 if rng.random() < 0.7 else 0
        result.append(command)
    for engine in NAMES:  # the last one tells when all is done
        [command for command in result if command.engine == engine][-1].signal = 15
    return result


def write_indices(bench, commands):
    for command in commands:
        for number, value in enumerate(command.indices):
            at = command.index + 4 * number
            bench.scratchpad[at : at + 4] = value.to_bytes(4, "little")


async def finished(bench, commands):
    for engine in NAMES:
        await bench.signalled(
            engine, sum(command.signal != 0 for command in commands if command.engine == engine)
        )


def expect(bench, commands):
    """Memory, scratchpad and weights after the commands, by the model."""
    memory, scratchpad, weights = bytearray(bench.memory.content), bytearray(bench.scratchpad), bytearray()
    for command in commands:
        weights += command.move(memory, scratchpad)
    return memory, scratchpad, weights


def compare(bench, expected):
    memory, scratchpad, weights = expected
    assert bench.scratchpad == scratchpad
    assert bench.memory.content == memory
    assert bench.weights == weights


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def random_descriptors(dut):
    """Several rounds, from no pauses at all to heavy ones on all sides."""
    rng = options.generator("random", parameters()["shape"])
    bench = Bench(dut)
    await bench.start()
    for round_number in range(3):
        # Memory repeats, so that every bit of an address can matter.
        base = MEMORY_BYTES * int(rng.integers((1 << 32) // MEMORY_BYTES))
        bench.set_windows(read=_moved(READABLE, base), write=_moved(WRITABLE, base))
        fill(bench, rng)
        bench.weights.clear()
        bench.memory.latency = [1, 7, 30][round_number]
        bench.pace.pause = {
            name: [0.0, 0.2, 0.8][int(rng.integers(3))] if round_number else 0.0 for name in PAUSES
        }
        commands = random_commands(rng, 18)
        for command in commands:
            command.memory += base
        write_indices(bench, commands)
        expected = expect(bench, commands)
        for signals in bench.signals.values():
            signals.clear()
        bench.send(*commands)
        await finished(bench, commands)
        for engine in NAMES:
            assert [number for _, number in bench.signals[engine]] == [
                command.signal for command in commands if command.engine == engine and command.signal
            ]
        await bench.until(lambda expected=expected: len(bench.weights) == len(expected[2]))
        await ClockCycles(dut.clk, 3)
        compare(bench, expected)
        assert all(getattr(dut, f"{name}__busy").value == 0 for name in NAMES.values())
        assert bench.memory.quiet()


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def independent_memory_model(dut):
    """Against AxiRam of cocotbext-axi, with pauses on its five channels; the stream contract is checked on every stream."""
    rng = options.generator("AxiRam", parameters()["shape"])
    bench = Bench(dut)
    bench.axi = False
    fill(bench, rng)
    await bench.start()
    check_streams(dut)
    logging.getLogger("cocotb.dma.m_axi").setLevel(logging.WARNING)
    ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    ram.write(0, bytes(bench.memory.content))
    for channel in (
        ram.read_if.ar_channel, ram.read_if.r_channel, ram.write_if.aw_channel, ram.write_if.w_channel,
        ram.write_if.b_channel,
    ):  # fmt: skip
        channel.set_pause_generator(iter(lambda: bool(rng.random() < 0.3), None))
    bench.pace.pause = dict.fromkeys(PAUSES, 0.3)
    commands = random_commands(rng, 9)
    write_indices(bench, commands)
    expected = expect(bench, commands)
    bench.moved.update(dict.fromkeys(NAMES, 1 << 30))  # nobody counts here
    bench.send(*commands)
    await finished(bench, commands)
    await bench.until(lambda: len(bench.weights) == len(expected[2]))
    bench.memory.content[:] = ram.read(0, MEMORY_BYTES)
    compare(bench, expected)


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def all_alignments(dut):
    """Every pair of alignments in memory and scratchpad, with lengths around one beat and one line."""
    rng = options.generator("alignments", parameters()["shape"])
    bench = Bench(dut)
    await bench.start()
    bench.memory.latency = 2
    beat, line = bench.beat, bench.line
    for engine in (Engine.LOADS, Engine.STORES):
        fill(bench, rng)
        commands = []
        area = WRITABLE if engine == Engine.STORES else READABLE
        lengths = [1, beat, line + 1, 2 * line + beat - 1]
        for start in range(beat):
            # Runs `line + 1` bytes apart in the scratchpad meet every alignment there.
            step = -(-(3 * line) // beat) * beat + 64
            commands.append(
                Descriptor(
                    engine=engine, memory=area.start + 0x800 * start + start, memory_stride=step, dimensions=1,
                    length=lengths[int(rng.integers(len(lengths)))], count=line, local=8, local_stride=3 * line + 1,
                    signal=1,
                )
            )  # fmt: skip
        expected = expect(bench, commands)
        bench.weights.clear()
        for signals in bench.signals.values():
            signals.clear()
        bench.send(*commands)
        await finished(bench, commands)
        compare(bench, expected)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def nothing_to_do(dut):
    """NOPs and empty descriptors signal, in their turn, and move nothing."""
    rng = options.generator("nothing", parameters()["shape"])
    bench = Bench(dut)
    await bench.start()
    fill(bench, rng)
    bench.memory.latency = 20
    word = parameters()["fifo_word_bytes"]
    for engine in NAMES:
        at = WRITABLE.start if engine == Engine.STORES else READABLE.start
        commands = [
            Descriptor(engine=engine, memory=at, local=0, length=4 * word, signal=1),
            Descriptor(engine=engine, memory=at, length=0, signal=2),
            Descriptor(engine=engine, memory=at, length=word, dimensions=1, count=0, signal=3),
            Descriptor(engine=engine, memory=at, length=word, dimensions=2, count=2, count2=0, signal=4),
        ]
        expected = expect(bench, commands)
        bench.weights.clear()
        bench.send(*commands)
        bench.queues[engine].extend(nop(signal=5))
        bench.expected[engine].append(0)
        await bench.signalled(engine, 5)
        assert [number for _, number in bench.signals[engine]] == [1, 2, 3, 4, 5]
        await bench.until(lambda expected=expected: len(bench.weights) == len(expected[2]))
        compare(bench, expected)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def semaphores(dut):
    """A store that waits for a load takes what the load brought."""
    rng = options.generator("semaphores", parameters()["shape"])
    bench = Bench(dut)
    await bench.start()
    fill(bench, rng)
    bench.pace.pause = {"r": 0.5, "write": 0.5, "wait": 0.5}
    commands = [
        Descriptor(engine=Engine.LOADS, memory=5, local=77, length=300, signal=3),
        Descriptor(engine=Engine.STORES, memory=WRITABLE.start + 11, local=77, length=300, wait=3, signal=4),
    ]
    expected = expect(bench, commands)
    bench.send(*reversed(commands))
    await finished(bench, commands)
    assert bench.semaphores[3] == 0 and bench.semaphores[4] == 1
    bench.weights.clear()
    compare(bench, expected)
