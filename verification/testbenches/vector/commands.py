# SPDX-License-Identifier: Apache-2.0
"""Vector commands as Python values: how to write them down, their words, and random ones."""

from dataclasses import dataclass, replace

import numpy as np

from tepin.isa import (
    COMMANDS,
    DataType,
    Engine,
    EngineOp,
    Function,
    Mode,
    QueueHeader,
    Reduction,
    VectorFlags,
)

__all__ = ["ABSENT", "NOP", "Command", "At", "fill", "random_command", "scalar", "strided", "vector"]

_SIZE = {DataType.FLOAT32: 4, DataType.INT32: 4, DataType.INT16: 2, DataType.INT8: 1}
_MASK = 0xFFFF_FFFF


@dataclass(frozen=True)
class At:
    """Where an operand is, and what is done to it."""

    mode: Mode = Mode.NONE
    base: int = 0
    stride: int = 0
    row_stride: int = 0
    type: DataType = DataType.FLOAT32
    abs: bool = False
    negate: bool = False

    def __neg__(self):
        return replace(self, negate=not self.negate)

    def __abs__(self):
        return replace(self, abs=True, negate=False)

    def as_type(self, type):
        """The same place, holding elements of `type`."""
        return replace(self, type=type)

    def footprint(self, n, rows, size):
        """Addresses of the elements, [rows, n]."""
        stride, row_stride = {
            Mode.SCALAR: (0, 0),
            Mode.VECTOR: (size, n * size),
            Mode.STRIDED: (self.stride, self.row_stride),
        }[self.mode]
        row, i = np.ogrid[:rows, :n]
        return self.base + row * row_stride + i * stride


ABSENT = At()


def scalar(base):
    """One element for all."""
    return At(Mode.SCALAR, base)


def vector(base):
    """Contiguous elements, rows behind each other."""
    return At(Mode.VECTOR, base)


def strided(base, stride, row_stride=0):
    """Elements `stride` bytes apart, rows `row_stride` bytes."""
    return At(Mode.STRIDED, base, stride, row_stride)


@dataclass(frozen=True)
class Command:
    """A vector command."""

    function: Function = Function.COPY
    a: At = ABSENT
    b: At = ABSENT
    c: At = ABSENT
    d: At = ABSENT
    n: int = 1
    rows: int | None = None
    reduction: Reduction = Reduction.NONE
    result: int = 0

    @property
    def flags(self):
        """`VectorFlags` constant."""
        operands = {"a": self.a, "b": self.b, "c": self.c}
        return VectorFlags.const(
            {
                "function": self.function,
                "reduction": self.reduction,
                "a_type": self.a.type,
                "d_type": self.d.type,
                "two_dimensional": int(self.rows is not None),
                "d_mode": self.d.mode,
                **{f"{name}_mode": at.mode for name, at in operands.items()},
                **{f"{name}_abs": int(at.abs) for name, at in operands.items()},
                **{f"{name}_negate": int(at.negate) for name, at in operands.items()},
            }
        )

    @property
    def fields(self):
        """Values of the fields that the flags call for, in order."""
        values = {"n": self.n, "rows": self.rows, "result": self.result}
        for name, at in (("a", self.a), ("b", self.b), ("c", self.c), ("d", self.d)):
            values |= {name: at.base, f"{name}_stride": at.stride, f"{name}_row_stride": at.row_stride}
        flags = self.flags
        return {
            field.name: values[field.name] & _MASK
            for field in COMMANDS[Engine.VECTOR].fields
            if field.present(flags)
        }

    def words(self, *, wait=0, signal=0, pc=0):
        """The command as it stands in the engine's queue."""
        body = [self.flags.as_bits(), *self.fields.values()]
        header = {"op": EngineOp.RUN, "wait": wait, "signal": signal, "length": len(body), "pc": pc}
        return [QueueHeader.const(header).as_bits(), *body]


NOP = [QueueHeader.const({"op": EngineOp.NOP}).as_bits()]
"""Words of a command that does nothing."""

_SPECIAL_WORDS = np.array(
    [
        0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC12345, 0x7F800001, 0x00000001, 0x807FFFFF,
        0x00800000, 0x80800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x3F800000, 0xBF800000, 0x3F000000, 0x46FEFE00, 0xC2FE0000,
        0x4F000000, 0xCF000000, 0x4EFFFFFF, 0x40000000, 0x2B800000, 0x2B7FFFFF, 0x407FFFFF, 0x40800000,
    ],
    dtype="<u4",
)  # fmt: skip


def fill(rng, size, flavour):
    """A scratchpad full of numbers: `plain`, `unit` (0 to 2), `bits` (any), `special` or `mixed`."""
    count = size // 4
    plain = (rng.standard_normal(count) * 2.0 ** rng.integers(-3, 6, count)).astype("<f4").view("<u4")
    unit = rng.uniform(0, 2, count).astype("<f4").view("<u4")
    bits = rng.integers(1 << 32, size=count, dtype="<u4")
    special = rng.choice(_SPECIAL_WORDS, count)
    kinds = {"plain": plain, "unit": unit, "bits": bits, "special": special}
    words = (
        kinds[flavour] if flavour in kinds else np.choose(rng.integers(4, size=count), list(kinds.values()))
    )
    return np.ascontiguousarray(words, dtype="<u4").view(np.uint8).copy()


def random_command(rng, size, *, function=None, reduction=None, d_type=None, longest=150):
    """A command whose effects are specified: what it writes, it reads exactly there or nowhere."""
    while True:
        command = _draw(rng, size, function, reduction, d_type, longest)
        if command is not None:
            return command


def _draw(rng, size, function, reduction, d_type, longest):
    def pick(choices):
        return choices[int(rng.integers(len(choices)))]

    function = function or pick(list(Function))
    reduction = pick(list(Reduction)) if reduction is None else reduction
    n = int(rng.integers(1, pick([4, 20, longest])))
    rows = pick([None, 1, int(rng.integers(1, 10))])

    def place(element, modes):
        """An operand somewhere; some of these reach out of the scratchpad, and are drawn again."""
        base = int(rng.integers(size // element)) * element
        stride = element * pick([1, 1, 0, 2, 3, -1, -2, int(rng.integers(-8, 9))])
        row_stride = element * pick([n, 0, 1, -n, n + 3, int(rng.integers(-50, 50))])
        mode = pick(modes)
        return At(mode, base, stride, row_stride) if mode == Mode.STRIDED else At(mode, base)

    def modified(at):
        return (
            replace(at, abs=bool(rng.integers(2)), negate=bool(rng.integers(2))) if rng.random() < 0.3 else at
        )

    sources = [Mode.VECTOR, Mode.VECTOR, Mode.STRIDED, Mode.SCALAR]
    a_type = pick(list(DataType)) if function != Function.RANDOM and rng.random() < 0.5 else DataType.FLOAT32
    a = place(
        _SIZE[a_type], [Mode.SCALAR] if function == Function.RANDOM else [*sources, *sources, Mode.NONE]
    )
    b, c = place(4, [*sources, Mode.NONE]), place(4, [*sources, Mode.NONE])
    if a_type == DataType.FLOAT32 and rng.random() < 0.2:
        b = a  # Then the engine reads it once.
    d_type = (pick(list(DataType)) if rng.random() < 0.5 else DataType.FLOAT32) if d_type is None else d_type
    d = place(_SIZE[d_type], [Mode.VECTOR] * 4 + [Mode.STRIDED] * 2 + [Mode.SCALAR] + [Mode.NONE] * 2)
    in_place = b.mode != Mode.NONE and d_type == DataType.FLOAT32 and rng.random() < 0.3
    if in_place:
        d = b
    result = int(rng.integers(size // 4)) * 4
    command = Command(
        function,
        modified(a).as_type(a_type),
        modified(b),
        modified(c),
        d.as_type(d_type),
        n,
        rows,
        reduction,
        result,
    )

    count = rows or 1
    read = np.zeros(size, bool)
    for name in "abc":
        at = getattr(command, name)
        if at.mode == Mode.NONE:
            continue
        same = (at.mode, at.base, at.stride, at.row_stride) == (d.mode, d.base, d.stride, d.row_stride)
        addresses = at.footprint(n, count, _SIZE[at.type])
        if addresses.min() < 0 or addresses.max() + _SIZE[at.type] > size:
            return None
        if in_place and same and np.unique(addresses).size == addresses.size:
            continue
        read[addresses[..., None] + np.arange(_SIZE[at.type])] = True
    written = np.zeros(size, bool)
    if d.mode != Mode.NONE:
        addresses = d.footprint(n, count, _SIZE[d_type])
        if addresses.min() < 0 or addresses.max() + _SIZE[d_type] > size:
            return None
        written[addresses[..., None] + np.arange(_SIZE[d_type])] = True
    if (read & written).any():
        return None
    if reduction != Reduction.NONE:
        end = result + count * (8 if reduction == Reduction.ARGMAX else 4)
        if end > size or read[result:end].any() or written[result:end].any():
            return None
    return command
