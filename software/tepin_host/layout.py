# SPDX-License-Identifier: Apache-2.0
"""Weights as bytes in memory, in the order in which the chip consumes them.

The *stream* of a K x N matrix for an array of C columns. For each tile of ``n = min(C, N - tile * C)`` columns:

* int8: the codes ``[k][n]``, one byte each;
* int4: for each group of 32 rows (the last may be shorter) first n parameter bytes ``z | (s - 1) << 4``, then the codes of
  these rows ``[k][n]``, two to a byte, low nibble first, each row padded to a whole byte if n is odd;
* then n float32 scales, unless the matrix has none in memory.

All numbers are little-endian. The stream is padded with zeros to a multiple of ``align`` bytes, the word of the chip's
weight FIFO (``ChipConfig.fifo_word_bytes``). Ragged tiles are not padded.

The *table* of an embedding is row-major: per row the int8 codes, zeros up to a multiple of four bytes, and the row's
float32 scale.
"""

import numpy as np

from tepin_host.quantize import GROUP, QuantizedMatrix

__all__ = [
    "pack_matrix",
    "pack_table",
    "stream_bytes",
    "stream_size",
    "table_stride",
    "unpack_matrix",
    "unpack_table",
    "useful_bytes",
]


_CODE_BITS = {"int8": 8, "int4": 4}


def useful_bytes(inputs: int, outputs: int, kind: str, *, scales: bool = True) -> int:
    """Bytes of a K x N matrix without any padding: what utilisation of the memory port counts."""
    _check_shape(inputs, outputs, kind)
    bits = inputs * outputs * _CODE_BITS[kind]
    parameters = -(-inputs // GROUP) * outputs if kind == "int4" else 0
    return -(-bits // 8) + parameters + (4 * outputs if scales else 0)


def stream_bytes(inputs: int, outputs: int, columns: int, kind: str, *, scales: bool = True) -> int:
    """Bytes of a stream before the padding at its end. Above `useful_bytes` only for int4 tiles of odd width."""
    _check_shape(inputs, outputs, kind)
    _check_positive("columns", columns)
    size = 0
    for width, count in ((columns, outputs // columns), (outputs % columns, 1)):
        row = -(-width * _CODE_BITS[kind] // 8)
        parameters = -(-inputs // GROUP) * width if kind == "int4" else 0
        size += count * (inputs * row + parameters + (4 * width if scales else 0))
    return size


def stream_size(
    inputs: int, outputs: int, columns: int, kind: str, *, align: int = 1, scales: bool = True
) -> int:
    """Bytes that the stream of a K x N matrix occupies in memory: `stream_bytes` padded to ``align``."""
    return _padded(stream_bytes(inputs, outputs, columns, kind, scales=scales), align)


def pack_matrix(matrix: QuantizedMatrix, columns: int, align: int = 1, scales: bool = True) -> bytes:
    """The weight stream of ``matrix`` for an array of ``columns`` columns, `stream_size` bytes long."""
    outputs, inputs = matrix.shape
    size = stream_size(inputs, outputs, columns, matrix.kind, align=align, scales=scales)
    parts = []
    for start in range(0, outputs, columns):
        tile = slice(start, min(start + columns, outputs))
        if matrix.zero is None or matrix.group_scale is None:
            parts.append(matrix.codes[tile].T.tobytes())
        else:
            parameters = matrix.zero[tile] | (matrix.group_scale[tile] - 1) << 4
            parts += _pack_groups(parameters.T, matrix.codes[tile].T)
        if scales:
            parts.append(matrix.scale[tile].astype("<f4").tobytes())
    return b"".join(parts).ljust(size, b"\0")


def unpack_matrix(
    data: bytes, inputs: int, outputs: int, columns: int, kind: str, scales: bool = True
) -> QuantizedMatrix:
    """The matrix whose stream ``data`` begins with; the inverse of `pack_matrix`. Without scales they are all 1.

    Raises
    ------
    ValueError
        If ``data`` is shorter than the stream.
    """
    size = stream_bytes(inputs, outputs, columns, kind, scales=scales)
    if len(data) < size:
        raise ValueError(f"stream of {len(data)} bytes, a {inputs} x {outputs} {kind} matrix takes {size}")
    stream = np.frombuffer(data, dtype=np.uint8, count=size)
    groups = -(-inputs // GROUP)
    codes = np.empty((outputs, inputs), dtype=np.int8 if kind == "int8" else np.uint8)
    parameters = np.empty((outputs, groups), dtype=np.uint8)
    scale = np.ones(outputs, dtype=np.float32)
    at = 0

    def take(count: int) -> np.ndarray:
        nonlocal at
        at += count
        return stream[at - count : at]

    for start in range(0, outputs, columns):
        tile = slice(start, min(start + columns, outputs))
        width = tile.stop - tile.start
        if kind == "int8":
            codes[tile] = take(inputs * width).view(np.int8).reshape(inputs, width).T
        else:
            for group in range(groups):
                rows = min(GROUP, inputs - group * GROUP)
                parameters[tile, group] = take(width)
                pairs = take(rows * -(-width // 2)).reshape(rows, -1)
                nibbles = np.stack([pairs & 15, pairs >> 4], axis=2).reshape(rows, -1)[:, :width]
                codes[tile, group * GROUP : group * GROUP + rows] = nibbles.T
        if scales:
            scale[tile] = np.frombuffer(take(4 * width).tobytes(), dtype="<f4")
    if kind == "int8":
        return QuantizedMatrix(codes=codes, scale=scale)
    return QuantizedMatrix(codes=codes, scale=scale, zero=parameters & 15, group_scale=(parameters >> 4) + 1)


def table_stride(inputs: int) -> int:
    """Bytes from one row of a table to the next."""
    _check_positive("inputs", inputs)
    return _padded(inputs, 4) + 4


def pack_table(matrix: QuantizedMatrix) -> bytes:
    """The table of an int8 matrix: rows of `table_stride` bytes."""
    if matrix.kind != "int8":
        raise ValueError(f"a table holds int8 rows, not {matrix.kind}")
    rows, inputs = matrix.shape
    table = np.zeros((rows, table_stride(inputs)), dtype=np.uint8)
    table[:, :inputs] = matrix.codes.view(np.uint8)
    table[:, -4:] = matrix.scale.astype("<f4").view(np.uint8).reshape(rows, 4)
    return table.tobytes()


def unpack_table(data: bytes, inputs: int, rows: int) -> QuantizedMatrix:
    """The int8 matrix whose table ``data`` begins with; the inverse of `pack_table`."""
    stride = table_stride(inputs)
    if len(data) < rows * stride:
        raise ValueError(f"table of {len(data)} bytes, {rows} rows of {inputs} take {rows * stride}")
    table = np.frombuffer(data, dtype=np.uint8, count=rows * stride).reshape(rows, stride)
    scale = np.frombuffer(table[:, -4:].tobytes(), dtype="<f4").astype(np.float32)
    return QuantizedMatrix(codes=table[:, :inputs].copy().view(np.int8), scale=scale)


def _pack_groups(parameters: np.ndarray, codes: np.ndarray) -> list[bytes]:
    """Bytes of the groups of one int4 tile: parameters [groups, n] and codes [K, n]."""
    inputs, width = codes.shape
    even = np.zeros((inputs, width + width % 2), dtype=np.uint8)
    even[:, :width] = codes
    packed = even[:, 0::2] | even[:, 1::2] << 4
    return [
        parameters[group].tobytes() + packed[group * GROUP : (group + 1) * GROUP].tobytes()
        for group in range(len(parameters))
    ]


def _padded(size: int, align: int) -> int:
    _check_positive("align", align)
    return -(-size // align) * align


def _check_shape(inputs: int, outputs: int, kind: str):
    _check_positive("inputs", inputs)
    _check_positive("outputs", outputs)
    if kind not in _CODE_BITS:
        raise ValueError(f"weight format must be int8 or int4, not {kind!r}")


def _check_positive(name: str, value: int):
    if value < 1:
        raise ValueError(f"{name} must be positive, not {value}")
