# SPDX-License-Identifier: Apache-2.0
"""Signatures of scratchpad ports, seen from the engine that uses them.

The scratchpad is byte-addressed and little-endian. An access moves up to one *line* (a power of two of bytes) that starts at
any 4-byte-aligned address; bits 1:0 of the address are ignored. Bytes past the end of a bank wrap to the start of that
bank, so programs keep their operands within banks.
"""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ReadPort", "WritePort"]


class ReadPort(wiring.Signature):
    """A reader's port.

    A request is accepted when `request` transfers. `LATENCY` cycles later `response_valid` is high for one cycle and
    `response` holds the line, byte 0 being the byte at `address & ~3`. Responses come in the order of the requests and
    cannot be held up: a reader requests only what it has room for. `fault` is high together with `response_valid` if the
    address was out of range.

    Parameters
    ----------
    address_width : int
        Bits of a byte address: 32 for engines, so that stray addresses are noticed.
    line_bytes : int
        Bytes per line.
    """

    LATENCY = 6

    def __init__(self, *, address_width=32, line_bytes):
        self.address_width = address_width
        self.line_bytes = line_bytes
        super().__init__(
            {
                "request": Out(stream.Signature(address_width)),
                "response_valid": In(1),
                "response": In(8 * line_bytes),
                "fault": In(1),
            }
        )


class WritePort(wiring.Signature):
    """A writer's port.

    Reads accepted in any later cycle than the transfer of `request` see the data. `mask` bit i enables byte i, byte 0 being
    the byte at `address & ~3`. `fault` is high in the cycle after a transfer whose address was out of range; nothing was
    written then.
    """

    def __init__(self, *, address_width=32, line_bytes):
        self.address_width = address_width
        self.line_bytes = line_bytes
        super().__init__(
            {
                "request": Out(
                    stream.Signature(
                        data.StructLayout(
                            {"address": address_width, "data": 8 * line_bytes, "mask": line_bytes}
                        )
                    )
                ),
                "fault": In(1),
            }
        )
