# SPDX-License-Identifier: Apache-2.0
"""Weights as bytes in memory.

The *stream* of a matrix is what `tepin_reference.weights` defines and decodes; here it is written. It is padded with zeros to
a multiple of ``align`` bytes, the word of the chip's weight FIFO (``ChipConfig.fifo_word_bytes``).

The *table* of an embedding is row-major: per row the int8 codes, zeros up to a multiple of four bytes, and the row's
float32 scale, little-endian.

Formats of weights have names here, ``"int8"`` and ``"int4"``; `weight_type` turns them into the chip's numbers.
"""

import numpy as np

from tepin.isa import WeightType
from tepin_host.quantize import QuantizedMatrix
from tepin_reference.weights import GROUP, stream_bytes

__all__ = [
    "pack_matrix",
    "pack_table",
    "stream_size",
    "table_stride",
    "unpack_table",
    "useful_bytes",
    "weight_type",
]


def weight_type(kind: str) -> WeightType:
    """The instruction set's number of a weight format; `ValueError` if there is no such format."""
    try:
        return WeightType[kind.upper()]
    except KeyError:
        raise ValueError(f"weight format must be int8 or int4, not {kind!r}") from None


def useful_bytes(inputs: int, outputs: int, kind: str, *, scales: bool = True) -> int:
    """Bytes of a K x N matrix without any padding: what utilisation of the memory port counts."""
    _check_shape(inputs, outputs)
    int4 = weight_type(kind) == WeightType.INT4
    codes = -(-inputs * outputs // 2) if int4 else inputs * outputs
    parameters = -(-inputs // GROUP) * outputs if int4 else 0
    return codes + parameters + (4 * outputs if scales else 0)


def stream_size(
    inputs: int, outputs: int, columns: int, kind: str, *, align: int = 1, scales: bool = True
) -> int:
    """Bytes that the stream of a K x N matrix occupies in memory, padding included.

    Above `useful_bytes` only for that padding, and for int4 tiles of odd width.
    """
    _check_shape(inputs, outputs)
    _check_positive("columns", columns)
    return _padded(stream_bytes(inputs, outputs, columns, weight_type(kind), scales), align)


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


def _check_shape(inputs: int, outputs: int):
    _check_positive("inputs", inputs)
    _check_positive("outputs", outputs)


def _check_positive(name: str, value: int):
    if value < 1:
        raise ValueError(f"{name} must be positive, not {value}")
