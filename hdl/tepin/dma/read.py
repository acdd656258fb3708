# SPDX-License-Identifier: Apache-2.0
"""Read channels of the AXI port: arbitration of addresses, distribution of data."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tepin.dma.axi import AXI4Signature, Burst

__all__ = ["LOAD_ID", "WEIGHT_ID", "BeatPort", "BurstRequest", "ReadChannel", "address_constants"]

LOAD_ID = 0
WEIGHT_ID = 1


class BurstRequest(data.Struct):
    """A burst: address of its first byte, a multiple of the beat, and number of beats minus one."""

    address: 32
    len: 8


class BeatPort(wiring.Signature):
    """Read data as it comes; it cannot be held up.

    Members
    -------
    valid, data : Out
    error : Out
        The memory answered with an error; `data` means nothing.
    last : Out
        End of a burst.
    """

    def __init__(self, *, data_width):
        self.data_width = data_width
        super().__init__({"valid": Out(1), "data": Out(data_width), "error": Out(1), "last": Out(1)})


def address_constants(address, data_width):
    """Statements for what never changes on an AXI address channel."""
    return [
        address.size.eq((data_width // 8).bit_length() - 1),
        address.burst.eq(Burst.INCR),
        address.cache.eq(0b0011),  # normal memory, may be buffered
        address.prot.eq(0),
    ]


class ReadChannel(wiring.Component):
    """Sends read addresses, loads first, and distributes the data by ID.

    A request is on the bus a cycle after it was accepted, one per cycle. Data pass one register. `r.ready` is always
    high, so a request must be made only against reserved space. The last place for bursts in flight is kept for loads.

    Parameters
    ----------
    data_width : int
        Bits per beat.
    outstanding : int
        Most bursts in flight.

    Members
    -------
    loads, weights : In streams of `BurstRequest`
    ar, r : the AXI channels
    load_beats, weight_beats : Out `BeatPort`
    idle : Out, nothing is in flight
    """

    def __init__(self, *, data_width, outstanding):
        self.data_width = data_width
        self.outstanding = outstanding
        axi = AXI4Signature(addr_width=32, data_width=data_width, id_width=1)
        super().__init__(
            {
                "loads": In(stream.Signature(BurstRequest)),
                "weights": In(stream.Signature(BurstRequest)),
                "ar": axi.members["ar"],
                "r": axi.members["r"],
                "load_beats": Out(BeatPort(data_width=data_width)),
                "weight_beats": Out(BeatPort(data_width=data_width)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        in_flight = Signal(range(self.outstanding + 1))
        free = Signal()
        finished = Signal()
        address = self.ar.payload
        m.d.comb += [
            free.eq(~self.ar.valid | self.ar.ready),
            self.loads.ready.eq(free & (in_flight < self.outstanding)),
            self.weights.ready.eq(free & (in_flight < max(1, self.outstanding - 1)) & ~self.loads.valid),
            self.idle.eq(in_flight == 0),
            *address_constants(address, self.data_width),
        ]
        load = self.loads.valid & self.loads.ready
        weight = self.weights.valid & self.weights.ready
        chosen = Mux(self.loads.valid, self.loads.payload.as_value(), self.weights.payload.as_value())
        chosen = BurstRequest(chosen)
        with m.If(free):
            m.d.sync += [
                self.ar.valid.eq(load | weight),
                address.id.eq(Mux(self.loads.valid, Const(LOAD_ID, 1), Const(WEIGHT_ID, 1))),
                address.addr.eq(chosen.address),
                address.len.eq(chosen.len),
            ]
        m.d.sync += in_flight.eq(in_flight + (load | weight) - finished)

        incoming = self.r.payload
        received = Signal(self.r.payload.shape())
        valid = Signal()
        m.d.comb += self.r.ready.eq(1)
        m.d.sync += [valid.eq(self.r.valid), received.eq(incoming)]
        m.d.comb += finished.eq(valid & received.last)
        for number, port in ((LOAD_ID, self.load_beats), (WEIGHT_ID, self.weight_beats)):
            m.d.comb += [
                port.valid.eq(valid & (received.id == number)),
                port.data.eq(received.data),
                port.error.eq(received.resp.as_value()[1]),
                port.last.eq(received.last),
            ]
        return m
