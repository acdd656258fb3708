# SPDX-License-Identifier: Apache-2.0
"""ActivationReader: every pass of a job, for arrays of even and odd halves and both activation widths."""

import numpy as np
import pytest

from tepin.isa import ActivationType
from tepin.matmul.activations import ActivationReader
from tepin.memory.ports import ReadPort
from tepin_testbench.pysim import simulate

MEMORY = 1 << 12


def passes(job, memory, rows, columns, activation_width):
    """Passes of a job: activations, first, row, overwrite, high, open, close."""
    int8 = job["activations"] == ActivationType.INT8
    kind = np.dtype("i1" if int8 else "<i2")
    m, k = job["m"], job["k"]
    a = np.zeros((m, -(-k // rows) * rows), int)
    for row in range(m):
        start = job["address"] + row * job["stride"]
        a[row, :k] = np.frombuffer(memory[start : start + k * kind.itemsize], kind)
    low = (a + 128) % 256 - 128
    halves = [(a, 0)] if int8 or activation_width == 16 else [((a - low) >> 8, 1), (low, 0)]
    result = []
    for _ in range(0, job["n"], columns):
        for start in range(0, k, rows):
            for row in range(m):
                for number, (half, high) in enumerate(halves):
                    result.append(
                        (
                            half[row, start : start + rows].tolist(),
                            int(row == 0 and number == 0),
                            row,
                            int(start == 0 and number == 0),
                            high,
                            int(start == 0 and row == 0 and number == 0),
                            int(start + rows >= k and row == m - 1 and number == len(halves) - 1),
                        )
                    )
    return result


@pytest.mark.parametrize("rows, line_bytes", [(2, 4), (6, 16), (4, 16)])
@pytest.mark.parametrize("activation_width", [8, 16])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_passes(rows, line_bytes, activation_width, pause, rng):
    columns, most = 4, 3
    dut = ActivationReader(
        rows=rows,
        columns=columns,
        activation_width=activation_width,
        accumulator_rows=most,
        line_bytes=line_bytes,
    )
    memory = rng.bytes(MEMORY)
    memory = np.where(
        np.arange(MEMORY) % 2 & (np.frombuffer(memory, np.uint8) == 127),
        0x10,
        np.frombuffer(memory, np.uint8),
    )
    memory = memory.astype(np.uint8).tobytes()  # no int16 above 32639
    jobs = [
        {
            "activations": ActivationType(int(rng.integers(2))),
            "has_scales": int(rng.integers(2)),
            "slot": number % 4,
            "m": int(rng.integers(1, most + 1)),
            "k": int(rng.choice([1, 2, rows, rows + 1, 33])),
            "n": int(rng.choice([1, 4, 5, 9])),
            "address": 4 * int(rng.integers(100)),
            "stride": 4 * int(rng.integers(100)),
            "scale_address": 4 * int(rng.integers(MEMORY // 8)),
        }
        for number in range(8)
    ]
    expected = sum((passes(job, memory, rows, columns, activation_width) for job in jobs), [])
    under_way, scales = [], {}

    async def send(ctx):
        for job in jobs:
            ctx.set(dut.i.payload, job)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def serve(ctx):
        port = dut.scratchpad
        under_way.extend([None] * (ReadPort.LATENCY - 1))
        while True:
            ready = rng.random() >= pause
            ctx.set(port.request.ready, ready)
            _, _, valid, address = await ctx.tick().sample(port.request.valid, port.request.payload)
            under_way.append(address if valid and ready else None)
            answer = under_way.pop(0)
            ctx.set(port.response_valid, answer is not None)
            if answer is not None:
                line = memory[answer & ~3 : (answer & ~3) + line_bytes].ljust(line_bytes, b"\xee")
                ctx.set(port.response, int.from_bytes(line, "little"))

    async def watch_scales(ctx):
        async for _, _, valid, write in ctx.tick().sample(dut.o_scales.valid, dut.o_scales.payload):
            if valid:
                scales[write.slot, write.line] = [write.scales[index] for index in range(line_bytes // 4)]

    async def receive(ctx):
        bank = 1
        for number, wanted in enumerate(expected):
            while True:
                ready = rng.random() >= pause
                ctx.set(dut.o.ready, ready)
                _, _, valid, got = await ctx.tick().sample(dut.o.valid, dut.o.payload)
                if valid and ready:
                    break
            tag = got.tag
            activations = [got.activations[row] for row in range(rows)]
            fields = (activations, got.first, tag.row, tag.overwrite, tag.high, tag.open, tag.close)
            assert fields == wanted, f"pass {number}"
            bank ^= tag.open
            assert tag.bank == bank

    simulate(dut, send, receive, background=[serve, watch_scales], cycles=10 * len(expected) + 200)
    for job in jobs[-4:]:
        if job["has_scales"]:
            stored = (
                scales[job["slot"], 0] + scales.get((job["slot"], 1), []) + scales.get((job["slot"], 2), [])
            )
            content = memory[job["scale_address"] : job["scale_address"] + 4 * job["m"]]
            assert stored[: job["m"]] == np.frombuffer(content, "<u4").tolist()


def test_no_pause_between_jobs():
    """A pass in every cycle, from the first one of the first job to the last one of the last."""
    rows, job = 2, {"activations": ActivationType.INT8, "m": 1, "k": 2, "n": 4, "stride": 4}
    dut = ActivationReader(rows=rows, columns=4, activation_width=8, accumulator_rows=3, line_bytes=4)
    jobs = [
        job | {"m": m, "k": k, "n": n} for m, k, n in [(1, 2, 4), (1, 1, 1), (3, 2, 4), (2, 3, 5), (1, 5, 2)]
    ]
    expected = [passes(job | {"address": 0}, bytes(MEMORY), rows, 4, 8) for job in jobs]

    async def send(ctx):
        for number, job in enumerate(jobs):
            ctx.set(dut.i.payload, job | {"slot": number % 4})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)

    async def serve(ctx):
        ctx.set(dut.scratchpad.request.ready, 1)
        answers = [0] * (ReadPort.LATENCY - 1)
        async for _, _, valid in ctx.tick().sample(dut.scratchpad.request.valid):
            answers.append(valid)
            ctx.set(dut.scratchpad.response_valid, answers.pop(0))

    async def receive(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().until(dut.o.valid)
        for _ in range(sum(map(len, expected)) - 1):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            assert valid

    simulate(dut, send, receive, background=[serve], cycles=200)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rows": 3}, "rows must be even and at least 2, not 3"),
        ({"activation_width": 12}, "activation_width must be 8 or 16, not 12"),
        ({"accumulator_rows": 0}, "accumulator_rows must be at least 1, not 0"),
        ({"line_bytes": 8}, r"line_bytes must be a power of two and at least 2 x rows \(16\), not 8"),
        ({"line_bytes": 24}, r"line_bytes must be a power of two and at least 2 x rows \(16\), not 24"),
    ],
)
def test_init_wrong_argument(change, message):
    good = {"rows": 8, "columns": 4, "activation_width": 8, "accumulator_rows": 2, "line_bytes": 16}
    with pytest.raises(ValueError, match=message):
        ActivationReader(**good | change)
