# SPDX-License-Identifier: Apache-2.0
"""A delay line for values that travel beside a pipeline."""

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["Delay"]


class Delay(wiring.Component):
    """Delivers every value `cycles` cycles later.

    Made of a memory, so that long delays of wide values cost little. It has no reset: in the first `cycles` cycles after
    one, what comes out means nothing.

    Parameters
    ----------
    shape : shape-like
    cycles : int
        At least 2.

    Members
    -------
    i : In(shape)
    o : Out(shape)
    """

    def __init__(self, *, shape, cycles):
        if cycles < 2:
            raise ValueError(f"cycles must be at least 2, not {cycles}")
        self._width = Shape.cast(shape).width
        self.cycles = cycles
        super().__init__({"i": In(shape), "o": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=self._width, depth=self.cycles, init=[])
        write, read = memory.write_port(), memory.read_port()
        # The place that is read is written in the next cycle.
        place = Signal(range(self.cycles))
        following = Signal(range(self.cycles))
        m.d.comb += [
            following.eq(Mux(place == self.cycles - 1, 0, place + 1)),
            write.addr.eq(place),
            write.data.eq(Value.cast(self.i)),
            write.en.eq(1),
            read.addr.eq(following),
            Value.cast(self.o).eq(read.data),
        ]
        m.d.sync += place.eq(following)
        return m
