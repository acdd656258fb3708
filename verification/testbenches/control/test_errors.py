# SPDX-License-Identifier: Apache-2.0
"""How programs fail: every error is reported once, with its place, and the next program runs as if nothing had been."""

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from tepin.control.controller import ENGINES
from tepin.control.engine import EngineError
from tepin.isa import (
    SEMAPHORE_MAXIMUM,
    Engine,
    EngineOp,
    ErrorCode,
    Header,
    ScalarOp,
    ScalarWord,
)
from tepin.program import CommandInstruction, Operand, ScalarInstruction
from tepin_testbench.runner import run_cocotb
from verification.testbenches.control.bench import Bench, ControllerBench
from verification.testbenches.control.test_programs import END, PARAMETERS, encode

ADD = ScalarInstruction(ScalarOp.ADD, rd=1, rs=1, immediate=1)
PUSH = ScalarInstruction(ScalarOp.PUSH, rs=1)
LIMIT = {"timeout_time": 20, "timeout_unit": "ms"}


def test_errors():
    run_cocotb(ControllerBench(**PARAMETERS), top="controller_bench", test_module=__name__)


async def assert_healthy(bench):
    """A program that uses everything runs from beginning to end: nothing is left of the one before."""
    for sink in bench.engines.values():
        sink.pause = 0.0
        await sink.receive(sink.waiting())
    await bench.tokens()
    program = [ADD, PUSH]
    for engine in ENGINES:
        program += [CommandInstruction(engine, EngineOp.NOP, 0, 7), ScalarInstruction(ScalarOp.WAIT, rd=7)]
    # A semaphore that was not zero would overflow.
    program += [ScalarInstruction(ScalarOp.SIGNAL, rd=9)] * SEMAPHORE_MAXIMUM
    program += [ScalarInstruction(ScalarOp.STORE, rd=1, immediate=8)]
    program += [ScalarInstruction(ScalarOp.LOAD, rd=2, immediate=8), ScalarInstruction(ScalarOp.PUSH, rs=2)]
    assert await bench.run(encode([*program, END])) == (ErrorCode.NONE, 0, 0)
    assert await bench.tokens() == [1, 1]
    for sink in bench.engines.values():
        assert len(await sink.receive(1)) == 1 and sink.waiting() == 0


def header(**fields):
    return Header.const(fields).as_bits()


def scalar(**fields):
    return ScalarWord.const({"op": ScalarOp.ADD} | fields).as_bits()


@cocotb.test(**LIMIT)
async def illegal_instructions(dut):
    bench = await Bench.start(dut)
    run = {"engine": Engine.MATMUL, "op": EngineOp.RUN}
    words = [
        0,
        0xFFFF_FFFF,
        *(op << 4 for op in range(64) if op not in [member.value for member in ScalarOp]),
        scalar(reserved=1),
        scalar(reserved=0x80),
        scalar(reserved_low=1),
        header(**run),  # length 0
        header(**run, length=17),
        header(**run, length=31),
        header(**run, length=1, reserved=1),
        header(**run, length=1, reserved=1 << 10),
        header(engine=Engine.MATMUL, op=EngineOp.NOP, length=1),
        header(engine=Engine.MATMUL, op=EngineOp.NOP, reserved=4),
        header(engine=Engine.LINK, op=EngineOp.RUN, length=1),
        header(engine=Engine.LINK, op=EngineOp.NOP),
        *(engine | 1 << 4 | 1 << 16 for engine in range(7, 16)),
        *(4 | op << 4 | 1 << 16 for op in range(2, 16)),
    ]
    for word in words:
        program = [*encode([ADD, PUSH]), word, *encode([PUSH, END])]
        assert await bench.run(program) == (ErrorCode.ILLEGAL_INSTRUCTION, 3, word), hex(word)
        assert await bench.tokens() == [1]
        status = await bench.status()
        assert status["error"] and not status["done"]
    await assert_healthy(bench)


@cocotb.test(**LIMIT)
async def pc_out_of_range(dut):
    bench = await Bench.start(dut)
    end = PARAMETERS["program_words"]
    illegal = ErrorCode.ILLEGAL_INSTRUCTION
    for target in (end, end + 1, 0x7FFF, 0x8000, 0x1_0000, 0x8000_0000, 0xFFFF_FFFF):
        jump = ScalarInstruction(ScalarOp.JUMP, immediate=target)
        assert await bench.run(encode([ADD, jump])) == (illegal, 2, target)
        branch = ScalarInstruction(ScalarOp.BNE, rd=1, rs=0, immediate=target)
        assert await bench.run(encode([ADD, branch])) == (illegal, 2, target)
        # One that is not taken goes nowhere.
        branch = ScalarInstruction(ScalarOp.BEQ, rd=1, rs=0, immediate=target)
        assert await bench.run(encode([ADD, branch, END])) == (ErrorCode.NONE, 0, 0)
    # Past the end: after an instruction, before an immediate, in the middle of a command.
    fields = {"memory": Operand(0, 0), "length": Operand(0, 0)}
    command = CommandInstruction(Engine.WEIGHTS, EngineOp.RUN, 0, 0, 0, fields)
    for instruction, inside in ((PUSH, 1), (ADD, 1), (command, 1), (command, 2), (command, 3)):
        place = end - inside
        jump = ScalarInstruction(ScalarOp.JUMP, immediate=place)
        await bench.load(encode([jump]))
        await bench.write("PROGRAM_ADDRESS", place)
        for word in encode([instruction])[:inside]:
            await bench.write("PROGRAM_DATA", word)
        pc = end if instruction == PUSH else place
        assert await bench.run(None) == (illegal, pc, end)
    await bench.tokens()
    await bench.write("START_PC", end)
    assert await bench.run(encode([END])) == (illegal, end, end)
    await bench.write("START_PC", 0)
    await assert_healthy(bench)


@cocotb.test(**LIMIT)
async def errors_of_engines(dut):
    bench = await Bench.start(dut)
    await bench.write("IRQ_ENABLE", 0b011)
    for number in range(len(ENGINES)):
        for sink in bench.engines.values():
            sink.pause = 1.0
        # Queues, semaphores and the sequencer are busy when it happens.
        program = [CommandInstruction(other, EngineOp.NOP, 0, 9) for other in ENGINES for _ in range(5)]
        program += [ScalarInstruction(ScalarOp.SIGNAL, rd=9), ScalarInstruction(ScalarOp.WAIT, rd=3), END]
        dut.idle.value = 0
        await bench.launch(encode(program))
        await ClockCycles(dut.clk, 50)
        error = {"code": ErrorCode.PARAMETER, "pc": 100 + number, "info": 0xABCD_0000 + number}
        dut.error.value = EngineError.const(error).as_bits()
        dut.fail.value = 1 << number
        await RisingEdge(dut.clk)
        dut.fail.value = 0
        await ClockCycles(dut.clk, 3)
        # A later one does not count.
        dut.error.value = 0
        dut.fail.value = 31
        await ClockCycles(dut.clk, 20)
        dut.fail.value = 0
        assert dut.irq.value == 1 and dut.stop.value == 1 and dut.reset.value == 0
        status = await bench.status()
        assert status["busy"] and status["error"]
        dut.idle.value = 1
        assert await bench.finish() == (ErrorCode.PARAMETER, 100 + number, 0xABCD_0000 + number)
        assert dut.stop.value == 0
        await assert_healthy(bench)
        await bench.write("IRQ_ENABLE", 0b011)


@cocotb.test(**LIMIT)
async def first_of_simultaneous_errors(dut):
    bench = await Bench.start(dut)
    await bench.launch(encode([ScalarInstruction(ScalarOp.WAIT, rd=3), END]))
    await ClockCycles(dut.clk, 50)
    dut.error.value = EngineError.const({"code": ErrorCode.ALIGNMENT, "pc": 5, "info": 6}).as_bits()
    dut.fail.value = 0b10100
    await RisingEdge(dut.clk)
    dut.fail.value = 0
    await ClockCycles(dut.clk, 30)
    assert await bench.error() == (ErrorCode.ALIGNMENT, 5, 6)


@cocotb.test(**LIMIT)
async def wrong_length_for_flags(dut):
    """The command reader of an engine finds out that a command has too many fields."""
    bench = await Bench.start(dut)
    words = [Header.const({"engine": Engine.VECTOR, "op": EngineOp.RUN, "length": 3}).as_bits(), 0, 0, 0]
    assert await bench.run(encode([ADD]) + words + encode([END])) == (ErrorCode.ILLEGAL_INSTRUCTION, 2, 0)
    await assert_healthy(bench)


@cocotb.test(**LIMIT)
async def semaphore_overflow(dut):
    bench = await Bench.start(dut)
    for semaphore in (1, 15):
        signals = [ScalarInstruction(ScalarOp.SIGNAL, rd=semaphore)] * SEMAPHORE_MAXIMUM
        assert await bench.run(encode([*signals, END])) == (ErrorCode.NONE, 0, 0)
        last = ScalarInstruction(ScalarOp.SIGNAL, rd=semaphore)
        wait = ScalarInstruction(ScalarOp.WAIT, rd=3)
        code, _, info = await bench.run(encode([*signals, last, wait, END]))
        assert (code, info) == (ErrorCode.SEMAPHORE, semaphore)
    assert await bench.run(encode([*[ScalarInstruction(ScalarOp.SIGNAL)] * 300, END])) == (
        ErrorCode.NONE,
        0,
        0,
    )
    await assert_healthy(bench)


@cocotb.test(**LIMIT)
async def watchdog_ends_every_wait(dut):
    bench = await Bench.start(dut)
    wait = ScalarInstruction(ScalarOp.WAIT, rd=3)
    vector = CommandInstruction(Engine.VECTOR, EngineOp.NOP)
    bench.engines[Engine.VECTOR].pause = 1.0
    busy = 1 << ENGINES.index(Engine.VECTOR)
    dut.flush_done.value = 0
    for limit in (50, 400):
        await bench.write("WATCHDOG", limit)
        for program, pc, info in (
            ([ADD, wait, END], 2, 0),
            ([CommandInstruction(Engine.VECTOR, EngineOp.NOP, wait=2), END], 1, busy),
            ([vector, ScalarInstruction(ScalarOp.FENCE), END], 1, busy),
            ([vector, END], 1, busy),
            ([ScalarInstruction(ScalarOp.FLUSH), END], 0, 0),
            ([PUSH] * (PARAMETERS["tokens"] + 2) + [END], PARAMETERS["tokens"], 0),
            ([vector] * (PARAMETERS["queue_words"] + 9) + [END], PARAMETERS["queue_words"] + 3, busy),
        ):
            assert await bench.run(encode(program)) == (ErrorCode.TIMEOUT, pc, info), program[-2]
            assert await bench.counter("CYCLES") >= limit
            await bench.tokens()
    dut.flush_done.value = 1
    await assert_healthy(bench)


@cocotb.test(**LIMIT)
async def watchdog_lets_progress_pass(dut):
    bench = await Bench.start(dut)
    await bench.write("IRQ_ENABLE", 0b011)
    wait = encode([ScalarInstruction(ScalarOp.WAIT, rd=3), END])

    async def running(cycles=400):
        await ClockCycles(dut.clk, cycles)
        assert (await bench.status())["busy"]

    # Off.
    await bench.write("WATCHDOG", 0)
    await bench.launch(wait)
    await running()
    await bench.write("CONTROL", 2)
    assert (await bench.finish())[0] == ErrorCode.STOPPED
    # Beats now and then.
    await bench.write("WATCHDOG", 60)
    for name in ("read_beat", "write_beat"):
        await bench.launch(wait)
        for _ in range(20):
            getattr(dut, name).value = 1
            await RisingEdge(dut.clk)
            getattr(dut, name).value = 0
            await ClockCycles(dut.clk, 40)
        assert (await bench.status())["busy"]
        assert (await bench.finish())[0] == ErrorCode.TIMEOUT
    # Instructions, and an engine that is slow but not dead.
    loop = [
        ScalarInstruction(ScalarOp.ADD, rd=1, immediate=200),
        ScalarInstruction(ScalarOp.DBNZ, rd=1, immediate=2),
        END,
    ]
    assert await bench.run(encode(loop)) == (ErrorCode.NONE, 0, 0)
    bench.engines[Engine.VECTOR].pause = 0.9
    program = encode([*[CommandInstruction(Engine.VECTOR, EngineOp.NOP)] * 40, END])
    await bench.write("WATCHDOG", 200)
    assert await bench.run(program) == (ErrorCode.NONE, 0, 0)
    await bench.engines[Engine.VECTOR].receive(40)


@cocotb.test(**LIMIT)
async def stop_at_any_time(dut):
    bench = await Bench.start(dut)
    await bench.write("IRQ_ENABLE", 0b011)
    fields = {"memory": Operand(1, 4), "length": Operand(1, 8)}
    command = CommandInstruction(Engine.WEIGHTS, EngineOp.RUN, 0, 5, 0, fields)
    body = [
        command,
        ScalarInstruction(ScalarOp.STORE, rd=1, immediate=16),
        ScalarInstruction(ScalarOp.MUL, rd=1, rs=1, immediate=3),
        ScalarInstruction(ScalarOp.WAIT, rd=5),
        ScalarInstruction(ScalarOp.FENCE),
        ScalarInstruction(ScalarOp.JUMP, immediate=0),
    ]
    await bench.load(encode(body))
    for delay in range(0, 60, 3):
        bench.engines[Engine.WEIGHTS].pause = 0.5
        await bench.launch()
        await ClockCycles(dut.clk, delay)
        await bench.write("CONTROL", 2)
        code, pc, info = await bench.finish()
        assert code == ErrorCode.STOPPED and pc < len(encode(body)) and info == 0
    await bench.write("CONTROL", 2)  # nothing to stop
    await assert_healthy(bench)
