# SPDX-License-Identifier: Apache-2.0
"""Single accesses to registers and to bytes of memory: the host link's hands on the two buses."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from tepin.dma.axi import AXI4LiteSignature, AXI4Signature, Burst, Response

__all__ = ["Access", "BusAccess", "Result"]


class Access(data.Struct):
    """One access: to the register at an offset, a word; or to a byte of memory."""

    address: 32
    data: 32  # to write; a byte in the lowest bits
    write: 1
    register: 1


class Result(data.Struct):
    """What came of an access."""

    data: 32  # that was read; a byte in the lowest bits, noise above
    response: Response


class BusAccess(Component):
    """Performs one access after the other.

    A byte of memory takes a transaction of its own: one beat of the port's full width, aligned, with one byte lane
    enabled in a write. So there is no alignment, no burst and no 4 KiB boundary to look after. Some 10 cycles and the
    memory's latency for each: at 100 MHz a few million bytes per second.

    Latency: 4 cycles more than the slave takes. The next access is taken when the result of the last one has been.

    Parameters
    ----------
    data_width : int
        Bits of the memory port.

    Members
    -------
    i : In stream of Access
    o : Out stream of Result
    registers : Out(AXI4LiteSignature(addr_width=16))
    memory : Out(AXI4Signature(addr_width=32, data_width=data_width, id_width=1))
    """

    def __init__(self, *, data_width):
        super().__init__(
            {
                "i": In(stream.Signature(Access)),
                "o": Out(stream.Signature(Result)),
                "registers": Out(AXI4LiteSignature(addr_width=16)),
                "memory": Out(AXI4Signature(addr_width=32, data_width=data_width, id_width=1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # The buses may begin far from here, so everything on them comes from registers.
        access, under_way = Signal(Access), Signal()
        m.d.comb += self.i.ready.eq(~under_way)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [access.eq(self.i.payload), under_way.eq(1)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [self.o.valid.eq(0), under_way.eq(0)]
        begin = Signal()
        m.d.sync += begin.eq(self.i.valid & self.i.ready)
        lane_bits = (self.memory.signature.data_width // 8).bit_length() - 1
        lane = access.address[:lane_bits]
        for bus, selected in ((self.registers, access.register), (self.memory, ~access.register)):
            for channel, write in ((bus.ar, 0), (bus.aw, 1), (bus.w, 1)):
                with m.If(begin & selected & (access.write == write)):
                    m.d.sync += channel.valid.eq(1)
                with m.Elif(channel.ready):
                    m.d.sync += channel.valid.eq(0)
            for channel, write in ((bus.r, 0), (bus.b, 1)):
                waiting = Signal()
                m.d.comb += channel.ready.eq(waiting)
                with m.If(begin & selected & (access.write == write)):
                    m.d.sync += waiting.eq(1)
                with m.Elif(channel.valid & waiting):
                    m.d.sync += [
                        waiting.eq(0),
                        self.o.valid.eq(1),
                        self.o.payload.response.eq(channel.payload.resp),
                    ]
        byte = self.memory.r.payload.data.word_select(lane, 8)
        with m.If(~self.o.valid):
            m.d.sync += self.o.payload.data.eq(Mux(access.register, self.registers.r.payload.data, byte))

        m.d.comb += [
            self.registers.w.payload.data.eq(access.data),
            self.registers.w.payload.strb.eq(0b1111),
            self.memory.w.payload.data.eq(access.data[:8].replicate(1 << lane_bits)),
            self.memory.w.payload.strb.eq(1 << lane),
            self.memory.w.payload.last.eq(1),
        ]
        for channel in (self.registers.aw, self.registers.ar):
            m.d.comb += channel.payload.addr.eq(access.address[:16])
        for channel in (self.memory.aw, self.memory.ar):
            m.d.comb += [
                channel.payload.addr.eq(Cat(Const(0, lane_bits), access.address[lane_bits:])),
                channel.payload.size.eq(lane_bits),
                channel.payload.burst.eq(Burst.INCR),
                channel.payload.cache.eq(0b0011),  # normal memory, may be buffered, as for the DMA
            ]
        return m
