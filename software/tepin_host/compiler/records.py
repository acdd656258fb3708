# SPDX-License-Identifier: Apache-2.0
"""Records of 32-bit words in the scratchpad that the sequencer keeps books in, of a batch or of a pipeline."""

from tepin.isa import ScalarOp
from tepin_host.assembler import Register

__all__ = ["BOOKS", "JOB", "PAGES", "PASS", "ROW", "SLOT", "TEXT", "WORDS", "Record"]


class Record:
    """Names for the words of a record; `record.at(name)` is the offset of one."""

    def __init__(self, *names):
        self.names = names
        self.size = 4 * len(names)

    def at(self, name):
        return 4 * self.names.index(name)

    def load(self, a, rd, record, name):
        """rd = the word `name` of the record at an address or register."""
        self._access(a.load_word, rd, record, name)

    def store(self, a, rd, record, name):
        """The word `name` of the record = rd."""
        self._access(a.store_word, rd, record, name)

    def write_table(self, a, address, count, values):
        """Words of `count` records behind each other: `values` = name: (in the first one, more in each one after)."""
        with a.temporary("at") as at, a.temporary("end") as end, a.temporary("value") as value:
            for name, (first, step) in values.items():
                a.move(at, address)
                a.move(end, address + count * self.size)
                a.move(value, first)
                start = a.label("record")
                a.place(start)
                self.store(a, value, at, name)
                a.scalar(ScalarOp.ADD, value, value, step)
                a.scalar(ScalarOp.ADD, at, at, self.size)
                a.branch(ScalarOp.BNE, at, end, start)

    def _access(self, access, rd, record, name):
        if isinstance(record, Register):
            access(rd, self.at(name), record)
        else:
            access(rd, record + self.at(name))


SLOT = Record(
    # The header of the line's request, as in REQUEST_HEADER; `start` is where the line goes on.
    "prompt_length",
    "positions",
    "seed",
    "inverse_temperature",
    "stop0",
    "stop1",
    "start",
    # Of the program.
    "token",  # chosen last
    "prompt",  # address of the prompt's tokens in memory
    "cache",  # address in memory of the slot's first block
    "tag",  # the slot's number, as it is pushed with its tokens
)
"""A slot: place of one sequence in the batch. It is free if `start` is not below `positions`."""

ROW = Record(
    # The same for a row in every step: offsets of its part of a buffer.
    "kv_floats",
    "kv_numbers",
    "numbers",
    "queries",
    "floats",
    # Of a step.
    "within",  # position within its block
    "page",  # address in memory of its block
    "first_page",  # of its slot's first block
    "group",  # rows of its slot, in the first of them; 0 in the others
    "last",  # 1 in the last row of its slot
    "slot",  # address of the slot's record if the next token is to be chosen from this row, else 0
    "next",  # address of the next row's record, or 0
    # Of a layer.
    "pages",  # which page buffers its slot has
)
"""A row of a step."""

JOB = Record("scores", "probabilities_q", "numbers", "block_attention", "block_value_scales")
"""Offsets of the one of two buffers that a job of attention has."""

PAGES = Record("key_pages", "value_pages", "value_scales")
"""Addresses of the one of two page buffers that a slot has."""

WORDS = Record(
    "lines",  # that have not joined yet
    "line",  # address in memory of the next one
    "samples",  # tokens to choose in this step
    "full_blocks",  # whether a row of this step has any
    "next_weights",
    "next_norms",
    "buffers",  # page buffers to load next
    "row2",  # job in the second stage of attention, or 0
    "page2",
    "row3",  # job in the third stage
    "page3",
)
"""Single words."""

TEXT = Record(
    *SLOT.names,
    "waiting",  # 1 while its next token is being computed
)
"""A slot of a pipeline."""

PASS = Record(
    "slot",  # address of the slot's record, or 0 if nothing passes
    "position",
    "samples",  # 1 if a token is chosen behind it
)
"""A row on its way through the chips of a pipeline."""

BOOKS = Record(
    "lines",  # as of WORDS
    "line",
    "turn",  # address of the slot that is looked at first
)
"""Single words of a pipeline."""
