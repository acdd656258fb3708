# SPDX-License-Identifier: Apache-2.0
"""The weight stream: checked against a byte-by-byte reading of its definition, and against the reference's decoder."""

import struct

import numpy as np
import pytest

from tepin_host.layout import (
    pack_matrix,
    pack_table,
    stream_size,
    table_stride,
    unpack_table,
    useful_bytes,
    weight_type,
)
from tepin_host.quantize import QuantizedMatrix, quantize_int4, quantize_int8
from tepin_reference.weights import GROUP, unpack
from tepin_testbench.options import generator

# inputs (K), outputs (N), columns (C): whole tiles, ragged tiles, odd widths, ragged groups, narrower than the array.
SHAPES = [
    (32, 8, 8),
    (64, 24, 8),
    (64, 20, 8),
    (33, 7, 4),
    (172, 64, 16),
    (31, 3, 8),
    (1, 1, 4),
    (100, 13, 12),
]


def random_matrix(rng, kind, inputs, outputs):
    scale = rng.standard_normal(outputs).astype(np.float32)
    if kind == "int8":
        codes = rng.integers(-127, 128, (outputs, inputs)).astype(np.int8)
        return QuantizedMatrix(codes=codes, scale=scale)
    groups = -(-inputs // GROUP)
    return QuantizedMatrix(
        codes=rng.integers(0, 16, (outputs, inputs)).astype(np.uint8),
        scale=scale,
        zero=rng.integers(0, 16, (outputs, groups)).astype(np.uint8),
        group_scale=rng.integers(1, 17, (outputs, groups)).astype(np.uint8),
    )


def spelled_out(matrix, columns, align, scales):
    """The stream, one value after another."""
    outputs, inputs = matrix.shape
    data = bytearray()
    for start in range(0, outputs, columns):
        channels = range(start, min(start + columns, outputs))
        for k in range(inputs):
            if matrix.kind == "int8":
                data += b"".join(struct.pack("b", matrix.codes[n, k]) for n in channels)
                continue
            if k % 32 == 0:
                data += bytes(
                    int(matrix.zero[n, k // 32]) + 16 * (int(matrix.group_scale[n, k // 32]) - 1)
                    for n in channels
                )
            row = [int(matrix.codes[n, k]) for n in channels]
            row += [0] * (len(row) % 2)
            data += bytes(row[i] + 16 * row[i + 1] for i in range(0, len(row), 2))
        if scales:
            data += b"".join(struct.pack("<f", matrix.scale[n]) for n in channels)
    while len(data) % align:
        data.append(0)
    return bytes(data)


@pytest.mark.parametrize("scales", [True, False])
@pytest.mark.parametrize("kind", ["int8", "int4"])
@pytest.mark.parametrize("inputs, outputs, columns", SHAPES)
def test_stream_is_what_its_definition_says(inputs, outputs, columns, kind, scales):
    matrix = random_matrix(generator("layout", kind, inputs, outputs), kind, inputs, outputs)
    packed = pack_matrix(matrix, columns, align=16, scales=scales)
    assert packed == spelled_out(matrix, columns, 16, scales)
    assert len(packed) == stream_size(inputs, outputs, columns, kind, align=16, scales=scales)
    unpadded = pack_matrix(matrix, columns, scales=scales)
    assert len(unpadded) == stream_size(inputs, outputs, columns, kind, scales=scales)


@pytest.mark.parametrize("scales", [True, False])
@pytest.mark.parametrize("kind", ["int8", "int4"])
@pytest.mark.parametrize("inputs, outputs, columns", SHAPES)
def test_weight_decoder_reads_what_pack_writes(inputs, outputs, columns, kind, scales):
    matrix = random_matrix(generator("layout", kind, inputs, outputs), kind, inputs, outputs)
    stream = np.frombuffer(pack_matrix(matrix, columns, align=64, scales=scales), dtype=np.uint8)
    w8, scale = unpack(stream, inputs, outputs, columns, weight_type(kind), scales)
    np.testing.assert_array_equal(w8, matrix.w8.T)
    if scales:
        np.testing.assert_array_equal(scale, matrix.scale)
    else:
        assert scale is None


def test_int4_takes_four_and_a_quarter_bits():
    assert useful_bytes(128, 64, "int4", scales=False) * 8 == 4.25 * 128 * 64
    assert useful_bytes(128, 64, "int8", scales=False) == 128 * 64
    assert useful_bytes(128, 64, "int8") == 128 * 64 + 4 * 64


def test_useful_bytes_leave_out_padding():
    # A tile of 3 columns takes two bytes a row, of which half a byte is padding.
    assert useful_bytes(10, 3, "int4", scales=False) == 15 + 3
    assert stream_size(10, 3, 8, "int4", scales=False) == 20 + 3
    assert stream_size(10, 3, 8, "int4", align=8, scales=False) == 24
    for inputs, outputs, columns in SHAPES:
        assert useful_bytes(inputs, outputs, "int8") == stream_size(inputs, outputs, columns, "int8")


def test_quantised_matrices_survive_the_stream():
    values = generator("layout of quantised weights").standard_normal((21, 70)).astype(np.float32)
    for matrix in (quantize_int8(values), quantize_int4(values)):
        stream = np.frombuffer(pack_matrix(matrix, 8, align=8), dtype=np.uint8)
        w8, scale = unpack(stream, 70, 21, 8, weight_type(matrix.kind), True)
        np.testing.assert_array_equal(w8, matrix.w8.T)
        np.testing.assert_array_equal(scale, matrix.scale)


@pytest.mark.parametrize("inputs", [1, 4, 6, 96])
def test_table_rows_hold_codes_and_scale(inputs):
    matrix = random_matrix(generator("table", inputs), "int8", inputs, 9)
    data = pack_table(matrix)
    stride = table_stride(inputs)
    assert stride % 4 == 0 and len(data) == 9 * stride
    for row in range(9):
        entry = data[row * stride : (row + 1) * stride]
        assert list(struct.unpack(f"{inputs}b", entry[:inputs])) == matrix.codes[row].tolist()
        assert struct.unpack("<f", entry[-4:])[0] == matrix.scale[row]
    again = unpack_table(data, inputs, 9)
    np.testing.assert_array_equal(again.codes, matrix.codes)
    np.testing.assert_array_equal(again.scale, matrix.scale)


def test_wrong_arguments():
    matrix = random_matrix(generator("wrong arguments"), "int4", 32, 8)
    with pytest.raises(ValueError, match="columns must be positive, not 0"):
        pack_matrix(matrix, 0)
    with pytest.raises(ValueError, match="align must be positive, not 0"):
        pack_matrix(matrix, 8, align=0)
    with pytest.raises(ValueError, match="inputs must be positive, not 0"):
        stream_size(0, 8, 8, "int8")
    with pytest.raises(ValueError, match="weight format must be int8 or int4, not 'int2'"):
        useful_bytes(8, 8, "int2")
    with pytest.raises(ValueError, match="a table holds int8 rows, not int4"):
        pack_table(matrix)
    with pytest.raises(ValueError, match="weight format must be int8 or int4, not 'float'"):
        stream_size(8, 8, 8, "float")
    with pytest.raises(ValueError, match="table of 10 bytes, 2 rows of 8 take 24"):
        unpack_table(bytes(10), 8, 2)
