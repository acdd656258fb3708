# SPDX-License-Identifier: Apache-2.0
"""Choosing the next tokens of a batch, of each row that ends what is known of its text, as `sampling.py` does of one."""

from tepin.isa import Engine, Function, Reduction, ScalarOp
from tepin_host.assembler import Scalar, Strided, Vector
from tepin_host.compiler.conventions import LAST
from tepin_host.compiler.records import ROW, SLOT
from tepin_host.compiler.sampling import Sampler
from tepin_host.compiler.slots import note_token, tag_token

__all__ = ["BatchSampler"]


class BatchSampler(Sampler):
    """Writes final norm, classifier and choice of tokens into a `BatchProgram`."""

    def emit(self):
        """Choose and push `count` tokens; note them, or the end of the text, in the records of the slots."""
        self._gather_rows()
        self._choose()
        self._push()

    def _gather_rows(self):
        """Move the rows to choose from to the front of x; list their slots in `samplers`."""
        a, pad, dim = self.a, self.pad, self.model.dim
        with (
            a.temporary("row") as row,
            a.temporary("source") as source,
            a.temporary("target") as target,
            a.temporary("slot") as slot,
            a.temporary("index") as index,
        ):
            for register, value in ((row, pad["row_table"]), (source, 0), (target, 0), (index, 0)):
                a.move(register, value)
            start, skip = a.label("row"), a.label("skip")
            a.place(start)
            ROW.load(a, slot, row, "slot")
            a.branch(ScalarOp.BEQ, slot, a.zero, skip)
            a.store_word(slot, pad["samplers"], index)
            a.scalar(ScalarOp.ADD, index, index, 4)
            with a.unless(ScalarOp.BEQ, source, target):
                a.vector(Function.COPY, dim, a=Vector(source + pad["x"]), d=Vector(target + pad["x"]))
            a.scalar(ScalarOp.ADD, target, target, 4 * dim)
            a.place(skip)
            a.scalar(ScalarOp.ADD, source, source, 4 * dim)
            ROW.load(a, row, row, "next")
            a.branch(ScalarOp.BNE, row, a.zero, start)

    def _choose(self):
        """best[chunk][row] of all chunks; behind them, if there are several chunks, which of them has the best."""
        a, pad, s, chunks = self.a, self.pad, self.semaphore, self.plan.chunks
        each = 8 * self.plan.rows
        self.program.norm_and_quantize(self.program.final_norm)
        with a.temporary("chunk") as chunk:
            a.move(chunk, 0)
            # All chunks are of the same size but for the last one.
            if len(chunks) > 1:
                start = a.label("chunk")
                a.place(start)
                self._best_of_rows(chunk, chunks[0][1])
                a.nop(Engine.VECTOR, signal=s["ACTIVATIONS"])
                a.scalar(ScalarOp.ADD, chunk, chunk, 1)
                with a.temporary("last") as last:
                    a.move(last, len(chunks) - 1)
                    a.branch(ScalarOp.BNE, chunk, last, start)
            self._best_of_rows(chunk, chunks[-1][1])
        if len(chunks) > 1:
            with a.temporary("at") as at:

                def best_of_all():
                    a.scalar(ScalarOp.MUL, at, at, 8)
                    a.vector(
                        Function.COPY,
                        len(chunks),
                        a=Strided(at + (pad["best"] + 4), stride=each),
                        reduce=(Reduction.ARGMAX, at + (pad["best"] + len(chunks) * each)),
                    )

                self._each_sample(at, best_of_all)
        a.nop(Engine.VECTOR, signal=s["DONE"])
        a.wait(s["DONE"])

    def _best_of_rows(self, chunk, tokens):
        """best[chunk] of all rows; `chunk` is a register."""
        a, pad, program, s = self.a, self.pad, self.program, self.semaphore
        program.matmul(self.model.dim, tokens, pad["logits"], wait=s["ACTIVATIONS"], observe=True)
        a.nop(Engine.VECTOR, wait=s["PRODUCTS"])
        with (
            a.temporary("logits") as logits,
            a.temporary("first") as first,
            a.temporary("best") as best,
            a.temporary("at") as at,
            a.temporary("slot") as slot,
        ):
            a.move(logits, pad["logits"])
            a.scalar(ScalarOp.MUL, first, chunk, 4)
            a.scalar(ScalarOp.MUL, best, chunk, 8 * self.plan.rows)

            def best_of_row():
                a.scalar(ScalarOp.MUL, slot, at, 4)
                a.load_word(slot, pad["samplers"], slot)
                self._best_of_chunk(
                    Scalar(first + program.chunk_start(0).base),
                    tokens,
                    request=lambda name: slot + SLOT.at(name),
                    position=slot + SLOT.at("start"),
                    logits=logits,
                    best=best + pad["best"],
                )
                a.scalar(ScalarOp.ADD, best, best, 8)
                a.scalar(ScalarOp.ADD, logits, logits, 4 * tokens)

            self._each_sample(at, best_of_row)

    def _each_sample(self, at, body):
        """`body()` for each row, of which the register `at` then is the number; it may change the register."""
        a = self.a
        with a.temporary("sample") as sample:
            a.move(sample, 0)
            start = a.label("sample")
            a.place(start)
            a.move(at, sample)
            body()
            a.scalar(ScalarOp.ADD, sample, sample, 1)
            a.branch(ScalarOp.BNE, sample, self.program.count, start)

    def _push(self):
        a, pad = self.a, self.pad
        with (
            a.temporary("at") as at,
            a.temporary("slot") as slot,
            a.temporary("token") as token,
            a.temporary("word") as word,
            a.temporary("other") as other,
        ):

            def push():
                a.scalar(ScalarOp.MUL, word, at, 4)
                a.load_word(slot, pad["samplers"], word)
                self._token(token, at, word, other)
                note_token(a, SLOT, slot, token, word, other)
                # The last of the step?
                a.scalar(ScalarOp.ADD, at, at, 1)
                with a.unless(ScalarOp.BNE, at, self.program.count):
                    a.scalar(ScalarOp.OR, token, token, LAST)
                tag_token(a, SLOT, slot, token, word)
                a.push(token)

            self._each_sample(at, push)

    def _token(self, token, at, word, other):
        """token = what has been chosen from row `at`; an earlier chunk wins a tie, as an earlier token does."""
        a, pad, chunks = self.a, self.pad, self.plan.chunks
        each = 8 * self.plan.rows
        a.scalar(ScalarOp.MUL, word, at, 8)
        if len(chunks) == 1:
            a.load_word(token, pad["best"], word)
            return
        a.load_word(other, pad["best"] + len(chunks) * each, word)
        a.scalar(ScalarOp.MUL, token, other, chunks[1][0])
        a.scalar(ScalarOp.MUL, other, other, each)
        a.scalar(ScalarOp.ADD, word, word, other)
        a.load_word(other, pad["best"], word)
        a.scalar(ScalarOp.ADD, token, token, other)
