# SPDX-License-Identifier: Apache-2.0
"""Rows to beats of a stream unit, and back."""

import numpy as np

from tepin.units.norm import parameter_layout
from tepin.units.rows import row_layout
from tepin_reference import float32

__all__ = ["beats", "odd_rows", "parameter_beats", "parse"]

_NOISE = 0x7F80_0000
"""In lanes without an element; it would show in any result that it reached."""


def _cut(values, lanes, filler=_NOISE):
    words = [int(word) for word in float32.bits(values)]
    for start in range(0, len(words), lanes):
        part = words[start : start + lanes]
        yield part + [filler] * (lanes - len(part)), (1 << len(part)) - 1, start + lanes >= len(words)


def beats(row, lanes, *, mask=None, masks=False):
    """Beats of a float32 row, as integers; with a mask, an array of bool, if the stream has `masks`."""
    layout = row_layout(lanes, mask=masks)
    items = []
    for index, (words, keep, last) in enumerate(_cut(row, lanes)):
        fields = {"data": words, "keep": keep, "last": int(last)}
        if masks:
            part = [] if mask is None else mask[index * lanes : (index + 1) * lanes]
            fields["mask"] = sum(1 << lane for lane, masked in enumerate(part) if masked)
        items.append(layout.const(fields).as_bits())
    return items


def parameter_beats(gain, bias, lanes):
    """Beats of gains and biases, as integers."""
    layout = parameter_layout(lanes)
    pairs = zip(_cut(gain, lanes), _cut(bias, lanes), strict=True)
    return [
        layout.const({"gain": gains, "bias": biases, "last": int(last)}).as_bits()
        for (gains, _, last), (biases, _, _) in pairs
    ]


def parse(items, lanes, *, width=32):
    """Rows of beats that a unit sent: float32 arrays, or int8 ones of elements that are 8 bits wide.

    All beats but the last of a row must be full, and hold at least one element.
    """
    layout = row_layout(lanes, width=width)
    rows, row = [], []
    for item in items:
        beat = layout.from_bits(item)
        keep, last = int(beat.keep), int(beat.last)
        assert keep and keep & (keep + 1) == 0 and (last or keep == (1 << lanes) - 1), bin(keep)
        row += [int(beat.data[lane]) for lane in range(keep.bit_length())]
        if last:
            rows.append(np.array(row, f"<u{width // 8}").view("<f4" if width == 32 else "i1"))
            row = []
    assert not row
    return rows


def odd_rows(rng, n):
    """Rows of n elements that are unusual, by what is unusual about them."""
    usual = (3 * rng.standard_normal(n)).astype("<f4")

    def with_one(value):
        row = usual.copy()
        row[rng.integers(n)] = value
        return row

    return {
        "zeros": np.zeros(n, "<f4"),
        "equal": np.full(n, -3.75, "<f4"),
        "huge": with_one(1e4),
        "very huge": with_one(3e38),
        "NaN": with_one(np.nan),
        "infinite": with_one(np.inf),
        "minus infinite": with_one(-np.inf),
        "all minus infinite": np.full(n, -np.inf, "<f4"),
        "subnormal": np.full(n, 1e-40, "<f4"),
        "bits": rng.integers(1 << 32, size=n, dtype="<u4").view("<f4"),
    }
