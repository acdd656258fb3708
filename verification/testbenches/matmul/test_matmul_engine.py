# SPDX-License-Identifier: Apache-2.0
"""The matmul engine in Verilog against the functional simulator, in every bit."""

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles

from tepin.isa import ActivationType, ErrorCode, OutputType, WeightSource, WeightType
from tepin.matmul.engine import MatmulEngine
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from verification.testbenches.matmul.bench import Bench
from verification.testbenches.matmul.model import Job, Layout, command_words, nop_words

PARAMETERS = (
    *("rows", "columns", "activation_width", "accumulator_rows", "line_bytes", "fifo_word_bytes"),
    "drain_width",
)
CONFIGS = {
    "2x8": (2, 8, 8, 4, 8, 8, 1),
    "4x4 16-bit": (4, 4, 16, 3, 16, 16, 1),
    "8x16": (8, 16, 8, 8, 32, 16, 1),
    "4x8 drains rows": (4, 8, 8, 6, 64, 8, 8),
    "8x8 reads tiles": (8, 8, 8, 10, 32, 8, 8),
    "4x12 16-bit drains thirds": (4, 12, 16, 4, 32, 16, 4),
}
MEMORY = 1 << 16


@pytest.mark.parametrize("name", CONFIGS)
def test_matmul_engine(name, **form):
    config = dict(zip(PARAMETERS, CONFIGS[name], strict=True))
    run_cocotb(
        MatmulEngine(**config), top="matmul", test_module=__name__, parameters={"config": config}, **form
    )


def random_size(rng, limit=80):
    """Small sizes, with those around the array's shape likely."""
    return int(rng.choice([1, 2, 7, 8, 9, 15, 16, 17, 32, 33, 64, rng.integers(1, limit)]))


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.5], wild=[False, True])
async def random_jobs(dut, pause, wild):
    """Jobs of every kind behind each other: results, maxima, probe, signals, and nothing else written."""
    config = parameters()["config"]
    rng = options.generator("random jobs", pause, wild)
    memory = bytearray(rng.bytes(MEMORY))
    layout = Layout(rng, MEMORY)
    jobs = []
    while len(jobs) < 12:
        m = int(rng.integers(1, config["accumulator_rows"] + 1))
        k, n = random_size(rng), random_size(rng)
        if m * k * n > 24 * 1024 and len(jobs) > 2:
            continue
        wait, signal = int(rng.integers(0, 16)), int(rng.integers(1, 16))
        jobs.append(
            Job.random(rng, memory, layout, config, m=m, k=k, n=n, wait=wait, signal=signal, wild=wild)
        )
    expected = bytearray(memory)
    bench = await Bench.start(dut, memory, config, pause=pause)
    for job in jobs:
        bench.commands.send(job.words)
        bench.feed(job.stream)

    def visible(index):
        # When a job signals, what it wrote is there.
        jobs[index].apply(expected)
        fields = jobs[index].fields
        for row in range(fields["m"]):
            start = fields["output"] + row * fields["output_stride"]
            assert memory[start : start + 4 * fields["n"]] == expected[start : start + 4 * fields["n"]]

    bench.on_signal = visible
    await bench.idle(signals=len(jobs))
    assert memory == expected
    assert [signal for _, signal in bench.signals] == [job.signal for job in jobs]
    shown = [job.probe(config["columns"]) for job in jobs]
    assert [word for word, _ in bench.observed] == sum(shown, [])
    ends = np.cumsum([len(words) for words in shown if words])
    assert [index + 1 for index, (_, last) in enumerate(bench.observed) if last] == ends.tolist()
    assert bench.checkers["weights"].transfers == sum(
        len(job.stream) // config["fifo_word_bytes"] for job in jobs
    )


async def run(dut, memory, config, jobs, **options):
    """Runs jobs and compares the scratchpad."""
    bench = await Bench.start(dut, memory, config, **options)
    expected = bytearray(memory)
    for job in jobs:
        bench.commands.send(job.words)
        bench.feed(job.stream)
        job.apply(expected)
    await bench.idle(signals=len(jobs))
    assert memory == expected
    return bench


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(source=list(WeightSource), weights=list(WeightType), activations=list(ActivationType))
async def sizes(dut, source, weights, activations):
    """Ragged and full sizes in every dimension, for every kind of operand."""
    config = parameters()["config"]
    rng = options.generator("sizes", source, weights, activations)
    memory = bytearray(rng.bytes(MEMORY))
    layout = Layout(rng, MEMORY)
    kinds = {"source": source, "weights": weights, "activations": activations}
    rows, columns, most = config["rows"], config["columns"], config["accumulator_rows"]
    shapes = [
        (1, 1, 1),
        (most, 1, columns),
        (1, 33, 7),
        (2, rows, columns + 1),
        (most, rows + 1, 3 * columns),
        (most - 1, 65, columns - 1),
    ]
    jobs = [Job.random(rng, memory, layout, config, m=m, k=k, n=n, signal=1, **kinds) for m, k, n in shapes]
    await run(dut, memory, config, jobs, pause=0.2)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(activation=[-32768, 32639], weight=[-128, 127])
async def extremes(dut, activation, weight):
    """The largest sums: every activation and every weight at its limit."""
    config = parameters()["config"]
    rng = options.generator("extremes", activation, weight)
    memory = bytearray(MEMORY)
    layout = Layout(rng, MEMORY)
    jobs = [
        Job.random(
            rng, memory, layout, config, m=2, k=300, n=2, signal=1, weights=WeightType.INT8,
            activations=ActivationType.INT16, fill=(activation, weight), output=output,
        )
        for output in OutputType
    ]  # fmt: skip
    await run(dut, memory, config, jobs)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.5], mixed=[False, True])
async def integers_leave_together(dut, pause, mixed):
    """Aligned int32 results, `drain_width` in a write; also between others, and between NOPs."""
    config = parameters()["config"]
    width, columns = config["drain_width"], config["columns"]
    rng = options.generator("integers", pause, mixed)
    memory = bytearray(rng.bytes(MEMORY))
    layout = Layout(rng, MEMORY)
    kinds = (
        [OutputType.INT32, OutputType.FLOAT32, OutputType.INT32, OutputType.INT32]
        if mixed
        else [OutputType.INT32]
    )
    jobs, writes = [], 0
    for turn in range(10):
        m, k, n = int(rng.integers(1, config["accumulator_rows"] + 1)), random_size(rng), random_size(rng)
        jobs.append(
            Job.random(
                rng, memory, layout, config, m=m, k=k, n=n, signal=1, align=4 * width, observe=0,
                output=kinds[turn % len(kinds)],
            )
        )  # fmt: skip
        tiles = [min(columns, n - start) for start in range(0, n, columns)]
        writes += m * sum(-(-tile // width) for tile in tiles)
    bench = await Bench.start(dut, memory, config, pause=pause)
    expected = bytearray(memory)
    for job in jobs:
        bench.commands.send(job.words + nop_words())
        bench.feed(job.stream)
        job.apply(expected)
    await bench.idle(signals=len(jobs))
    assert memory == expected
    if width > 1 and not mixed:
        assert bench.scratchpad.write_count == writes


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def nops_keep_their_place(dut):
    """A command that does nothing signals after the jobs before it."""
    config = parameters()["config"]
    rng = options.generator("nops")
    memory = bytearray(MEMORY)
    layout = Layout(rng, MEMORY)
    bench = await Bench.start(dut, memory, config)
    signals = []
    for turn in range(6):
        job = Job.random(rng, memory, layout, config, m=2, k=17, n=9, signal=turn + 1)
        bench.commands.send(job.words + nop_words(signal=turn + 7, wait=turn))
        bench.feed(job.stream)
        signals += [turn + 1, turn + 7]
    await bench.idle(signals=12)
    assert [signal for _, signal in bench.signals] == signals
    assert await bench.waits.receive(5) == [1, 2, 3, 4, 5]


GOOD = {
    "m": 1,
    "k": 9,
    "n": 5,
    "activations": 0,
    "activation_stride": 64,
    "output": 0x400,
    "output_stride": 64,
}
GOOD |= {"scale": 0x800, "weights": 0xC00, "maximum": 0x1000}


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(
    wrong=[("m", 0), ("m", 1025), ("m", 1 << 31), ("k", 0), ("k", 131_072), ("k", 1 << 17 | 1), ("n", 0)]
)
async def wrong_parameters(dut, wrong):
    """A parameter out of range is an error, even behind a job that is under way; and nothing is written."""
    config = parameters()["config"]
    memory = bytearray(MEMORY)
    bench = await Bench.start(dut, memory, config)
    name, value = wrong
    fields = GOOD | {name: value}
    bench.commands.send(command_words({}, GOOD, pc=5) + command_words({}, fields, pc=6, signal=1))
    error = await bench.error()
    assert (error.code, error.pc, error.info) == (ErrorCode.PARAMETER, 6, value)
    await ClockCycles(dut.clk, 200)
    assert not bench.signals and bench.scratchpad.write_count == 0


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def maxima_of_integers_are_an_error(dut):
    config = parameters()["config"]
    bench = await Bench.start(dut, bytearray(MEMORY), config)
    words = command_words({"maximum": 1, "output": OutputType.INT32}, GOOD, pc=77)
    bench.commands.send(words)
    error = await bench.error()
    assert (error.code, error.pc, error.info) == (ErrorCode.PARAMETER, 77, words[1])


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def wrong_length_is_an_error(dut):
    config = parameters()["config"]
    bench = await Bench.start(dut, bytearray(MEMORY), config)
    words = command_words({}, GOOD, pc=9)
    bench.commands.send([words[0] - (1 << 12), *words[1:]])
    error = await bench.error()
    assert (error.code, error.pc) == (ErrorCode.ILLEGAL_INSTRUCTION, 9)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=["activations", "output", "scale", "weights", "maximum"])
async def addresses_out_of_range(dut, name):
    """An access past the end of the scratchpad is an error that names its address and its command."""
    config = parameters()["config"]
    bench = await Bench.start(dut, bytearray(MEMORY), config)
    flags = {"source": WeightSource.SCRATCHPAD, "maximum": 1}
    bench.commands.send(
        command_words(flags, GOOD, pc=1, signal=1)
        + command_words(flags, GOOD | {name: 1 << 20}, pc=2, signal=2)
    )
    error = await bench.error()
    assert (error.code, error.pc, error.info) == (ErrorCode.SCRATCHPAD, 2, 1 << 20)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(weights=list(WeightType))
async def decode_keeps_the_array_busy(dut, weights):
    """One row of activations: jobs follow each other at the speed of their weight rows, without a pause."""
    config = parameters()["config"]
    rng = options.generator("decode", weights)
    memory = bytearray(MEMORY)
    layout = Layout(rng, MEMORY)
    k, n, count = 96, 6 * config["columns"], 4
    jobs = [
        Job.random(
            rng, memory, layout, config, m=1, k=k, n=n, signal=1, weights=weights, scales=1,
            source=WeightSource.FIFO, activations=ActivationType.INT16,
        )
        for _ in range(count)
    ]  # fmt: skip
    bench = await run(dut, memory, config, jobs)
    times = [cycle for cycle, _ in bench.signals]
    parameter_rows = k // 32 if weights == WeightType.INT4 else 0
    rows = n // config["columns"] * (k + parameter_rows + 4)
    dut._log.info("first job %d cycles, then %s; weight rows %d", times[0], np.diff(times).tolist(), rows)
    # Two cycles between jobs, here and there.
    assert max(np.diff(times)) <= rows + 2
    assert times[-1] - times[0] <= (count - 1) * rows + 4


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def prefill_keeps_the_array_busy(dut):
    """As many activation rows as there are accumulators: jobs take as many cycles as passes, or weight rows if those
    are more."""
    config = parameters()["config"]
    most, rows, columns = config["accumulator_rows"], config["rows"], config["columns"]
    rng = options.generator("prefill")
    memory = bytearray(MEMORY)
    layout = Layout(rng, MEMORY)
    jobs = [
        Job.random(
            rng, memory, layout, config, m=most, k=24 * rows, n=2 * columns, signal=1, weights=WeightType.INT8,
            source=WeightSource.FIFO, activations=ActivationType.INT16, scales=1, maximum=0,
        )
        for _ in range(3)
    ]  # fmt: skip
    bench = await run(dut, memory, config, jobs)
    times = [cycle for cycle, _ in bench.signals]
    passes = 2 * 24 * most * (2 if config["activation_width"] == 8 else 1)
    weight_rows = 2 * (24 * rows + 4)
    dut._log.info("first job %d cycles, then %s; passes %d", times[0], np.diff(times).tolist(), passes)
    assert bench.active == 3 * passes
    # Of rows of weights, none is asked for in the cycle between two jobs.
    assert times[2] - times[0] <= 2 * max(passes, weight_rows + 1)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def largest_of_zeros_is_zero(dut):
    config = parameters()["config"]
    rng = options.generator("zeros")
    memory = bytearray(rng.bytes(MEMORY))
    layout = Layout(rng, MEMORY)
    jobs = [
        Job.random(
            rng, memory, layout, config, m=2, k=5, n=3, signal=1, weights=WeightType.INT8, fill=(activation, 1),
            output=OutputType.FLOAT32, maximum=1,
        )
        for activation in (1, 0)
    ]  # fmt: skip
    await run(dut, memory, config, jobs)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def clearing_ends(dut):
    """As many cycles as there are rows, and a few; `cleared` stays until `clear` falls."""
    config = parameters()["config"]
    memory = bytearray(MEMORY)
    bench = await Bench.start(dut, memory, config)
    for _ in range(2):
        dut.clear.value = 1
        await ClockCycles(dut.clk, config["accumulator_rows"])
        assert not dut.cleared.value
        await ClockCycles(dut.clk, 6)
        assert dut.cleared.value
        await ClockCycles(dut.clk, 10)
        assert dut.cleared.value
        dut.clear.value = 0
        await ClockCycles(dut.clk, 4)
        assert not dut.cleared.value
    assert not bench.signals and bench.scratchpad.write_count == 0
