# SPDX-License-Identifier: Apache-2.0
"""The program of a Llama: a whole generation, from the prompt to the last token, without the host.

One pass of the token loop runs one position through all layers (`layers.py`); prompt tokens skip the classifier. Sampling is
in `sampling.py`. One more semaphore:

    EMBEDDED     loads -> vector      the token's embedding and rotary row are in the scratchpad
"""

from tepin.isa import Engine, ScalarOp
from tepin_host.compiler.conventions import BLOCK, PROMPT_OFFSET, REQUEST_HEADER
from tepin_host.compiler.layers import LayerProgram
from tepin_host.layout import table_stride

__all__ = ["LlamaProgram"]


class LlamaProgram(LayerProgram):
    """Writes the program for a `Plan`; `words` is the result."""

    def __init__(self, plan):
        super().__init__(plan, "EMBEDDED")

    def request_word(self, name):
        """Scratchpad address of a word of the request."""
        return self.pad["request"] + 4 * REQUEST_HEADER.index(name)

    # The whole

    def _emit(self):
        a, r = self.a, self.r
        self._prepare()
        token_loop = a.label("token")
        a.place(token_loop)
        self._embed()
        a.move(r["layers"], self.plan.layers)
        with a.loop(r["layers"]):
            self._layer()
        self._finish_position(token_loop)

    def _prepare(self):
        """Constants and request into the scratchpad, first prefetches, semaphores that start above zero."""
        a, r, s, pad = self.a, self.r, self.semaphore, self.pad
        a.load(self.address("request"), pad["request"], PROMPT_OFFSET)
        a.load(self.address("constants"), pad["constants"], self.plan.constants_bytes, signal=s["FETCHED"])
        with a.temporary("count") as count:
            a.move(count, self.plan.layers)
            with a.loop(count):
                a.signal(s["STORED"])
        a.signal(s["STEPPED"])
        a.signal(s["SCALES_FREE"])
        a.wait(s["FETCHED"])
        a.load_word(r["position"], self.request_word("start"))
        self._fetch_prompt()
        a.scalar(ScalarOp.AND, r["slot"], r["position"], BLOCK - 1)
        a.scalar(ScalarOp.SHR, r["blocks"], r["position"], 6)
        a.scalar(ScalarOp.MUL, r["page"], r["blocks"], self.plan.cache_block_bytes)
        a.scalar(ScalarOp.ADD, r["page"], r["page"], self.address("cache"))
        a.move(r["norms"], pad["norms"])
        a.move(r["next_weights"], self.address("weights"))
        a.move(r["next_pages"], self.address("cache"))
        self._prefetch_weights(r["blocks"])
        a.load(self.address("norms"), pad["norms"], self._norm_bytes)
        self.attention.load_current_pages(r["slot"])
        a.nop(Engine.LOADS, signal=s["LAYER"])
        a.wait(s["FETCHED"])

    def _fetch_prompt(self):
        """Load the prompt's token of the present position to the first of `words`; FETCHED when it is there."""
        a = self.a
        with a.temporary("word") as word:
            a.scalar(ScalarOp.MUL, word, self.r["position"], 4)
            a.scalar(ScalarOp.ADD, word, word, self.address("request") + PROMPT_OFFSET)
            a.load(word, self.pad["words"], 4, signal=self.semaphore["FETCHED"])

    def _embed(self):
        """x = embedding[token]; the token's id is in the first of `words`."""
        a, r, s, pad = self.a, self.r, self.semaphore, self.pad
        alone = not self.plan.gathers
        stride = table_stride(self.model.dim)
        with a.temporary("row") as row, a.temporary("token") as token:
            a.load_word(token, pad["words"])
            a.scalar(ScalarOp.MUL, row, token if alone else self._own_row(row, token), stride)
            a.scalar(ScalarOp.ADD, row, row, self.address("embedding"))
            a.load(row, self.plan.own("embedding"), stride, wait=s["STEPPED"])
            a.scalar(ScalarOp.MUL, row, r["position"], 4 * self.model.head_dim)
            a.scalar(ScalarOp.ADD, row, row, self.address("rotary"))
            a.load(row, pad["rotary"], 4 * self.model.head_dim, signal=s["EMBEDDED" if alone else "SLICE"])
            found = pad["embedding"]
            if not alone:
                self.gather("embedding")
                found = self._owners_slot(row, token, stride)
            self.embed(found, stride, wait="EMBEDDED" if alone else "GATHERED")

    def _own_row(self, row, token):
        """row = the token's row in the chip's part of the embedding; any of its rows, if it is another chip's token."""
        a, tokens = self.a, self.plan.shard.tokens
        a.scalar(ScalarOp.SUB, row, token, tokens.start)
        a.scalar(ScalarOp.MAX, row, row, 0)
        a.scalar(ScalarOp.MIN, row, row, tokens.count - 1)
        return row

    def _owners_slot(self, row, token, stride):
        """row = scratchpad address of the gathered row from the chip that owns the token."""
        a = self.a
        a.move(row, self.pad["embedding"])
        with a.temporary("start") as start:
            for first in self.plan.shard.token_starts[1:]:
                a.move(start, first)
                with a.unless(ScalarOp.BLT, token, start):
                    a.scalar(ScalarOp.ADD, row, row, stride)
        return row

    def _prefetch_next_row(self):
        """Classifier, if it is needed, and first layer of the next position."""
        a, r, plan = self.a, self.r, self.plan
        done = a.label("no_next_position")
        a.scalar(ScalarOp.ADD, r["next_weights"], r["next_weights"], plan.offsets["end"])
        with a.temporary("next_position") as position, a.temporary("bound") as bound:
            a.scalar(ScalarOp.ADD, position, r["position"], 1)
            a.load_word(bound, self.request_word("prompt_length"))
            with a.unless(ScalarOp.BLT, position, bound):
                a.weights(r["next_weights"], plan.classifier_bytes)
            a.load_word(bound, self.request_word("positions"))
            a.branch(ScalarOp.BGE, position, bound, done)
            with a.temporary("next_block") as block:
                a.scalar(ScalarOp.SHR, block, position, 6)
                a.move(r["next_weights"], self.address("weights"))
                a.move(r["next_pages"], self.address("cache"))
                self._prefetch_weights(block)
                a.scalar(ScalarOp.MUL, r["page"], block, plan.cache_block_bytes)
                a.scalar(ScalarOp.ADD, r["page"], r["page"], self.address("cache"))
            a.scalar(ScalarOp.AND, position, position, BLOCK - 1)
            a.move(bound, self.address("norms"))
            self._load_layer(bound, position)
        a.place(done)

    # End of a position

    def _finish_position(self, token_loop):
        """Choose and push a token, or take the next one of the prompt; then go on with the next position."""
        a, r, s, pad = self.a, self.r, self.semaphore, self.pad
        a.nop(Engine.VECTOR, signal=s["STEPPED"])
        generate, advance, stop = a.label("generate"), a.label("advance"), a.label("stop")
        a.scalar(ScalarOp.ADD, r["position"], r["position"], 1)
        with a.temporary("bound") as bound:
            a.load_word(bound, self.request_word("prompt_length"))
            a.branch(ScalarOp.BGE, r["position"], bound, generate)
        self._fetch_prompt()
        a.wait(s["FETCHED"])
        a.jump(advance)

        a.place(generate)
        with a.temporary("token") as token, a.temporary("other") as other:
            self.sampler.emit(token)
            for name in ("stop0", "stop1"):
                a.load_word(other, self.request_word(name))
                a.branch(ScalarOp.BEQ, token, other, stop)
            a.store_word(token, pad["words"])
            a.push(token)

        a.place(advance)
        a.scalar(ScalarOp.AND, r["slot"], r["position"], BLOCK - 1)
        a.scalar(ScalarOp.SHR, r["blocks"], r["position"], 6)
        with a.temporary("bound") as bound:
            a.load_word(bound, self.request_word("positions"))
            a.branch(ScalarOp.BLT, r["position"], bound, token_loop)
        a.place(stop)
        a.flush()
        a.end()
