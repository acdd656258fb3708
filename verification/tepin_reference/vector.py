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

_DTYPE = {DataType.FLOAT32: "<f4", DataType.INT32: "<i4", DataType.INT16: "<i2", DataType.INT8: "i1"}

_RANGE = {
    DataType.INT32: (-(2**31), 2**31 - 1),
    DataType.INT16: (-32639, 32639),  # so that the high byte of a rounded split is an int8
    DataType.INT8: (-127, 127),
}

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
    modes = {name: getattr(flags, f"{name}_mode") for name in "abcd"}
    types = {"a": flags.a_type, "b": DataType.FLOAT32, "c": DataType.FLOAT32, "d": flags.d_type}
    places = {
        name: _places(name, mode, np.dtype(_DTYPE[types[name]]).itemsize, fields, n, rows, scratchpad)
        for name, mode in modes.items()
        if mode != Mode.NONE
    }
    result_words = 2 if flags.reduction == Reduction.ARGMAX else 1
    if flags.reduction != Reduction.NONE:
        strides = {"result_stride": 4, "result_row_stride": 4 * result_words}
        where = {"result": fields["result"], **strides}
        places["result"] = _places("result", Mode.STRIDED, 4, where, result_words, rows, scratchpad)

    a, b, c = (_read(scratchpad, places.get(name), types[name], (rows, n)) for name in "abc")
    if flags.function == Function.RANDOM:
        counter = float32.bits(a) + np.arange(n, dtype=np.uint32)
        d = random.uniform(float32.bits(b), float32.bits(c), counter)
    else:
        a = _modify(float32.from_int(a) if a.dtype.kind == "i" else a, flags.a_abs, flags.a_negate)
        b = _modify(b, flags.b_abs, flags.b_negate)
        c = _modify(c, flags.c_abs, flags.c_negate)
        d = _FUNCTIONS[flags.function](a, b, c)

    if "d" in places:
        converted = d if flags.d_type == DataType.FLOAT32 else float32.to_int(d, *_RANGE[flags.d_type])
        _write(scratchpad, places["d"], converted.astype(_DTYPE[flags.d_type]))
    if "result" in places:
        _write(scratchpad, places["result"], _reduce(flags.reduction, d))


def _places(name, mode, size, fields, n, rows, scratchpad):
    """Scratchpad indices of every byte of an operand, [rows, n, size]."""
    base = fields[name]
    stride, row_stride = {
        Mode.SCALAR: (0, 0),
        Mode.VECTOR: (size, n * size),
        Mode.STRIDED: (fields.get(f"{name}_stride"), fields.get(f"{name}_row_stride")),
    }[mode]
    if base % size or stride % size or row_stride % size:
        raise OperandError(name, base, f"is not aligned to its {size}-byte elements")
    row, i = np.ogrid[:rows, :n]
    address = (base + row * row_stride + i * stride) % 2**32
    if address.max() >= len(scratchpad):
        raise OperandError(name, base, "reaches outside the scratchpad")
    return address[..., None] + np.arange(size)


def _read(scratchpad, places, dtype, shape):
    """Elements of an operand as an array [rows, n]; an absent operand reads as +0.0."""
    if places is None:
        return np.zeros(shape, "<f4")
    return scratchpad[places].view(_DTYPE[dtype])[..., 0]


def _write(scratchpad, places, values):
    scratchpad[places] = np.ascontiguousarray(values)[..., None].view(np.uint8)


def _modify(x, absolute, negate):
    """Apply source modifiers: they change the sign bit and nothing else."""
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
