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

_LUT_MEMORY_DEPTH = 64
"""Memories up to this depth are made of LUTs on FPGAs, larger ones of block RAMs."""


class StreamFifo(Component):
    """A synchronous queue between two streams, with a registered output.

    Items leave in the order in which they came. All `depth` places are usable. There is no combinational path
    from one side to the other in either direction.

    Latency from the cycle in which an item is accepted to the first one in which it is offered (`latency`):
    1 cycle for depths 1 and 2, which are made of registers; 2 cycles for larger ones, which are made of a
    memory with a synchronous read port; 3 cycles above a depth of 64, where that memory is a block RAM, which is
    so slow that there are registers behind it. One item per cycle passes, except at depth 1: one in two cycles.

    Cost: depths 1 and 2, `depth` registers of the payload's width; larger ones, one memory of `depth` words
    with one write and one read port; above a depth of 64 also two registers of the payload's width.

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
        if self._depth <= 2:
            return 1
        return 2 if self._depth <= _LUT_MEMORY_DEPTH else 3

    def elaborate(self, platform):
        m = Module()
        push = Signal()
        pop = Signal()
        # A level above a power of two does not exist, so at that depth one bit tells that the queue is full.
        full = self.level[-1] if self._depth & (self._depth - 1) == 0 else self.level == self._depth
        m.d.comb += [
            self.i.ready.eq(~full),
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
        elif self._depth <= _LUT_MEMORY_DEPTH:
            self._elaborate_memory(m, push, self.o)
        else:
            m.submodules.output = output = StreamFifo(shape=self._width, depth=2)
            self._elaborate_memory(m, push, output.i)
            m.d.comb += [
                output.clear.eq(self.clear),
                self.o.valid.eq(output.o.valid),
                output.o.ready.eq(self.o.ready),
                Value.cast(self.o.payload).eq(output.o.payload),
            ]
        return m

    def _elaborate_registers(self, m, push, pop):
        """The oldest item in `head`, the one behind it, if there is room for one, in `spare`."""
        item = Value.cast(self.i.payload)
        head = Signal(self._width, reset_less=True)
        m.d.comb += [
            self.o.valid.eq(self.level != 0),
            Value.cast(self.o.payload).eq(head),
        ]
        if self._depth == 1:
            with m.If(push):
                m.d.sync += head.eq(item)
            return
        spare = Signal(self._width, reset_less=True)
        full = self.level == 2
        with m.If(push):
            m.d.sync += spare.eq(item)
        with m.If(pop | ~self.o.valid):
            # A push past a full queue cannot happen, so `spare` never loses the item that moves up here.
            m.d.sync += head.eq(Mux(full, spare, item))

    def _elaborate_memory(self, m, push, o):
        """The memory holds every item; the read port's register repeats the oldest one that has not gone to `o`.

        A place is given back only when its item leaves the queue, so `level` tells whether there is room, and a depth
        of 2**n needs a memory of exactly 2**n words. What is decided late is whether items come and go; so all that
        `fetch` needs besides is in registers: `more` tells that there are items behind that in the read port.
        """
        m.submodules.memory = memory = Memory(shape=self._width, depth=self._depth, init=[])
        write_port = memory.write_port()
        read_port = memory.read_port()
        write_address = Signal(range(self._depth))
        read_address = Signal(range(self._depth))
        more, only_one, two = Signal(), Signal(), Signal()
        fetch = Signal()
        valid = Signal()
        m.d.comb += [
            write_port.addr.eq(write_address),
            write_port.data.eq(Value.cast(self.i.payload)),
            write_port.en.eq(push),
            fetch.eq(more & (~valid | o.ready)),
            two.eq(write_address == self._next(self._next(read_address))),
            read_port.addr.eq(read_address),
            read_port.en.eq(fetch),
            o.valid.eq(valid),
            Value.cast(o.payload).eq(read_port.data),
        ]
        with m.If(push):
            m.d.sync += write_address.eq(self._next(write_address))
        with m.If(fetch):
            m.d.sync += [read_address.eq(self._next(read_address)), valid.eq(1)]
        with m.Elif(o.ready):
            m.d.sync += valid.eq(0)
        m.d.sync += [
            more.eq(push | (more & ~(fetch & only_one))),
            only_one.eq((push & ~more) | (fetch & ~push & two) | (only_one & ~(push ^ fetch))),
        ]
        with m.If(self.clear):
            m.d.sync += [signal.eq(0) for signal in (write_address, read_address, valid, more, only_one)]

    def _next(self, address):
        if self._depth == 1 << len(address):
            return (address + 1)[: len(address)]
        return Mux(address == self._depth - 1, 0, address + 1)
