# SPDX-License-Identifier: Apache-2.0
"""RunGenerator against nested loops in Python."""

import pytest

from tepin.dma.descriptor import RunGenerator
from tepin.isa import Engine, ErrorCode
from verification.unit.dma.streams import transform

MASK = (1 << 32) - 1


def command(**fields):
    flags = {name: fields.pop(name) for name in ("dimensions", "indexed") if name in fields}
    return {"pc": 77, "signal": 5, "flags": flags, **fields}


def loops(fields, dimensions, index=None):
    """(memory, local) of the runs, by the book."""
    for outer in range(fields["count2"] if dimensions == 2 else 1):
        for inner in range(fields["count"] if dimensions else 1):
            step = inner if index is None else index[inner]
            yield (
                fields["memory"] + outer * fields["memory_stride2"] + step * fields["memory_stride"] & MASK,
                fields["local"] + outer * fields["local_stride2"] + inner * fields["local_stride"] & MASK,
            )


def index_reader(dut, index, base, latency):
    """Answers index requests, some cycles later; addresses beyond the list are faults."""

    async def run(ctx):
        pipeline = [None] * latency
        while True:
            ctx.set(dut.index.request.ready, 1)
            answer = pipeline.pop(0)
            ctx.set(dut.index.offset_valid, answer is not None)
            if answer is not None:
                ctx.set(dut.index.offset, answer[0])
                ctx.set(dut.index.fault, answer[1])
            _, _, valid, request = await ctx.tick().sample(dut.index.request.valid, dut.index.request.payload)
            if valid:
                number = (request.address - base) // 4
                inside = number < len(index)
                pipeline.append(
                    (index[number] * request.stride & MASK, 0) if inside else (request.address, 1)
                )
            else:
                pipeline.append(None)

    return run


@pytest.mark.parametrize("paused", [False, True])
def test_loops(paused, rng):
    """Commands of 0 to 2 counted loops, one after the other; runs come one per cycle."""
    dut = RunGenerator(engine=Engine.LOADS)
    commands, expected = [], []
    for number in range(12):
        dimensions = number % 3
        word = lambda: int(rng.integers(1 << 32))  # noqa: E731
        fields = {name: word() for name in ("memory", "local", "memory_stride", "local_stride")}
        fields |= {"memory_stride2": word(), "local_stride2": word(), "length": 1 + word() // 2}
        fields |= {"count": int(rng.integers(1, 9)), "count2": int(rng.integers(1, 5))}
        commands.append(command(dimensions=dimensions, **fields))
        runs = list(loops(fields, dimensions))
        for position, (memory, local) in enumerate(runs):
            expected.append((memory, local, fields["length"], position == len(runs) - 1))
    outputs, times = transform(dut, commands, len(expected), rng=rng if paused else None)
    assert [(run.memory, run.local, run.length, run.last) for run in outputs] == expected
    assert all(run.pc == 77 and run.signal == 5 and not run.empty for run in outputs)
    if not paused:
        gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
        assert all(gap == 1 for gap, run in zip(gaps, expected, strict=False) if not run[3])


def test_index(rng):
    """The inner loop follows the list, once for each repetition, at nearly one run per cycle."""
    index = [int(value) for value in rng.integers(1 << 32, size=50)]
    fields = {"memory": 1000, "memory_stride": 12345, "memory_stride2": 999, "count": 50, "count2": 2}
    fields |= {"local": 3, "local_stride": 7, "local_stride2": 400, "length": 9, "index": 0x100}
    dut = RunGenerator(engine=Engine.LOADS)
    expected = list(loops(fields, 2, index))
    outputs, times = transform(
        dut,
        [command(dimensions=2, indexed=1, **fields)],
        len(expected),
        also=[index_reader(dut, index, 0x100, latency=6)],
    )
    assert [(run.memory, run.local) for run in outputs] == expected
    assert times[-1] - times[0] <= 1.6 * len(expected)


def test_nothing_to_do():
    """Empty commands are one empty run, whatever the other fields say."""
    dut = RunGenerator(engine=Engine.STORES)
    commands = [
        command(length=0, dimensions=0),
        command(length=4, dimensions=1, count=0),
        command(length=4, dimensions=2, count=3, count2=0),
    ]
    outputs, _ = transform(dut, commands, 3)
    assert all(run.empty and run.last and ErrorCode(run.code) == ErrorCode.NONE for run in outputs)


@pytest.mark.parametrize(
    "fields, code, info",
    [
        ({"dimensions": 3, "length": 4}, ErrorCode.PARAMETER, 3),
        ({"dimensions": 0, "indexed": 1, "length": 4}, ErrorCode.PARAMETER, 4),
        ({"dimensions": 1, "indexed": 1, "count": 1, "length": 4, "index": 6}, ErrorCode.SCRATCHPAD, 6),
        ({"dimensions": 1, "indexed": 1, "count": 1, "length": 4, "index": 96}, ErrorCode.SCRATCHPAD, 96),
    ],
)
def test_errors(fields, code, info):
    dut = RunGenerator(engine=Engine.STORES)
    outputs, _ = transform(dut, [command(**fields)], 1, also=[index_reader(dut, [], 0, latency=6)])
    assert (ErrorCode(outputs[0].code), outputs[0].memory) == (code, info)


def test_weights_are_aligned():
    """Address and length of weight runs must be multiples of the FIFO word; the address is told first."""
    dut = RunGenerator(engine=Engine.WEIGHTS, run_alignment=16)
    commands = [
        command(memory=32, length=48),
        command(memory=36, length=48),
        command(memory=32, length=40),
        command(memory=32, length=16, dimensions=1, count=2, memory_stride=24),
    ]
    outputs, _ = transform(dut, commands, 5)
    assert [(ErrorCode(run.code).name, run.memory) for run in outputs] == [
        ("NONE", 32),
        ("ALIGNMENT", 36),
        ("ALIGNMENT", 40),
        ("NONE", 32),
        ("ALIGNMENT", 56),
    ]


def test_init_wrong_engine():
    with pytest.raises(ValueError, match="^Engine of a RunGenerator must be WEIGHTS, LOADS or STORES, not"):
        RunGenerator(engine=Engine.MATMUL)
