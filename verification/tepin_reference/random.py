# SPDX-License-Identifier: Apache-2.0
"""The counter-based random generator of the vector unit: Threefry-2x32 with 13 rounds.

Threefry turns a key and a counter into random bits by additions, rotations and exclusive-ors only: no multiplier, no state,
so element i of a row is the same on whatever lane, chip or backend computes it. Source: J. Salmon, M. Moraes, R. Dror,
D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.2; with 13 rounds and two 32-bit words it is the
cheapest of the family that the authors call Crush-resistant (table 2).
"""

import numpy as np

__all__ = ["ROUNDS", "threefry", "uniform"]

ROUNDS = 13
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA
"""Keeps the third key word from being zero whenever the two given ones are equal."""


def _rotate_left(x, distance):
    return (x << np.uint32(distance)) | (x >> np.uint32(32 - distance))


def threefry(key, counter, rounds=ROUNDS):
    """Encrypt pairs of words: `key` and `counter` are pairs of uint32 arrays; so is the result."""
    keys = [np.asarray(word, np.uint32) for word in key]
    keys.append(keys[0] ^ keys[1] ^ np.uint32(_PARITY))
    with np.errstate(over="ignore"):
        x0, x1 = (np.asarray(word, np.uint32) + k for word, k in zip(counter, keys[:2], strict=True))
        for number in range(rounds):
            x0 = x0 + x1
            x1 = _rotate_left(x1, _ROTATIONS[number % 8]) ^ x0
            if number % 4 == 3:
                injection = number // 4 + 1
                x0 = x0 + keys[injection % 3]
                x1 = x1 + keys[(injection + 1) % 3] + np.uint32(injection)
    return x0, x1


def uniform(seed, position, counter):
    """Return float32 numbers evenly spread in (0, 1): odd multiples of 2**-24, so never 0 and never 1."""
    word, _ = threefry((seed, position), (counter, np.zeros_like(counter)))
    return ((2 * (word >> np.uint32(9)) + np.uint32(1)) * 2.0**-24).astype(np.float32)
