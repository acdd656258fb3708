# SPDX-License-Identifier: Apache-2.0
"""Building blocks for `amaranth.lib.stream` ports.

Every decoupled port of the chip is a stream. What its two sides promise each other:

* an item moves in each cycle in which `valid` and `ready` are both high;
* once `valid` is high it stays high, with the same payload, until the item has moved;
* `valid` never depends combinationally on `ready` of the same stream.

The blocks here keep those promises and, in addition, have no combinational path between their two sides,
so that a chain of them closes timing like a single one.
"""

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

__all__ = ["StreamFifo"]


class StreamFifo(Component):
    """A synchronous queue between two streams, with a registered output.

    Items leave in the order in which they came. All `depth` places are usable. There is no combinational path
    from one side to the other in either direction.

    Latency from the cycle in which an item is accepted to the first one in which it is offered (`latency`):
    1 cycle for depths 1 and 2, which are made of registers; 2 cycles for larger ones, which are made of a
    memory with a synchronous read port. One item per cycle passes, except at depth 1: one in two cycles.

    Cost: depths 1 and 2, `depth` registers of the payload's width; larger ones, one memory of `depth` words
    with one write and one read port, and no payload register in fabric.

    Parameters
    ----------
    shape : shape-like
        Shape of the payload: anything a stream can carry.
    depth : int
        Number of items held, at least 1.

    Members
    -------
    i : `In(stream.Signature(shape))`
        Items in. `ready` is low only while `depth` items are held.
    o : `Out(stream.Signature(shape))`
        Items out. While `valid` is low the payload means nothing.
    level : `Out(range(depth + 1))`
        Items held: accepted, and not yet taken from `o`. Rises in the cycle after the item was accepted.
    clear : `In(1)`
        Drops every item, also one that is accepted in this cycle; an item taken in this cycle is taken.
        In the next cycle the queue is empty: the one case in which `o.valid` may fall without a transfer.
    """

    def __init__(self, *, shape, depth):
        if not isinstance(depth, int) or isinstance(depth, bool):
            raise TypeError(f"Depth of a StreamFifo must be an integer, not {depth!r}")
        if depth < 1:
            raise ValueError(f"Depth of a StreamFifo must be at least 1, not {depth}")
        self._width = Shape.cast(shape).width
        self._shape = shape
        self._depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
                "clear": In(1),
            }
        )

    @property
    def shape(self):
        """Shape of the payload."""
        return self._shape

    @property
    def depth(self):
        """Number of items held."""
        return self._depth

    @property
    def latency(self):
        """Cycles from accepting an item to offering it, in an empty queue."""
        return 1 if self._depth <= 2 else 2

    def elaborate(self, platform):
        m = Module()
        push = Signal()
        pop = Signal()
        m.d.comb += [
            self.i.ready.eq(self.level != self._depth),
            push.eq(self.i.valid & self.i.ready),
            pop.eq(self.o.valid & self.o.ready),
        ]
        with m.If(self.clear):
            m.d.sync += self.level.eq(0)
        with m.Elif(push & ~pop):
            m.d.sync += self.level.eq(self.level + 1)
        with m.Elif(pop & ~push):
            m.d.sync += self.level.eq(self.level - 1)

        if self._depth <= 2:
            self._elaborate_registers(m, push, pop)
        else:
            self._elaborate_memory(m, push, pop)
        return m

    def _elaborate_registers(self, m, push, pop):
        """The oldest item in `head`, the one behind it, if there is room for one, in `spare`."""
        item = Value.cast(self.i.payload)
        head = Signal(self._width)
        m.d.comb += [
            self.o.valid.eq(self.level != 0),
            Value.cast(self.o.payload).eq(head),
        ]
        if self._depth == 1:
            with m.If(push):
                m.d.sync += head.eq(item)
            return
        spare = Signal(self._width)
        full = self.level == 2
        with m.If(push):
            m.d.sync += spare.eq(item)
        with m.If(pop | ~self.o.valid):
            # A push past a full queue cannot happen, so `spare` never loses the item that moves up here.
            m.d.sync += head.eq(Mux(full, spare, item))

    def _elaborate_memory(self, m, push, pop):
        """The memory holds every item; the read port's register repeats the oldest one.

        A place is given back only when its item leaves `o`, so `level` is the one count there is, and a depth
        of 2**n needs a memory of exactly 2**n words.
        """
        m.submodules.memory = memory = Memory(shape=self._width, depth=self._depth, init=[])
        write_port = memory.write_port()
        read_port = memory.read_port()
        write_address = Signal(range(self._depth))
        read_address = Signal(range(self._depth))
        fetch = Signal()
        valid = Signal()
        m.d.comb += [
            write_port.addr.eq(write_address),
            write_port.data.eq(Value.cast(self.i.payload)),
            write_port.en.eq(push),
            # Is there an item behind the one in the output register, and may it move there?
            fetch.eq((self.level > valid) & (~valid | self.o.ready)),
            read_port.addr.eq(read_address),
            read_port.en.eq(fetch),
            self.o.valid.eq(valid),
            Value.cast(self.o.payload).eq(read_port.data),
        ]
        with m.If(push):
            m.d.sync += write_address.eq(self._next(write_address))
        with m.If(fetch):
            m.d.sync += [read_address.eq(self._next(read_address)), valid.eq(1)]
        with m.Elif(pop):
            m.d.sync += valid.eq(0)
        with m.If(self.clear):
            m.d.sync += [write_address.eq(0), read_address.eq(0), valid.eq(0)]

    def _next(self, address):
        if self._depth == 1 << len(address):
            return address + 1
        return Mux(address == self._depth - 1, 0, address + 1)
