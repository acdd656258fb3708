# SPDX-License-Identifier: Apache-2.0
"""AXI4 and AXI4-Lite as signatures, seen from the master; a slave's port is `In(...)`.

Each channel is a stream whose payload is the structure of that channel's fields, so that the blocks and checkers made for
streams work on AXI channels too. `tepin.verilog` writes a port named `m_axi` with the names of the AXI
specification: `m_axi_araddr`, `m_axi_arvalid` and so on.
"""

from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AXI4LiteSignature", "AXI4Signature", "Burst", "Response"]


class Burst(enum.Enum, shape=2):
    """Values of `burst`."""

    FIXED = 0
    INCR = 1
    WRAP = 2


class Response(enum.Enum, shape=2):
    """Values of `resp`. The upper bit tells failure."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def _require_width(name, value, allowed):
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if value not in allowed:
        raise ValueError(f"{name} must be {_words(allowed)}, not {value}")


def _words(allowed):
    if isinstance(allowed, range):
        return f"{allowed[0]} to {allowed[-1]}"
    return ", ".join(map(str, allowed[:-1])) + f" or {allowed[-1]}"


class AXI4Signature(wiring.Signature):
    """A full AXI4 interface without the optional `lock`, `qos`, `region` and `user` signals.

    Parameters
    ----------
    addr_width : int
        Bits of a byte address, 12 to 64.
    data_width : int
        Bits of a beat: a power of two, 8 to 1024.
    id_width : int
        Bits of a transaction ID, 1 to 32.

    Members
    -------
    aw, ar : Out stream of {id, addr, len, size, burst, cache, prot}
    w : Out stream of {data, strb, last}
    b : In stream of {id, resp}
    r : In stream of {id, data, resp, last}
    """

    def __init__(self, *, addr_width, data_width, id_width):
        _require_width("Address width of AXI4", addr_width, range(12, 65))
        _require_width("Data width of AXI4", data_width, (8, 16, 32, 64, 128, 256, 512, 1024))
        _require_width("ID width of AXI4", id_width, range(1, 33))
        self.addr_width = addr_width
        self.data_width = data_width
        self.id_width = id_width
        address = data.StructLayout(
            {
                "id": id_width,
                "addr": addr_width,
                "len": 8,
                "size": 3,
                "burst": Burst,
                "cache": 4,
                "prot": 3,
            }
        )
        super().__init__(
            {
                "aw": Out(stream.Signature(address)),
                "w": Out(
                    stream.Signature(
                        data.StructLayout({"data": data_width, "strb": data_width // 8, "last": 1})
                    )
                ),
                "b": In(stream.Signature(data.StructLayout({"id": id_width, "resp": Response}))),
                "ar": Out(stream.Signature(address)),
                "r": In(
                    stream.Signature(
                        data.StructLayout({"id": id_width, "data": data_width, "resp": Response, "last": 1})
                    )
                ),
            }
        )


class AXI4LiteSignature(wiring.Signature):
    """An AXI4-Lite interface.

    Parameters
    ----------
    addr_width : int
        Bits of a byte address, 1 to 64.
    data_width : int
        Bits of a word: 32 or 64.

    Members
    -------
    aw, ar : Out stream of {addr, prot}
    w : Out stream of {data, strb}
    b : In stream of {resp}
    r : In stream of {data, resp}
    """

    def __init__(self, *, addr_width, data_width=32):
        _require_width("Address width of AXI4-Lite", addr_width, range(1, 65))
        _require_width("Data width of AXI4-Lite", data_width, (32, 64))
        self.addr_width = addr_width
        self.data_width = data_width
        address = data.StructLayout({"addr": addr_width, "prot": 3})
        super().__init__(
            {
                "aw": Out(stream.Signature(address)),
                "w": Out(stream.Signature(data.StructLayout({"data": data_width, "strb": data_width // 8}))),
                "b": In(stream.Signature(data.StructLayout({"resp": Response}))),
                "ar": Out(stream.Signature(address)),
                "r": In(stream.Signature(data.StructLayout({"data": data_width, "resp": Response}))),
            }
        )
