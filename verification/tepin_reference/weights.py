# SPDX-License-Identifier: Apache-2.0
"""The weight stream as the chip's weight decoder reads it.

A K x N matrix is stored in the order in which an array of C columns consumes it, one *column tile* of n = min(C, remaining)
output channels after the other:

* the codes of rows k = 0 ... K-1, each row n codes; int8: one byte each, int4: two per byte, low nibble first, a row
  padded to a whole byte;
* int4 only: before each group of 32 rows, n parameter bytes `z | (s - 1) << 4`; the weight is `(q - z) * s`, saturated;
* n float32 scales, unless the job has none.

Numbers are little-endian. Tiles follow each other without padding; only the stream of a whole job starts at a multiple of the
weight FIFO word and is padded to one. The host (`tepin_host.layout`) writes what is read here.
"""

import numpy as np

from tepin.isa import WeightType

__all__ = ["GROUP", "stream_bytes", "unpack"]

GROUP = 32
"""Rows of K that share int4 parameters."""


def tile_bytes(k, n, kind, scales):
    """Bytes of one column tile of `n` channels."""
    codes = k * n if kind == WeightType.INT8 else k * -(-n // 2) + -(-k // GROUP) * n
    return codes + (4 * n if scales else 0)


def stream_bytes(k, n, columns, kind, scales):
    """Bytes of a whole K x N matrix, not padded."""
    full, ragged = divmod(n, columns)
    return full * tile_bytes(k, columns, kind, scales) + (
        tile_bytes(k, ragged, kind, scales) if ragged else 0
    )


def unpack(stream, k, n, columns, kind, scales):
    """Decode a weight stream.

    Parameters
    ----------
    stream : uint8 array, at least `stream_bytes(...)` long

    Returns
    -------
    w8 : int8 array [K, N]
    scale : float32 array [N], or None without scales
    """
    full, ragged = divmod(n, columns)
    split = full * tile_bytes(k, columns, kind, scales)
    parts = []
    if full:
        parts.append(_unpack_tiles(stream[:split].reshape(full, -1), k, columns, kind, scales))
    if ragged:
        end = split + tile_bytes(k, ragged, kind, scales)
        parts.append(_unpack_tiles(stream[split:end].reshape(1, -1), k, ragged, kind, scales))
    w8 = np.concatenate([part[0] for part in parts], axis=1)
    return w8, np.concatenate([part[1] for part in parts]) if scales else None


def _unpack_tiles(tiles, k, n, kind, scales):
    """Decode equally wide tiles, uint8 [T, bytes] -> int8 [K, T * n], float32 [T * n]."""
    count = len(tiles)
    scale = None
    if scales:
        scale = np.ascontiguousarray(tiles[:, -4 * n :]).view("<f4").reshape(count * n)
        tiles = tiles[:, : -4 * n]
    w8 = tiles.reshape(count, k, n).view(np.int8) if kind == WeightType.INT8 else _decode_int4(tiles, k, n)
    return w8.transpose(1, 0, 2).reshape(k, count * n), scale


def _decode_int4(tiles, k, n):
    """w8 = saturate((q - z) * s), uint8 [T, bytes] -> int8 [T, K, n]."""
    w8 = np.empty((len(tiles), k, n), np.int8)
    row_bytes = -(-n // 2)
    position = 0
    for start in range(0, k, GROUP):
        rows = min(GROUP, k - start)
        parameters = tiles[:, position : position + n].astype(np.int32)
        position += n
        packed = tiles[:, position : position + rows * row_bytes].reshape(-1, rows, row_bytes)
        position += rows * row_bytes
        q = (
            np.stack([packed & 15, packed >> 4], axis=-1)
            .reshape(-1, rows, 2 * row_bytes)[:, :, :n]
            .astype(np.int32)
        )
        zero, step = parameters & 15, (parameters >> 4) + 1
        w8[:, start : start + rows] = np.clip((q - zero[:, None]) * step[:, None], -128, 127)
    return w8
