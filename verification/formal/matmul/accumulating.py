# SPDX-License-Identifier: Apache-2.0
"""The accumulator for proofs: passes of any kind in any order, and the claim that what is read is what was added up.

One row of one bank is followed, and column 0 of it; since it may be any, that is so for all.
"""

from amaranth.hdl import Assume, Module, Mux, Signal, signed

from tepin.matmul.accumulator import ACCUMULATOR_WIDTH, Accumulator
from tepin_testbench.formal import implies
from tepin_testbench.opened import Opened
from verification.formal.matmul.claims import Claims

__all__ = ["Accumulating"]

_ROWS, _COLUMNS = 2, 2


class Accumulating(Claims):
    """Passes, and a row that is read over and over again."""

    BUGS = {
        "row": "in one bank, row 0 is added to, whatever the pass says",
        "lost": "what was there is lost if another pass follows in the next cycle",
        "twice": "a pass is counted twice if another one follows in the next cycle",
    }
    COVERED = {"added": 8, "twice": 8, "both": 8}
    DEPTH, SEARCH = 7, 10

    def __init__(self, *, bug=None):
        flags = ("valid", "bank", "row", "overwrite", "high", "which_bank", "which_row")
        super().__init__(dict.fromkeys(flags, 1) | {"sum": signed(4)}, bug=bug)

    def elaborate(self, platform):
        m = Module()
        accumulator = Accumulator(
            rows=1, columns=_COLUMNS, activation_width=2, accumulator_rows=_ROWS, drain_width=2
        )
        m.submodules.accumulator = inside = Opened(accumulator)
        self._seed(m, accumulator, inside)
        tag = accumulator.i.payload.tag
        m.d.comb += [
            accumulator.i.valid.eq(self.valid),
            accumulator.i.payload.sums[0].eq(self.sum),
            tag.bank.eq(self.bank),
            tag.row.eq(self.row),
            tag.overwrite.eq(self.overwrite),
            tag.high.eq(self.high),
            accumulator.read.bank.eq(self.which_bank),
            accumulator.read.row.eq(self.which_row),
            accumulator.read.column.eq(0),
        ]
        # The row that is followed stays the same.
        began, bank, row = Signal(), Signal(), Signal()
        m.d.sync += [began.eq(1), bank.eq(self.which_bank), row.eq(self.which_row)]
        m.d.comb += Assume(~began | ((bank == self.which_bank) & (row == self.which_row)))

        other = Signal()  # in the cycle before, a pass of the other bank came
        m.d.sync += other.eq(self.valid & (self.bank != self.which_bank))
        # What it should hold, from the pass on that overwrites it; and how many passes that was made of.
        shape = signed(ACCUMULATOR_WIDTH)
        known, total, passes = Signal(), Signal(shape), Signal(2)
        comes = self.valid & (self.bank == self.which_bank) & (self.row == self.which_row)
        added = Mux(self.high, self.sum << 8, self.sum)
        with m.If(comes & self.overwrite):
            m.d.sync += [known.eq(1), total.eq(added), passes.eq(1)]
        with m.Elif(comes):
            m.d.sync += [total.eq(total + added), passes.eq(passes + (passes != 3))]

        # A pass is in the memory from the second cycle on; its sum leaves a register later, or two.
        history = [(known, total)]
        for age in range(1, 4):
            then = Signal(name=f"known_{age}"), Signal(shape, name=f"total_{age}")
            m.d.sync += [new.eq(old) for new, old in zip(then, history[-1], strict=True)]
            history.append(then)
        (known_low, total_low), (known_full, total_full) = history[2:]
        m.d.comb += [
            implies(known_low, accumulator.o_row[:32] == total_low[:32]),
            implies(known_full, accumulator.o == total_full),
            self.added.eq(known_full & (accumulator.o != 0)),
            self.twice.eq(comes & ~self.overwrite & (passes == 3)),
            self.both.eq(comes & ~self.overwrite & other),
        ]
        return m

    def _seed(self, m, accumulator, inside):
        """Put the bug in."""
        if self._bug == "row":
            address = inside["address_0"]
            inside.release(address)
            m.d.sync += address.eq(0)
        elif self._bug == "lost":
            after = inside["after_0"]
            right = inside.release(after)
            m.d.comb += after.eq(Mux(accumulator.i.valid, inside["addend_0"], right))
        elif self._bug == "twice":
            after = inside["after_0"]
            right = inside.release(after)
            m.d.comb += after.eq(right + Mux(accumulator.i.valid, inside["addend_0"], 0))
