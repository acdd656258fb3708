# SPDX-License-Identifier: Apache-2.0
"""What is on the line of a link, in units of 16 bits: headers, the idle unit, the CRC, and a software model of
frames.

    idle idle | header  payload: 0 or 1 to 32 words  CRC low  CRC high | header ...

A frame is as long as its header says, and frames follow each other with nothing between them or with idle units.
Payload may hold any bits: between two frames is where a receiver looks for headers, and it knows where that is from
the length of the last one. After an error it waits for `HUNT_IDLES` idle units in a row.
"""

import zlib

from amaranth.hdl import Cat
from amaranth.lib import data, enum
from amaranth.lib.crc import catalog

__all__ = [
    "CRC",
    "Header",
    "HUNT_IDLES",
    "IDLE",
    "Kind",
    "MAX_WORDS",
    "Phase",
    "SEQUENCE_BITS",
    "UNIT",
    "check_bits",
    "control_detail",
    "encode_frame",
    "encode_header",
]

UNIT = 16
"""Bits of a unit."""

SEQUENCE_BITS = 8
"""Words are numbered modulo 2**8; at most half as many are under way."""

MAX_WORDS = 32
"""Words in a frame."""

HUNT_IDLES = 4
"""Idle units in a row after which a receiver that has lost its place expects a header."""

CRC = catalog.CRC32_ISO_HDLC(UNIT)
"""Over header and payload, each unit from its lowest bit on; its low half is sent first."""


class Kind(enum.IntEnum, shape=2):
    """Frames without payload."""

    ACK = 0  # `number`: all words before it have left the receiver's buffer
    NAK = 1  # `number` is the word that the receiver needs next: go back to it
    POLL = 2  # `number` is the word that is sent next: complain if that is not the one you need
    HELLO = 3  # before all others: `number` is the nonce of the sender


class Phase(enum.IntEnum, shape=2):
    """In a HELLO: what the sender knows."""

    FRESH = 0  # nothing since its reset
    MET = 1  # since its reset it has heard a HELLO of somebody who was FRESH or MET
    OLD = 2  # the link has been up since its reset: words may have moved


class Header(data.Struct):
    """First unit of a frame."""

    number: SEQUENCE_BITS  # DATA: of its first word; otherwise see `Kind`
    detail: (
        5  # DATA: its words less one; otherwise Kind, and for HELLO then Phase and whether the peer was heard
    )
    control: 1  # 0: DATA, 1: a frame without payload
    check: 2  # parity of `number`, parity of `detail` and `control`


def check_bits(header):
    """What `check` of a header has to be: it tells headers and idle units with a wrong bit from right ones."""
    return Cat(header.number.xor(), Cat(header.detail, header.control).xor())


def control_detail(kind, phase=Phase.FRESH, heard=False):
    """`detail` of a frame without payload, as an integer."""
    return kind | phase << 2 | int(heard) << 4


def encode_header(number, detail, control):
    """The 16 bits of a header."""
    first = number & 0xFF
    second = (detail | control << 5) & 0x3F
    return first | second << 8 | (first.bit_count() & 1) << 14 | (second.bit_count() & 1) << 15


IDLE = encode_header(0x5A, 0b11100, 1)
"""Between frames. It differs from every valid header in at least two bits."""


def encode_frame(header, payload=b"", nonce=0):
    """The units of a frame as a list of integers.

    Parameters
    ----------
    header : int
        See `encode_header`.
    payload : bytes
    nonce : int
        Of the sender; 0 for a HELLO. The CRC is made as if `number` were exclusive-or the nonce.
    """
    crc = zlib.crc32((header ^ nonce).to_bytes(2, "little") + payload)
    units = [int.from_bytes(payload[place : place + 2], "little") for place in range(0, len(payload), 2)]
    return [header, *units, crc & 0xFFFF, crc >> 16]
