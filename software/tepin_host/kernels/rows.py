# SPDX-License-Identifier: Apache-2.0
"""Kernels on the rows of a matrix: softmax and norms.

The functions that begin with `emit_` append instructions; the others make a whole `Kernel`. Rows lie behind each other. One
row is computed as fast as its beats, many rows of a command share what a command costs to begin.
"""

import numpy as np

from tepin.isa import DataType, Function, Reduction
from tepin_host.assembler import Scalar, Strided, Vector
from tepin_host.kernels.kernel import Kernel

__all__ = ["emit_exponents", "emit_softmax", "layer_norm", "rms_norm", "softmax"]

_LOG2_E = np.float32(np.log2(np.e))
_LEAST = 2.0**-100
"""Less than any sum of exponentials but that of none."""


def _each(address, rows, *, negate=False):
    """An operand that is one number for each row."""
    if rows == 1:
        return Scalar(address, negate=negate)
    return Strided(address, negate=negate, stride=0, row_stride=4)


def emit_exponents(a, pad, n, rows):
    """exponent[r] = floor(max(x[r]) * log2(e)) + 1: an integer above every x[r][i] * log2(e). Constants: log2e, one."""
    exponent = Vector(pad["exponent"])
    a.vector(Function.COPY, n, rows=rows, a=Vector(pad["x"]), reduce=(Reduction.MAX, pad["exponent"]))
    a.vector(Function.MUL, rows, a=exponent, b=Scalar(pad["log2e"]), d=exponent)
    a.vector(Function.FLOOR, rows, a=exponent, d=exponent)
    a.vector(Function.ADD, rows, a=exponent, b=Scalar(pad["one"]), d=exponent)


def emit_softmax(a, pad, n, rows, *, levels=None):
    """x[r][i] = 2 ** (x[r][i] * log2(e) - exponent[r]), over the sum of the row. A row of zeros stays one.

    With `levels`, the name of a constant, round(levels * x[r][i]) as int8 at `q` instead. Constants: least.
    """
    x, total = Vector(pad["x"]), Vector(pad["sum"])
    a.vector(
        Function.EXPM,
        n,
        rows=rows,
        a=x,
        b=_each(pad["exponent"], rows),
        d=x,
        reduce=(Reduction.FIXED_SUM, pad["sum"]),
    )
    a.vector(Function.MAX, rows, a=total, b=Scalar(pad["least"]), d=total)
    a.vector(Function.RECIPROCAL, rows, a=total, d=total)
    share = _each(pad["sum"], rows)
    if levels is None:
        a.vector(Function.MUL, n, rows=rows, a=x, b=share, d=x)
        return
    a.vector(Function.MUL, rows, a=total, b=Scalar(pad[levels]), d=total)
    a.vector(Function.MUL, n, rows=rows, a=x, b=share, d=Vector(pad["q"]), d_type=DataType.INT8)


def softmax(x, *, exponent=None, levels=None):
    """Softmax of every row, in place; a row that is masked as a whole becomes zeros.

    Parameters
    ----------
    x : float32 [rows, n]
        -inf masks an element.
    exponent : float32 [rows], optional
        What `emit_exponents` gives, if it is known already.
    levels : int, optional
        Up to 127: the output is `q`, int8 [rows, n], the probability times this, rounded to nearest even.
    """
    rows, n = x.shape
    inputs = {"x": x, "log2e": _constant(_LOG2_E), "one": _constant(1), "least": _constant(_LEAST)}
    scratch = {"sum": 4 * rows}
    if exponent is None:
        scratch["exponent"] = 4 * rows
    else:
        inputs["exponent"] = exponent

    def emit(a, pad):
        if exponent is None:
            emit_exponents(a, pad, n, rows)
        emit_softmax(a, pad, n, rows, levels=levels and "levels")

    outputs = {"x": (x.shape, "<f4")}
    if levels is not None:
        inputs["levels"], outputs = _constant(levels), {"q": (x.shape, "i1")}
    return Kernel(emit, inputs, outputs, scratch)


def _emit_scale(a, pad, n, rows):
    """scale[r] = 1 / sqrt(mean of x[r][i] ** 2 + epsilon). Constants: share = 1 / n, epsilon."""
    x, scale = Vector(pad["x"]), Vector(pad["scale"])
    a.vector(Function.MUL, n, rows=rows, a=x, b=x, reduce=(Reduction.SUM, pad["scale"]))
    a.vector(Function.MADD, rows, a=scale, b=Scalar(pad["share"]), c=Scalar(pad["epsilon"]), d=scale)
    a.vector(Function.RSQRT, rows, a=scale, d=scale)


def rms_norm(x, gain, epsilon=1e-5):
    """x[r][i] / sqrt(mean of the row's squares + epsilon) * gain[i], in place.

    Parameters
    ----------
    x : float32 [rows, n]
    gain : float32 [n]
    """
    rows, n = x.shape

    def emit(a, pad):
        _emit_scale(a, pad, n, rows)
        x, scale = Vector(pad["x"]), _each(pad["scale"], rows)
        a.vector(Function.MUL, n, rows=rows, a=x, b=scale, d=x)
        a.vector(Function.MUL, n, rows=rows, a=x, b=_columns(pad["gain"]), d=x)

    inputs = {"x": x, "gain": gain, "share": _constant(1 / n), "epsilon": _constant(epsilon)}
    return Kernel(emit, inputs, {"x": (x.shape, "<f4")}, {"scale": 4 * rows})


def layer_norm(x, gain, bias, epsilon=1e-5):
    """(x[r][i] - mean) / sqrt(variance + epsilon) * gain[i] + bias[i], in place.

    The mean is subtracted before anything is squared, so that nothing cancels; and what is left of it then, because a
    float32 has no room for all of it beside a large mean, is subtracted with the scaling.

    Parameters
    ----------
    x : float32 [rows, n]
    gain, bias : float32 [n]
    """
    rows, n = x.shape

    def emit(a, pad):
        x, share = Vector(pad["x"]), Scalar(pad["share"])
        mean, rest = Vector(pad["mean"]), Vector(pad["rest"])
        a.vector(Function.COPY, n, rows=rows, a=x, reduce=(Reduction.SUM, pad["mean"]))
        a.vector(Function.MUL, rows, a=mean, b=share, d=mean)
        centre = _each(pad["mean"], rows, negate=True)
        a.vector(Function.ADD, n, rows=rows, a=x, b=centre, d=x, reduce=(Reduction.SUM, pad["rest"]))
        _emit_scale(a, pad, n, rows)
        a.vector(Function.MUL, rows, a=rest, b=share, d=rest)
        a.vector(Function.MUL, rows, a=rest, b=Vector(pad["scale"]), d=rest)
        scale, shift = _each(pad["scale"], rows), _each(pad["rest"], rows, negate=True)
        a.vector(Function.MADD, n, rows=rows, a=x, b=scale, c=shift, d=x)
        a.vector(Function.MADD, n, rows=rows, a=x, b=_columns(pad["gain"]), c=_columns(pad["bias"]), d=x)

    inputs = {"x": x, "gain": gain, "bias": bias, "share": _constant(1 / n), "epsilon": _constant(epsilon)}
    scratch = dict.fromkeys(("scale", "mean", "rest"), 4 * rows)
    return Kernel(emit, inputs, {"x": (x.shape, "<f4")}, scratch)


def _constant(value):
    return np.array([value], "<f4")


def _columns(address):
    """An operand that is the same in all rows."""
    return Strided(address, stride=4, row_stride=0)
