# SPDX-License-Identifier: Apache-2.0
"""Matrix products: how much of the time the multipliers multiply, and what bounds the rest.

Every run has operands of any value that their type has, others for each job, and each of its sums is compared with numpy.
Results are the plain int32 sums. The limit of a row is the largest of what the array, the port's read and its write
channel take for it, each on its own; for one cold job also the latencies that nothing can hide. The case says which one it
is.
"""

from dataclasses import replace
from itertools import chain

import numpy as np

from tepin.config import PRESETS
from tepin.memory.ports import ReadPort
from tepin_host.bench.matmul_jobs import Resident, random_job
from tepin_host.bench.matmul_streams import Streamed, blocks
from tepin_host.bench.row import CheckFailed, Row
from tepin_host.simulation import build_simulator

__all__ = ["SMALL", "cold", "decode", "matmul", "memory", "prefill", "ragged"]

_LATENCY = 100
_SEED = 5

LARGE = replace(
    PRESETS["asic"], accumulator_rows=256, lanes=1, scratchpad_bytes=1 << 20, scratchpad_banks=4, drain_width=32,
)  # fmt: skip
SQUARE = replace(
    LARGE, rows=16, columns=16, port_width=128, scratchpad_bytes=1 << 22, drain_width=16,
)  # fmt: skip
SMALL = replace(
    PRESETS["tiny"], rows=8, columns=8, accumulator_rows=128, lanes=1, port_width=64, scratchpad_bytes=1 << 18,
    scratchpad_banks=8, drain_width=8, program_words=8192,
    weight_fifo_bytes=16384,
)  # fmt: skip
"""8 x 8, quickly compiled; its int16 activations take two passes."""

SMALL_16 = replace(SMALL, activation_width=16)
WIDE_DECODE = replace(PRESETS["sim"], columns=32, lanes=1)
"""Takes in four times as many weights per cycle as a 64-bit port brings in int8, twice as many in int4."""

STORIES_15M_LAYER = {
    **dict.fromkeys(("wk", "wv", "wq", "wo"), (288, 288)),
    **dict.fromkeys(("w1", "w3"), (288, 768)),
    "w2": (768, 288),
}
LLAMA_1B_SHAPES = {"wk": (2048, 512), "wq": (2048, 2048), "w1": (2048, 8192), "w2": (8192, 2048)}
"""k and n of the matrices of a layer; of Llama-3.2-1B one of each shape."""

_TOKENS = 128


def matmul(say):
    """The table of docs/matmul.md."""
    build = _builder(say)
    for config, sizes in ((SMALL, (64, 128)), (LARGE, (64, 128, 256))):
        shapes = [(size, size, size) for size in sizes]
        yield from chain(*(cold(say, config, size, build(config)) for size in sizes))
        yield from chain(*(memory(say, config, shape, 16, build(config)) for shape in shapes))
        yield from chain(*(memory(say, config, shape, 1, build(config)) for shape in shapes))
        counts = [1 << bit for bit in range(config.rows.bit_length())]
        k, n = 64 * config.rows, 16 * config.columns
        yield from decode(say, config, k, n, counts, "int8", "int8", build(config))
        yield from decode(say, config, k, n, counts[:-1], "int8", "int16", build(config))
    yield from ragged(say, SMALL, (1, 7, 33, 100), build(SMALL))
    yield from decode(say, SMALL_16, 512, 512, (1, 2, 4, 8), "int8", "int16", build(SMALL_16))
    for weights in ("int8", "int4"):
        yield from decode(say, WIDE_DECODE, 1024, 1024, (1,), weights, "int16", build(WIDE_DECODE))
    yield from memory(say, SQUARE, (1024, 1024, 1024), 1, build(SQUARE), rows=128)
    yield from prefill(say, SQUARE, "stories15M", STORIES_15M_LAYER, build(SQUARE))
    yield from prefill(say, SQUARE, "Llama-3.2-1B", LLAMA_1B_SHAPES, build(SQUARE))


def _builder(say):
    libraries = {}

    def build(config):
        if config not in libraries:
            libraries[config] = build_simulator(config, trace=True, progress=say)
        return libraries[config]

    return build


def _describe(config):
    return f"array={config.rows}x{config.columns} port={config.port_width} latency={_LATENCY}"


def _rows(case, config, products, cycles, bounds, *, wait=0):
    """Cycles and utilisation beside the larger of `bounds`, and `wait` cycles in which nothing can be done."""
    bound = max(bounds, key=bounds.get)
    limit = bounds[bound] + wait
    share = 100 * products / (config.rows * config.columns)
    case = f"{case}, bound by {bound}"
    yield Row("matmul", case, "cycles", cycles, "cycles", limit)
    yield Row("matmul", case, "utilisation", share / cycles, "%", share / limit)


def _array(config, jobs):
    """The bound of the array, by its name.

    A weight tile takes as many cycles as it has rows, or passes. So tiles that are not full cost padding, and with fewer
    passes than rows the weights' way into the array counts, not their multiplications.
    """
    cycles = sum(job.cycles(config) for job in jobs)
    if cycles == sum(job.sums.size * job.k for job in jobs) / (config.rows * config.columns):
        return {"multipliers": cycles}
    full = all(job.k % config.rows == 0 and job.n % config.columns == 0 for job in jobs)
    return {"weight rows" if full else "multipliers and padding": cycles}


def cold(say, config, size, library):
    """One job, operands in the scratchpad: from the last word of its command to its signal."""
    case = f"{size}x{size}x{size} int8 {_describe(config)} cold-scratchpad"
    say(case)
    job = random_job(np.random.default_rng(_SEED), config, size, size, size)
    run = Resident(config, [job]).run(library, latency=_LATENCY)
    wait = config.rows - 1 + 2 * ReadPort.LATENCY
    yield from _rows(case, config, size**3, run.cycles, _array(config, [job]), wait=wait)


def memory(say, config, shape, count, library, *, rows=None):
    """Independent jobs, all operands and results through the DMA: from the first descriptor to the last write response."""
    m, k, n = shape
    name = "cold-memory" if count == 1 else f"{count} jobs queued"
    case = f"{m}x{k}x{n} int8 {_describe(config)} {name}"
    say(case)
    rng = np.random.default_rng(_SEED)
    jobs = [random_job(rng, config, m, k, n) for _ in range(count)]
    schedule = [
        blocks(job, config, first=number == 0, last=number == count - 1, rows=rows)
        for number, job in enumerate(jobs)
    ]
    run = _stream(config, jobs, schedule).run(library, latency=_LATENCY)
    wait = config.rows - 1 + 2 * _LATENCY if count == 1 else 0
    yield from _rows(case, config, count * m * k * n, run.cycles, _bounds(config, jobs), wait=wait)


def _bounds(config, jobs):
    read = sum(job.activations.nbytes + len(job.stream) for job in jobs)
    written = sum(job.sums.nbytes for job in jobs)
    return _array(config, jobs) | {
        "reading": read / config.port_bytes,
        "writing": written / config.port_bytes,
    }


def _stream(config, jobs, schedule):
    """As many blocks as there is room for, up to eight, and results of several pieces under way."""
    blocks_of = [jobs[number].stride * rows for number, rows_of in enumerate(schedule) for _, rows in rows_of]
    block_slots = min(len(blocks_of), 8, max(2, config.scratchpad_bytes // 4 // max(blocks_of)))
    room = config.scratchpad_bytes - -(-block_slots * max(blocks_of) // config.bank_bytes) * config.bank_bytes
    return Streamed(config, jobs, schedule, piece_bytes=room // 3, block_slots=block_slots)


def ragged(say, config, sizes, library):
    """Every m, k and n of `sizes`, queued, operands in the scratchpad: what is lost beyond padding."""
    text = ", ".join(map(str, sizes))
    case = f"every m, k, n of {text} int8 {_describe(config)} cold-scratchpad, queued"
    say(case)
    rng = np.random.default_rng(_SEED)
    jobs = [random_job(rng, config, m, k, n) for m in sizes for k in sizes for n in sizes]
    # All do not fit the scratchpad: two runs for each m.
    halves = sizes[: len(sizes) // 2], sizes[len(sizes) // 2 :]
    groups = [[job for job in jobs if job.m == m and job.k in half] for m in sizes for half in halves]
    cycles = sum(Resident(config, group).run(library, latency=_LATENCY).cycles for group in groups)
    products = sum(job.sums.size * job.k for job in jobs)
    yield from _rows(case, config, products, cycles, _array(config, jobs))


def decode(say, config, k, n, counts, weights, activations, library):
    """A few rows of activations, in the scratchpad, by a matrix that streams from memory."""
    rng = np.random.default_rng(_SEED)
    for m in counts:
        case = f"{m}x{k}x{n} {weights} weights {activations} activations {_describe(config)} decode"
        say(case)
        job = random_job(rng, config, m, k, n, weights=weights, activations=activations)
        run = Resident(config, [job], streamed=True).run(library, latency=_LATENCY)
        bounds = _array(config, [job]) | {"reading": len(job.stream) / config.port_bytes}
        yield from _rows(case, config, m * k * n, run.cycles, bounds)


def prefill(say, config, name, shapes, library):
    """Matrices of a layer one after the other, weights read once, all operands and results through the DMA."""
    text = ", ".join(f"{matrix} {k}x{n}" for matrix, (k, n) in shapes.items())
    case = f"{_TOKENS} tokens by {text} int8 {name} {_describe(config)} prefill"
    say(case)
    rng = np.random.default_rng(_SEED)
    jobs = [random_job(rng, config, _TOKENS, k, n) for k, n in shapes.values()]
    run = _stream(config, jobs, [[(0, _TOKENS)]] * len(jobs)).run(library, latency=_LATENCY)
    least = sum(job.m * job.stride + len(job.stream) for job in jobs)
    if run.read_bytes != least:
        raise CheckFailed(f"{case}: {run.read_bytes} bytes read, operands are {least}")
    products = sum(job.sums.size * job.k for job in jobs)
    yield from _rows(case, config, products, run.cycles, _bounds(config, jobs))
