# SPDX-License-Identifier: Apache-2.0
"""Index lists: fetches 32-bit indices from the scratchpad and multiplies them with a stride.

The three DMA engines share one reader, because a 32-bit multiplier is worth sharing.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tepin.memory.ports import ReadPort

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

    One request per cycle; the answer comes 1 + `ReadPort.LATENCY` + 3 cycles after the request if the scratchpad accepts
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

        # The request register: what has been offered to the scratchpad must not change any more.
        pending_valid = Signal()
        pending = Signal(tag)
        accept = Signal()
        m.d.comb += [
            accept.eq(~pending_valid | self.read.request.ready),
            self.read.request.valid.eq(pending_valid),
            self.read.request.payload.eq(pending.address),
        ]
        with m.If(accept):
            m.d.sync += pending_valid.eq(Cat(client.request.valid for client in self.clients).any())
        earlier = 0
        for number, client in enumerate(self.clients):
            m.d.comb += client.request.ready.eq(accept & ~earlier)
            with m.If(client.request.valid & client.request.ready):
                m.d.sync += [
                    pending.client.eq(number),
                    pending.address.eq(client.request.payload.address),
                    pending.stride.eq(client.request.payload.stride),
                ]
            earlier |= client.request.valid

        # Who asked travels beside the read.
        tags = [Signal(tag, name=f"tag_{stage}") for stage in range(ReadPort.LATENCY)]
        tags_valid = [Signal(name=f"tag_valid_{stage}") for stage in range(ReadPort.LATENCY)]
        m.d.sync += tags_valid[0].eq(pending_valid & self.read.request.ready)
        m.d.sync += tags[0].eq(pending)
        for stage in range(1, ReadPort.LATENCY):
            m.d.sync += [tags_valid[stage].eq(tags_valid[stage - 1]), tags[stage].eq(tags[stage - 1])]

        # Operands; a faulting address passes as address * 1.
        a, b = Signal(32), Signal(32)
        m.d.sync += [
            a.eq(Mux(self.read.fault, tags[-1].address, self.read.response[:32])),
            b.eq(Mux(self.read.fault, 1, tags[-1].stride)),
        ]
        # Products of halves; the upper halves' product lies above bit 31.
        low, middle_a, middle_b = Signal(32), Signal(16), Signal(16)
        m.d.sync += [
            low.eq(a[:16] * b[:16]),
            middle_a.eq(a[:16] * b[16:]),
            middle_b.eq(a[16:] * b[:16]),
        ]
        offset = Signal(32)
        m.d.sync += offset.eq(low + ((middle_a + middle_b) << 16))

        stages = []
        previous = (self.read.response_valid, tags[-1].client, self.read.fault)
        for stage in range(3):
            valid = Signal(name=f"product_valid_{stage}")
            client = Signal(range(self.client_count), name=f"product_client_{stage}")
            fault = Signal(name=f"product_fault_{stage}")
            m.d.sync += [valid.eq(previous[0]), client.eq(previous[1]), fault.eq(previous[2])]
            previous = (valid, client, fault)
            stages.append((valid, client))

        in_flight = [
            (pending_valid, pending.client),
            *zip(tags_valid, (t.client for t in tags), strict=True),
            *stages,
        ]
        for number, client in enumerate(self.clients):
            m.d.comb += [
                client.offset_valid.eq(previous[0] & (previous[1] == number)),
                client.offset.eq(offset),
                client.fault.eq(previous[2]),
                client.busy.eq(Cat(valid & (owner == number) for valid, owner in in_flight).any()),
            ]
        return m
