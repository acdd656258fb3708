# SPDX-License-Identifier: Apache-2.0
"""Which text has the next pass through a pipeline: done by every chip's sequencer, alike, from records in the scratchpad.

Free slots take the next lines. Slots have passes in turn, unless their next token is still being computed; a prompt has one
for every token, and need not wait for any.
"""

from tepin.isa import ScalarOp
from tepin_host.compiler.conventions import LAST, PROMPT_OFFSET
from tepin_host.compiler.records import PASS, TEXT
from tepin_host.compiler.slots import Slots, note_token, tag_token

__all__ = ["Books"]


class Books(Slots):
    """Writes the bookkeeping of a step into a `PipelineProgram`."""

    def __init__(self, program):
        super().__init__(program, TEXT, "FETCHED")

    def prepare(self):
        """Empty slots and passes; the header of the requests is in the scratchpad."""
        a, pad, plan, program = self.a, self.pad, self.plan, self.program
        empty = dict.fromkeys(("start", "positions", "waiting"), (0, 0))
        places = {"cache": (program.address("cache"), plan.slot_bytes), "tag": (0, 1)}
        TEXT.write_table(a, pad["slot_table"], plan.slots, empty | places)
        PASS.write_table(a, pad["passes"], plan.chips + 1, dict.fromkeys(PASS.names, (0, 0)))
        with a.temporary("value") as value:
            a.load_word(value, pad["request"])
            a.store_word(value, program.word("lines"))
            a.move(value, program.address("requests") + PROMPT_OFFSET)
            a.store_word(value, program.word("line"))
            a.move(value, pad["slot_table"])
            a.store_word(value, program.word("turn"))

    def emit(self, done):
        """Go on from the books of the step before; to the label `done` if nothing is left to do."""
        self._take_token()
        self._move_passes()
        self._join()
        self._begin_pass()
        self._unless_done(done)

    def _take_token(self):
        """Push the token that was chosen in the step before, and note it, or the end of its text."""
        a, program, last = self.a, self.program, self.plan.chips
        none = a.label("no_token")
        with (
            a.temporary("text") as text,
            a.temporary("token") as token,
            a.temporary("one") as one,
            a.temporary("two") as two,
        ):
            a.load_word(one, program.of_pass(last, "samples"))
            a.branch(ScalarOp.BEQ, one, a.zero, none)
            a.load_word(text, program.of_pass(last, "slot"))
            program.sampler.pick(token)
            TEXT.store(a, a.zero, text, "waiting")
            note_token(a, TEXT, text, token, one, two, ahead=1)
            tag_token(a, TEXT, text, token, one)
            a.scalar(ScalarOp.OR, token, token, LAST)
            a.push(token)
        a.place(none)

    def _move_passes(self):
        """Every pass has been through one chip more."""
        a, program = self.a, self.program
        with a.temporary("word") as word:
            for chips in range(self.plan.chips, 0, -1):
                for name in PASS.names:
                    a.load_word(word, program.of_pass(chips - 1, name))
                    a.store_word(word, program.of_pass(chips, name))

    def _begin_pass(self):
        """A new pass, of the first slot from `turn` on that can have one; an empty one if none can."""
        a, program = self.a, self.program
        following, found, done = (a.label(name) for name in ("next_slot", "found", "begun"))
        with (
            a.temporary("text") as text,
            a.temporary("left") as left,
            a.temporary("at") as position,
            a.temporary("bound") as bound,
        ):
            for name in PASS.names:
                a.store_word(a.zero, program.of_pass(0, name))
            a.load_word(text, program.word("turn"))
            a.move(left, self.plan.slots)
            with a.loop(left):
                self._unless_busy(text, position, bound, following, busy=False)
                TEXT.load(a, bound, text, "waiting")
                a.branch(ScalarOp.BEQ, bound, a.zero, found)
                a.place(following)
                self._next_turn(text, bound)
            a.jump(done)

            a.place(found)
            a.store_word(text, program.of_pass(0, "slot"))
            a.store_word(position, program.of_pass(0, "position"))
            TEXT.load(a, bound, text, "prompt_length")
            a.scalar(ScalarOp.ADD, position, position, 1)
            prompt, turn = a.label("prompt"), a.label("turn")
            a.branch(ScalarOp.BLT, position, bound, prompt)
            a.move(position, 1)
            a.store_word(position, program.of_pass(0, "samples"))
            TEXT.store(a, position, text, "waiting")
            a.jump(turn)
            a.place(prompt)
            TEXT.store(a, position, text, "start")
            a.place(turn)
            self._next_turn(text, bound)
            a.store_word(text, program.word("turn"))
        a.place(done)

    def _next_turn(self, text, end):
        """text = the slot behind it, and the first one behind the last."""
        a = self.a
        a.scalar(ScalarOp.ADD, text, text, TEXT.size)
        a.move(end, self._end)
        with a.unless(ScalarOp.BNE, text, end):
            a.move(text, self.pad["slot_table"])

    def _unless_done(self, done):
        """Go to the label if there is no pass anywhere."""
        a, program = self.a, self.program
        with a.temporary("any") as any_pass, a.temporary("text") as text:
            a.load_word(any_pass, program.of_pass(0, "slot"))
            for chips in range(1, self.plan.chips + 1):
                a.load_word(text, program.of_pass(chips, "slot"))
                a.scalar(ScalarOp.OR, any_pass, any_pass, text)
            a.branch(ScalarOp.BEQ, any_pass, a.zero, done)
