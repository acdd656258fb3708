# SPDX-License-Identifier: Apache-2.0
"""What a token costs on a coprocessor: bytes on its line and cycles of its array, without a coprocessor."""

from types import SimpleNamespace

import numpy as np

from tepin.io.protocol import Request
from tepin_host.coprocessor.driver import SerialCoprocessor
from tepin_host.coprocessor.matrices import matrices

__all__ = ["LINE_BITS", "Nowhere", "traffic_per_token"]

LINE_BITS = 10
"""Bits on the line for a byte."""

_LARGEST = 32639


class Nowhere:
    """In the place of a `SerialChip`: takes everything and answers zeros."""

    identity = SimpleNamespace(clock_hz=1)
    baud = 1

    def load(self, address, data, progress=None):
        return len(data)

    def accesses(self, commands):
        return [bytes(command.count) if command.code == Request.READ_MEMORY else b"" for command in commands]


def traffic_per_token(executable, shape):
    """The `Traffic` of one token of an executable on a coprocessor of this shape.

    Activations are random, sums are zeros, so the bytes that have to be escaped are not exactly those of a text: up to one in
    a hundred of all bytes. Of several matrices that are multiplied by the same row, only the first has it sent.
    """
    coprocessor = SerialCoprocessor(Nowhere(), shape)
    coprocessor.load(executable)
    rng = np.random.default_rng(0)
    row = np.zeros((1, 0))
    previous = None
    for index, w8 in enumerate(matrices(executable)):
        group = (
            _GROUPS[index % len(_GROUPS)] if index < len(_GROUPS) * executable.plan.layers else "classifier"
        )
        if group != previous or row.shape[1] != len(w8):
            row = rng.integers(-_LARGEST, _LARGEST + 1, (1, len(w8)))
        previous = group
        coprocessor.products(row, w8)
    return coprocessor.traffic


_GROUPS = ("attention", "attention", "attention", "output", "hidden", "hidden", "down")
"""Matrices of a layer that have the same row of activations, in the order of `tepin_host.compiler.plan.MATRICES`."""
