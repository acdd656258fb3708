# SPDX-License-Identifier: Apache-2.0
"""What one matmul command computes, in every bit.

    y[m][n] = (f32(sum over k of a[m][k] * w[k][n]) * s_w[n]) * s_a[m]

The sum is an exact integer (41 bits hold it for K up to 131,071); its conversion to float32 and both products are
rounded once each.
"""

import numpy as np

from tepin.isa import ActivationType, OutputType

from . import float32

__all__ = ["K_LIMIT", "matmul", "sums"]

K_LIMIT = 131_071


def sums(a, w8):
    """Exact sums of products int64 [M, N], of integers [M, K] and int8 [K, N]."""
    # float64 holds every partial sum exactly (below 2**41), so the fast product is an integer product.
    return (a.astype(np.float64) @ w8.astype(np.float64)).astype(np.int64)


def matmul(flags, a, w8, weight_scale, activation_scale, products=sums):
    """Compute the result of a matmul command.

    Parameters
    ----------
    flags : MatmulFlags constant
    a : integer array [M, K]
    w8 : int8 array [K, N]
    weight_scale : float32 array [N] or None
    activation_scale : float32 array [M] or None
    products : callable(a, w8), optional
        What does the work of `sums`.

    Returns
    -------
    y : float32 or int32 array [M, N]
    maximum : float32 array [M]
        Largest magnitude of each row (float32 output only).
    """
    accumulator = products(a, w8)
    if flags.output == OutputType.INT32:
        return accumulator.astype(np.int32), None
    y = float32.from_int(accumulator)
    if weight_scale is not None:
        y = float32.multiply(y, weight_scale[None, :])
    y = float32.multiply(y, activation_scale[:, None])
    # Magnitudes sort as their encodings do, and the canonical NaN sorts above infinity.
    return y, np.abs(y).view(np.int32).max(axis=1).view(np.float32)


def activation_dtype(flags):
    """Little-endian numpy type of the activations."""
    return np.dtype("<i2") if flags.activations == ActivationType.INT16 else np.dtype("i1")
