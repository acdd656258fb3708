# SPDX-License-Identifier: Apache-2.0
"""The vector engine in Verilog against the numpy model, in every bit."""

from dataclasses import replace

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from tepin.isa import DataType, ErrorCode, Function, Reduction
from tepin_reference.vector import OperandError, execute
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import check_streams
from verification.testbenches.vector.bench import VectorBench
from verification.testbenches.vector.commands import (
    NOP,
    Command,
    fill,
    random_command,
    scalar,
    strided,
    vector,
)
from verification.testbenches.vector.driver import Driver
from verification.testbenches.vector.kernels import KERNELS

SIZE = 4096
FLAVOURS = ("plain", "unit", "bits", "special", "mixed")


@pytest.mark.parametrize(
    "lanes, line_bytes, clock_gates",
    [(1, 4, False), (4, 16, True), pytest.param(2, 16, False, marks=pytest.mark.slow)],
)
def test_vector_engine(lanes, line_bytes, clock_gates):
    config = {"lanes": lanes, "line_bytes": line_bytes, "size": SIZE}
    bench = VectorBench(**config)
    run_cocotb(bench, top="vector", test_module=__name__, parameters=config, clock_gates=clock_gates)


async def run_random(driver, rng, batches, *, commands=6, **choices):
    for batch in range(batches):
        flavour = FLAVOURS[batch % len(FLAVOURS)]
        await driver.load(fill(rng, SIZE, flavour))
        drawn = [random_command(rng, SIZE, **choices) for _ in range(commands)]
        await driver.execute(drawn)
        await driver.compare(drawn)


@cocotb.test()
async def test_functions_and_reductions(dut):
    """Every function with every reduction, a row that spans several sets of partial sums, and short ones."""
    rng = options.generator("functions")
    driver = await Driver.create(dut, parameters())
    for function in Function:
        await driver.load(fill(rng, SIZE, "mixed"))
        commands = [
            random_command(rng, SIZE, function=function, reduction=reduction, longest=longest)
            for reduction in Reduction
            for longest in (10, 200)
        ]
        await driver.execute(commands)
        await driver.compare(commands)


@cocotb.test()
async def test_types(dut):
    """Every type of a with every type of d, contiguous and at every alignment, and strided."""
    rng = options.generator("types")
    driver = await Driver.create(dut, parameters())
    sizes = {DataType.FLOAT32: 4, DataType.INT32: 4, DataType.INT16: 2, DataType.INT8: 1}
    for a_type, a_size in sizes.items():
        await driver.load(fill(rng, SIZE, "mixed"))
        for d_type, d_size in sizes.items():
            shape = {"n": int(rng.integers(5, 40)), "rows": 2}
            commands = []
            for offset in range(4):
                a = replace(vector(offset // a_size * a_size), type=a_type)
                d = replace(vector(2048 + 512 * offset + offset // d_size * d_size), type=d_type)
                commands.append(Command(Function.COPY, a=a, d=d, **shape))
                a = replace(strided(a.base, 3 * a_size, 5 * a_size), type=a_type)
                d = replace(strided(d.base + 380, -d_size, 25 * d_size), type=d_type)
                commands.append(Command(Function.MUL, a=a, b=scalar(1020), d=d, n=9, rows=2))
            await driver.execute(commands)
            await driver.compare(commands)


@cocotb.test()
async def test_random_commands(dut):
    """Random commands on random numbers; every port ready all the time."""
    driver = await Driver.create(dut, parameters())
    await run_random(driver, options.generator("random"), 20)


@cocotb.test()
async def test_random_commands_with_backpressure(dut):
    """As before, with ports that refuse from a quarter to most of the cycles."""
    driver = await Driver.create(dut, parameters())
    for stall in (64, 128, 220):
        dut.stall.value = stall
        await run_random(driver, options.generator("stalls", stall), 6)


@cocotb.test()
async def test_integer_sums_in_range(dut):
    """Fixed-point sums of numbers that belong there, so that the results are not NaN."""
    rng = options.generator("fixed")
    driver = await Driver.create(dut, parameters())
    await driver.load(fill(rng, SIZE, "unit"))
    commands = [
        Command(a=vector(0), n=n, rows=rows, reduction=Reduction.FIXED_SUM, result=4000)
        for n, rows in ((1, 20), (3, 16), (64, 8), (500, 1), (997, 1))
    ]
    # One element again and again: sums that need bits beyond those of a thousand elements.
    commands += [
        Command(a=strided(4 * place, 0), n=3000, reduction=Reduction.FIXED_SUM, result=4000)
        for place in range(3)
    ]
    for command in commands:
        await driver.execute([command])
        await driver.compare(command)
        assert not np.isnan(driver.expected[4000:4004].view("<f4")[0])

    # A large sum with bits down to the last one, 2**-40, on which its rounding depends.
    values = np.where(rng.random(SIZE // 4) < 0.9, rng.uniform(1.2, 2, SIZE // 4), 2.0**-17).astype("<f4")
    values.view("<u4")[:] |= 1
    await driver.load(values.view(np.uint8))
    commands = [
        Command(a=vector(0), n=n, reduction=Reduction.FIXED_SUM, result=4088) for n in range(990, 1020)
    ]
    await driver.execute(commands)
    await driver.compare(commands)


@cocotb.test()
async def test_sums_of_falling_lengths(dut):
    """Nothing is left in the partial sums from the rows before."""
    rng = options.generator("falling")
    driver = await Driver.create(dut, parameters())
    await driver.load(fill(rng, SIZE, "plain"))
    lengths = (200, *range(64, 0, -3))
    commands = [
        Command(a=vector(4 * int(rng.integers(64))), n=n, reduction=Reduction.SUM, result=3840 + 4 * place)
        for place, n in enumerate(lengths)
    ]
    await driver.execute(commands)
    await driver.compare(commands)
    assert np.isfinite(driver.expected[3840 : 3840 + 4 * len(lengths)].view("<f4")).all()


@cocotb.test()
async def test_long_rows_and_single_elements(dut):
    """More elements than anything in the engine holds; and one, which makes commands follow each other closely."""
    rng = options.generator("long")
    driver = await Driver.create(dut, parameters())
    await driver.load(fill(rng, SIZE, "plain"))
    long = Command(Function.MADD, a=vector(0), b=scalar(8), c=vector(0), d=vector(0), n=1000)
    commands = [replace(long, reduction=reduction, result=4064) for reduction in Reduction]
    commands.append(
        Command(Function.ADD, a=vector(0), b=scalar(8), n=1, rows=500, reduction=Reduction.MAX, result=2048)
    )
    for _ in range(20):  # Each of these needs the result of the one before it.
        commands.append(Command(Function.MADD, a=scalar(64), b=scalar(68), c=scalar(64), d=scalar(64)))
        commands.append(
            Command(
                Function.ADD, a=scalar(64), b=scalar(72), d=scalar(68), reduction=Reduction.SUM, result=72
            )
        )
    await driver.execute(commands)
    await driver.compare(commands)


@cocotb.test()
async def test_every_pair_of_commands(dut):
    """What a command leaves behind in readers and lanes does not reach the next one, which reads what it wrote."""
    rng = options.generator("pairs")
    driver = await Driver.create(dut, parameters())
    d, other = vector(1024), vector(2048)
    some, int16 = {"n": 7, "rows": 2}, DataType.INT16
    firsts = [
        Command(d=d, **some),
        Command(Function.MUL, a=vector(0), b=-vector(0), d=d, **some),
        Command(Function.MADD, a=vector(0), b=scalar(8), c=vector(512), d=d, **some),
        Command(Function.MADD, a=vector(0), b=strided(0, 0, 4), d=d, **some),
        Command(Function.EXPM, a=strided(0, 8, 8), b=scalar(8), d=d, **some),
        Command(Function.RANDOM, a=scalar(0), b=scalar(4), c=scalar(8), d=d, n=3),
        Command(a=vector(16), d=d.as_type(int16), n=30),
        Command(Function.ADD, a=vector(0), b=vector(64), **some, reduction=Reduction.SUM, result=1024),
        Command(a=vector(0), d=d, **some, reduction=Reduction.ARGMAX, result=1080),
    ]
    seconds = [
        Command(d=other, **some),
        Command(a=d, d=other, **some),
        Command(Function.ADD, a=d, b=d, d=other, **some),
        Command(Function.MADD, a=d, b=scalar(1024), c=vector(1028), d=other, **some),
        Command(Function.MADD, a=vector(0), d=other, **some),
        Command(Function.RANDOM, a=scalar(1024), b=scalar(1028), c=scalar(1080), d=other, n=2),
        Command(a=d.as_type(int16), d=other, n=20, reduction=Reduction.FIXED_SUM, result=3000),
        Command(Function.MAX, a=strided(1044, -4), b=scalar(1024), d=other, n=6),
    ]
    for first in firsts:
        await driver.load(fill(rng, SIZE, "mixed"))
        commands = [command for second in seconds for command in (first, second)]
        await driver.execute(commands)
        await driver.compare(commands)


@cocotb.test()
async def test_very_long_row(dut):
    """More elements than 16 bits count, without reading and writing a scratchpad of that size."""
    driver = await Driver.create(dut, parameters())
    await driver.load(fill(options.generator("very long"), SIZE, "unit"))
    command = Command(
        Function.MUL, a=scalar(0), b=scalar(4), n=65_536 + 300, reduction=Reduction.SUM, result=8
    )
    await driver.execute([command])
    await driver.compare(command)


@cocotb.test()
async def test_nothing_to_do(dut):
    """No elements, no rows, no output, or no operation: the command signals and writes nothing."""
    driver = await Driver.create(dut, parameters())
    await driver.load(fill(options.generator("nothing"), SIZE, "bits"))
    work = Command(Function.ADD, a=vector(0), b=vector(64), d=vector(128), n=5, rows=2)
    words = [
        *replace(work, n=0).words(),
        *replace(work, rows=0, reduction=Reduction.SUM).words(),
        *Command(Function.ADD, a=vector(0), n=7).words(),
        *NOP,
    ]
    await driver.finish(words, 4)
    await driver.compare("nothing")
    await driver.execute([work])
    await driver.compare(work)


@cocotb.test()
async def test_semaphores(dut):
    """A command waits for its semaphore, and signals its own when its results are in the scratchpad."""
    driver = await Driver.create(dut, parameters())
    await driver.load(fill(options.generator("semaphores"), SIZE, "plain"))
    dut.control__wait__ready.value = 0
    command = Command(a=vector(0), d=vector(1024), n=17)
    driver.source.send(command.words(wait=5, signal=9))
    await ClockCycles(dut.clk, 60)
    assert dut.control__wait__valid.value == 1 and dut.control__wait__payload.value == 5
    assert dut.signals.value == 0 and dut.control__busy.value == 1
    await driver.compare("a command that waits")
    dut.control__wait__ready.value = 1
    while not dut.control__signal_valid.value:
        await RisingEdge(dut.clk)
    assert dut.control__signal.value == 9
    execute(command.flags, command.fields, driver.expected)
    await driver.compare(command)


@cocotb.test()
async def test_errors(dut):
    """Misaligned operands, addresses that the scratchpad refuses, and words that are no command."""
    good = Command(Function.MADD, a=vector(0), b=vector(64), c=vector(128), d=vector(256), n=9)
    good = replace(good, reduction=Reduction.MAX, result=1024)
    int16, int8 = ({"type": kind} for kind in (DataType.INT16, DataType.INT8))
    cases = [
        replace(good, a=vector(2)),
        replace(good, a=replace(vector(3), **int16)),
        replace(good, a=strided(4, 6)),
        replace(good, b=strided(64, 4, 2), rows=2),
        replace(good, c=scalar(130)),
        replace(good, d=vector(257)),
        replace(good, d=replace(strided(256, 1), **int16)),
        replace(good, result=1026),
        replace(good, a=vector(SIZE)),
        replace(good, a=replace(vector(SIZE - 8), **int8)),
        replace(good, b=scalar(0xFFFF_FFFC)),
        replace(good, c=strided(SIZE - 8, 4)),
        replace(good, c=strided(8, -4)),
        replace(good, d=vector(SIZE + 64)),
        replace(good, result=SIZE),
    ]
    driver = await Driver.create(dut, parameters())
    for case in cases:
        await driver.reset()
        try:
            execute(case.flags, case.fields, np.zeros(SIZE, np.uint8))
        except OperandError as error:
            expected = error.address
        else:
            raise AssertionError(f"the model executes {case}")
        driver.source.send(case.words(pc=1234))
        await expect_error(dut, driver, ErrorCode.SCRATCHPAD, 1234, expected, case)

    flags = good.flags.as_bits()
    for wrong in (flags & ~31 | 31, flags & ~31 | 11, flags | 7 << 5):
        await driver.reset()
        words = good.words(pc=77)
        words[1] = wrong
        driver.source.send(words)
        await expect_error(dut, driver, ErrorCode.PARAMETER, 77, wrong, hex(wrong))
    await driver.reset()
    words = good.words(pc=78)
    words[1] = replace(good, rows=3).flags.as_bits()
    driver.source.send(words)
    await expect_error(dut, driver, ErrorCode.ILLEGAL_INSTRUCTION, 78, None, "wrong length")


async def expect_error(dut, driver, code, pc, info, what):
    for _ in range(200):
        await RisingEdge(dut.clk)
        if dut.control__error_valid.value:
            break
    else:
        raise AssertionError(f"no error from {what}")
    error = driver.error()
    assert error.code == code and error.pc == pc, what
    assert info is None or error.info == info, what
    assert dut.signals.value == 0, what


@cocotb.test()
async def test_stream_contracts(dut):
    """No port of the scratchpad withdraws or changes a request before it is taken."""
    driver = await Driver.create(dut, parameters())
    checkers = check_streams(dut)
    dut.stall.value = 128
    rng = options.generator("contracts")
    await run_random(driver, rng, 5, commands=4, longest=40)
    assert all(checkers[f"watch_{name}"].transfers for name in ("a", "b", "c", "d", "result"))


@cocotb.test()
async def test_kernels(dut):
    """Whole layers: in every bit as the model, and as close to float64 as float32 allows."""
    driver = await Driver.create(dut, parameters())
    for name, kernel in KERNELS.items():
        for stall in (0, 100):
            dut.stall.value = stall
            program = kernel(options.generator(name))
            await driver.load(program.scratchpad(SIZE))
            cycles = await driver.execute(program.commands)
            await driver.compare(name)
            program.check(driver.expected)
            dut._log.info(f"{name}: {cycles} cycles, stall {stall}")


@cocotb.test()
async def test_cycles(dut):
    """Rates and the time between dependent commands: what docs/vector.md promises."""
    lanes = parameters()["lanes"]
    driver = await Driver.create(dut, parameters())
    await driver.load(fill(options.generator("cycles"), SIZE, "unit"))

    async def interval(command, count=6):
        """Cycles from one signal to the next, of commands that follow each other as fast as they can."""
        driver.source.send([word for _ in range(count) for word in command.words()])
        times = []
        for cycle in range(20_000):
            await RisingEdge(dut.clk)
            if dut.control__signal_valid.value:
                times.append(cycle)
            if len(times) == count:
                return times[-1] - times[-2]
        raise AssertionError("not finished")

    v = vector
    rows = {"n": 64, "rows": 8}
    plain = {"a": v(0), "b": v(512), "d": v(1024)}
    cases = {
        "MUL n=1": (Command(Function.MUL, **plain), 1, 16),
        "COPY n=1": (Command(Function.COPY, a=v(0), d=v(1024)), 1, 12),
        "MUL n=96": (Command(Function.MUL, **plain, n=96), 96, 16),
        "MADD n=96": (Command(Function.MADD, **plain, c=v(2048), n=96), 96, 23),
        "MAX of 8 x 64": (Command(a=v(0), **rows, reduction=Reduction.MAX, result=4032), 512, 16),
        "EXPM, FIXED_SUM of 8 x 64": (
            Command(
                Function.EXPM,
                a=v(0),
                b=strided(2048, 0, 4),
                d=v(2048),
                **rows,
                reduction=Reduction.FIXED_SUM,
                result=4064,
            ),
            512,
            47,
        ),
        "MUL, SUM n=96": (
            Command(Function.MUL, **plain, n=96, reduction=Reduction.SUM, result=4032),
            96,
            118,
        ),
        "ADD strided n=96": (
            Command(Function.ADD, a=strided(0, 8), b=v(1024), d=v(2048), n=96),
            96 * lanes,
            18,
        ),
        "RANDOM n=96": (
            Command(Function.RANDOM, a=scalar(0), b=scalar(4), c=scalar(8), d=v(1024), n=96),
            22 * 96,
            17,
        ),
        "int16 to int8 n=96": (
            Command(a=v(2).as_type(DataType.INT16), d=v(1025).as_type(DataType.INT8), n=96),
            96,
            25,
        ),
    }
    for name, (command, elements, overhead) in cases.items():
        cycles = await interval(command)
        dut._log.info(f"{name}: {cycles} cycles")
        assert cycles <= -(-elements // lanes) + overhead, name
