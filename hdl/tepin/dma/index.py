# SPDX-License-Identifier: Apache-2.0
"""Index lists: fetches 32-bit indices from the scratchpad and multiplies them with a stride.

The three DMA engines share one reader, because a 32-bit multiplier is worth sharing.
"""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.float.multiplier import IntegerMultiplier
from tepin.memory.ports import ReadPort
from tepin.stream import StreamFifo

__all__ = ["IndexPort", "IndexReader", "IndexRequest"]


class IndexRequest(data.Struct):
    """A wish for `index * stride`, `index` being the scratchpad word at `address` (a multiple of 4)."""

    address: 32
    stride: 32


class IndexPort(wiring.Signature):
    """A client's port of the `IndexReader`.

    Members
    -------
    request : Out stream of `IndexRequest`
    offset_valid, offset : In
        The answers, in the order of the requests: index * stride modulo 2**32. They cannot be held up: a client requests
        only what it has room for.
    fault : In
        Together with `offset_valid`: the address was out of range; `offset` is that address.
    busy : In
        High while a request of this client is on its way.
    """

    def __init__(self):
        super().__init__(
            {
                "request": Out(stream.Signature(IndexRequest)),
                "offset_valid": In(1),
                "offset": In(32),
                "fault": In(1),
                "busy": In(1),
            }
        )


class IndexReader(wiring.Component):
    """Serves index requests of several clients, the one with the lowest number first.

    One request per cycle; the answer comes 2 + `ReadPort.LATENCY` + 3 cycles after the request if the scratchpad accepts
    it at once. Three 16 x 16 multipliers.

    Parameters
    ----------
    line_bytes : int
        Bytes per scratchpad line.
    clients : int
        Number of clients.

    Members
    -------
    clients : In array of `IndexPort`
    read : Out `ReadPort`
    """

    def __init__(self, *, line_bytes, clients):
        self.client_count = clients
        super().__init__(
            {
                "clients": In(IndexPort()).array(clients),
                "read": Out(ReadPort(line_bytes=line_bytes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tag = data.StructLayout({"client": range(self.client_count), "address": 32, "stride": 32})

        # The next request is chosen among those at the heads of the clients' queues.
        m.submodules.requests = requests = StreamFifo(shape=tag, depth=2)
        earlier = Const(0, 1)
        for number, client in enumerate(self.clients):
            m.submodules[f"waiting_{number}"] = queue = StreamFifo(shape=IndexRequest, depth=2)
            connect(m, flipped(client.request), queue.i)
            m.d.comb += queue.o.ready.eq(requests.i.ready & ~earlier)
            with m.If(queue.o.valid & ~earlier):
                m.d.comb += [
                    requests.i.valid.eq(1),
                    requests.i.payload.client.eq(number),
                    requests.i.payload.address.eq(queue.o.payload.address),
                    requests.i.payload.stride.eq(queue.o.payload.stride),
                ]
            earlier |= queue.o.valid
        m.d.comb += [
            self.read.request.valid.eq(requests.o.valid),
            requests.o.ready.eq(self.read.request.ready),
            self.read.request.payload.eq(requests.o.payload.address),
        ]

        # Who asked travels beside the read.
        tags = [Signal(tag, name=f"tag_{stage}", reset_less=True) for stage in range(ReadPort.LATENCY)]
        m.d.sync += tags[0].eq(requests.o.payload)
        for stage in range(1, ReadPort.LATENCY):
            m.d.sync += tags[stage].eq(tags[stage - 1])

        # Operands; a faulting address passes as address * 1. The upper halves' product lies above bit 31.
        a, b = Signal(32), Signal(32)
        m.d.comb += [
            a.eq(Mux(self.read.fault, tags[-1].address, self.read.response[:32])),
            b.eq(Mux(self.read.fault, 1, tags[-1].stride)),
        ]
        products = []
        for name, factors in (
            ("low", (a[:16], b[:16])),
            ("middle_a", (a[:16], b[16:])),
            ("middle_b", (a[16:], b[:16])),
        ):
            m.submodules[name] = multiplier = IntegerMultiplier(16, 16, latency=2)
            m.d.comb += [multiplier.a.eq(factors[0]), multiplier.b.eq(factors[1])]
            products.append(multiplier.o)
        low, middle_a, middle_b = products
        offset = Signal(32)
        m.d.sync += offset.eq(low + ((middle_a[:16] + middle_b[:16]) << 16))

        answer = (self.read.response_valid, tags[-1].client, self.read.fault)
        for stage in range(3):
            later = (
                Signal(name=f"product_valid_{stage}"),
                Signal(range(self.client_count), name=f"product_client_{stage}"),
                Signal(name=f"product_fault_{stage}"),
            )
            m.d.sync += [signal.eq(value) for signal, value in zip(later, answer, strict=True)]
            answer = later

        answer_valid, owner, fault = answer
        for number, client in enumerate(self.clients):
            # More than the queues and the pipeline can hold.
            on_their_way = Signal(range(2 * (ReadPort.LATENCY + 8)), name=f"on_their_way_{number}")
            accepted = client.request.valid & client.request.ready
            m.d.sync += on_their_way.eq(on_their_way + accepted - client.offset_valid)
            m.d.comb += [
                client.offset_valid.eq(answer_valid & (owner == number)),
                client.offset.eq(offset),
                client.fault.eq(fault),
                client.busy.eq(on_their_way != 0),
            ]
        return m
