# SPDX-License-Identifier: Apache-2.0
"""Random programs on the controller, against an interpreter: registers, memory, branches, commands, tokens."""

from collections import defaultdict

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, RisingEdge

from tepin.control.controller import ENGINES
from tepin.isa import COMMANDS, Engine, EngineOp, ErrorCode, ScalarOp
from tepin.program import CommandInstruction, Operand, ScalarInstruction, present_fields
from tepin_testbench import options
from tepin_testbench.runner import run_cocotb
from verification.testbenches.control.bench import SCRATCHPAD_BYTES, Bench, ControllerBench
from verification.testbenches.control.model import Interpreter

PARAMETERS = {
    "program_words": 1024,
    "queue_words": 64,
    "tokens": 64,
    "line_bytes": 16,
    "config_hash": 1,
}
ARITHMETIC = [
    *(ScalarOp.ADD, ScalarOp.SUB, ScalarOp.MUL, ScalarOp.SHL, ScalarOp.SHR, ScalarOp.MIN, ScalarOp.MAX),
    *(ScalarOp.AND, ScalarOp.OR, ScalarOp.XOR),
]
BRANCHES = [ScalarOp.BEQ, ScalarOp.BNE, ScalarOp.BLT, ScalarOp.BGE]
EDGES = [0, 1, 2, 31, 32, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF, 0x1_0000]
END = ScalarInstruction(ScalarOp.END)
COUNT = 15  # the register that counts loops, which random instructions leave alone


def test_programs():
    run_cocotb(ControllerBench(**PARAMETERS), top="controller_bench", test_module=__name__)


def encode(instructions):
    return [word for instruction in instructions for word in instruction.encode()]


class Generator:
    """Draws programs that end."""

    def __init__(self, rng):
        self.rng = rng
        self.stored = []  # addresses that surely hold something

    def number(self):
        if self.rng.random() < 0.5:
            return int(self.rng.choice(EDGES))
        return int(self.rng.integers(1 << 32)) >> int(self.rng.integers(32))

    def register(self):
        return int(self.rng.integers(COUNT))

    def operand_b(self):
        """Half of the operands are immediate."""
        if self.rng.random() < 0.5:
            return {"rt": int(self.rng.integers(16))}
        return {"immediate": self.number()}

    def scalar(self):
        kind = self.rng.random()
        if kind < 0.1:
            return [ScalarInstruction(ScalarOp.PUSH, rs=int(self.rng.integers(16)))]
        if kind < 0.2:
            address = 4 * int(self.rng.integers(SCRATCHPAD_BYTES // 4))
            self.stored.append(address)
            return [
                ScalarInstruction(ScalarOp.ADD, rd=1, immediate=address + 12),
                ScalarInstruction(ScalarOp.STORE, rd=self.register(), rs=1, immediate=-12),
            ]
        if kind < 0.3 and self.stored:
            address = int(self.rng.choice(self.stored))
            return [
                ScalarInstruction(ScalarOp.ADD, rd=2, immediate=100),
                ScalarInstruction(ScalarOp.ADD, rd=3, immediate=address - 100),
                ScalarInstruction(ScalarOp.LOAD, rd=self.register(), rs=3, rt=2),
            ]
        op = ARITHMETIC[self.rng.integers(len(ARITHMETIC))]
        return [ScalarInstruction(op, rd=self.register(), rs=int(self.rng.integers(16)), **self.operand_b())]

    def command(self):
        engine = ENGINES[self.rng.integers(len(ENGINES))]
        if self.rng.random() < 0.2:
            return [CommandInstruction(engine, EngineOp.NOP)]
        shape = COMMANDS[engine].flags
        while True:
            # Only the enumerations' legal values can be decoded again.
            flags = int(self.rng.integers(1 << 28))
            try:
                names = present_fields(engine, flags)
                {name: getattr(shape.from_bits(flags), name) for name, _ in shape.as_shape()}
            except ValueError:
                continue
            break
        limit = 1 << 27
        fields = {
            name: Operand(
                int(self.rng.integers(16)),
                int(self.rng.choice([0, limit - 1, -limit, self.rng.integers(limit)])),
            )
            for name in names
        }
        return [CommandInstruction(engine, EngineOp.RUN, 0, 0, flags, fields)]

    def block(self, depth, position):
        """Instructions that begin at word `position`."""
        result = []

        def here():
            return position + len(encode(result))

        for _ in range(int(self.rng.integers(2, 8))):
            kind = self.rng.random()
            if kind < 0.15 and depth:
                # A branch over a block. What it skips need not have happened, so nothing in it is loaded later.
                stored = list(self.stored)
                op = BRANCHES[self.rng.integers(len(BRANCHES))]
                inner = self.block(depth - 1, here() + 2)
                target = here() + 2 + len(encode(inner))
                branch = ScalarInstruction(op, rd=self.register(), rs=self.register(), immediate=target)
                result += [branch, *inner]
                self.stored = stored
            elif kind < 0.25 and depth == 2:
                result.append(
                    ScalarInstruction(ScalarOp.ADD, rd=COUNT, immediate=int(self.rng.integers(1, 4)))
                )
                start = here()
                result += self.block(depth - 2, start)
                result.append(ScalarInstruction(ScalarOp.DBNZ, rd=COUNT, immediate=start))
            elif kind < 0.3:
                # A jump by register, over words that are no instructions.
                target = here() + 2 + 1 + 2
                result += [
                    ScalarInstruction(ScalarOp.ADD, rd=4, immediate=target),
                    ScalarInstruction(ScalarOp.JUMP, rt=4),
                    Junk(),
                    Junk(),
                ]
            elif kind < 0.5:
                result += self.command()
            else:
                result += self.scalar()
        return result

    def program(self):
        program = [ScalarInstruction(ScalarOp.ADD, rd=rd, immediate=self.number()) for rd in range(COUNT)]
        position = len(encode(program))
        program += self.block(2, position)
        program += [ScalarInstruction(ScalarOp.PUSH, rs=rs) for rs in range(16)]
        return program


class Junk:
    def encode(self):
        return [0]


async def taken(bench, engine, count):
    """The next commands of an engine, in the form of `Interpreter.commands`."""
    result = []
    for item in await bench.engines[engine].receive(count):
        command = item.command
        flags = None if item.nop else command.flags.as_bits()
        names = [] if item.nop else present_fields(engine, flags)
        result.append((command.pc, 0, command.signal, flags, {name: command[name] for name in names}))
    return result


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def random_programs(dut):
    bench = await Bench.start(dut)
    rng = options.generator("random programs")
    seen = defaultdict(int)
    for number in range(60):
        pause = float(rng.choice([0.0, 0.3, 0.9]))
        for sink in bench.engines.values():
            sink.pause = pause
        generator = Generator(rng)
        if number % 4 == 3:  # ends with an error
            last = ScalarInstruction(ScalarOp.FAIL, rs=generator.register(), immediate=generator.number())
            if rng.random() < 0.5:
                # Address 4k + 2, or a number far out.
                bad = int(rng.choice([2, SCRATCHPAD_BYTES, SCRATCHPAD_BYTES + 2, 0xFFFF_FFFC]))
                op = ScalarOp.LOAD if rng.random() < 0.5 else ScalarOp.STORE
                last = ScalarInstruction(op, rd=1, immediate=bad)
            instructions = [*generator.program(), last]
        else:
            instructions = [*generator.program(), END]
        words = encode(instructions)
        expected = Interpreter(words, scratchpad_bytes=SCRATCHPAD_BYTES)
        for instruction in instructions:
            if isinstance(instruction, ScalarInstruction):
                seen[instruction.op] += 1

        await bench.write("IRQ_ENABLE", 0b011)
        await bench.launch(words)
        tokens = cocotb.start_soon(drain(bench, len(expected.tokens)))
        if expected.error[0] == ErrorCode.NONE:
            for engine in ENGINES:
                got = await taken(bench, engine, len(expected.commands[engine]))
                assert got == expected.commands[engine], (number, engine)
        assert await bench.finish() == expected.error, number
        assert await tokens == [token & 0x7FFF_FFFF for token in expected.tokens], number
        for sink in bench.engines.values():  # what an error left over
            await sink.receive(sink.waiting())
    dut._log.info("instructions: %s", dict(seen))
    assert len(seen) == len(ARITHMETIC) + len(BRANCHES) + 7


async def drain(bench, count):
    """Takes tokens until `count` of them have come."""
    result = []
    while len(result) < count:
        result += await bench.tokens()
    return result


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def registers_start_at_zero(dut):
    bench = await Bench.start(dut)
    spoil = [ScalarInstruction(ScalarOp.ADD, rd=rd, immediate=-rd) for rd in range(16)]
    show = [ScalarInstruction(ScalarOp.PUSH, rs=rs) for rs in range(16)]
    assert await bench.run(encode([*spoil, *show, END])) == (ErrorCode.NONE, 0, 0)
    assert await bench.tokens() == [-rd & 0x7FFF_FFFF for rd in range(16)]
    assert await bench.run(encode([*show, END])) == (ErrorCode.NONE, 0, 0)
    assert await bench.tokens() == [0] * 16


async def cycles(bench, instructions):
    """Cycles that instructions take, by the counter; END and start not counted."""
    assert await bench.run(encode([*instructions, END])) == (ErrorCode.NONE, 0, 0)
    with_them = await bench.counter("CYCLES")
    await bench.run(encode([END]))
    return with_them - await bench.counter("CYCLES")


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def cycles_per_instruction(dut):
    bench = await Bench.start(dut)
    for instruction, expected in (
        (ScalarInstruction(ScalarOp.ADD, rd=1, rs=2, rt=3), 3),
        (ScalarInstruction(ScalarOp.ADD, rd=1, immediate=3), 4),
        (ScalarInstruction(ScalarOp.SHR, rd=1, rs=2, rt=3), 4),
        (ScalarInstruction(ScalarOp.MUL, rd=1, rs=2, rt=3), 7),
        (ScalarInstruction(ScalarOp.BNE, rd=1, rs=1, immediate=3), 4),
        (ScalarInstruction(ScalarOp.LOAD, rd=1, rt=0), 9),
        (ScalarInstruction(ScalarOp.STORE, rd=1, rt=0), 4),
        (ScalarInstruction(ScalarOp.PUSH, rs=1), 3),
        (ScalarInstruction(ScalarOp.SIGNAL, rd=1), 3),
    ):
        # The first instruction waits for nothing: `count` of them must take `count` times as long.
        assert await cycles(bench, [instruction] * 10) == 10 * expected, instruction
        await bench.tokens()
    loop = [
        ScalarInstruction(ScalarOp.ADD, rd=1, immediate=11),
        ScalarInstruction(ScalarOp.DBNZ, rd=1, immediate=2),
    ]
    assert await cycles(bench, loop) == 4 + 10 * 6 + 4
    # Commands take one cycle per word to issue. FAIL ends the program without waiting for the engine.
    fields = {"memory": Operand(0, 1), "length": Operand(0, 1)}
    command = CommandInstruction(Engine.WEIGHTS, EngineOp.RUN, 0, 0, 0, fields)
    counts = []
    for number in (1, 11):
        await bench.run(encode([command] * number + [ScalarInstruction(ScalarOp.FAIL)]))
        counts.append(await bench.counter("CYCLES"))
    assert counts[1] - counts[0] == 10 * 4


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def random_semaphores(dut):
    """Commands and scalar instructions that wait for semaphores, each of which an earlier one signals, on any engine."""
    bench = await Bench.start(dut)
    rng = options.generator("semaphores")
    for number in range(30):
        for sink in bench.engines.values():
            sink.pause = float(rng.choice([0.0, 0.5, 0.95]))
        # A random order in time: whatever waits was signalled by something before it in this order. Only one engine
        # waits for a semaphore, or a later command could take the signal that an earlier one needs.
        counts = np.zeros(16, int)
        waiters = rng.integers(len(ENGINES) + 1, size=16)
        instructions = []
        for _ in range(int(rng.integers(10, 60))):
            index = int(rng.integers(len(ENGINES) + 1))
            available = np.flatnonzero((counts > 0) & (waiters == index))
            wait = int(rng.choice(available)) if len(available) and rng.random() < 0.6 else 0
            signal = int(rng.integers(16))
            if index == len(ENGINES):
                instructions += [ScalarInstruction(ScalarOp.WAIT, rd=wait)] if wait else []
                instructions += [ScalarInstruction(ScalarOp.SIGNAL, rd=signal)]
            else:
                instructions.append(CommandInstruction(ENGINES[index], EngineOp.NOP, wait, signal))
            counts[wait] -= 1
            counts[signal] += 1
            counts[0] = 0
        # In the end everything that was signalled and not waited for is still there.
        instructions.append(ScalarInstruction(ScalarOp.FENCE))
        for semaphore in np.flatnonzero(counts):
            instructions += [ScalarInstruction(ScalarOp.WAIT, rd=int(semaphore))] * int(counts[semaphore])
        assert await bench.run(encode([*instructions, END])) == (ErrorCode.NONE, 0, 0), number
        for sink in bench.engines.values():
            await sink.receive(sink.waiting())


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def wait_orders_engines(dut):
    """The vector engine does nothing before the matmul engine has signalled."""
    bench = await Bench.start(dut)
    bench.engines[Engine.MATMUL].pause = 1.0
    program = encode(
        [
            CommandInstruction(Engine.VECTOR, EngineOp.NOP, wait=5),
            CommandInstruction(Engine.MATMUL, EngineOp.NOP, signal=5),
            CommandInstruction(Engine.LOADS, EngineOp.NOP),
            END,
        ]
    )
    await bench.launch(program)
    await ClockCycles(dut.clk, 100)
    assert bench.engines[Engine.LOADS].waiting() == 1
    assert bench.engines[Engine.VECTOR].waiting() == 0
    assert (await bench.status())["busy"]
    bench.engines[Engine.MATMUL].pause = 0.0
    await bench.engines[Engine.VECTOR].receive(1)
    assert bench.engines[Engine.MATMUL].waiting() == 1


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def fence_waits_for_all_engines(dut):
    bench = await Bench.start(dut)
    for engine in ENGINES:
        bench.engines[engine].pause = 1.0
        program = encode(
            [
                *[CommandInstruction(engine, EngineOp.NOP)] * 3,
                ScalarInstruction(ScalarOp.FENCE),
                ScalarInstruction(ScalarOp.ADD, rd=1, immediate=9),
                ScalarInstruction(ScalarOp.PUSH, rs=1),
                END,
            ]
        )
        await bench.launch(program)
        await ClockCycles(dut.clk, 100)
        assert await bench.tokens() == []
        bench.engines[engine].pause = 0.9
        await bench.engines[engine].receive(2)
        assert await bench.tokens() == []
        await bench.engines[engine].receive(1)
        await ClockCycles(dut.clk, 50)
        assert await bench.tokens() == [9]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def clear_waits_for_all_engines(dut):
    """And resets them, the registers and the semaphores, before it clears the scratchpad."""
    bench = await Bench.start(dut)
    for engine in ENGINES:
        bench.engines[engine].pause = 1.0
        program = encode(
            [
                ScalarInstruction(ScalarOp.ADD, rd=15, immediate=9),
                ScalarInstruction(ScalarOp.STORE, rd=15, immediate=SCRATCHPAD_BYTES - 4),
                ScalarInstruction(ScalarOp.SIGNAL, rd=7),
                CommandInstruction(engine, EngineOp.NOP, signal=7),
                ScalarInstruction(ScalarOp.CLEAR, rd=15, rs=15, immediate=1),
                ScalarInstruction(ScalarOp.PUSH, rs=15),
                ScalarInstruction(ScalarOp.LOAD, rd=15, immediate=SCRATCHPAD_BYTES - 4),
                ScalarInstruction(ScalarOp.PUSH, rs=15),
                CommandInstruction(engine, EngineOp.NOP, wait=7),
                END,
            ]
        )
        await bench.write("WATCHDOG", 500)
        await bench.write("IRQ_ENABLE", 0b011)
        await bench.launch(program)
        await ClockCycles(dut.clk, 100)
        assert dut.reset.value == 0
        bench.engines[engine].pause = 0.0
        await bench.engines[engine].receive(1)
        await RisingEdge(dut.reset)
        await ClockCycles(dut.clk, 150)
        assert await bench.tokens() == [0, 0]
        # The last command waits in vain.
        assert (await bench.finish())[0] == ErrorCode.TIMEOUT
        assert not bench.engines[engine].waiting()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def flush_drops_weight_commands_and_nothing_else(dut):
    bench = await Bench.start(dut)
    weights, vector = bench.engines[Engine.WEIGHTS], bench.engines[Engine.VECTOR]
    operand = Operand(0, 0)

    def load(memory):
        fields = {"memory": Operand(0, memory), "length": operand}
        return CommandInstruction(Engine.WEIGHTS, EngineOp.RUN, 0, 0, 0, fields)

    # The queue holds 64 words, the reader one command of 4, and what comes after that is on its way into the queue, where
    # it holds up whatever comes behind it.
    for loads, nops in ((1, 0), (3, 1), (16, 0), (17, 0), (17, 1)):
        weights.pause = 1.0
        vector.pause = 0.9
        program = encode(
            [
                CommandInstruction(Engine.VECTOR, EngineOp.NOP),
                *[load(number) for number in range(loads)],
                *[CommandInstruction(Engine.WEIGHTS, EngineOp.NOP)] * nops,
                ScalarInstruction(ScalarOp.FLUSH),
                load(1000),
                CommandInstruction(Engine.VECTOR, EngineOp.NOP),
                END,
            ]
        )
        dut.flush_done.value = 0
        await bench.launch(program)
        await RisingEdge(dut.flush)
        await ClockCycles(dut.clk, 20)
        assert dut.flush.value == 1
        dut.flush_done.value = 1
        weights.pause = 0.0
        (only,) = await weights.receive(1)
        assert only.command.memory == 1000
        await vector.receive(2)
        await ClockCycles(dut.clk, 50)
        assert weights.waiting() == vector.waiting() == 0
        assert (await bench.status())["done"]
