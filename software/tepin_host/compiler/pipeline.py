# SPDX-License-Identifier: Apache-2.0
"""The program of a stage of a pipeline: many texts, on chips of which each has some of the layers (`stage.py`).

The chips go on in *steps*, all alike. In a step each chip has one row in its layers, of the *pass* that the chip before it
had in the step before; the first chip begins a pass, with the embedding of a token. The pass that has left the last chip's
layers all chips have together in their parts of the classifier, if a token is to be chosen behind it. So with N chips, N + 1
texts have a pass each on its way, and every weight is used in every step.

Of a step, in order:

    choice     the row that left the last chip's layers: final norm, own part of the classifier, own candidate
    books      take over the token that was chosen in the step before; a new pass (`pipeline_books.py`)
    pass       the own layers
    exchange   candidates to all; the row to the chip behind, from the last one to all

All chips see all candidates, so each keeps the same books, and nothing but rows and candidates is on the links. Semaphores
are those of `layers.py`, but for:

    LAYER      loads -> vector   in this order: rotary row and embedding; then of each layer its norms, and its pages
    ROW        vector -> link    the row may be sent, and what has been received before is not needed any more
    GATHERED   link -> vector    in this order: the candidates, if there are any; the rows for the next step
"""

from tepin.isa import Engine, Function, ScalarOp
from tepin_host.assembler import Vector
from tepin_host.compiler.conventions import BLOCK, PROMPT_OFFSET
from tepin_host.compiler.layers import LayerProgram
from tepin_host.compiler.pipeline_books import Books
from tepin_host.compiler.records import BOOKS, PASS, TEXT
from tepin_host.layout import table_stride

__all__ = ["PipelineProgram"]


class PipelineProgram(LayerProgram):
    """Writes the program of a chip for a `Plan` with `parallel="pipeline"`; `words` is the result."""

    def __init__(self, plan):
        self.first, self.last = plan.rank == 0, plan.rank == plan.chips - 1
        super().__init__(plan, "ROW")

    def word(self, name):
        """Scratchpad address of a single word of the books."""
        return self.pad["books"] + BOOKS.at(name)

    def of_pass(self, chips, name):
        """Scratchpad address of a word of the pass that has been through so many chips."""
        return self.pad["passes"] + chips * PASS.size + PASS.at(name)

    def request_word(self, name):
        return self._choosing + TEXT.at(name)

    # The whole

    def _emit(self):
        a = self.a
        books = Books(self)
        self._prepare(books)
        step, done = a.label("step"), a.label("done")
        a.place(step)
        a.nop(Engine.VECTOR, wait=self.semaphore["GATHERED"])
        self._begin_choice()
        books.emit(done)
        self._pass()
        self._prefetch_next_step()
        with self._if_samples(self.plan.chips), a.temporary("token") as token:
            self.sampler.offer(token)
        self._exchange()
        a.jump(step)
        a.place(done)
        a.end()

    def _prepare(self, books):
        """Constants, number of lines, books, semaphores that start above zero."""
        a, s, pad = self.a, self.semaphore, self.pad
        a.load(self.address("requests"), pad["request"], PROMPT_OFFSET)
        a.load(self.address("constants"), pad["constants"], self.plan.constants_bytes, signal=s["FETCHED"])
        with a.temporary("count") as count:
            a.move(count, self.plan.layers)
            with a.loop(count):
                a.signal(s["STORED"])
        for name in ("STEPPED", "SCALES_FREE", "SAVED", "ATTENDED", "GATHERED"):
            a.signal(s[name])
        a.move(self.r["norms"], pad["norms"])
        a.wait(s["FETCHED"])
        books.prepare()

    def _if_samples(self, chips):
        """Context of what is done if a token is to be chosen behind the pass that has been through so many chips."""
        with self.a.temporary("samples") as samples:
            self.a.load_word(samples, self.of_pass(chips, "samples"))
            return self.a.unless(ScalarOp.BEQ, samples, self.a.zero)

    # Choice

    def _begin_choice(self):
        """Look for the own candidate for what follows the row that has left the last chip; it is in `x` there."""
        a = self.a
        chips = self.plan.chips - 1  # The books are those of the step before.
        with self._if_samples(chips), a.temporary("text") as text:
            if not self.last:
                self._copy_to_x("final")
            a.load_word(self.r["position"], self.of_pass(chips, "position"))
            a.scalar(ScalarOp.ADD, self.r["position"], self.r["position"], 1)
            a.load_word(text, self.of_pass(chips, "slot"))
            self._choosing = text
            self.sampler.begin()

    def _copy_to_x(self, name):
        self.a.vector(Function.COPY, self.model.dim, a=Vector(self.pad[name]), d=Vector(self.pad["x"]))

    # Pass

    def _pass(self):
        """The pass that has come, if there is one, through the own layers; then ROW."""
        a, r, s = self.a, self.r, self.semaphore
        done = a.label("no_pass")
        with a.temporary("text") as text:
            a.load_word(text, self.of_pass(self.plan.rank, "slot"))
            a.branch(ScalarOp.BEQ, text, a.zero, done)
            a.load_word(r["position"], self.of_pass(self.plan.rank, "position"))
            TEXT.load(a, r["next_pages"], text, "cache")
            a.scalar(ScalarOp.AND, r["slot"], r["position"], BLOCK - 1)
            a.scalar(ScalarOp.SHR, r["blocks"], r["position"], 6)
            a.scalar(ScalarOp.MUL, r["page"], r["blocks"], self.plan.cache_block_bytes)
            a.scalar(ScalarOp.ADD, r["page"], r["page"], r["next_pages"])
            self._load_row(text)
        a.move(r["next_weights"], self.address("weights"))
        if self.first:
            a.weights(r["next_weights"], self.plan.offsets["wo"])
        self._prefetch_behind_projections(r["blocks"])
        with a.temporary("norm") as norm:
            a.move(norm, self.address("norms"))
            self._load_to(r["norms"], norm, r["slot"])
        if self.first:
            self.embed(self.pad["embedding"], table_stride(self.model.dim), wait="LAYER")
        else:
            a.nop(Engine.VECTOR, wait=s["LAYER"])
            self._copy_to_x("inbox")
        a.move(r["layers"], self.plan.layers)
        with a.loop(r["layers"]):
            self._layer()
        a.nop(Engine.VECTOR, signal=s["STEPPED"])
        a.place(done)
        a.nop(Engine.VECTOR, signal=s["ROW"])

    def _load_row(self, text):
        """Load the rotary row of the position, and on the first chip the embedding of the token there."""
        a, r, s, pad = self.a, self.r, self.semaphore, self.pad
        with a.temporary("row") as row:
            if self.first:
                self._find_token(row, text)
                stride = table_stride(self.model.dim)
                a.scalar(ScalarOp.MUL, row, row, stride)
                a.scalar(ScalarOp.ADD, row, row, self.address("embedding"))
                a.load(row, pad["embedding"], stride, wait=s["STEPPED"])
            else:
                a.nop(Engine.LOADS, wait=s["STEPPED"])
            rotary = 4 * self.model.head_dim
            a.scalar(ScalarOp.MUL, row, r["position"], rotary)
            a.scalar(ScalarOp.ADD, row, row, self.address("rotary"))
            a.load(row, pad["rotary"], rotary, signal=s["LAYER"])

    def _find_token(self, token, text):
        """token = that of the text at the present position: of the prompt, or the one chosen last."""
        a, position, pad, fetched = self.a, self.r["position"], self.pad, self.semaphore["FETCHED"]
        written, found = a.label("written"), a.label("token_found")
        TEXT.load(a, token, text, "prompt_length")
        a.branch(ScalarOp.BGE, position, token, written)
        TEXT.load(a, token, text, "prompt")
        with a.temporary("at") as at:
            a.scalar(ScalarOp.MUL, at, position, 4)
            a.scalar(ScalarOp.ADD, token, token, at)
        a.load(token, pad["words"], 4, signal=fetched)
        a.wait(fetched)
        a.load_word(token, pad["words"])
        a.jump(found)
        a.place(written)
        TEXT.load(a, token, text, "token")
        a.place(found)

    def _attend(self):
        self.a.nop(Engine.VECTOR, wait=self.semaphore["LAYER"])
        super()._attend()

    # Prefetch

    def _prefetch_next_row(self):
        """Nothing: what comes next, the next step knows, or `_prefetch_next_step`."""

    def _load_layer(self, norm, slot):
        with self.a.temporary("other") as other:
            self._other_norms(other)
            self._load_to(other, norm, slot)

    def _load_to(self, target, norm, slot):
        """Load norms, to this address, and current pages, once the layer before is done with its own."""
        a, s = self.a, self.semaphore
        a.nop(Engine.LOADS, wait=s["SAVED"])
        a.load(norm, target, self._norm_bytes, wait=s["ATTENDED"], signal=s["LAYER"])
        self.attention.load_current_pages(slot)
        a.nop(Engine.LOADS, signal=s["LAYER"])

    def _prefetch_next_step(self):
        """Queue the weights with which the next step begins, as far as that is known: the first chip's pass is not."""
        a, plan = self.a, self.plan
        weights = self.address("weights")
        with self._if_samples(plan.chips - 1):
            a.weights(weights + plan.layers * plan.offsets["end"], plan.classifier_bytes)
        if not self.first:
            with a.temporary("text") as text:
                a.load_word(text, self.of_pass(plan.rank - 1, "slot"))
                with a.unless(ScalarOp.BEQ, text, a.zero):
                    a.weights(weights, plan.offsets["wo"])

    # Exchange

    def _exchange(self):
        """The row to the chip behind; then the last one's row to all, if a token is to be chosen behind it."""
        a, s, pad, plan = self.a, self.semaphore, self.pad, self.plan
        network, size = plan.shard.network, 4 * self.model.dim
        onward, back = network.port_onward(plan.rank), network.port_back(plan.rank)
        a.exchange(
            send=(onward, pad["x"], size),
            receive=(back, pad["final" if self.first else "inbox"], size),
            wait=s["ROW"],
        )
        with self._if_samples(plan.chips - 1):
            if not self.first and not self.last:
                a.exchange(receive=(back, pad["final"], size))
            if plan.rank < plan.chips - 2:
                a.exchange(send=(onward, pad["final"], size), follows=True)
        a.nop(Engine.LINK, signal=s["GATHERED"])
