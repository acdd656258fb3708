# SPDX-License-Identifier: Apache-2.0
"""Slots for several texts: records in the scratchpad, in which a line takes the place of one that has ended."""

from tepin.isa import ScalarOp
from tepin_host.compiler.conventions import ENDED, MOST_TOKENS, PROMPT_OFFSET, REQUEST_HEADER, SLOT_SHIFT

__all__ = ["Slots", "note_token", "tag_token"]


class Slots:
    """Writes what a program does with the slots of its texts.

    Parameters
    ----------
    program : RowProgram
        With `word(name)`, the scratchpad address of a single word: `lines` that have not joined, and the address in memory
        of the next `line`.
    record : Record
        Of a slot, beginning as `tepin_host.compiler.records.SLOT` does.
    fetched : str
        The semaphore with which the loads tell the sequencer that they are done.
    """

    def __init__(self, program, record, fetched):
        self.program = program
        self.plan, self.pad = program.plan, program.pad
        self.a, self.r, self.semaphore = program.a, program.r, program.semaphore
        self.record = record
        self.fetched = self.semaphore[fetched]

    @property
    def _end(self):
        """Scratchpad address behind the last slot."""
        return self.pad["slot_table"] + self.plan.slots * self.record.size

    def _each_slot(self, slot, body):
        """`body(next)` for each slot that has a text; it may jump to the label `next`."""
        a = self.a
        start, following, done = a.label("slot"), a.label("next_slot"), a.label("slots_done")
        a.move(slot, self.pad["slot_table"])
        a.place(start)
        body(following)
        a.place(following)
        a.scalar(ScalarOp.ADD, slot, slot, self.record.size)
        with a.temporary("end") as end:
            a.move(end, self._end)
            a.branch(ScalarOp.BNE, slot, end, start)
        a.place(done)

    def _unless_busy(self, slot, position, positions, label, *, busy):
        """Go to the label if the slot is busy, or if it is not; `position` and `positions` are loaded."""
        self.record.load(self.a, position, slot, "start")
        self.record.load(self.a, positions, slot, "positions")
        self.a.branch(ScalarOp.BLT if busy else ScalarOp.BGE, position, positions, label)

    def _join(self):
        """Give free slots the next lines."""
        a, program, record = self.a, self.program, self.record
        done = a.label("joined")
        with (
            a.temporary("text") as slot,
            a.temporary("lines") as lines,
            a.temporary("line") as line,
            a.temporary("one") as one,
            a.temporary("two") as two,
        ):
            a.load_word(lines, program.word("lines"))
            a.branch(ScalarOp.BEQ, lines, a.zero, done)
            a.load_word(line, program.word("line"))

            def join(following):
                self._unless_busy(slot, one, two, following, busy=True)
                a.branch(ScalarOp.BEQ, lines, a.zero, following)
                a.load(line, slot, 4 * len(REQUEST_HEADER), signal=self.fetched)
                a.wait(self.fetched)
                a.scalar(ScalarOp.ADD, line, line, PROMPT_OFFSET)
                record.store(a, line, slot, "prompt")
                record.load(a, one, slot, "prompt_length")
                # The next line begins at a multiple of PROMPT_OFFSET.
                a.scalar(ScalarOp.MUL, one, one, 4)
                a.scalar(ScalarOp.ADD, one, one, PROMPT_OFFSET - 1)
                a.scalar(ScalarOp.AND, one, one, -PROMPT_OFFSET)
                a.scalar(ScalarOp.ADD, line, line, one)
                a.scalar(ScalarOp.SUB, lines, lines, 1)

            self._each_slot(slot, join)
            a.store_word(lines, program.word("lines"))
            a.store_word(line, program.word("line"))
        a.place(done)


def note_token(a, record, slot, token, word, other, *, ahead=0):
    """Note what was chosen for a slot, or the end of its text, which frees it; then `token` says so, too.

    Parameters
    ----------
    a : Assembler
    record : Record
        Of a slot.
    slot, token, word, other : Register
        The slot's record, what was chosen, and two more.
    ahead : int
        Positions by which `start` goes on.
    """
    stop, end, done = (a.label(name) for name in ("stop", "end", "noted"))
    for name in ("stop0", "stop1"):
        record.load(a, other, slot, name)
        a.branch(ScalarOp.BEQ, token, other, stop)
    record.store(a, token, slot, "token")
    record.load(a, word, slot, "start")
    if ahead:
        a.scalar(ScalarOp.ADD, word, word, ahead)
        record.store(a, word, slot, "start")
    record.load(a, other, slot, "positions")
    a.branch(ScalarOp.BLT, word, other, done)
    a.jump(end)
    a.place(stop)
    a.move(token, MOST_TOKENS)
    record.store(a, a.zero, slot, "positions")  # The slot is free.
    a.place(end)
    a.scalar(ScalarOp.OR, token, token, ENDED)
    a.place(done)


def tag_token(a, record, slot, token, word):
    """Put the slot's number to the token that is pushed."""
    record.load(a, word, slot, "tag")
    a.scalar(ScalarOp.SHL, word, word, SLOT_SHIFT)
    a.scalar(ScalarOp.OR, token, token, word)
