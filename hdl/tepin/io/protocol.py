# SPDX-License-Identifier: Apache-2.0
"""The host link's protocol: what host and device say to each other over a line of bytes that may lose or change some.

This is the one definition: `HostLink` is built from it, host software imports it, the tables in docs/host-link.md are
compared with it. All numbers are little-endian.

A *frame* is FLAG, its escaped bytes, FLAG. FLAG never occurs within, so whatever went before, the next frame is whole. The
bytes are a *body* and its CRC-32, the one of Ethernet and zlib. A body that came undamaged is a request or an answer.
"""

import struct
import zlib
from dataclasses import dataclass

from amaranth.lib import data, enum
from amaranth.lib.crc import catalog

__all__ = [
    "ANSWER_HEADER",
    "BAUD",
    "CRC",
    "CRC_BYTES",
    "ESCAPE",
    "ESCAPED",
    "FLAG",
    "IDENTITY",
    "IRQ",
    "PAYLOAD_BYTES",
    "REQUEST_HEADER",
    "TOKEN_BYTES",
    "VERSION",
    "FrameParser",
    "Identity",
    "Request",
    "RequestHeader",
    "Status",
    "encode_frame",
]

VERSION = 1
"""Of the protocol; the first word of an identity, in this and all later versions."""

BAUD = 3_000_000
"""Bits per second on a serial line, where nothing else is agreed on."""

FLAG = 0x7E
"""Begins and ends every frame. Several in a row are as good as one."""

ESCAPE = 0x7D
"""Precedes a byte that is sent exclusive-or `ESCAPED`, as FLAG and ESCAPE themselves are."""

ESCAPED = 0x20

CRC = catalog.CRC32_ISO_HDLC(8)
"""Over the body; sent behind it, lowest byte first."""

CRC_BYTES = 4

PAYLOAD_BYTES = 256
"""Most bytes behind the header of a request or an answer."""

TOKEN_BYTES = PAYLOAD_BYTES - 8
"""Most bytes of tokens in an answer to TAKE_TOKENS; two words follow them."""

IRQ = 1 << 31
"""In the word that holds STATUS in an answer to TAKE_TOKENS: the interrupt line."""


class Request(enum.IntEnum, shape=8):
    """What the host asks for. No code is a `Status`: a host that hears its own echo cannot take it for an answer."""

    IDENTIFY = 0x10  # an `Identity`; opens a session, in which the next request has the next sequence number
    READ_REGISTERS = 0x11  # `count` bytes of consecutive registers from offset `address` on
    WRITE_REGISTERS = 0x12  # words of the payload, one after the other, to the register at offset `address`
    READ_MEMORY = 0x13  # `count` bytes from `address` on
    WRITE_MEMORY = 0x14  # the payload, from `address` on
    CHECKSUM = 0x15  # CRC-32 of `count` bytes of memory from `address` on, 1 to 65535
    TAKE_TOKENS = 0x16  # waits `address` cycles for the interrupt; `count` bytes of TOKEN, STATUS, CYCLES_LO


class Status(enum.IntEnum, shape=8):
    """How a request went. The first three are what the bus said."""

    OKAY = 0  # all of it was done
    SLVERR = 2  # refused; what came before it was done, and the payload holds what was read
    DECERR = 3  # the same: nothing is at that address
    MALFORMED = 4  # no such request, or count, address and payload do not fit it; nothing was done


class RequestHeader(data.Struct):
    """The first eight bytes of a request; its payload follows."""

    sequence: 8  # one more than that of the request before it
    code: Request  # what is asked for
    count: 16  # bytes: 1 to 256, the size of the payload if there is one; see the requests for more
    address: 32  # of a byte of memory or a register; multiples of 4 for registers


REQUEST_HEADER = struct.Struct("<BBHI")

ANSWER_HEADER = struct.Struct("<BB")
"""Sequence number of the request, `Status`; the payload follows."""


@dataclass(frozen=True)
class Identity:
    """Who is at the other end: the payload of the answer to IDENTIFY, one word each.

    Members
    -------
    version : int
        `VERSION` of the device.
    config_hash : int
        `ChipConfig.hash` of its chip.
    clock_hz : int
    memory_bytes : int
        External memory, from address 0 on.
    receive_bytes : int
        Bytes on the line that the device holds until it gets to them: as much may be under way without an answer.
    self_test : int
        `tepin.boot.SelfTestStatus` when the request came.
    """

    version: int
    config_hash: int
    clock_hz: int
    memory_bytes: int
    receive_bytes: int
    self_test: int = 0

    def encode(self):
        """The payload. `ValueError` if a number has more than 32 bits."""
        try:
            return IDENTITY.pack(*vars(self).values())
        except struct.error:
            raise ValueError(f"Numbers of an identity must fit into 32 bits, {self} does not") from None


IDENTITY = struct.Struct("<6I")


def encode_frame(body):
    """The bytes on the line that carry `body`."""
    checked = body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")
    escaped = checked.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPE ^ ESCAPED]))
    escaped = escaped.replace(bytes([FLAG]), bytes([ESCAPE, FLAG ^ ESCAPED]))
    return bytes([FLAG]) + escaped + bytes([FLAG])


class FrameParser:
    """Finds bodies in a stream of bytes.

    Attributes
    ----------
    damaged : int
        Frames so far that were no good. Flags without anything between them are none.
    """

    def __init__(self):
        self.damaged = 0
        self._pending = bytearray()

    def feed(self, received):
        """Undamaged bodies that `received` completes, in order."""
        *ends, rest = received.split(bytes([FLAG]))
        bodies = []
        for end in ends:
            frame = bytes(self._pending + end)
            self._pending.clear()
            body = self._unescape(frame)
            if body is not None:
                bodies.append(body)
            elif frame:
                self.damaged += 1
        # Noise without a flag is not kept for ever.
        self._pending = (self._pending + rest)[-4 * PAYLOAD_BYTES :]
        return bodies

    @staticmethod
    def _unescape(frame):
        """The body, or None."""
        first, *parts = frame.split(bytes([ESCAPE]))
        if not all(parts):
            return None
        checked = first + b"".join(bytes([part[0] ^ ESCAPED]) + part[1:] for part in parts)
        body, check = checked[:-CRC_BYTES], checked[-CRC_BYTES:]
        if len(checked) < CRC_BYTES or zlib.crc32(body) != int.from_bytes(check, "little"):
            return None
        return body
