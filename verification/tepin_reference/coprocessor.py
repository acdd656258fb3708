# SPDX-License-Identifier: Apache-2.0
"""What a coprocessor's job does to its memory, in every bit. See `tepin.coprocessor.job`."""

import numpy as np

from tepin.coprocessor.job import LONGEST, SUM_BYTES

__all__ = ["execute", "pack_block", "pack_row"]


def pack_row(row, rows):
    """Activations int16 [K] as they lie in memory: bytes, filled up with zeros to whole groups of `rows`."""
    padded = np.zeros(-(-len(row) // rows) * rows, "<i2")
    padded[: len(row)] = row
    return padded.tobytes()


def pack_block(w8, rows, columns):
    """Weights int8 [K, N], K at most `LONGEST`, as they lie in memory: bytes, filled up to whole groups and tiles."""
    k, n = w8.shape
    if k > LONGEST:
        raise ValueError(f"A block has at most {LONGEST} rows, not {k}")
    groups, tiles = -(-k // rows), -(-n // columns)
    padded = np.zeros((groups * rows, tiles, columns), np.int8)
    padded.reshape(groups * rows, -1)[:k, :n] = w8
    return padded.transpose(1, 0, 2).tobytes()


def execute(job, memory, columns):
    """Do a job in `memory`, a uint8 array that is changed in place. All it uses must lie within it."""
    rows = columns // 2
    k, n = job.groups * rows, job.tiles * columns
    if not k or not n:
        return
    activations = memory[job.activations :][: 2 * k].view("<i2").astype(np.int64)
    weights = memory[job.weights :][: k * n].view(np.int8).reshape(job.tiles, k, columns)
    sums = np.einsum("k,tkc->tc", activations, weights.astype(np.int64))
    memory[job.sums :][: SUM_BYTES * n] = sums.astype("<u4").reshape(-1).view(np.uint8)
