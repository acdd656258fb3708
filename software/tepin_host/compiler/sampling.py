# SPDX-License-Identifier: Apache-2.0
"""Choosing the next token on the chip.

Greedy: argmax of the logits, ties to the lowest id. With a temperature T: argmax of logits / T + g, g[i] = -ln(-ln u[i])
with u uniform (the Gumbel-max trick), which draws from softmax(logits / T) exactly. u depends on seed, position and
token id only.

On several chips each looks for the best of its own tokens; then they gather these and choose the best of them, all alike.
"""

from tepin.isa import Function, Reduction, ScalarOp
from tepin_host.assembler import Scalar, Strided, Vector

__all__ = ["Sampler"]


class Sampler:
    """Writes final norm, classifier and choice of a token into a `LayerProgram`."""

    def __init__(self, program):
        self.program = program
        self.plan, self.model, self.pad = program.plan, program.model, program.pad
        self.a, self.semaphore = program.a, program.semaphore

    def emit(self, token):
        """Leave the chosen token id in the register `token`."""
        self.begin()
        if self.plan.chips == 1:
            self._pick_own(token)
        else:
            self.offer(token)
            self.pick(token)

    def begin(self):
        """Look for the best of the chip's tokens; CHOSEN when it is found."""
        a, program, pad, chosen = self.a, self.program, self.pad, self.semaphore["CHOSEN"]
        chunks = self.plan.chunks
        program.norm_and_quantize(program.final_norm)
        a.store_word(program.r["position"], pad["words"] + 4)
        for index, (_, tokens) in enumerate(chunks):
            program.matmul(
                self.model.dim, tokens, pad["logits"], wait=self.semaphore["ACTIVATIONS"], observe=True
            )
            last = index == len(chunks) - 1
            self._best_of_chunk(
                program.chunk_start(index),
                tokens,
                request=program.request_word,
                position=pad["words"] + 4,
                logits=pad["logits"],
                best=pad["best"] + 8 * index,
                wait=self.semaphore["PRODUCTS"],
                signal=0 if last and index else chosen if last else self.semaphore["ACTIVATIONS"],
            )
        if len(chunks) > 1:
            # The best of the chunks' bests; an earlier chunk wins a tie, as an earlier token does.
            a.vector(
                Function.COPY,
                len(chunks),
                a=Strided(pad["best"] + 4, stride=8),
                reduce=(Reduction.ARGMAX, pad["best"] + 8 * len(chunks)),
                signal=chosen,
            )

    def _pick_own(self, token):
        """token = the best of the chip's tokens; its value is in the second word of the last `best`."""
        a, pad, chunks = self.a, self.pad, self.plan.chunks
        a.wait(self.semaphore["CHOSEN"])
        start = chunks[0][0]
        if len(chunks) == 1:
            a.load_word(token, pad["best"])
            if start:
                a.scalar(ScalarOp.ADD, token, token, start)
            return
        with a.temporary("chunk") as chunk:
            a.load_word(chunk, pad["best"] + 8 * len(chunks))
            a.scalar(ScalarOp.MUL, token, chunk, chunks[1][0] - start)
            if start:
                a.scalar(ScalarOp.ADD, token, token, start)
            a.scalar(ScalarOp.MUL, chunk, chunk, 8)
            a.load_word(chunk, pad["best"], chunk)
            a.scalar(ScalarOp.ADD, token, token, chunk)

    def offer(self, token):
        """Gather the chips' candidates, and choose among them; CHOSEN when that is done. Changes the register."""
        a, pad, s, plan = self.a, self.pad, self.semaphore, self.plan
        self._pick_own(token)
        own, chunks = plan.own("candidates"), len(plan.chunks)
        a.store_word(token, own)
        with a.temporary("value") as value:
            a.load_word(value, pad["best"] + (4 if chunks == 1 else 8 * chunks + 4))
            a.store_word(value, own + 4)
        a.signal(s["SLICE"])
        self.program.gather("candidates")
        a.vector(
            Function.COPY,
            plan.chips,
            a=Strided(pad["candidates"] + 4, stride=8),
            reduce=(Reduction.ARGMAX, pad["choice"]),
            wait=s["GATHERED"],
            signal=s["CHOSEN"],
        )

    def pick(self, token):
        """token = the best of all chips' candidates; a lower chip wins a tie, as a lower token does."""
        a, pad = self.a, self.pad
        a.wait(self.semaphore["CHOSEN"])
        a.load_word(token, pad["choice"])
        a.scalar(ScalarOp.MUL, token, token, 8)
        a.load_word(token, pad["candidates"], token)

    def _best_of_chunk(self, first, tokens, *, request, position, logits, best, wait=0, signal=0):
        """best = argmax over a chunk of so many tokens, greedy or with noise; `first` is the operand of the first one's id.

        `logits`, `best` and the position, whose noise it is, are given by their addresses, and words of the request by a
        function from their names to addresses.
        """
        a, noise, at = self.a, Vector(self.pad["noise"]), request("inverse_temperature")
        reduce = (Reduction.ARGMAX, best)
        greedy, done = a.label("greedy"), a.label("chosen")
        with a.temporary("temperature") as temperature, a.temporary("none") as none:
            a.load_word(temperature, at)
            a.move(none, 0)
            a.branch(ScalarOp.BEQ, temperature, none, greedy)
        a.vector(
            Function.RANDOM,
            tokens,
            a=first,
            b=Scalar(request("seed")),
            c=Scalar(position),
            d=noise,
        )
        a.vector(Function.LN, tokens, a=noise, d=noise)
        a.vector(Function.LN, tokens, a=Vector(noise.base, negate=True), d=noise)
        a.vector(
            Function.MADD,
            tokens,
            a=Vector(logits),
            b=Scalar(at),
            c=Vector(noise.base, negate=True),
            reduce=reduce,
            wait=wait,
            signal=signal,
        )
        a.jump(done)
        a.place(greedy)
        a.vector(Function.COPY, tokens, a=Vector(logits), reduce=reduce, wait=wait, signal=signal)
        a.place(done)
