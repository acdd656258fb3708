# SPDX-License-Identifier: Apache-2.0
"""The register map, as a host sees it over AXI4-Lite."""

import itertools

import cocotb
from cocotb.triggers import ClockCycles

from tepin.control.registers import COUNTERS, IDENTIFICATION, REGISTERS, register
from tepin.isa import ISA_VERSION, ErrorCode, ScalarOp
from tepin.program import ScalarInstruction
from tepin_testbench import options
from tepin_testbench.runner import run_cocotb
from verification.testbenches.control.bench import Bench, ControllerBench

OKAY, SLVERR = 0, 2
PARAMETERS = {
    "program_words": 64,
    "queue_words": 16,
    "tokens": 4,
    "line_bytes": 8,
    "config_hash": 0xC0FFEE11,
    "parity": True,
}


def test_registers():
    run_cocotb(
        ControllerBench(**PARAMETERS), top="controller_bench", test_module=__name__, parameters=PARAMETERS
    )


def program(*instructions):
    return [word for instruction in instructions for word in instruction.encode()]


END = ScalarInstruction(ScalarOp.END)
WAIT_FOR_EVER = program(ScalarInstruction(ScalarOp.WAIT, rd=3), END)


def push(*values):
    """Instructions that push constants."""
    for value in values:
        yield ScalarInstruction(ScalarOp.ADD, rd=1, immediate=value)
        yield ScalarInstruction(ScalarOp.PUSH, rs=1)


async def respond(bench, name_or_offset, value=None, strobe_bytes=4):
    """Response code of a read, or of a write of `value`."""
    offset = name_or_offset if isinstance(name_or_offset, int) else register(name_or_offset).offset
    if value is None:
        return int((await bench.axil.read(offset, 4)).resp)
    return int((await bench.axil.write(offset, value.to_bytes(4, "little")[:strobe_bytes])).resp)


@cocotb.test()
async def reset_values(dut):
    bench = await Bench.start(dut)
    constants = {"ISA_VERSION": ISA_VERSION, "CONFIG_HASH": PARAMETERS["config_hash"]}
    for entry in REGISTERS:
        expected = constants.get(entry.name, entry.reset)
        if expected is not None:
            assert await bench.read(entry.name) == expected, entry.name
    assert await bench.read("ID") == IDENTIFICATION == 0x5445504E


@cocotb.test()
async def writable_registers_keep_what_is_written(dut):
    bench = await Bench.start(dut)
    rng = options.generator("writable")
    widths = {"IRQ_ENABLE": 3, "START_PC": 15, "PROGRAM_ADDRESS": 16}
    written = {}
    for entry in REGISTERS:
        if entry.access == "rw" and entry.name not in ("PROGRAM_DATA", "IRQ_STATUS"):
            written[entry.name] = int(rng.integers(1 << widths.get(entry.name, 32)))
            await bench.write(entry.name, written[entry.name])
    for name, value in written.items():
        assert await bench.read(name) == value, name
    for name in ("read_base", "read_limit", "write_base", "write_limit"):
        assert int(getattr(dut, name).value) == written[name.upper()]


@cocotb.test()
async def refused_accesses_have_no_effect(dut):
    bench = await Bench.start(dut)
    offsets = {entry.offset for entry in REGISTERS}
    for offset in [*range(0, 0x100, 4), 0x4000, 0xFFFC]:
        if offset not in offsets:
            assert await respond(bench, offset) == SLVERR, hex(offset)
            assert await respond(bench, offset, 1) == SLVERR, hex(offset)
    for entry in REGISTERS:
        if entry.access == "ro":
            before = await bench.read(entry.name)
            assert await respond(bench, entry.name, 0xFFFFFFFF) == SLVERR, entry.name
            assert await bench.read(entry.name) == before
    await bench.write("WATCHDOG", 0x01020304)
    for strobe_bytes in (1, 2, 3):
        assert await respond(bench, "WATCHDOG", 0xFFFFFFFF, strobe_bytes) == SLVERR
        assert await respond(bench, "CONTROL", 1, strobe_bytes) == SLVERR
    assert await bench.read("WATCHDOG") == 0x01020304
    assert not (await bench.status())["busy"]


@cocotb.test()
async def program_memory_can_be_written_and_read(dut):
    bench = await Bench.start(dut)
    rng = options.generator("program memory")
    words = [int(word) for word in rng.integers(0, 1 << 32, PARAMETERS["program_words"])]
    await bench.load(words)
    assert await respond(bench, "PROGRAM_DATA", 1) == SLVERR, "the end of the memory"
    assert await respond(bench, "PROGRAM_DATA") == SLVERR
    for _ in range(3):
        place = int(rng.integers(len(words) - 8))
        await bench.write("PROGRAM_ADDRESS", place)
        for offset in range(8):
            assert await bench.read("PROGRAM_DATA") == words[place + offset]
        assert await bench.read("PROGRAM_ADDRESS") == place + 8


@cocotb.test()
async def busy_chip_refuses(dut):
    bench = await Bench.start(dut)
    await bench.launch(WAIT_FOR_EVER)
    assert (await bench.status())["busy"]
    assert await respond(bench, "CONTROL", 0b01) == SLVERR
    assert await respond(bench, "CONTROL", 0b11) == SLVERR
    assert await respond(bench, "PROGRAM_DATA", 0) == SLVERR
    assert await respond(bench, "PROGRAM_DATA") == SLVERR
    for name in ("READ_BASE", "READ_LIMIT", "WRITE_BASE", "WRITE_LIMIT"):
        before = await bench.read(name)
        assert await respond(bench, name, 1) == SLVERR
        assert await bench.read(name) == before
    assert (await bench.status())["busy"], "a refused write stopped the program"
    await bench.write("CONTROL", 0b10)
    await ClockCycles(dut.clk, 30)
    assert await bench.error() == (ErrorCode.STOPPED, 0, 0)
    status = await bench.status()
    assert not status["busy"] and status["error"] and not status["done"]
    assert await bench.run(program(END)) == (ErrorCode.NONE, 0, 0)
    assert (await bench.status())["done"]


@cocotb.test()
async def tokens_wait_for_the_host(dut):
    bench = await Bench.start(dut)
    depth = PARAMETERS["tokens"]
    values = [7, 0x7FFFFFFF, 0, 12345, 1, 2, 3]
    assert await bench.read("TOKEN") == 0
    await bench.launch(program(*push(*values), END))
    await ClockCycles(dut.clk, 200)
    assert await bench.read("TOKEN_LEVEL") == depth
    status = await bench.status()
    assert status["busy"] and status["token"] and not status["done"]
    got = [await bench.read("TOKEN") for _ in values]
    assert got == [1 << 31 | value for value in values]
    assert await bench.read("TOKEN") == 0
    await ClockCycles(dut.clk, 30)
    status = await bench.status()
    assert status["done"] and not status["busy"] and not status["token"]


@cocotb.test()
async def tokens_survive_the_end_and_an_error(dut):
    bench = await Bench.start(dut)
    assert await bench.run(program(*push(11), END)) == (ErrorCode.NONE, 0, 0)
    fail = ScalarInstruction(ScalarOp.FAIL, rs=1, immediate=-2)
    assert await bench.run(program(*push(12), fail)) == (ErrorCode.SOFTWARE, 3, 10)
    assert await bench.tokens() == [11, 12]


@cocotb.test()
async def interrupts(dut):
    bench = await Bench.start(dut)
    done, error, token = 1, 2, 4
    for enable, (words, event) in itertools.product(
        range(8),
        [
            (program(END), done),
            (program(ScalarInstruction(ScalarOp.FAIL)), error),
            (program(*push(1), END), done | token),
        ],
    ):
        await bench.write("IRQ_ENABLE", enable)
        await bench.launch(words)
        await ClockCycles(dut.clk, 60)
        assert await bench.read("IRQ_STATUS") == event
        assert dut.irq.value == bool(enable & event)
        await bench.write("IRQ_STATUS", 0)
        assert await bench.read("IRQ_STATUS") == event
        await bench.write("IRQ_STATUS", 7)
        assert await bench.read("IRQ_STATUS") == event & token, "only taking the token clears its event"
        assert dut.irq.value == bool(enable & event & token)
        await bench.tokens()
        assert await bench.read("IRQ_STATUS") == 0
        assert dut.irq.value == 0


@cocotb.test()
async def start_pc(dut):
    bench = await Bench.start(dut)
    words = program(*push(5), END)
    await bench.load([0xFFFFFFFF] * 20 + words)
    await bench.write("START_PC", 20)
    assert await bench.run(None) == (ErrorCode.NONE, 0, 0)
    assert await bench.tokens() == [5]


@cocotb.test()
async def counters(dut):
    bench = await Bench.start(dut)
    await bench.launch(WAIT_FOR_EVER)
    await ClockCycles(dut.clk, 50)
    for cycles, name in ((7, "read_beat"), (11, "write_beat"), (13, "array_active")):
        getattr(dut, name).value = 1
        await ClockCycles(dut.clk, cycles)
        getattr(dut, name).value = 0
    await ClockCycles(dut.clk, 50)
    first = await bench.counter("CYCLES")
    await ClockCycles(dut.clk, 100)
    assert await bench.counter("CYCLES") > first + 100
    await bench.write("CONTROL", 2)
    await ClockCycles(dut.clk, 30)
    values = {name: await bench.counter(name) for name, _ in COUNTERS}
    assert values["READ_BEATS"] == 7 and values["WRITE_BEATS"] == 11 and values["ARRAY_ACTIVE"] == 13
    assert values["CYCLES"] - 40 < values["SEQUENCER_STALLED"] < values["CYCLES"]
    assert all(values[name] == 0 for name in values if name.endswith("_BUSY"))
    assert await bench.counter("CYCLES") == values["CYCLES"], "counts while no program runs"
    await bench.run(program(END))
    assert await bench.counter("READ_BEATS") == 0
    assert 0 < await bench.counter("CYCLES") < 40
