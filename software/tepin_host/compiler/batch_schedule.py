# SPDX-License-Identifier: Apache-2.0
"""Which tokens make up a step of a batch: done by the sequencer, from records in the scratchpad, before each step.

Free slots take the next lines. Every text that is being written has a row. What rows are left, tokens of prompts
take, in the order of the slots, as many of each as there are; but rows of one slot stay within one block of 64
positions, so that they share the pages that are being filled, and all full blocks are from earlier steps.
"""

from tepin.isa import Engine, ScalarOp
from tepin_host.compiler.conventions import BLOCK
from tepin_host.compiler.records import ROW, SLOT
from tepin_host.compiler.slots import Slots

__all__ = ["Scheduler"]


class Scheduler(Slots):
    """Writes the schedule of a step into a `BatchProgram`."""

    def __init__(self, program):
        super().__init__(program, SLOT, "DONE")

    def emit(self):
        """count = rows of the step, 0 if all is done; their records, tokens and positions; `samples`, `full_blocks`."""
        self._join()
        with self.a.temporary("spare") as spare:
            self._count_spare_rows(spare)
            self._fill_rows(spare)

    def _count_spare_rows(self, spare):
        """spare = rows less the texts that are being written."""
        a = self.a
        with a.temporary("slot") as slot, a.temporary("position") as position, a.temporary("bound") as bound:
            a.move(spare, self.plan.rows)

            def count(following):
                self._unless_busy(slot, position, bound, following, busy=False)
                SLOT.load(a, bound, slot, "prompt_length")
                a.branch(ScalarOp.BLT, position, bound, following)
                a.scalar(ScalarOp.SUB, spare, spare, 1)

            self._each_slot(slot, count)

    def _fill_rows(self, spare):
        a, pad, program, count = self.a, self.pad, self.program, self.r["count"]
        a.move(count, 0)
        with (
            a.temporary("slot") as slot,
            a.temporary("position") as position,
            a.temporary("bound") as bound,
            a.temporary("taken") as taken,
            a.temporary("row") as row,
            a.temporary("one") as one,
        ):
            for name in ("samples", "full_blocks"):
                a.store_word(a.zero, program.word(name))
            a.move(row, pad["row_table"])

            def fill(following):
                self._unless_busy(slot, position, bound, following, busy=False)
                SLOT.load(a, bound, slot, "prompt_length")
                writing, taking = a.label("writing"), a.label("taking")
                a.branch(ScalarOp.BGE, position, bound, writing)
                self._take_prompt(slot, position, bound, taken, spare, one, following)
                a.jump(taking)
                a.place(writing)
                a.move(taken, 1)
                SLOT.load(a, one, slot, "token")
                with a.temporary("at") as at:
                    a.scalar(ScalarOp.MUL, at, count, 4)
                    a.store_word(one, pad["tokens"], at)
                a.place(taking)
                self._write_rows(slot, position, taken, row, one)
                SLOT.store(a, position, slot, "start")
                SLOT.load(a, bound, slot, "prompt_length")
                a.branch(ScalarOp.BLT, position, bound, following)
                ROW.store(a, slot, row, "slot")
                a.load_word(one, program.word("samples"))
                a.scalar(ScalarOp.ADD, one, one, 1)
                a.store_word(one, program.word("samples"))

            # `row` is the last row written, or where the first one will be.
            self._each_slot(slot, fill)
            ROW.store(a, a.zero, row, "next")
        a.nop(Engine.LOADS, signal=self.semaphore["DONE"])
        a.wait(self.semaphore["DONE"])

    def _take_prompt(self, slot, position, bound, taken, spare, one, none):
        """taken = tokens of the prompt in this step; they are loaded. Go to the label `none` if there are none."""
        a = self.a
        a.scalar(ScalarOp.SUB, taken, bound, position)
        a.scalar(ScalarOp.MIN, taken, taken, spare)
        a.scalar(ScalarOp.AND, one, position, BLOCK - 1)
        a.scalar(ScalarOp.SUB, one, one, BLOCK)
        a.scalar(ScalarOp.SUB, one, a.zero, one)
        a.scalar(ScalarOp.MIN, taken, taken, one)
        a.branch(ScalarOp.BEQ, taken, a.zero, none)
        a.scalar(ScalarOp.SUB, spare, spare, taken)
        with a.temporary("at") as at, a.temporary("length") as length:
            SLOT.load(a, one, slot, "prompt")
            a.scalar(ScalarOp.MUL, at, position, 4)
            a.scalar(ScalarOp.ADD, one, one, at)
            a.scalar(ScalarOp.MUL, at, self.r["count"], 4)
            a.scalar(ScalarOp.MUL, length, taken, 4)
            a.load(one, at + self.pad["tokens"], length)

    def _write_rows(self, slot, position, taken, row, one):
        """Records and positions of the rows that a slot takes; `row` is the last one written so far, and then of these."""
        a, pad, plan, count = self.a, self.pad, self.plan, self.r["count"]
        with a.temporary("group") as group, a.temporary("page") as page:
            SLOT.load(a, one, slot, "cache")
            a.scalar(ScalarOp.SHR, page, position, 6)
            full = a.label("no_full_block")
            a.branch(ScalarOp.BEQ, page, a.zero, full)
            a.store_word(page, self.program.word("full_blocks"))
            a.place(full)
            a.scalar(ScalarOp.MUL, page, page, plan.cache_block_bytes)
            a.scalar(ScalarOp.ADD, page, page, one)
            a.move(group, taken)
            start = a.label("row")
            a.place(start)
            with a.temporary("at") as at:
                # Behind the row before, if there is one.
                with a.unless(ScalarOp.BEQ, count, a.zero):
                    a.scalar(ScalarOp.ADD, at, row, ROW.size)
                    ROW.store(a, at, row, "next")
                    a.move(row, at)
                a.scalar(ScalarOp.MUL, at, count, 4)
                a.store_word(position, pad["positions"], at)
                for name in ("slot", "last"):
                    ROW.store(a, a.zero, row, name)
                ROW.store(a, group, row, "group")
                a.move(group, 0)
                ROW.store(a, page, row, "page")
                ROW.store(a, one, row, "first_page")
                a.scalar(ScalarOp.AND, at, position, BLOCK - 1)
                ROW.store(a, at, row, "within")
            a.scalar(ScalarOp.ADD, position, position, 1)
            a.scalar(ScalarOp.ADD, count, count, 1)
            a.scalar(ScalarOp.SUB, taken, taken, 1)
            a.branch(ScalarOp.BNE, taken, a.zero, start)
            a.move(group, 1)
            ROW.store(a, group, row, "last")
