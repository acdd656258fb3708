# SPDX-License-Identifier: Apache-2.0
"""Attention of one token in one layer, streamed over blocks of 64 tokens with the online softmax.

The current block lies in the scratchpad (its pages have just received the new key and value), the full blocks before it
stream through the weight FIFO: all heads' key pages, then all heads' value pages of a block. Vector commands
treat all heads at once, a head a row.

For each block, with scores x[h][t] and M[h] the running maximum in units of log2:

    M' = max(M, floor(max_t x * log2 e) + 1)        an integer, held in float32
    e[t] = 2 ** (x[t] * log2 e - M')                sum: exact, in fixed point
    P[t] = quantise(e[t] * sV[t])                   the scale of value t folded in before quantisation
    o = o * 2 ** (M - M') + P @ V;  l = l * 2 ** (M - M') + sum e

and in the end o / l. Two semaphores of its own: SCALES (loads -> vector) and SCALES_FREE (vector -> loads) hand over the
buffer of the value scales of full blocks.

On several chips each does this for its own heads. What they have computed they gather before it is quantised.
"""

from tepin.isa import Engine, Function, Reduction, ScalarOp
from tepin_host.assembler import Vector
from tepin_host.compiler.attention_parts import AttentionParts
from tepin_host.compiler.conventions import BLOCK

__all__ = ["Attention"]


class Attention(AttentionParts):
    """Writes attention into a `LayerProgram`."""

    def __init__(self, program):
        super().__init__(program)
        self.at = self.pad | {"attention": self.plan.own("attention")}

    def emit(self):
        """From k, v and q of the projections to the quantised attention output in `xq`."""
        if not self.plan.heads:
            self._other_heads_alone()
            return
        self._insert_key()
        self._insert_value()
        self._store()
        self._quantize_query()
        self._current_block()
        self._full_blocks()
        self._normalise()

    def load_current_pages(self, slot):
        """Load the tokens that the current pages hold already, `slot` of them, from `page` in memory."""
        if self.plan.heads:
            self.load_keys(self.at, self.r["page"], slot)
            self.load_values(self.at, self.r["page"], slot)

    def _insert_key(self):
        at, heads = self.at, self.plan.kv_heads
        self.a.nop(Engine.VECTOR, wait=self.semaphore["PRODUCTS"])
        self.rotate(at, at["k"], heads)
        self.cache_steps(at, at["rotated"], heads)
        self.insert_key(at, at["rotated"], self.r["slot"])

    def _insert_value(self):
        at, s = self.at, self.semaphore
        self.cache_steps(at, at["v"], self.plan.kv_heads, wait=s["PRODUCTS"])
        self.insert_value(at, at["v"], self.r["slot"], signal=s["INSERTED"])

    def _store(self):
        """Write back what the new token has changed."""
        at, r, s = self.at, self.r, self.semaphore
        self.store_keys(at, r["page"], r["slot"])
        self.store_values(at, r["page"], r["slot"], signal=s["STORED"])
        self.a.nop(Engine.STORES, signal=s["SAVED"])

    def _quantize_query(self):
        self.a.nop(Engine.VECTOR, wait=self.semaphore["PRODUCTS"])
        self.rotate(self.at, self.pad["q"], self.plan.heads)
        self.quantize_query(self.at, self.plan.heads)

    # Blocks

    def _current_block(self):
        a, at, slot = self.a, self.at, self.r["slot"]
        with a.temporary("valid") as valid:
            with a.temporary("tiles") as tiles, a.temporary("keys") as keys:
                self.current_tiles(slot, tiles)
                a.move(keys, at["key_pages"])
                self.scores(at, tiles, keys, wait=True)
            a.scalar(ScalarOp.ADD, valid, slot, 1)
            self.block_exponents(at, valid, at["exponents"])
            self.probabilities(at, valid, at["sums"], at["value_scales"])
            with a.temporary("pages") as pages:
                a.move(pages, at["value_pages"])
                self.weighted_values(at, valid, at["attention"], pages)
        a.nop(Engine.VECTOR, wait=self.semaphore["PRODUCTS"])

    def _full_blocks(self):
        a, r, plan = self.a, self.r, self.plan
        done = a.label("blocks_done")
        with a.temporary("count") as count, a.temporary("scales") as scales:
            a.move(count, r["blocks"])
            with a.temporary("none") as none:
                a.move(none, 0)
                a.branch(ScalarOp.BEQ, count, none, done)
            # Value scales of this layer in the first block: `page` less the blocks before it.
            a.scalar(ScalarOp.MUL, scales, r["blocks"], plan.cache_block_bytes)
            a.scalar(ScalarOp.SUB, scales, r["page"], scales)
            with a.loop(count):
                self._full_block(scales)
                a.scalar(ScalarOp.ADD, scales, scales, plan.cache_block_bytes)
        a.place(done)

    def _full_block(self, page):
        a, at, s = self.a, self.at, self.semaphore
        a.load(
            page + self.plan.pages_bytes,
            at["block_value_scales"],
            self.plan.kv_heads * 4 * BLOCK,
            wait=s["SCALES_FREE"],
            signal=s["SCALES"],
        )
        self.scores(at, BLOCK, None)
        self.block_exponents(at, BLOCK, at["block_exponents"])
        self.new_exponents(at)
        a.nop(Engine.VECTOR, wait=s["SCALES"])
        self.probabilities(at, BLOCK, at["block_sums"], at["block_value_scales"])
        a.nop(Engine.VECTOR, signal=s["SCALES_FREE"])
        self.rescale_sums(at)
        self.weighted_values(at, BLOCK, at["block_attention"], None)
        a.nop(Engine.VECTOR, wait=s["PRODUCTS"])
        self.accumulate(at)

    def _normalise(self):
        """xq, scale = quantise(attention / sums)."""
        a, at, heads, s = self.a, self.at, self.plan.heads, self.semaphore
        self.normalise(at, heads, reduce=at["maxima"], signal=s["ATTENDED"])
        row_maximum = self.pad["scalars"] + 12
        if self.plan.gathers:
            a.nop(Engine.VECTOR, signal=s["SLICE"])
            self.program.gather_and_quantize("attention", self.model.dim, row_maximum)
        else:
            a.vector(Function.COPY, heads, a=Vector(at["maxima"]), reduce=(Reduction.MAX, row_maximum))
            self.program.quantize_rows(at["attention"], self.model.dim, row_maximum)

    def _other_heads_alone(self):
        """The part of a chip without heads: to do as if, and to receive what the others have computed."""
        a, s = self.a, self.semaphore
        for name in ("STORED", "SAVED"):
            a.nop(Engine.STORES, signal=s[name])
        for name in ("ATTENDED", "SLICE"):
            a.nop(Engine.VECTOR, signal=s[name])
        self.program.gather_and_quantize("attention", self.model.dim, self.pad["scalars"] + 12)
