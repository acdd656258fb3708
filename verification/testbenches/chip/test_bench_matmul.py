# SPDX-License-Identifier: Apache-2.0
"""The benchmark of matrix products, on a small array: right sums, all bytes counted, no more cycles than for a reason."""

import numpy as np
import pytest

from tepin_host.bench import CheckFailed
from tepin_host.bench.matmul import SMALL, cold, decode, memory, ragged
from tepin_host.bench.matmul_jobs import Resident, random_job
from tepin_host.bench.matmul_streams import Streamed, blocks
from tepin_host.simulation import build_simulator


@pytest.fixture(scope="module")
def library():
    return build_simulator(SMALL, trace=True)


def measured(rows):
    """(cycles, limit) of each case, and that utilisation says the same."""
    rows = list(rows)
    for cycles, share in zip(rows[::2], rows[1::2], strict=True):
        assert (cycles.metric, share.metric, cycles.case) == ("cycles", "utilisation", share.case)
        assert cycles.limit <= cycles.value and share.value <= share.limit <= 100
        assert share.value * cycles.value == pytest.approx(share.limit * cycles.limit)
    return [(row.value, row.limit) for row in rows[::2]]


def quietly(_message):
    pass


def test_cold_jobs_differ_by_their_products_alone(library):
    extra = {
        size: value - limit
        for size in (16, 64)
        for value, limit in measured(cold(quietly, SMALL, size, library))
    }
    assert extra[64] <= extra[16] + 2 and extra[16] <= 40


def test_queued_jobs(library):
    """Beyond the bound: the first block is loaded, the last one stored, and what engines and memory take in between."""
    ((cycles, limit),) = measured(memory(quietly, SMALL, (64, 64, 64), 4, library))
    load, store = 16 * 64 / SMALL.port_bytes, 4 * 8 * 64 / SMALL.port_bytes
    assert cycles - limit <= load + store + 2 * 100 + 200


def test_ragged_jobs(library):
    ((cycles, limit),) = measured(ragged(quietly, SMALL, (1, 7, 33), library))
    assert cycles <= 2.5 * limit


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_rows_are_free(library, weights):
    """As many rows as the array has passes to spare take the time of one."""
    counts = (1, SMALL.rows // 2)
    one, many = (
        cycles for cycles, _ in measured(decode(quietly, SMALL, 128, 64, counts, weights, "int16", library))
    )
    assert many <= 1.02 * one + SMALL.rows * SMALL.columns


def test_wrong_sums_are_found(library):
    rng = np.random.default_rng(1)
    job = random_job(rng, SMALL, 8, 8, 8)
    job.sums[3, 4] += 1
    with pytest.raises(CheckFailed, match="job 0 of 1: 1 of 64 sums are wrong"):
        Resident(SMALL, [job]).run(library, latency=10)


def test_what_does_not_fit_is_said():
    rng = np.random.default_rng(1)
    job = random_job(rng, SMALL, 64, 64, 64)
    with pytest.raises(ValueError, match="60 blocks of 4096 bytes and pieces of 2048 do not fit"):
        Streamed(SMALL, [job], [[(0, 64)]], piece_bytes=1 << 14, block_slots=60)


def test_blocks_begin_and_end_small():
    rng = np.random.default_rng(1)
    job = random_job(rng, SMALL, 100, 64, 64)
    assert blocks(job, SMALL, first=False, last=False) == [(0, 100)]
    assert blocks(job, SMALL, first=True, last=False) == [(0, 24), (24, 76)]
    assert [rows for _, rows in blocks(job, SMALL, first=False, last=True)] == [56, 24, 20]
    assert blocks(job, SMALL, first=False, last=False, rows=64) == [(0, 64), (64, 36)]


def test_blocks_are_alike_if_results_are_stored_all_the_time():
    """Of 16 products each: 8 x 8 makes four results in a cycle, of which the port stores two."""
    job = random_job(np.random.default_rng(1), SMALL, 80, 16, 16)
    # The weights of fewer rows take the port longer than these rows take the array.
    for ends in (
        {"first": False, "last": False},
        {"first": True, "last": False},
        {"first": False, "last": True},
    ):
        assert [rows for _, rows in blocks(job, SMALL, **ends)] == [16] * 5
