# SPDX-License-Identifier: Apache-2.0
"""Float weights to the integers that the array multiplies, and back.

Both formats end in an effective int8 weight and one float32 scale per output channel (a row of [N, K]):
``w[n, k] ~ w8[n, k] * scale[n]``.

* int8: the codes are the weights, -127 to 127.
* int4: the codes are 0 to 15; 32 of them along K share a zero point z (0 to 15) and an integer scale s (1 to 16), and
  ``w8 = (q - z) * s``. The quantiser keeps every w8 within -127 to 127, so that hardware never has to saturate.
"""

from dataclasses import dataclass

import numpy as np

from tepin_reference.weights import GROUP

__all__ = ["QuantizedMatrix", "dequantize", "quantize", "quantize_int4", "quantize_int8"]

_SMALLEST_NORMAL = np.float32(2.0**-126)

# Elements handled at a time by the int4 search, so that its intermediate arrays stay in cache.
_CHUNK = 1 << 16


@dataclass(frozen=True, eq=False, kw_only=True)
class QuantizedMatrix:
    """A quantised matrix of N output channels by K inputs.

    Members
    -------
    codes : [N, K]
        int8 for int8 weights, uint8 (0 to 15) for int4 weights.
    scale : float32 [N]
        One per output channel.
    zero, group_scale : uint8 [N, ceil(K / 32)] or None
        Zero points (0 to 15) and integer scales (1 to 16) of the groups of int4 weights; the last group of a channel may
        be shorter. None for int8 weights.
    """

    codes: np.ndarray
    scale: np.ndarray
    zero: np.ndarray | None = None
    group_scale: np.ndarray | None = None

    @property
    def kind(self) -> str:
        """``"int8"`` or ``"int4"``."""
        return "int8" if self.zero is None else "int4"

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K): output channels and inputs."""
        return self.codes.shape

    @property
    def w8(self) -> np.ndarray:
        """Effective weights as the array multiplies them, int8 [N, K]."""
        if self.zero is None or self.group_scale is None:
            return self.codes
        inputs = self.codes.shape[1]
        zero = np.repeat(self.zero.astype(np.int16), GROUP, axis=1)[:, :inputs]
        group_scale = np.repeat(self.group_scale.astype(np.int16), GROUP, axis=1)[:, :inputs]
        return np.clip((self.codes - zero) * group_scale, -128, 127).astype(np.int8)


def dequantize(matrix: QuantizedMatrix) -> np.ndarray:
    """The float32 weights [N, K] that a quantised matrix stands for."""
    return matrix.w8.astype(np.float32) * matrix.scale[:, None]


def quantize(weights, kind: str) -> QuantizedMatrix:
    """`quantize_int8` or `quantize_int4`, by the name of the format."""
    if kind not in _QUANTIZERS:
        raise ValueError(f"weight format must be one of {', '.join(_QUANTIZERS)}, not {kind!r}")
    return _QUANTIZERS[kind](weights)


def quantize_int8(weights) -> QuantizedMatrix:
    """Symmetric int8 with one scale per row: ``scale = max|w| / 127``, codes rounded to nearest even.

    Also the format of the embedding table, whose rows are tokens. The error is at most half a scale. A row without
    a normal number in it becomes zero, with scale 1.

    Parameters
    ----------
    weights : [N, K]
        Finite values.
    """
    weights = _checked(weights)
    scale = _scale_of(np.abs(weights).max(axis=1))
    codes = np.clip(np.rint(weights / scale[:, None]), -127, 127).astype(np.int8)
    return QuantizedMatrix(codes=codes, scale=scale)


def quantize_int4(weights) -> QuantizedMatrix:
    """Four-bit codes in groups of 32 along K, with parameters searched for the least squared error.

    Per channel: several channel scales are tried, each with the group parameters that the ranges of the groups suggest;
    the best scale is kept. Then the group parameters around those suggested are searched, and scale and parameters
    are improved in turn (the scale by least squares).

    Parameters
    ----------
    weights : [N, K]
        Finite values.
    """
    weights = _checked(weights)
    outputs, inputs = weights.shape
    groups = -(-inputs // GROUP)
    # Zeros that fill up the last group are exact in any (z, s), so they do not influence the search.
    padded = np.zeros((outputs, groups, GROUP), dtype=np.float32)
    padded.reshape(outputs, -1)[:, :inputs] = weights

    codes = np.empty((outputs, groups, GROUP), dtype=np.uint8)
    zero = np.empty((outputs, groups), dtype=np.uint8)
    group_scale = np.empty((outputs, groups), dtype=np.uint8)
    scale = np.empty(outputs, dtype=np.float32)
    step = max(1, _CHUNK // (groups * GROUP))
    for start in range(0, outputs, step):
        rows = slice(start, start + step)
        scale[rows], zero[rows], group_scale[rows], codes[rows] = _quantize_channels(padded[rows])
    codes = np.ascontiguousarray(codes.reshape(outputs, -1)[:, :inputs])
    return QuantizedMatrix(codes=codes, scale=scale, zero=zero, group_scale=group_scale)


_QUANTIZERS = {"int8": quantize_int8, "int4": quantize_int4}


def _checked(weights) -> np.ndarray:
    weights = np.asarray(weights, dtype=np.float32)
    if weights.ndim != 2 or 0 in weights.shape:
        raise ValueError(
            f"weights must be a matrix [N, K] that is not empty, not of shape {list(weights.shape)}"
        )
    if not np.isfinite(weights).all():
        raise ValueError("weights contain NaN or infinite values")
    return weights


def _scale_of(largest: np.ndarray) -> np.ndarray:
    """Channel scale that maps ``largest`` to 127. Subnormal scales, which the chip reads as zero, become 1."""
    scale = (largest / np.float32(127)).astype(np.float32)
    return np.where(scale >= _SMALLEST_NORMAL, scale, np.float32(1))


# The group with the widest range gets about this integer scale. Larger ones resolve the other groups better, but from 9
# on a group that reaches to one side only is cut off, because its w8 must stay within 127.
_WIDEST_GROUP_SCALES = (4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)

# A smaller integer scale than the range suggests cuts off the largest weights and resolves the others better.
_GROUP_SCALE_OFFSETS = (0, -1, 1, -2, -3)
_ZERO_OFFSETS = (0, -1, 1)


def _quantize_channels(weights: np.ndarray):
    """Scale [n], zero [n, g], group scale [n, g] and codes [n, g, 32] for weights [n, g, 32].

    The search itself works on weights divided by the channel's int8 scale, so that no square over- or underflows.
    """
    unit = _scale_of(np.abs(weights).max(axis=(1, 2)))
    weights = weights / unit[:, None, None]
    low = np.minimum(weights.min(axis=2), 0)
    step = (np.maximum(weights.max(axis=2), 0) - low) / np.float32(15)
    widest = step.max(axis=1)

    scale = np.ones_like(unit)
    least = np.full(len(weights), np.inf, dtype=np.float32)
    for widest_group_scale in _WIDEST_GROUP_SCALES:
        tried = np.maximum(widest / np.float32(widest_group_scale), np.float32(1))
        error = _search(weights, tried, low, step, (0, -1), (0,))[0].sum(axis=1)
        scale = np.where(error < least, tried, scale)
        least = np.minimum(error, least)

    error, zero, group_scale = _search(weights, scale, low, step, _GROUP_SCALE_OFFSETS, _ZERO_OFFSETS)
    for _ in range(2):
        tried = _least_squares_scale(weights, scale, zero, group_scale)
        tried_error, *tried_parameters = _search(
            weights, tried, low, step, _GROUP_SCALE_OFFSETS, _ZERO_OFFSETS
        )
        better = tried_error.sum(axis=1) < error.sum(axis=1)
        scale = np.where(better, tried, scale)
        error, zero, group_scale = (
            np.where(better[:, None], new, old)
            for new, old in zip((tried_error, *tried_parameters), (error, zero, group_scale), strict=True)
        )
    codes = _encode(weights / scale[:, None, None], zero, group_scale)
    return np.maximum(scale * unit, _SMALLEST_NORMAL), zero, group_scale, codes


def _search(weights, scale, low, step, group_scale_offsets, zero_offsets):
    """Squared error, zero point and integer scale [n, g] of the best parameters around those of the groups' ranges.

    A group's range is ``low`` to ``low + 15 * step``.
    """
    scale = scale[:, None]
    normal = weights / scale[..., None]
    fitting_scale = np.rint(step / scale)
    best = None
    for group_scale_offset in group_scale_offsets:
        group_scale = np.clip(fitting_scale + np.float32(group_scale_offset), 1, 16)
        fitting_zero = np.rint(-low / (scale * group_scale))
        for zero_offset in zero_offsets:
            zero = np.clip(fitting_zero + np.float32(zero_offset), 0, 15)
            difference = _decode(_encode(normal, zero, group_scale), zero, group_scale) - normal
            error = np.einsum("ngk,ngk->ng", difference, difference) * (scale * scale)
            found = error, zero, group_scale
            if best is None:
                best = found
            else:
                better = error < best[0]
                best = tuple(np.where(better, new, old) for new, old in zip(found, best, strict=True))
    return best


def _encode(normal, zero, group_scale) -> np.ndarray:
    """Codes (as floats) nearest to weights in units of the channel scale, of those whose w8 stays within 127."""
    reach = np.floor(127 / group_scale)
    lowest = np.maximum(zero - reach, 0)[..., None]
    highest = np.minimum(zero + reach, 15)[..., None]
    return np.clip(np.rint(normal / group_scale[..., None]) + zero[..., None], lowest, highest)


def _decode(codes, zero, group_scale) -> np.ndarray:
    """Effective weights (as floats) of codes."""
    return (codes - zero[..., None]) * group_scale[..., None]


def _least_squares_scale(weights, scale, zero, group_scale) -> np.ndarray:
    """Channel scale that minimises ``sum (weights - w8 * scale)^2`` for the present w8; ``scale`` where they are zero."""
    w8 = _decode(_encode(weights / scale[:, None, None], zero, group_scale), zero, group_scale)
    products = np.einsum("ngk,ngk->n", weights, w8)
    squares = np.einsum("ngk,ngk->n", w8, w8)
    return np.where((squares > 0) & (products > 0), products / np.maximum(squares, 1), scale)
