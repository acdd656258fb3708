# SPDX-License-Identifier: Apache-2.0
"""Accumulators: two banks, so that one column tile is drained while the next one accumulates."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
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

    With `drain_width` above 1 the memories have a second read port, and a row may be read from the cycle on in which
    `finished` is high for it, while others still accumulate: one sum, or the low 32 bits of `drain_width` sums that begin
    at a multiple of it.

    Latency of a pass 2 cycles, of reading 3 cycles, or 2 for several sums; one of each per cycle. Cost: per column and bank a
    memory of `accumulator_rows` x 41 bits, written and read without a clock (distributed memory), and per column one adder.

    Parameters
    ----------
    rows, columns, activation_width : int
        The array's.
    accumulator_rows : int
        Largest m, at least 1.
    drain_width : int
        Sums that are read at a time: a power of two that divides `columns`.

    Members
    -------
    i : In stream of `array_sums(...)` with `pass_tag(accumulator_rows)`, always ready
    closed : Out, high for one cycle when the pass marked `close` has been added
    finished : Out, high in each cycle in which a pass marked `final` has been added
    read : In, `bank`, `row` and `column`
    clear, cleared : In, Out
        While no passes come: zeros into one row of both banks per cycle as long as `clear` is high; `cleared` rises when
        all of them are written, and falls after `clear`.
    o : Out, signed 41 bits, 3 cycles later
    o_row : Out, `drain_width` x 32 bits from the column on that was asked for, 2 cycles later
        This and `finished` only with `drain_width` above 1.
    """

    def __init__(self, *, rows, columns, activation_width, accumulator_rows, drain_width=1):
        if accumulator_rows < 1:
            raise ValueError(f"accumulator_rows must be at least 1, not {accumulator_rows}")
        self.columns = columns
        self.accumulator_rows = accumulator_rows
        self.drain_width = drain_width
        sums = array_sums(
            rows=rows, columns=columns, activation_width=activation_width, tag=pass_tag(accumulator_rows)
        )
        read = data.StructLayout({"bank": 1, "row": range(accumulator_rows), "column": range(columns)})
        super().__init__(
            {
                "i": In(stream.Signature(sums, always_ready=True)),
                "closed": Out(1),
                "read": In(read),
                "clear": In(1),
                "cleared": Out(1),
                "o": Out(signed(ACCUMULATOR_WIDTH)),
                **({"finished": Out(1), "o_row": Out(32 * drain_width)} if drain_width > 1 else {}),
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
        if self.drain_width > 1:
            m.d.sync += self.finished.eq(valid & current.final)
        # Clearing is adding nothing to nothing, row by row.
        depth = max(2, self.accumulator_rows)
        cleared_row, written = Signal(range(depth)), Signal(2)
        with m.If(~self.clear):
            m.d.sync += [cleared_row.eq(0), written.eq(0)]
        with m.Else():
            m.d.sync += [
                current.row.eq(cleared_row),
                cleared_row.eq(Mux(cleared_row == depth - 1, 0, cleared_row + 1)),
                written.eq(Cat(written[0] | (cleared_row == depth - 1), written[0])),
            ]
        m.d.comb += self.cleared.eq(written[1])
        wanted = Signal.like(self.read)
        m.d.sync += wanted.eq(self.read)

        # Per bank, in registers: which row is looked up, whether a pass is added to it, and whether to what is there.
        addresses = [Signal.like(tag.row, name=f"address_{bank}") for bank in range(2)]
        accumulating, adding = Signal(2), Signal(2)
        for bank in range(2):
            comes = self.i.valid & (tag.bank == bank)
            m.d.sync += [
                addresses[bank].eq(Mux(comes, tag.row, self.read.row) if self.drain_width == 1 else tag.row),
                accumulating[bank].eq(comes | self.clear),
                adding[bank].eq(comes & ~tag.overwrite),
            ]

        stored = [[], []]
        for column in range(self.columns):
            addend = Signal(shape, name=f"addend_{column}", reset_less=True)
            value = self.i.payload.sums[column]
            with m.If(self.i.valid):
                m.d.sync += addend.eq(Mux(tag.high, value << 8, value))
            with m.If(self.clear):
                m.d.sync += addend.eq(0)

            memories = []
            for bank in range(2):
                memory = Memory(shape=shape, depth=depth, init=[])
                m.submodules[f"bank_{bank}_{column}"] = memory
                write, read = memory.write_port(), memory.read_port(domain="comb")
                m.d.comb += [
                    read.addr.eq(addresses[bank]),
                    write.addr.eq(current.row),
                    write.en.eq(accumulating[bank]),
                ]
                memories.append((write, read))
                if self.drain_width > 1:
                    drained = memory.read_port(domain="comb")
                    m.d.comb += drained.addr.eq(wanted.row)
                    stored[bank].append(drained.data)
                else:
                    stored[bank].append(read.data)
            before = [Mux(adding[bank], memories[bank][1].data, 0) for bank in range(2)]
            after = Signal(shape, name=f"after_{column}")
            m.d.comb += after.eq((before[0] | before[1]) + addend)
            m.d.comb += [write.data.eq(after) for write, _ in memories]

        # Reading: the sum within each group of columns, then the group.
        groups = []
        for start in range(0, self.columns, _GROUP):
            group = Signal(shape, name=f"group_{start}", reset_less=True)
            banks = [Array(stored[bank][start : start + _GROUP])[wanted.column[:2]] for bank in range(2)]
            m.d.sync += group.eq(Mux(wanted.bank, banks[1], banks[0]))
            groups.append(group)
        number = Signal(range(max(2, len(groups))))
        m.d.sync += [number.eq(wanted.column[2:]), self.o.eq(Array(groups)[number])]
        if self.drain_width > 1:
            pieces = []
            for start in range(0, self.columns, self.drain_width):
                banks = [
                    Cat(value[:32] for value in stored[bank][start : start + self.drain_width])
                    for bank in range(2)
                ]
                pieces.append(Mux(wanted.bank, banks[1], banks[0]))
            place = wanted.column[self.drain_width.bit_length() - 1 :]
            m.d.sync += self.o_row.eq(Array(pieces)[place] if len(pieces) > 1 else pieces[0])
        return m
