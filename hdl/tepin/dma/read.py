# SPDX-License-Identifier: Apache-2.0
"""Read channels of the AXI port: arbitration of addresses, distribution of data."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.dma.addresses import address_constants
from tepin.dma.axi import AXI4Signature
from tepin.stream import StreamFifo

__all__ = ["LOAD_ID", "WEIGHT_ID", "BeatPort", "BurstRequest", "ReadChannel"]

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


class ReadChannel(wiring.Component):
    """Sends read addresses, loads first, and distributes the data by ID.

    A request is on the bus two cycles after it was accepted, one per cycle. Data pass two registers. `r.ready` is always
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
        may_load, may_weight = Signal(), Signal()  # there is a place in flight
        finished = Signal()
        m.submodules.chosen = chosen = StreamFifo(
            shape=data.StructLayout({"id": 1, "request": BurstRequest}), depth=2
        )
        m.submodules.loads_queue = loads = StreamFifo(shape=BurstRequest, depth=2)
        m.submodules.weights_queue = weights = StreamFifo(shape=BurstRequest, depth=2)
        connect(m, flipped(self.loads), loads.i)
        connect(m, flipped(self.weights), weights.i)
        m.d.comb += [
            loads.o.ready.eq(chosen.i.ready & may_load),
            weights.o.ready.eq(chosen.i.ready & may_weight & ~loads.o.valid),
            self.idle.eq(~(in_flight.any() | loads.o.valid | weights.o.valid)),
        ]
        accepted = (loads.o.valid & loads.o.ready) | (weights.o.valid & weights.o.ready)
        request = chosen.i.payload.request.as_value()
        address = self.ar.payload
        m.d.comb += [
            chosen.i.valid.eq(accepted),
            chosen.i.payload.id.eq(Mux(loads.o.valid, Const(LOAD_ID, 1), Const(WEIGHT_ID, 1))),
            request.eq(Mux(loads.o.valid, loads.o.payload.as_value(), weights.o.payload.as_value())),
            self.ar.valid.eq(chosen.o.valid),
            chosen.o.ready.eq(self.ar.ready),
            address.id.eq(chosen.o.payload.id),
            address.addr.eq(chosen.o.payload.request.address),
            address.len.eq(chosen.o.payload.request.len),
            *address_constants(address, self.data_width),
        ]
        m.d.sync += in_flight.eq(in_flight + accepted - finished)
        # A place that becomes free counts a cycle later than one that is taken.
        for may, most in ((may_load, self.outstanding), (may_weight, max(1, self.outstanding - 1))):
            m.d.sync += may.eq((in_flight < most - 1) | ((in_flight < most) & ~accepted))

        incoming = self.r.payload
        received = Signal(self.r.payload.shape())
        valid = Signal()
        m.d.comb += self.r.ready.eq(1)
        m.d.sync += [valid.eq(self.r.valid), received.eq(incoming)]
        m.d.comb += finished.eq(valid & received.last)
        for number, port in ((LOAD_ID, self.load_beats), (WEIGHT_ID, self.weight_beats)):
            m.d.sync += [
                port.valid.eq(valid & (received.id == number)),
                port.data.eq(received.data),
                port.error.eq(received.resp.as_value()[1]),
                port.last.eq(received.last),
            ]
        return m
