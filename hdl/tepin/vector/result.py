# SPDX-License-Identifier: Apache-2.0
"""Writing results to the scratchpad: the elements of d, and the reductions of rows."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tepin.isa import DataType
from tepin.memory.ports import WritePort
from tepin.stream import StreamFifo
from tepin.vector.buffer import ReservedFifo
from tepin.vector.walk import AddressGenerator, Operand, beat_layout

__all__ = ["ElementWriter", "ReductionWriter", "reduction_layout"]


class ElementWriter(wiring.Component):
    """Buffers beats of results and writes each of them, packed to the size of its elements, in one access.

    Parameters
    ----------
    lanes, line_bytes, depth : int
        `depth` beats may be on their way here or waiting.

    Members
    -------
    port : Out(WritePort)
    load : In(1)
        Begin with `operand` of type `type`; beats of a `slow` command have one element.
    i_valid, i, i_beat : In
        A beat: words, float32 or sign-extended integers as `type` says, and what goes along with them.
    done : Out(1)
        A beat has been written. `fault` one cycle later: it was refused.
    fault : Out(1)
    """

    def __init__(self, *, lanes, line_bytes, depth):
        self._lanes = lanes
        self._line_bytes = line_bytes
        self._depth = depth
        super().__init__(
            {
                "port": Out(WritePort(line_bytes=line_bytes)),
                "load": In(1),
                "operand": In(Operand),
                "slow": In(1),
                "type": In(DataType),
                "i_valid": In(1),
                "i": In(data.ArrayLayout(32, lanes)),
                "i_beat": In(beat_layout(lanes)),
                "done": Out(1),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self._lanes
        type, slow = Signal(DataType), Signal()
        with m.If(self.load):
            m.d.sync += [type.eq(self.type), slow.eq(self.slow)]

        # Pack. All lanes of a slow beat hold its element, so the lowest will do.
        mask = Signal(lanes)
        m.d.comb += mask.eq(Mux(slow, 1, self.i_beat.mask))
        packed, packed_mask = Signal(32 * lanes), Signal(4 * lanes)

        def pack(size):
            return [
                packed.eq(Cat(word[: 8 * size] for word in self.i)),
                packed_mask.eq(Cat(bit.replicate(size) for bit in mask)),
            ]

        with m.Switch(type):
            with m.Case(DataType.INT16):
                m.d.comb += pack(2)
            with m.Case(DataType.INT8):
                m.d.comb += pack(1)
            with m.Default():
                m.d.comb += pack(4)

        item = data.StructLayout({"data": 32 * lanes, "mask": 4 * lanes, "last": 1})
        m.submodules.buffer = buffer = ReservedFifo(shape=item, depth=self._depth)
        m.d.comb += [
            buffer.i_valid.eq(self.i_valid),
            buffer.i.data.eq(packed),
            buffer.i.mask.eq(packed_mask),
            buffer.i.last.eq(self.i_beat.last),
        ]

        # Write. A line holds the words of all lanes, so smaller elements fit in it wherever they start.
        head = buffer.o.payload
        m.submodules.addresses = addresses = AddressGenerator()
        request = self.port.request
        place = addresses.address[:2]
        write = data.StructLayout({"address": 32, "data": 32 * lanes, "mask": 4 * lanes})
        m.submodules.writes = writes = StreamFifo(shape=write, depth=2)
        m.d.comb += [
            addresses.load.eq(self.load),
            addresses.operand.eq(self.operand),
            addresses.advance.eq(buffer.o.valid & buffer.o.ready),
            addresses.last.eq(head.last),
            writes.i.valid.eq(buffer.o.valid),
            writes.i.payload.address.eq(addresses.address),
            writes.i.payload.data.eq((head.data << (place << 3))[: 32 * lanes]),
            writes.i.payload.mask.eq((head.mask << place)[: 4 * lanes]),
            buffer.o.ready.eq(writes.i.ready),
            request.valid.eq(writes.o.valid),
            writes.o.ready.eq(request.ready),
            request.payload.address.eq(writes.o.payload.address),
            request.payload.data.eq(writes.o.payload.data),
            request.payload.mask.eq(writes.o.payload.mask),
            self.done.eq(request.valid & request.ready),
            self.fault.eq(self.port.fault),
        ]
        return m


reduction_layout = data.StructLayout({"value": 32, "index": 32})
"""A reduction of a row: its value and, for ARGMAX, the index of the element that has it."""


class ReductionWriter(wiring.Component):
    """Buffers the reductions of rows and writes them behind each other, one word per access.

    Parameters
    ----------
    line_bytes, depth : int
        `depth` reductions may be on their way here or waiting.

    Members
    -------
    port : Out(WritePort)
    load : In(1)
        Begin at `address`, with or without the `indexed` first word.
    i_valid, i : In
        A reduction.
    done : Out(1)
        A reduction has been written. `fault` one cycle later: it was refused.
    fault : Out(1)
    """

    def __init__(self, *, line_bytes, depth):
        self._depth = depth
        super().__init__(
            {
                "port": Out(WritePort(line_bytes=line_bytes)),
                "load": In(1),
                "address": In(32),
                "indexed": In(1),
                "i_valid": In(1),
                "i": In(reduction_layout),
                "done": Out(1),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = ReservedFifo(shape=reduction_layout, depth=self._depth)
        m.d.comb += [buffer.i_valid.eq(self.i_valid), Value.cast(buffer.i).eq(Value.cast(self.i))]

        address, indexed, index_next = Signal(32), Signal(), Signal()
        request = self.port.request
        write = data.StructLayout({"address": 32, "data": 32, "last": 1})
        m.submodules.writes = writes = StreamFifo(shape=write, depth=2)
        m.d.comb += [
            writes.i.valid.eq(buffer.o.valid),
            writes.i.payload.address.eq(address),
            writes.i.payload.data.eq(Mux(index_next, buffer.o.payload.index, buffer.o.payload.value)),
            writes.i.payload.last.eq(~index_next),
            buffer.o.ready.eq(writes.i.ready & ~index_next),
            request.valid.eq(writes.o.valid),
            writes.o.ready.eq(request.ready),
            request.payload.address.eq(writes.o.payload.address),
            request.payload.data.eq(writes.o.payload.data),
            request.payload.mask.eq(0xF),
            self.done.eq(request.valid & request.ready & writes.o.payload.last),
            self.fault.eq(self.port.fault),
        ]
        with m.If(self.load):
            m.d.sync += [address.eq(self.address), indexed.eq(self.indexed), index_next.eq(self.indexed)]
        with m.Elif(writes.i.valid & writes.i.ready):
            m.d.sync += [address.eq(address + 4), index_next.eq(indexed & ~index_next)]
        return m
