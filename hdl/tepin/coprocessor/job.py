# SPDX-License-Identifier: Apache-2.0
"""What a coprocessor is asked to do: shapes, addresses and the layout of its memory, for hardware and host alike.

A *word* is as many bytes as the array has columns. In memory, everything at multiples of a word:

    activations   int16, `rows` of them a word
    weights       for each tile of `columns` columns, for each of its rows: int8, one of each column, a word
    sums          int32, one of each column, tile by tile

A *job* multiplies one row of activations with tiles of a matrix. It is five numbers, 32 bits each, written to `JOB_ADDRESS`
with the last byte last: that starts it. Until it has ended the coprocessor answers nothing, so whatever is sent behind a job
finds its sums. Any read at `JOB_ADDRESS` gives the clock cycles that the last job took.
"""

import struct
from dataclasses import dataclass

__all__ = ["ACTIVATION_WIDTH", "JOB", "JOB_ADDRESS", "LONGEST", "SUM_BYTES", "Job", "Shape", "parse_shape"]

ACTIVATION_WIDTH = 16

SUM_BYTES = 4

LONGEST = 512
"""Most rows of a matrix in a job: int32 holds as many products of an activation within +-32639 and any int8."""

JOB_ADDRESS = 1 << 31

_MAGIC = 0xC0B1  # changes with anything on this page that a host has to know


@dataclass(frozen=True)
class Job:
    """Members: byte addresses `weights`, `activations`, `sums`; passes per tile `groups`, of `rows` rows each; `tiles`."""

    weights: int
    activations: int
    sums: int
    groups: int
    tiles: int

    def encode(self):
        """What is written to `JOB_ADDRESS`."""
        return JOB.pack(*vars(self).values())


JOB = struct.Struct("<5I")


@dataclass(frozen=True)
class Shape:
    """What a host has to know of a coprocessor.

    Members
    -------
    columns : int
        Of the array: 4, 8 or 16, the bytes of a word.
    memory_bytes : int
        A power of two, 1 KiB to 256 KiB.
    """

    columns: int = 4
    memory_bytes: int = 1 << 17

    def __post_init__(self):
        if self.columns not in (4, 8, 16):
            raise ValueError(f"Columns of a coprocessor must be 4, 8 or 16, not {self.columns!r}")
        if self.memory_bytes not in [1 << bits for bits in range(10, 19)]:
            raise ValueError(
                f"Memory of a coprocessor must be a power of two from 1 to 256 KiB, not {self.memory_bytes!r} bytes"
            )

    @property
    def rows(self):
        """Of the array: as many as activations in a word."""
        return self.columns // 2

    @property
    def address_bits(self):
        """Of the address of a word."""
        return (self.memory_bytes // self.columns - 1).bit_length()

    @property
    def hash(self):
        """What the device says in the place where a chip has the hash of its configuration."""
        return _MAGIC << 16 | self.columns

    def cycles(self, groups, tiles):
        """That a job takes, from the answer to its last byte on; none of the two is 0."""
        return tiles * (groups * (self.rows + 1) + self.rows + 11) + 1

    @staticmethod
    def is_coprocessor(identity):
        """Whether a device that says this is one, be it of any shape."""
        return identity >> 16 == _MAGIC

    @classmethod
    def identified(cls, identity, memory_bytes):
        """The shape that a device has said it has; `ValueError` if it is no such coprocessor."""
        if not cls.is_coprocessor(identity):
            raise ValueError(f"{identity:08x} is no coprocessor")
        return cls(identity & 0xFFFF, memory_bytes)

    def describe(self):
        """In words."""
        return f"coprocessor array={self.rows}x{self.columns} memory={self.memory_bytes // 1024}K"


def parse_shape(text):
    """The `Shape` that ``coprocessor[,columns=4][,memory_bytes=131072]`` says; `ValueError` if none can be."""
    _, *changes = text.split(",")
    values = {}
    for change in changes:
        name, _, value = change.partition("=")
        if name not in Shape.__dataclass_fields__ or not value.isdecimal():
            raise ValueError(
                f"a coprocessor takes {', '.join(f'{name}=N' for name in Shape.__dataclass_fields__)}, not {change!r}"
            )
        values[name] = int(value)
    return Shape(**values)
