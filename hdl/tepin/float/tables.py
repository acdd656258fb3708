# SPDX-License-Identifier: Apache-2.0
"""Constants of the special functions: what the hardware's ROM holds, and what the numpy model reads.

Every function comes down to g(x) on a short interval, cut into segments of equal length. On each, with d the distance
from the segment's left end, g is c0 + d * (c1 + d * c2), which interpolates it in the Chebyshev nodes of the segment.
Where a result must be exact for d = 0, as in 1 / 1 or 2**0, the nodes are the ends and the middle instead.

========== ===================== ================== ======== =========
segments    g(x)                  x                  count    addresses
========== ===================== ================== ======== =========
reciprocal  1 / x                 [1, 2)             128      0..127
root, even  1 / sqrt(x)           [1, 2)             128      128..255
root, odd   1 / sqrt(2 * x)       [1, 2)             64       256..319
power       2 ** x                [0, 1)             64       320..383
logarithm   ln(1 + x) / x         [-1/4, 1/2)        96       384..511
========== ===================== ================== ======== =========

The segment of a logarithm is addressed by floor(128 * x) in two's complement, so 32 addresses in its middle are unused.
The numbers are computed in decimal arithmetic and come out the same on every machine.
"""

from decimal import Decimal, localcontext
from functools import cache

__all__ = [
    "C0_FRACTION",
    "C0_WIDTH",
    "C1_FRACTION",
    "C1_WIDTH",
    "C2_FRACTION",
    "C2_WIDTH",
    "DISTANCE_FRACTION",
    "DISTANCE_WIDTH",
    "LN2_FRACTION",
    "LOG2E",
    "LOG2E_FRACTION",
    "LOGARITHM",
    "POWER",
    "RECIPROCAL",
    "ROOT_EVEN",
    "ROOT_ODD",
    "coefficients",
    "ln2_multiples",
]

RECIPROCAL = 0
ROOT_EVEN = 128
ROOT_ODD = 256
POWER = 320
LOGARITHM = 384

DISTANCE_WIDTH, DISTANCE_FRACTION = 24, 30
"""Distances d are unsigned, in units of 2**-30, and below 2**-6."""

C0_WIDTH, C0_FRACTION = 30, 29
"""c0 is unsigned, in [1/2, 2)."""

C1_WIDTH, C1_FRACTION = 26, 24
"""c1 is signed, in [-1, 2)."""

C2_WIDTH, C2_FRACTION = 16, 16
"""c2 is unsigned, in [0, 1): all five functions are convex."""

LOG2E, LOG2E_FRACTION = 0x2E_2A8E_CA57, 37
"""log2(e), within 2**-42.4. It is 4 * n - 1 with an n of 36 bits, which two parts of a wide multiplier hold."""

LN2_FRACTION = 32
"""Fraction bits of the multiples of ln(2)."""


def _power(x):
    return Decimal(2) ** x


def _reciprocal(x):
    return 1 / x


def _root(x):
    return 1 / x.sqrt()


def _root_of_double(x):
    return 1 / (2 * x).sqrt()


def _logarithm(x):
    return (1 + x).ln() / x if x else Decimal(1)


def _fit(function, start, length, exact_start):
    """Return (c0, c1, c2), as decimals, of `function` on the segment [start, start + length)."""
    half = Decimal(1) / 2
    reach = half if exact_start else Decimal(3).sqrt() / 4
    nodes = [length * node for node in (half - reach, half, half + reach)]
    values = [function(start + node) for node in nodes]
    # Newton's divided differences, expanded into powers of d.
    slopes = [(values[k + 1] - values[k]) / (nodes[k + 1] - nodes[k]) for k in (0, 1)]
    c2 = (slopes[1] - slopes[0]) / (nodes[2] - nodes[0])
    c1 = slopes[0] - c2 * (nodes[0] + nodes[1])
    c0 = values[0] - nodes[0] * (slopes[0] - c2 * nodes[1])
    return c0, c1, c2


def _quantise(value, width, fraction):
    """Round to an integer in units of 2**-fraction that fits `width` bits."""
    integer = int((value * 2**fraction).to_integral_value())
    assert integer.bit_length() <= width
    return integer


@cache
def coefficients():
    """Return the 512 rows (c0, c1, c2) of the table, integers in the units above. Unused rows are zero."""
    rows = [(0, 0, 0)] * 512
    segments = [(RECIPROCAL + k, _reciprocal, 1 + Decimal(k) / 128, 128, k == 0) for k in range(128)]
    segments += [(ROOT_EVEN + k, _root, 1 + Decimal(k) / 128, 128, k == 0) for k in range(128)]
    segments += [(ROOT_ODD + k, _root_of_double, 1 + Decimal(k) / 64, 64, False) for k in range(64)]
    segments += [(POWER + k, _power, Decimal(k) / 64, 64, k == 0) for k in range(64)]
    segments += [(LOGARITHM + k % 128, _logarithm, Decimal(k) / 128, 128, k == 0) for k in range(-32, 64)]
    with localcontext() as context:
        context.prec = 50
        for address, function, start, count, exact_start in segments:
            c0, c1, c2 = _fit(function, start, Decimal(1) / count, exact_start)
            rows[address] = (
                _quantise(c0, C0_WIDTH, C0_FRACTION),
                _quantise(c1, C1_WIDTH - 1, C1_FRACTION),
                _quantise(c2, C2_WIDTH, C2_FRACTION),
            )
    return rows


@cache
def ln2_multiples():
    """Return two tables of integers in units of 2**-32: k * ln(2) and 16 * k * ln(2), for k = 0..15."""
    with localcontext() as context:
        context.prec = 50
        ln2 = Decimal(2).ln()
        return tuple([_quantise(k * unit * ln2, 40, LN2_FRACTION) for k in range(16)] for unit in (1, 16))
