# SPDX-License-Identifier: Apache-2.0
"""Accumulators: two banks, so that one column tile is drained while the next one accumulates."""

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .activations import pass_tag
from .array import array_sums

__all__ = ["ACCUMULATOR_WIDTH", "Accumulator"]

ACCUMULATOR_WIDTH = 41
"""Exact for int16 x int8 products and K up to 131,071."""

_GROUP = 4
"""Columns whose sums are selected from in the first stage of reading."""


class Accumulator(wiring.Component):
    """Adds up the sums of the weight tiles of a column tile, for each of `accumulator_rows` rows and each column.

    A pass is added to the accumulators of its row (or replaces them, `overwrite`) in one cycle, so that passes of the same
    row may follow each other directly. Sums are read one at a time, from the bank that does not accumulate; a bank may
    be read from the cycle on in which `closed` is high.

    Latency of a pass 2 cycles, of reading 3 cycles; one of each per cycle. Cost: per column and bank a memory of
    `accumulator_rows` x 41 bits, written and read without a clock (distributed memory), and per column one adder.

    Parameters
    ----------
    rows, columns, activation_width : int
        The array's.
    accumulator_rows : int
        Largest m, at least 1.

    Members
    -------
    i : In stream of `array_sums(...)` with `pass_tag(accumulator_rows)`, always ready
    closed : Out, high for one cycle when the pass marked `close` has been added
    read : In, `bank`, `row` and `column`
    o : Out, signed 41 bits, 3 cycles later
    """

    def __init__(self, *, rows, columns, activation_width, accumulator_rows):
        if accumulator_rows < 1:
            raise ValueError(f"accumulator_rows must be at least 1, not {accumulator_rows}")
        self.columns = columns
        self.accumulator_rows = accumulator_rows
        sums = array_sums(
            rows=rows, columns=columns, activation_width=activation_width, tag=pass_tag(accumulator_rows)
        )
        read = data.StructLayout({"bank": 1, "row": range(accumulator_rows), "column": range(columns)})
        super().__init__(
            {
                "i": In(stream.Signature(sums, always_ready=True)),
                "closed": Out(1),
                "read": In(read),
                "o": Out(signed(ACCUMULATOR_WIDTH)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        shape = signed(ACCUMULATOR_WIDTH)
        tag = self.i.payload.tag
        current = Signal.like(tag)
        valid = Signal()
        m.d.sync += [valid.eq(self.i.valid), current.eq(tag)]
        m.d.sync += self.closed.eq(valid & current.close)

        # Per bank, in registers: which row is looked up, whether a pass is added to it, and whether to what is there.
        addresses = [Signal.like(tag.row, name=f"address_{bank}") for bank in range(2)]
        accumulating, adding = Signal(2), Signal(2)
        for bank in range(2):
            comes = self.i.valid & (tag.bank == bank)
            m.d.sync += [
                addresses[bank].eq(Mux(comes, tag.row, self.read.row)),
                accumulating[bank].eq(comes),
                adding[bank].eq(comes & ~tag.overwrite),
            ]

        stored = [[], []]
        for column in range(self.columns):
            addend = Signal(shape, name=f"addend_{column}", reset_less=True)
            value = self.i.payload.sums[column]
            with m.If(self.i.valid):
                m.d.sync += addend.eq(Mux(tag.high, value << 8, value))

            memories = []
            for bank in range(2):
                memory = Memory(shape=shape, depth=max(2, self.accumulator_rows), init=[])
                m.submodules[f"bank_{bank}_{column}"] = memory
                write, read = memory.write_port(), memory.read_port(domain="comb")
                m.d.comb += [
                    read.addr.eq(addresses[bank]),
                    write.addr.eq(current.row),
                    write.en.eq(accumulating[bank]),
                ]
                memories.append((write, read))
                stored[bank].append(read.data)
            before = [Mux(adding[bank], memories[bank][1].data, 0) for bank in range(2)]
            after = Signal(shape, name=f"after_{column}")
            m.d.comb += after.eq((before[0] | before[1]) + addend)
            m.d.comb += [write.data.eq(after) for write, _ in memories]

        # Reading: the sum within each group of columns, then the group.
        groups = []
        wanted = Signal.like(self.read)
        m.d.sync += wanted.eq(self.read)
        for start in range(0, self.columns, _GROUP):
            group = Signal(shape, name=f"group_{start}", reset_less=True)
            banks = [Array(stored[bank][start : start + _GROUP])[wanted.column[:2]] for bank in range(2)]
            m.d.sync += group.eq(Mux(wanted.bank, banks[1], banks[0]))
            groups.append(group)
        number = Signal(range(max(2, len(groups))))
        m.d.sync += [number.eq(wanted.column[2:]), self.o.eq(Array(groups)[number])]
        return m
