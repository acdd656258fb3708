# SPDX-License-Identifier: Apache-2.0
"""A design for the models of cells: memories for every width of a block RAM, and multipliers of all signs."""

from amaranth.hdl import Module, Shape, signed
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from tepin.float.multiplier import IntegerMultiplier

__all__ = ["MEMORIES", "MULTIPLIERS", "Cells", "initial"]

# Width and depth for which a block RAM is the cheapest place, bits per write enable, and whether a read sees the word that
# is written at the same time.
MEMORIES = [
    (1, 8192, 1, False),
    (2, 4096, 2, False),
    (4, 2048, 4, True),
    (9, 1024, 9, False),
    (18, 512, 9, True),
    (36, 256, 9, False),
]

MULTIPLIERS = [(signed(18), signed(18)), (18, 18), (signed(18), 18), (16, signed(11))]


def initial(index, depth):
    """Contents of a memory at first: words that have little to do with each other, or with those of other memories."""
    width = MEMORIES[index][0]
    return [
        (place * 0x9E3779B97F4A7C15 + index * 0x51ED27) >> 20 & (1 << width) - 1 for place in range(depth)
    ]


class Cells(Component):
    """Memories that share an address and data, and multipliers that share operands.

    Members
    -------
    write, read : In(13)
        Addresses, of which each memory takes the lowest bits.
    data, enable, read_enable : In
        What is written, parts of it that are, and whether a read takes place.
    a, b : In(18)
        Operands.
    q<n> : Out
        What memory n read.
    p<n>, c<n> : Out
        Product n, two cycles late from registered multipliers, at once from the others.
    """

    def __init__(self):
        members = {"write": In(13), "read": In(13), "data": In(36), "enable": In(4), "read_enable": In(1)}
        members |= {"a": In(18), "b": In(18)}
        members |= {f"q{index}": Out(entry[0]) for index, entry in enumerate(MEMORIES)}
        for index, shapes in enumerate(MULTIPLIERS):
            width = sum(Shape.cast(shape).width for shape in shapes)
            members |= {f"p{index}": Out(width), f"c{index}": Out(width)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        for index, (width, depth, part, transparent) in enumerate(MEMORIES):
            memory = Memory(shape=width, depth=depth, init=initial(index, depth))
            m.submodules[f"memory_{index}"] = memory
            write = memory.write_port(granularity=part)
            read = memory.read_port(transparent_for=(write,) if transparent else ())
            m.d.comb += [
                write.addr.eq(self.write),
                write.data.eq(self.data),
                write.en.eq(self.enable),
                read.addr.eq(self.read),
                read.en.eq(self.read_enable),
                getattr(self, f"q{index}").eq(read.data),
            ]
        for index, shapes in enumerate(MULTIPLIERS):
            multiplier = IntegerMultiplier(*shapes, latency=2)
            m.submodules[f"multiplier_{index}"] = multiplier
            operands = [
                port[: Shape.cast(shape).width] for port, shape in zip((self.a, self.b), shapes, strict=True)
            ]
            operands = [
                value.as_signed() if Shape.cast(shape).signed else value
                for value, shape in zip(operands, shapes, strict=True)
            ]
            m.d.comb += [
                multiplier.a.eq(operands[0]),
                multiplier.b.eq(operands[1]),
                getattr(self, f"p{index}").eq(multiplier.o),
                getattr(self, f"c{index}").eq(operands[0] * operands[1]),
            ]
        return m
