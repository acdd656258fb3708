# SPDX-License-Identifier: Apache-2.0
"""A queue that is never full, because its places are reserved before anything is sent on its way to it."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["ReservedFifo"]


class ReservedFifo(wiring.Component):
    """A queue at the end of a pipeline that cannot stall.

    Whoever feeds the pipeline counts what is under way and waits in the queue, and keeps that at `depth` or less; an item
    that comes when the queue is full overwrites the oldest. An item is offered in the cycle after it came.

    Cost: a memory of `depth` words that is read without a clock (LUT memory on FPGAs).

    Parameters
    ----------
    shape : shape-like
        Shape of an item.
    depth : int
        Items held, a power of two, at least 2.

    Members
    -------
    i_valid, i : In
        An item comes in every cycle in which `i_valid` is high.
    o : Out stream of items
    """

    def __init__(self, *, shape, depth):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"Depth of a ReservedFifo must be a power of two, at least 2, not {depth!r}")
        self._depth = depth
        super().__init__({"i_valid": In(1), "i": In(shape), "o": Out(stream.Signature(shape))})

    @property
    def depth(self):
        """Items held."""
        return self._depth

    def elaborate(self, platform):
        m = Module()
        item = Value.cast(self.i)
        m.submodules.memory = memory = Memory(shape=len(item), depth=self.depth, init=[])
        write_port, read_port = memory.write_port(), memory.read_port(domain="comb")
        # One bit more than an address: the difference is the number of items held, 0 to `depth`.
        written, read = Signal(range(2 * self.depth)), Signal(range(2 * self.depth))
        valid = Signal()
        taken = valid & self.o.ready
        only_one = written == (read + 1)[: len(read)]
        m.d.comb += [
            write_port.addr.eq(written[:-1]),
            write_port.data.eq(item),
            write_port.en.eq(self.i_valid),
            read_port.addr.eq(read[:-1]),
            self.o.valid.eq(valid),
            Value.cast(self.o.payload).eq(read_port.data),
        ]
        m.d.sync += valid.eq(self.i_valid | (valid & ~(taken & only_one)))
        m.d.sync += written.eq(written + self.i_valid)
        with m.If(taken):
            m.d.sync += read.eq(read + 1)
        return m
