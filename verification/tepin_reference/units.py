# SPDX-License-Identifier: Apache-2.0
"""Bit-exact numpy model of the stream units: softmax, norms and activation functions of float32 rows.

The same steps, each rounded, as the kernels of `tepin_host.kernels.rows` take on the vector engine.
"""

import numpy as np

from tepin_reference import float32, special

__all__ = ["gelu", "layer_norm", "rms_norm", "sigmoid", "silu", "softmax"]

_LOG2_E = np.float32(np.log2(np.e))
_LINEAR = np.float32(np.sqrt(8 / np.pi))
_CUBIC = np.float32(0.044715 * np.sqrt(8 / np.pi))


def softmax(x, *, levels=None):
    """Softmax of one row, float32, or with `levels` that many times it as int8. Rows of -inf give zeros, NaN and +inf NaN."""
    largest = x[int(float32.argmax(x))]
    exponent = float32.add(float32.floor(float32.multiply(largest, _LOG2_E)), np.float32(1))
    power = special.exp_minus(x, exponent)
    share = special.reciprocal(float32.maximum(float32.fixed_sum(power), np.float32(2.0**-100)))
    if levels is None:
        return float32.multiply(power, share)
    share = float32.multiply(share, np.float32(levels))
    return float32.to_int(float32.multiply(power, share), -127, 127).astype(np.int8)


def _scale(x, share, epsilon):
    squares = float32.multiply(float32.sum64(float32.multiply(x, x)), share)
    return special.rsqrt(float32.add(squares, np.float32(epsilon)))


def rms_norm(x, gain, epsilon):
    """x / sqrt(mean(x**2) + epsilon) * gain of one row."""
    share = np.float32(1 / len(x))
    return float32.multiply(float32.multiply(x, _scale(x, share, epsilon)), gain)


def layer_norm(x, gain, bias, epsilon):
    """(x - mean) / sqrt(variance + epsilon) * gain + bias of one row."""
    share = np.float32(1 / len(x))
    centred = float32.add(x, -float32.multiply(float32.sum64(x), share))
    scale = _scale(centred, share, epsilon)
    rest = float32.multiply(float32.multiply(float32.sum64(centred), share), scale)
    scaled = float32.add(float32.multiply(centred, scale), -rest)
    return float32.add(float32.multiply(scaled, gain), bias)


def _finite_below(x):
    """x, but -inf as the least finite number."""
    return np.where(np.isneginf(x), np.finfo(np.float32).min, x).astype(np.float32)


def sigmoid(x):
    """1 / (1 + exp(-x))"""
    return special.reciprocal(float32.add(special.exp(-float32.flush(x)), np.float32(1)))


def silu(x):
    """x * sigmoid(x); -0 for -inf."""
    return float32.multiply(sigmoid(x), _finite_below(x))


def gelu(x):
    """x * sigmoid(sqrt(8 / pi) * (x + 0.044715 * x**3)); -0 for -inf."""
    slope = float32.add(float32.multiply(float32.multiply(x, x), _CUBIC), _LINEAR)
    return float32.multiply(sigmoid(float32.multiply(slope, x)), _finite_below(x))
