# SPDX-License-Identifier: Apache-2.0
"""The program of a Llama: a whole generation, from the prompt to the last token, without the host.

One pass of the token loop runs one position through all layers; prompt tokens skip the classifier. In each layer, in
order: norm, projections, rotary embedding, insertion of the new key and value into their pages, attention
(`attention.py`), output projection, feed-forward network. Sampling is in `sampling.py`.

Every engine works through its own commands; these semaphores order them:

    EMBEDDED     loads -> vector      the token's embedding and rotary row are in the scratchpad
    LAYER        loads -> vector      the layer's norms and current KV pages are in the scratchpad
    ACTIVATIONS  vector -> matmul     the next activations are quantised
    PRODUCTS     matmul -> vector     the next products are in the scratchpad
    INSERTED     vector -> stores     key and value have been inserted into their pages
    STORED       stores -> weights    ... and written to memory, from where full pages stream later
    SAVED        stores -> loads      ... and the page buffers may be overwritten
    ATTENDED     vector -> loads      attention has read the page buffers
    STEPPED      vector -> loads      the rotary row and the embedding may be overwritten
    CHOSEN       vector -> sequencer  the next token is known
    FETCHED      loads -> sequencer   a word that the sequencer asked for is in the scratchpad
    SCALES, SCALES_FREE               see `attention.py`

On several chips each computes some output channels of every matrix (`shard.py`), and then they gather the row. Two more:

    SLICE     vector, matmul, loads -> link    the chip's own slot of the row is in the scratchpad
    GATHERED  link -> vector                   the other chips' slots are, too

A row is gathered only when the chip's own slot of it is there, so its former content has been read by then.
"""

from tepin.isa import Engine, Function, Reduction, ScalarOp
from tepin_host.assembler import Vector
from tepin_host.compiler.attention import Attention
from tepin_host.compiler.conventions import BLOCK, PROMPT_OFFSET, REQUEST_HEADER
from tepin_host.compiler.rows import RowProgram
from tepin_host.compiler.sampling import Sampler
from tepin_host.layout import table_stride

__all__ = ["LlamaProgram"]

_SEMAPHORES = (
    "EMBEDDED",
    "LAYER",
    "ACTIVATIONS",
    "PRODUCTS",
    "INSERTED",
    "STORED",
    "SAVED",
    "ATTENDED",
    "STEPPED",
    "CHOSEN",
    "FETCHED",
    "SCALES",
    "SCALES_FREE",
)

_LINK_SEMAPHORES = ("SLICE", "GATHERED")

_REGISTERS = {
    "position": "of the token in the network",
    "slot": "position within its block of 64",
    "blocks": "full blocks before the current one",
    "layers": "layers still to do, counting down",
    "page": "address in memory of the current (block, layer)",
    "next_weights": "address of the weights to prefetch next",
    "next_pages": "address of the first block of the layer to prefetch next",
    "norms": "scratchpad address of the present layer's norms",
}


class LlamaProgram(RowProgram):
    """Writes the program for a `Plan`; `words` is the result."""

    def __init__(self, plan):
        names = _SEMAPHORES if plan.chips == 1 else _SEMAPHORES + _LINK_SEMAPHORES
        super().__init__(plan, names, _REGISTERS)
        self.attention = Attention(self)
        self.sampler = Sampler(self)
        self._emit()
        self.words = self.a.assemble()

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
        a.move(r["layers"], self.model.n_layers)
        with a.loop(r["layers"]):
            self._layer()
        self._finish_position(token_loop)

    def _prepare(self):
        """Constants and request into the scratchpad, first prefetches, semaphores that start above zero."""
        a, r, s, pad = self.a, self.r, self.semaphore, self.pad
        a.load(self.address("request"), pad["request"], PROMPT_OFFSET)
        a.load(self.address("constants"), pad["constants"], self.plan.constants_bytes, signal=s["FETCHED"])
        with a.temporary("count") as count:
            a.move(count, self.model.n_layers)
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

    @property
    def _norm_bytes(self):
        return 2 * self.model.dim * 4

    def _embed(self):
        """x = embedding[token]; the token's id is in the first of `words`."""
        a, r, s, pad = self.a, self.r, self.semaphore, self.pad
        alone = self.plan.chips == 1
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

    def _layer(self):
        a, s, pad, m = self.a, self.semaphore, self.pad, self.model
        ready = "PRODUCTS" if self.plan.chips == 1 else "GATHERED"
        self.norm_and_quantize(self.r["norms"], wait=s["LAYER"])
        if self.plan.heads:
            self.project("wk", pad["k"], wait=s["ACTIVATIONS"])
            self.project("wv", pad["v"])
            self.project("wq", pad["q"])
        else:
            a.nop(Engine.MATMUL, wait=s["ACTIVATIONS"])
        self.attention.emit()
        self._project_and_gather("wo")
        self._prefetch_next_layer()
        self.add_to_x(pad["o"], wait=ready)
        self.norm_and_quantize(self.r["norms"] + 4 * m.dim)
        self._feed_forward()
        self.add_to_x(pad["o"], wait=ready)
        with a.temporary("other") as other:
            self._other_norms(other)
            a.move(self.r["norms"], other)

    def _other_norms(self, register):
        """register = scratchpad address of the norm buffer that the present layer does not use."""
        self.a.move(register, 2 * self.pad["norms"] + self._norm_bytes)
        self.a.scalar(ScalarOp.SUB, register, register, self.r["norms"])

    # Pieces that several parts use

    def _project_and_gather(self, name):
        """A whole row of products in `o`, from all chips."""
        ready, alone = self.semaphore["ACTIVATIONS"], self.plan.chips == 1
        self.project(name, self.plan.own("o"), wait=ready, signal="PRODUCTS" if alone else "SLICE")
        if not alone:
            self.gather("o")

    def gather(self, name):
        """Complete a buffer of which each chip has its slot, once SLICE tells so; GATHERED when all is there."""
        plan, address = self.plan, self.pad[name]
        slots = plan.shard.slots(name)
        steps = list(plan.shard.network.gather_steps(plan.rank))
        for index, ((to, sent, follows), (source, received)) in enumerate(steps):
            self.a.exchange(
                send=(to, address + slots[sent].start, slots[sent].count),
                receive=(source, address + slots[received].start, slots[received].count),
                follows=follows,
                wait=self.semaphore["SLICE"] if index == 0 else 0,
                signal=self.semaphore["GATHERED"] if index == len(steps) - 1 else 0,
            )

    def gather_and_quantize(self, name, n, maximum):
        """xq, scale = quantise(the row of n that the chips gather); `maximum` is the address of a number to use."""
        self.gather(name)
        self.a.vector(
            Function.COPY,
            n,
            a=Vector(self.pad[name]),
            reduce=(Reduction.ABSMAX, maximum),
            wait=self.semaphore["GATHERED"],
        )
        self.quantize_rows(self.pad[name], n, maximum)

    def _feed_forward(self):
        """o = w2 @ (silu(w1 @ x) * (w3 @ x))."""
        s, pad = self.semaphore, self.pad
        gate, up, maximum = self.plan.own("gate"), pad["up"], pad["maxima"]
        self.project("w1", gate, wait=s["ACTIVATIONS"])
        self.project("w3", up)
        if self.plan.chips == 1:
            self.silu_times(gate, up, pad["sigmoid"], reduce=(Reduction.ABSMAX, maximum))
            self.quantize_rows(gate, self.plan.hidden, maximum)
        else:
            self.silu_times(gate, up, pad["sigmoid"], signal=s["SLICE"])
            self.gather_and_quantize("gate", self.model.hidden_dim, maximum)
        self._project_and_gather("w2")

    # Prefetch

    def _prefetch_weights(self, blocks):
        """Queue the weights of one layer, and between them its full KV pages, in the order of their use."""
        a, r, plan = self.a, self.r, self.plan
        before, end = plan.offsets["wo"], plan.offsets["end"]
        a.weights(r["next_weights"], before)
        a.weights(
            r["next_pages"],
            plan.pages_bytes,
            repeat=(blocks, plan.cache_block_bytes),
            wait=self.semaphore["STORED"],
        )
        a.weights(r["next_weights"] + before, end - before)

    def _prefetch_next_layer(self):
        """Start to fetch what follows this layer: the next one, or classifier and first layer of the next position."""
        a, r, plan = self.a, self.r, self.plan
        done, last = a.label("prefetched"), a.label("last_layer")
        with a.temporary("one") as one:
            a.move(one, 1)
            a.branch(ScalarOp.BEQ, r["layers"], one, last)
        a.scalar(ScalarOp.ADD, r["next_weights"], r["next_weights"], plan.offsets["end"])
        a.scalar(ScalarOp.ADD, r["next_pages"], r["next_pages"], plan.cache_layer_bytes)
        a.scalar(ScalarOp.ADD, r["page"], r["page"], plan.cache_layer_bytes)
        self._prefetch_weights(r["blocks"])
        with a.temporary("norm") as norm:
            a.scalar(ScalarOp.SUB, norm, r["layers"], self.model.n_layers + 1)
            a.scalar(ScalarOp.MUL, norm, norm, -self._norm_bytes)
            a.scalar(ScalarOp.ADD, norm, norm, self.address("norms"))
            self._load_layer(norm, r["slot"])
        a.jump(done)

        a.place(last)
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

    def _load_layer(self, norm, slot):
        """Load norms and current pages of the next layer, once the present layer is done with the page buffers."""
        a, s = self.a, self.semaphore
        a.nop(Engine.LOADS, wait=s["SAVED"])
        with a.temporary("other") as other:
            self._other_norms(other)
            a.load(norm, other, self._norm_bytes, wait=s["ATTENDED"])
        self.attention.load_current_pages(slot)
        a.nop(Engine.LOADS, signal=s["LAYER"])

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
