# SPDX-License-Identifier: Apache-2.0
"""What the command line asks of the tests, passed on in environment variables, and randomness that can be repeated."""

import hashlib
import os

import numpy as np

__all__ = [
    "EXPORTED",
    "GATES",
    "SEED",
    "SIMULATOR",
    "SIMULATORS",
    "WAVES",
    "exported",
    "gates",
    "seed",
    "simulator",
    "waves",
    "generator",
]

SEED = "TEPIN_SEED"
SIMULATOR = "TEPIN_SIM"
WAVES = "TEPIN_WAVES"
GATES = "TEPIN_GATES"
EXPORTED = "TEPIN_EXPORTED"

SIMULATORS = ("verilator", "icarus")


def seed():
    """The seed of this run."""
    return int(os.environ.get(SEED, "0"))


def simulator():
    """The simulator that cocotb tests run on: one of `SIMULATORS`."""
    return os.environ.get(SIMULATOR, SIMULATORS[0])


def waves():
    """The file that waveforms go to, or None."""
    return os.environ.get(WAVES) or None


def gates():
    """The FPGA family that designs are synthesised for before they are simulated, or None."""
    return os.environ.get(GATES) or None


def exported():
    """Whether designs are simulated as `tepin verilog` writes them."""
    return bool(os.environ.get(EXPORTED))


def generator(*names):
    """A numpy random generator for whoever is called `names`, such as a test, or a driver of a test.

    Depends on the seed of the run and on the names only, so tests can be added, left out and reordered, and
    each still draws the same numbers.
    """
    digest = hashlib.sha256("\0".join(map(str, names)).encode()).digest()
    words = np.frombuffer(digest, dtype="<u4")
    return np.random.default_rng([seed(), *words.tolist()])
