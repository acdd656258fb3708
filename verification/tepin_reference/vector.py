# SPDX-License-Identifier: Apache-2.0
"""What one vector command does to the scratchpad, in every bit.

    d[r][i] = f(a[r][i], b[r][i], c[r][i])      for r < rows, i < n
    result[r] = reduction of d[r][0..n-1]       optionally; of the float32 results, before conversion to d's type

Everything is float32 inside. An integer `a` is converted when it is read, `d` when it is written. All operands are read
before anything is written here; the hardware goes element by element, which is the same when `d` shares no bytes with an
operand or lies exactly on it.
"""

import numpy as np

from tepin.isa import DataType, Function, Mode, Reduction

from . import float32, random, special

__all__ = ["OperandError", "execute"]

_DTYPE = {
    DataType.FLOAT32: np.dtype("<f4"),
    DataType.INT32: np.dtype("<i4"),
    DataType.INT16: np.dtype("<i2"),
    DataType.INT8: np.dtype("i1"),
}

_RANGE = {
    DataType.INT32: (-(2**31), 2**31 - 1),
    DataType.INT16: (-32639, 32639),  # so that the high byte of a rounded split is an int8
    DataType.INT8: (-127, 127),
}

_WORD = DataType.FLOAT32
_ABSENT = np.zeros((1, 1), "<f4")

_FUNCTIONS = {
    Function.COPY: lambda a, b, c: float32.flush(a),
    Function.ADD: lambda a, b, c: float32.add(a, b),
    Function.MUL: lambda a, b, c: float32.multiply(a, b),
    Function.MADD: lambda a, b, c: float32.add(float32.multiply(a, b), c),
    Function.MAX: lambda a, b, c: float32.maximum(a, b),
    Function.MIN: lambda a, b, c: float32.minimum(a, b),
    Function.LT: lambda a, b, c: float32.compare_lt(a, b),
    Function.LE: lambda a, b, c: float32.compare_le(a, b),
    Function.EQ: lambda a, b, c: float32.compare_eq(a, b),
    Function.SELECT: lambda a, b, c: float32.flush(np.where(float32.flush(a) != 0, b, c)),  # NaN selects b
    Function.FLOOR: lambda a, b, c: float32.floor(a),
    Function.EXPM: lambda a, b, c: special.exp_minus(a, b),
    Function.LN: lambda a, b, c: special.ln(a),
    Function.LOG1P: lambda a, b, c: special.log1p(a),
    Function.RECIPROCAL: lambda a, b, c: special.reciprocal(a),
    Function.RSQRT: lambda a, b, c: special.rsqrt(a),
}


class OperandError(Exception):
    """An operand is misaligned or reaches outside the scratchpad; `address` is where the operand starts."""

    def __init__(self, operand, address, reason):
        self.operand, self.address = operand, address
        super().__init__(f"operand {operand} at {address:#x} {reason}")


def execute(flags, fields, scratchpad):
    """Execute one vector command.

    Parameters
    ----------
    flags : VectorFlags constant
    fields : mapping from field name to unsigned 32-bit value
        The fields that `flags` call for.
    scratchpad : uint8 array
        Changed in place.

    Raises
    ------
    OperandError
        An address or stride is not a multiple of the element size, or an element lies outside the scratchpad. Nothing
        has been changed then.
    """
    n, rows = fields["n"], fields.get("rows", 1)
    if n == 0 or rows == 0:
        return
    views = {}
    for name, dtype in (("a", flags.a_type), ("b", _WORD), ("c", _WORD), ("d", flags.d_type)):
        mode = getattr(flags, f"{name}_mode")
        if mode != Mode.NONE:
            views[name] = _view(name, mode, _DTYPE[dtype], fields, n, rows, scratchpad)
    if flags.reduction != Reduction.NONE:
        words = 2 if flags.reduction == Reduction.ARGMAX else 1
        views["result"] = _view("result", Mode.VECTOR, _DTYPE[_WORD], fields, words, rows, scratchpad)

    a, b, c = (views.get(name, _ABSENT) for name in "abc")
    if flags.function == Function.RANDOM:
        counter = float32.bits(a) + np.arange(n, dtype=np.uint32)
        d = random.uniform(float32.bits(b), float32.bits(c), counter)
    else:
        a = _modify(float32.from_int(a) if a.dtype.kind == "i" else a, flags.a_abs, flags.a_negate)
        b = _modify(b, flags.b_abs, flags.b_negate)
        c = _modify(c, flags.c_abs, flags.c_negate)
        d = _FUNCTIONS[flags.function](a, b, c)
    if d.shape != (rows, n):  # no operand has an element for each
        d = np.broadcast_to(d, (rows, n))

    if "d" in views:
        _write(
            views["d"], d if flags.d_type == DataType.FLOAT32 else float32.to_int(d, *_RANGE[flags.d_type])
        )
    if "result" in views:
        _write(views["result"], _reduce(flags.reduction, d))


def _view(name, mode, dtype, fields, n, rows, scratchpad):
    """Elements of an operand, where they lie in the scratchpad: a numpy array [rows, n].

    A stride of 0 stands for an axis of length 1, which numpy broadcasts as the hardware does.
    """
    base, size = fields[name], dtype.itemsize
    stride, row_stride = 0, 0
    if mode == Mode.VECTOR:
        stride, row_stride = size, n * size
    elif mode == Mode.STRIDED:
        stride, row_stride = fields[f"{name}_stride"], fields[f"{name}_row_stride"]
    if base % size or stride % size or row_stride % size:
        raise OperandError(name, base, f"is not aligned to its {size}-byte elements")
    columns = n if stride else 1
    rows = rows if row_stride else 1
    stride, row_stride = _signed(stride), _signed(row_stride)
    across, down = (columns - 1) * stride, (rows - 1) * row_stride
    if base + min(across, 0) + min(down, 0) < 0 or base + max(across, 0) + max(down, 0) >= len(scratchpad):
        raise OperandError(name, base, "reaches outside the scratchpad")
    return np.ndarray((rows, columns), dtype, scratchpad, base, (row_stride, stride))


def _signed(word):
    return word - (1 << 32) if word >> 31 else word


def _write(view, values):
    """Store values [rows, n]. Where an operand overlaps itself, the last element in order of rows and columns stays."""
    rows, n = view.shape
    for target, row in zip(view, values[-rows:, -n:], strict=True):
        target[:] = row


def _modify(x, absolute, negate):
    """Apply source modifiers: they change the sign bit and nothing else."""
    if not (absolute or negate):
        return x
    encoding = float32.bits(x)
    if absolute:
        encoding = encoding & np.uint32(0x7FFF_FFFF)
    if negate:
        encoding = encoding ^ np.uint32(0x8000_0000)
    return encoding.view(np.float32)


def _reduce(reduction, d):
    """Reductions of every row, as words [rows, 1 or 2]."""
    if reduction == Reduction.SUM:
        return float32.sum64(d)[:, None]
    if reduction == Reduction.FIXED_SUM:
        return float32.fixed_sum(d)[:, None]
    if reduction == Reduction.ABSMAX:
        d = np.abs(d)
    index = float32.argmax(d)[:, None]
    value = np.take_along_axis(d, index, axis=1)
    value = float32.maximum(value, value)  # -0 becomes +0
    if reduction == Reduction.ARGMAX:
        return np.concatenate([index.astype("<i4").view("<f4"), value], axis=1)
    return value
