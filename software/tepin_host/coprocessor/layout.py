# SPDX-License-Identifier: Apache-2.0
"""Where matrices lie in a coprocessor's memory, and in which pieces they are multiplied.

A matrix is cut along K into slices of at most `LONGEST` rows, and each slice into *blocks* of whole column tiles, contiguous
in memory: a job multiplies one block. From 0 on lie matrices that stay; behind them a row of activations, slice after slice;
then scratch for sums, and for blocks of matrices that there was no room for.
"""

from dataclasses import dataclass

from tepin.coprocessor.job import LONGEST, SUM_BYTES
from tepin_host.errors import UserError
from tepin_reference.coprocessor import pack_block

__all__ = ["Block", "Layout"]

_SCRATCH = 8  # part of the memory


@dataclass(frozen=True, eq=False)
class Block:
    """A piece of a matrix.

    Members
    -------
    k, n : slice
        Rows and columns of the matrix.
    groups, tiles : int
        Of its job.
    data : bytes
        Weights as they lie in memory.
    address : int or None
        Where they stay, if they do.
    row_offset : int
        Where its activations begin in those of the matrix, in bytes.
    """

    k: slice
    n: slice
    groups: int
    tiles: int
    data: bytes
    address: int | None
    row_offset: int


class Layout:
    """Places for matrices: each stays where there is room, in the order in which they are given.

    Parameters
    ----------
    shape : Shape
        Of the coprocessor.
    matrices : iterable of int8 [K, N]

    Attributes
    ----------
    resident : bytes
        What lies in memory from 0 on.
    activations : int
        Address of the row.
    scratch : range
        Addresses behind it.
    kept, streamed : int
        Matrices that stay, and those whose weights go over the line each time.

    Raises
    ------
    UserError
        The memory cannot hold the activations of a matrix and one tile of it.
    """

    def __init__(self, shape, matrices):
        self._shape = shape
        matrices = list(matrices)
        longest = max((len(w8) for w8 in matrices), default=0)
        row = self._row_bytes(longest)
        tile = shape.columns * (min(row // 2, LONGEST) + SUM_BYTES)
        scratch = max(tile, shape.memory_bytes // _SCRATCH)
        limit = shape.memory_bytes - row - scratch
        if limit < 0:
            raise UserError(
                f"a matrix of {longest:,} rows does not fit: the coprocessor has {shape.memory_bytes:,} bytes of memory"
            )
        self._blocks = {}
        self.kept = self.streamed = at = 0
        resident = []
        for w8 in matrices:
            size = self._row_bytes(len(w8)) // 2 * (-(-w8.shape[1] // shape.columns) * shape.columns)
            stays = at + size <= limit
            blocks = list(self._cut(w8, scratch, at if stays else None))
            if stays:
                resident += [block.data for block in blocks]
                at += size
            self.kept += stays
            self.streamed += not stays
            self._blocks[_key(w8)] = blocks
        self.resident = b"".join(resident)
        self.activations = at
        self.scratch = range(at + row, shape.memory_bytes)

    def blocks(self, w8):
        """The blocks of a matrix, or None if it is none of those given: matrices are told apart by their contents."""
        return self._blocks.get(_key(w8))

    def _row_bytes(self, k):
        """Of `k` activations, each slice filled up to whole groups."""
        return 2 * sum(-(-(end - start) // self._shape.rows) * self._shape.rows for start, end in _slices(k))

    def _cut(self, w8, scratch, address):
        """Blocks from `address` on, which stay there; or, if that is None, such as fit into the scratch with their sums."""
        columns, row_offset = self._shape.columns, 0
        for start, end in _slices(len(w8)):
            groups = -(-(end - start) // self._shape.rows)
            weights = groups * self._shape.rows if address is None else 0
            width = scratch // (columns * (weights + SUM_BYTES)) * columns
            for first in range(0, w8.shape[1], width):
                last = min(first + width, w8.shape[1])
                data = pack_block(w8[start:end, first:last], self._shape.rows, columns)
                yield Block(
                    k=slice(start, end),
                    n=slice(first, last),
                    groups=groups,
                    tiles=-(-(last - first) // columns),
                    data=data,
                    address=address,
                    row_offset=row_offset,
                )
                if address is not None:
                    address += len(data)
            row_offset += 2 * groups * self._shape.rows


def _slices(k):
    """(start, end) of each."""
    return [(start, min(start + LONGEST, k)) for start in range(0, k, LONGEST)]


def _key(w8):
    return w8.shape, w8.tobytes()
