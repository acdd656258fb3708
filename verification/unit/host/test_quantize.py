# SPDX-License-Identifier: Apache-2.0
"""Quantised weights: ranges that the hardware relies on, and how well they approximate."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tepin_host.models import load_model
from tepin_host.quantize import QuantizedMatrix, dequantize, quantize, quantize_int4, quantize_int8
from tepin_reference.kernels import Llama, kl_divergence
from tepin_testbench.options import generator


def relative_error(weights, matrix):
    difference = dequantize(matrix).astype(np.float64) - weights
    return np.sqrt((difference**2).mean() / (weights.astype(np.float64) ** 2).mean())


def nearest_integer_grid(weights):
    """int4 as simply as it gets: per group the symmetric scale max|w| / 7, as if it were a free float32."""
    groups = weights.reshape(len(weights), -1, 32)
    step = np.abs(groups).max(axis=2, keepdims=True) / 7
    return (np.rint(groups / step) * step).reshape(weights.shape)


def check_ranges(matrix, weights):
    outputs, inputs = weights.shape
    assert matrix.shape == weights.shape
    assert matrix.scale.dtype == np.float32 and matrix.scale.shape == (outputs,)
    # Neither subnormal nor negative: the chip would read such a scale as zero.
    assert (matrix.scale >= 2.0**-126).all() and np.isfinite(matrix.scale).all()
    assert matrix.w8.dtype == np.int8 and matrix.w8.shape == (outputs, inputs)
    if matrix.kind == "int4":
        groups = -(-inputs // 32)
        assert matrix.codes.dtype == np.uint8 and matrix.codes.max() <= 15
        assert (
            matrix.zero.dtype == np.uint8
            and matrix.zero.shape == (outputs, groups)
            and matrix.zero.max() <= 15
        )
        assert matrix.group_scale.dtype == np.uint8 and matrix.group_scale.shape == (outputs, groups)
        assert matrix.group_scale.min() >= 1 and matrix.group_scale.max() <= 16
        zero = np.repeat(matrix.zero.astype(int), 32, axis=1)[:, :inputs]
        group_scale = np.repeat(matrix.group_scale.astype(int), 32, axis=1)[:, :inputs]
        exact = (matrix.codes.astype(int) - zero) * group_scale
        assert np.abs(exact).max() <= 127, "the hardware would saturate"
        np.testing.assert_array_equal(matrix.w8, exact)
    else:
        assert matrix.codes.dtype == np.int8 and np.abs(matrix.codes.astype(int)).max() <= 127


def samples():
    rng = generator("weights to quantise")
    yield "normal", rng.standard_normal((48, 256))
    yield "small", rng.standard_normal((8, 64)) * 1e-25
    yield "huge", rng.uniform(-1, 1, (8, 64)) * 3e38
    yield "ragged group", rng.standard_normal((16, 172))
    yield "shorter than a group", rng.standard_normal((5, 7))
    yield "one element", rng.standard_normal((1, 1))
    yield "one sign", np.abs(rng.standard_normal((16, 96))) + 1
    yield (
        "groups of different size",
        rng.standard_normal((32, 8, 32)) * np.exp(rng.standard_normal((32, 8, 1))),
    )
    yield "outliers", rng.standard_t(2, (32, 128))


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_ranges_and_error(kind):
    for name, weights in samples():
        weights = weights.reshape(len(weights), -1).astype(np.float32)
        matrix = quantize(weights, kind)
        assert matrix.kind == kind
        check_ranges(matrix, weights)
        limit = 0.03 if kind == "int8" else 0.15
        assert relative_error(weights, matrix) < limit, name


def test_int8_error_is_at_most_half_a_scale():
    weights = generator("int8").standard_normal((64, 200)).astype(np.float32)
    matrix = quantize_int8(weights)
    np.testing.assert_allclose(matrix.scale, np.abs(weights).max(axis=1) / 127, rtol=1e-7)
    error = np.abs(dequantize(matrix) - weights) / matrix.scale[:, None]
    assert error.max() < 0.5001
    assert (np.abs(matrix.codes.astype(int)).max(axis=1) == 127).all()


def test_int4_is_near_the_best_that_four_bits_allow():
    # Free real-valued group scales with the best zero point reach 0.0767 on normal weights.
    weights = generator("int4").standard_normal((128, 512)).astype(np.float32)
    error = relative_error(weights, quantize_int4(weights))
    assert error < 0.0805
    simple = nearest_integer_grid(weights)
    assert error < 0.85 * np.sqrt(((simple - weights) ** 2).mean() / (weights**2).mean())


def test_int4_represents_its_own_grid_exactly():
    rng = generator("grid")
    codes = rng.integers(0, 16, (16, 128)).astype(np.uint8)
    codes[:, 0::32], codes[:, 1::32] = 0, 15
    grid = QuantizedMatrix(
        codes=codes,
        scale=np.full(16, 0.25, np.float32),
        zero=np.full((16, 4), 8, np.uint8),
        group_scale=np.full((16, 4), 7, np.uint8),
    )
    weights = dequantize(grid)
    np.testing.assert_allclose(dequantize(quantize_int4(weights)), weights, rtol=1e-6)


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_zero_and_subnormal_rows_become_zero(kind):
    weights = generator("zero rows").standard_normal((4, 64)).astype(np.float32)
    weights[1] = 0
    weights[2] = 1e-41
    matrix = quantize(weights, kind)
    check_ranges(matrix, weights)
    assert not matrix.w8[1].any() and not matrix.w8[2].any()
    assert matrix.w8[0].any() and matrix.w8[3].any()


def test_channels_do_not_influence_each_other():
    # The search works on several channels at a time; more of them than fit into one chunk.
    weights = generator("channels").standard_normal((70, 2048)).astype(np.float32)
    whole = quantize_int4(weights)
    for row in (0, 31, 32, 69):
        alone = quantize_int4(weights[row : row + 1])
        np.testing.assert_array_equal(alone.codes[0], whole.codes[row])
        assert alone.scale[0] == whole.scale[row]


def test_w8_saturates_like_the_hardware():
    matrix = QuantizedMatrix(
        codes=np.array([[0, 15, 8]], np.uint8),
        scale=np.ones(1, np.float32),
        zero=np.array([[8]], np.uint8),
        group_scale=np.array([[16]], np.uint8),
    )
    assert matrix.w8.tolist() == [[-128, 112, 0]]
    one_sided = QuantizedMatrix(
        codes=np.array([[0, 15]], np.uint8),
        scale=np.ones(1, np.float32),
        zero=np.array([[0]], np.uint8),
        group_scale=np.array([[16]], np.uint8),
    )
    assert one_sided.w8.tolist() == [[0, 127]]


@pytest.mark.parametrize("kind, limit", [("int8", 0.001), ("int4", 0.15)])
def test_quantised_model_predicts_alike(stories, kind, limit):
    """Weights only, activations in float64: measured 0.0003 nats for int8 and 0.065 for int4."""
    model = load_model(stories)
    matrices = ("wq", "wk", "wv", "wo", "w1", "w2", "w3")
    layers = tuple(
        replace(layer, **{name: dequantize(quantize(getattr(layer, name), kind)) for name in matrices})
        for layer in model.layers
    )
    quantised = replace(
        model,
        config=replace(model.config, tied=False),
        embedding=dequantize(quantize_int8(model.embedding)),
        layers=layers,
        classifier=dequantize(quantize(model.classifier, kind)),
    )
    tokens = [1, *itertools.islice(Llama(model).greedy([1]), 150)]
    divergence = kl_divergence(Llama(model).forward(tokens), Llama(quantised).forward(tokens)).mean()
    assert 0 < divergence < limit


@pytest.mark.parametrize("quantizer", [quantize_int8, quantize_int4])
def test_wrong_weights(quantizer):
    with pytest.raises(ValueError, match=r"must be a matrix \[N, K\] that is not empty, not of shape \[3\]"):
        quantizer(np.zeros(3))
    with pytest.raises(ValueError, match=r"not of shape \[0, 4\]"):
        quantizer(np.zeros((0, 4)))
    with pytest.raises(ValueError, match="NaN or infinite"):
        quantizer(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="weight format must be one of int8, int4, not 'int2'"):
        quantize(np.zeros((2, 2)), "int2")
