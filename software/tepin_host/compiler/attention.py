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

from tepin.isa import DataType, Engine, Function, Reduction, ScalarOp
from tepin_host.assembler import Scalar, Strided, Vector
from tepin_host.compiler.plan import BLOCK

__all__ = ["Attention"]


class Attention:
    """Writes attention into a `LlamaProgram`."""

    def __init__(self, program):
        self.program = program
        self.plan, self.model, self.pad = program.plan, program.model, program.pad
        self.a, self.r, self.semaphore = program.a, program.r, program.semaphore

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

    # Pages

    def load_pages(self, slot):
        """Load the tokens that the current pages hold already, `slot` of them, from `page` in memory."""
        if not self.plan.heads:
            return
        a, plan, page = self.a, self.plan, self.r["page"]
        columns, heads = plan.config.columns, plan.kv_heads
        with a.temporary("length") as length:
            # Key tiles with at least one of these tokens.
            a.scalar(ScalarOp.ADD, length, slot, columns - 1)
            a.scalar(ScalarOp.SHR, length, length, columns.bit_length() - 1)
            a.scalar(ScalarOp.MUL, length, length, plan.key_tile_bytes)
            repeat = (heads, plan.key_page_bytes, plan.key_page_bytes)
            a.load(page, self.pad["key_pages"], length, repeat=repeat)
            repeat = (heads, plan.value_page_bytes, plan.value_page_bytes)
            for offset, width in self._value_tiles():
                a.scalar(ScalarOp.MUL, length, slot, width)
                source = page + (plan.value_offset + offset)
                a.load(source, self.pad["value_pages"] + offset, length, repeat=repeat)
            a.scalar(ScalarOp.MUL, length, slot, 4)
            a.load(
                page + plan.pages_bytes,
                self.pad["value_scales"],
                length,
                repeat=(heads, 4 * BLOCK, 4 * BLOCK),
            )

    def _value_tiles(self):
        """(offset in a value page, width) of its column tiles."""
        offset = 0
        for width in self.plan.head_tiles:
            yield offset, width
            offset += BLOCK * width

    def _rotate(self, source, heads):
        """rotated = rotary(source), both [heads][head_dim], halves apart."""
        a, pad, half = self.a, self.pad, self.model.head_dim // 2
        row, width = 4 * self.model.head_dim, 4 * half
        low, high = (Strided(source + offset, stride=4, row_stride=row) for offset in (0, width))
        low_out, high_out = (
            Strided(pad["rotated"] + offset, stride=4, row_stride=row) for offset in (0, width)
        )
        cosine, sine = (Strided(pad["rotary"] + offset, stride=4, row_stride=0) for offset in (0, width))
        product = Vector(pad["products"])
        a.vector(Function.MUL, half, rows=heads, a=high, b=sine, d=product)
        minus = Vector(pad["products"], negate=True)
        a.vector(Function.MADD, half, rows=heads, a=low, b=cosine, c=minus, d=low_out)
        a.vector(Function.MUL, half, rows=heads, a=low, b=sine, d=product)
        a.vector(Function.MADD, half, rows=heads, a=high, b=cosine, c=product, d=high_out)

    def _per_head(self, name):
        """Operand that broadcasts one number per row."""
        return Strided(self.pad[name], stride=0, row_stride=4)

    def _insert_key(self):
        a, r, pad, plan, m = self.a, self.r, self.pad, self.plan, self.model
        heads, columns = plan.kv_heads, plan.config.columns
        a.nop(Engine.VECTOR, wait=self.semaphore["PRODUCTS"])
        self._rotate(pad["k"], heads)
        maxima = Vector(pad["maxima"])
        rotated = Vector(pad["rotated"])
        a.vector(Function.COPY, m.head_dim, rows=heads, a=rotated, reduce=(Reduction.ABSMAX, maxima.base))
        steps, _ = self.program.step_of(maxima, heads, "cache_step")
        with a.temporary("tile") as tile, a.temporary("column") as column:
            a.scalar(ScalarOp.SHR, tile, r["slot"], columns.bit_length() - 1)
            a.scalar(ScalarOp.MUL, tile, tile, plan.key_tile_bytes)
            a.scalar(ScalarOp.ADD, tile, tile, pad["key_pages"])
            a.scalar(ScalarOp.AND, column, r["slot"], columns - 1)
            a.scalar(ScalarOp.ADD, tile, tile, column)
            inserted = Strided(tile, stride=columns, row_stride=plan.key_page_bytes)
            a.vector(
                Function.MUL,
                m.head_dim,
                rows=heads,
                a=rotated,
                b=self._per_head("inverse"),
                d=inserted,
                d_type=DataType.INT8,
            )
            a.scalar(ScalarOp.MUL, column, column, 3)
            a.scalar(ScalarOp.ADD, tile, tile, column)
            scales = Strided(tile + m.head_dim * columns, stride=plan.key_page_bytes, row_stride=0)
            a.vector(Function.COPY, heads, a=steps, d=scales)

    def _insert_value(self):
        a, r, pad, plan, m = self.a, self.r, self.pad, self.plan, self.model
        heads = plan.kv_heads
        maxima = Vector(pad["maxima"])
        a.vector(
            Function.COPY,
            m.head_dim,
            rows=heads,
            a=Vector(pad["v"]),
            reduce=(Reduction.ABSMAX, maxima.base),
            wait=self.semaphore["PRODUCTS"],
        )
        steps, _ = self.program.step_of(maxima, heads, "cache_step")
        with a.temporary("row") as row:
            start = 0
            for offset, width in self._value_tiles():
                a.scalar(ScalarOp.MUL, row, r["slot"], width)
                a.vector(
                    Function.MUL,
                    width,
                    rows=heads,
                    a=Strided(pad["v"] + 4 * start, stride=4, row_stride=4 * m.head_dim),
                    b=self._per_head("inverse"),
                    d=Strided(
                        row + (pad["value_pages"] + offset), stride=1, row_stride=plan.value_page_bytes
                    ),
                    d_type=DataType.INT8,
                )
                start += width
            a.scalar(ScalarOp.MUL, row, r["slot"], 4)
            scales = Strided(row + pad["value_scales"], stride=4 * BLOCK, row_stride=0)
            a.vector(Function.COPY, heads, a=steps, d=scales, signal=self.semaphore["INSERTED"])

    def _store(self):
        """Write back what the new token changed: a key tile, a value row and its scale, of every head."""
        a, r, pad, plan, s = self.a, self.r, self.pad, self.plan, self.semaphore
        heads, page = plan.kv_heads, r["page"]
        with a.temporary("offset") as offset, a.temporary("target") as target:
            a.scalar(ScalarOp.SHR, offset, r["slot"], plan.config.columns.bit_length() - 1)
            a.scalar(ScalarOp.MUL, offset, offset, plan.key_tile_bytes)
            a.scalar(ScalarOp.ADD, target, page, offset)
            repeat = (heads, plan.key_page_bytes, plan.key_page_bytes)
            a.store(offset + pad["key_pages"], target, plan.key_tile_bytes, repeat=repeat, wait=s["INSERTED"])
            repeat = (heads, plan.value_page_bytes, plan.value_page_bytes)
            for tile, width in self._value_tiles():
                a.scalar(ScalarOp.MUL, offset, r["slot"], width)
                a.scalar(ScalarOp.ADD, target, page, offset)
                local = offset + (pad["value_pages"] + tile)
                a.store(local, target + (plan.value_offset + tile), width, repeat=repeat)
            a.scalar(ScalarOp.MUL, offset, r["slot"], 4)
            a.scalar(ScalarOp.ADD, target, page, offset)
            a.store(
                offset + pad["value_scales"],
                target + plan.pages_bytes,
                4,
                repeat=(heads, 4 * BLOCK, 4 * BLOCK),
                signal=s["STORED"],
            )
        a.nop(Engine.STORES, signal=s["SAVED"])

    def _quantize_query(self):
        """qq = quantise(rotary(q)); the scale also divides the scores by sqrt(head_dim)."""
        a, pad, plan, m = self.a, self.pad, self.plan, self.model
        a.nop(Engine.VECTOR, wait=self.semaphore["PRODUCTS"])
        self._rotate(pad["q"], plan.heads)
        maxima, rotated = Vector(pad["maxima"]), Vector(pad["rotated"])
        a.vector(
            Function.COPY, m.head_dim, rows=plan.heads, a=rotated, reduce=(Reduction.ABSMAX, maxima.base)
        )
        self.program.step_of(maxima, plan.heads)
        scale = Vector(pad["scale"])
        a.vector(Function.MUL, plan.heads, a=maxima, b=self.program.constant("query_step"), d=scale)
        a.vector(
            Function.MUL,
            m.head_dim,
            rows=plan.heads,
            a=rotated,
            b=self._per_head("inverse"),
            d=Strided(pad["qq"], stride=plan.activation_bytes, row_stride=plan.row_bytes(m.head_dim)),
            d_type=plan.activation_data_type,
            signal=self.semaphore["ACTIVATIONS"],
        )

    # Blocks

    def _current_block(self):
        a, r, pad, plan = self.a, self.r, self.pad, self.plan
        columns = plan.config.columns
        with a.temporary("valid") as valid:
            with a.temporary("tiles") as tiles, a.temporary("keys") as keys:
                # Whole column tiles up to the new token.
                a.scalar(ScalarOp.SHR, tiles, r["slot"], columns.bit_length() - 1)
                a.scalar(ScalarOp.ADD, tiles, tiles, 1)
                a.scalar(ScalarOp.MUL, tiles, tiles, columns)
                a.move(keys, pad["key_pages"])
                self._scores(tiles, keys)
            a.scalar(ScalarOp.ADD, valid, r["slot"], 1)
            exponents = Vector(pad["exponents"])
            self._block_exponents(valid, exponents)
            self._probabilities(valid, "exponents", "sums", "value_scales")
            with a.temporary("pages") as pages:
                a.move(pages, pad["value_pages"])
                self._weighted_values(valid, self.plan.own("attention"), pages)

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
        a, pad, s, m = self.a, self.pad, self.semaphore, self.model
        size = self.plan.kv_heads * 4 * BLOCK
        a.load(
            page + self.plan.pages_bytes,
            pad["block_value_scales"],
            size,
            wait=s["SCALES_FREE"],
            signal=s["SCALES"],
        )
        self._scores(BLOCK, None)
        running, new = Vector(pad["exponents"]), Vector(pad["block_exponents"])
        self._block_exponents(BLOCK, new)
        heads = self.plan.heads
        a.vector(Function.MAX, heads, a=running, b=new, d=new)
        rescale = Vector(pad["rescale"])
        a.vector(Function.ADD, heads, a=new, b=Vector(pad["exponents"], negate=True), d=rescale)
        a.vector(Function.EXPM, heads, a=self.program.constant("zero"), b=rescale, d=rescale)
        a.vector(Function.COPY, heads, a=new, d=running)
        a.nop(Engine.VECTOR, wait=s["SCALES"])
        self._probabilities(BLOCK, "exponents", "block_sums", "block_value_scales")
        a.nop(Engine.VECTOR, signal=s["SCALES_FREE"])
        sums = Vector(pad["sums"])
        a.vector(Function.MADD, heads, a=sums, b=rescale, c=Vector(pad["block_sums"]), d=sums)
        self._weighted_values(BLOCK, pad["block_attention"], None)
        total = Vector(self.plan.own("attention"))
        a.vector(
            Function.MADD,
            m.head_dim,
            rows=heads,
            a=total,
            b=self._per_head("rescale"),
            c=Vector(pad["block_attention"]),
            d=total,
        )

    def _scores(self, n, keys):
        """scores[h][t] = q[h] . k[t] for one block; `keys`: register with the key pages' address, or None for the FIFO."""
        plan, m, pad, group = self.plan, self.model, self.pad, self.plan.group
        row = plan.row_bytes(m.head_dim)
        self._for_each_kv_head(
            wait_first=keys is not None,
            pages=keys,
            page_bytes=plan.key_page_bytes,
            steps={
                "activations": (pad["qq"], group * row),
                "output": (pad["scores"], group * 4 * BLOCK),
                "scale": (pad["scale"], group * 4),
            },
            k=m.head_dim,
            n=n,
            activation_stride=row,
            output_stride=4 * BLOCK,
            scales=True,
        )

    def _weighted_values(self, k, target, pages):
        """P[h] @ V for one block of k tokens to the rows at `target`; values from `pages` (a register) or the FIFO."""
        plan, m, pad, group = self.plan, self.model, self.pad, self.plan.group
        row = plan.row_bytes(BLOCK)
        # From the FIFO a page is one stream. In the scratchpad its tiles are BLOCK rows high, of which k are valid.
        tiles = [(0, m.head_dim)] if pages is None else list(self._value_tiles())
        start = 0
        for index, (offset, width) in enumerate(tiles):
            if offset:
                self.a.scalar(
                    ScalarOp.ADD,
                    pages,
                    pages,
                    tiles[index - 1][1] * BLOCK - plan.kv_heads * plan.value_page_bytes,
                )
            self._for_each_kv_head(
                wait_first=index == 0,
                signal_last=index == len(tiles) - 1,
                pages=pages,
                page_bytes=plan.value_page_bytes,
                steps={
                    "activations": (pad["probabilities_q"], group * row),
                    "output": (target + 4 * start, group * 4 * m.head_dim),
                    "scale": (pad["steps"], group * 4),
                },
                k=k,
                n=width,
                activation_stride=row,
                output_stride=4 * m.head_dim,
                scales=False,
            )
            start += width
        self.a.nop(Engine.VECTOR, wait=self.semaphore["PRODUCTS"])

    def _for_each_kv_head(self, *, wait_first, pages, page_bytes, steps, signal_last=True, **job):
        """One matmul per KV head; `steps` are operands as (address, bytes from head to head)."""
        a, s = self.a, self.semaphore
        if wait_first:
            a.nop(Engine.MATMUL, wait=s["ACTIVATIONS"])
        with (
            a.temporary("heads") as heads,
            a.temporary("activations") as activations,
            a.temporary("output") as output,
            a.temporary("scale") as scale,
        ):
            registers = {"activations": activations, "output": output, "scale": scale}
            a.move(heads, self.plan.kv_heads)
            for name, register in registers.items():
                a.move(register, steps[name][0])
            with a.loop(heads):
                a.matmul(
                    m=self.plan.group,
                    scratch_weights=pages,
                    activation_type=self.plan.activation_type,
                    **registers,
                    **job,
                )
                for name, register in registers.items():
                    a.scalar(ScalarOp.ADD, register, register, steps[name][1])
                if pages is not None:
                    a.scalar(ScalarOp.ADD, pages, pages, page_bytes)
        if signal_last:
            a.nop(Engine.MATMUL, signal=s["PRODUCTS"])

    def _block_exponents(self, n, target):
        """target[h] = floor(max_t scores * log2 e) + 1."""
        a, pad, heads = self.a, self.pad, self.model.n_heads
        maxima = Vector(pad["maxima"])
        a.vector(
            Function.COPY,
            n,
            rows=heads,
            a=Strided(pad["scores"], stride=4, row_stride=4 * BLOCK),
            reduce=(Reduction.MAX, maxima.base),
            wait=self.semaphore["PRODUCTS"],
        )
        log2e, one = self.program.constant("log2e"), self.program.constant("one")
        a.vector(Function.MADD, heads, a=maxima, b=log2e, c=one, d=target)
        a.vector(Function.FLOOR, heads, a=target, d=target)

    def _probabilities(self, n, exponents, sums, value_scales):
        """e = 2 ** (scores * log2 e - exponents), sums[h] = sum e, probabilities_q, steps = quantise(e * value_scales)."""
        a, pad, plan = self.a, self.pad, self.plan
        row = 4 * BLOCK
        rows = lambda name: Strided(pad[name], stride=4, row_stride=row)  # noqa: E731
        a.vector(
            Function.EXPM,
            n,
            rows=plan.heads,
            a=rows("scores"),
            b=self._per_head(exponents),
            d=rows("probabilities"),
            reduce=(Reduction.FIXED_SUM, pad[sums]),
        )
        maxima = Vector(pad["maxima"])
        if plan.group == 1:
            e = rows("probabilities")
            a.vector(
                Function.MUL,
                n,
                rows=plan.heads,
                a=e,
                b=rows(value_scales),
                d=e,
                reduce=(Reduction.ABSMAX, maxima.base),
            )
        else:
            for head in range(plan.kv_heads):
                first = head * plan.group
                e = Strided(pad["probabilities"] + first * row, stride=4, row_stride=row)
                a.vector(
                    Function.MUL,
                    n,
                    rows=plan.group,
                    a=e,
                    b=Strided(pad[value_scales] + head * row, stride=4, row_stride=0),
                    d=e,
                    reduce=(Reduction.ABSMAX, maxima.base + 4 * first),
                )
        self.program.step_of(maxima, plan.heads)
        a.vector(
            Function.MUL,
            n,
            rows=plan.heads,
            a=rows("probabilities"),
            b=self._per_head("inverse"),
            d=Strided(pad["probabilities_q"], stride=plan.activation_bytes, row_stride=plan.row_bytes(BLOCK)),
            d_type=plan.activation_data_type,
            signal=self.semaphore["ACTIVATIONS"],
        )

    def _normalise(self):
        """xq, scale = quantise(attention / sums)."""
        a, pad, m, heads = self.a, self.pad, self.model, self.plan.heads
        inverse, maxima = Vector(pad["inverse"]), Vector(pad["maxima"])
        a.vector(Function.RECIPROCAL, heads, a=Vector(pad["sums"]), d=inverse)
        own = Vector(self.plan.own("attention"))
        a.vector(
            Function.MUL,
            m.head_dim,
            rows=heads,
            a=own,
            b=self._per_head("inverse"),
            d=own,
            reduce=(Reduction.ABSMAX, maxima.base),
            signal=self.semaphore["ATTENDED"],
        )
        row_maximum = Scalar(pad["scalars"] + 12)
        if self.plan.chips == 1:
            a.vector(Function.COPY, heads, a=maxima, reduce=(Reduction.MAX, row_maximum.base))
            self.program.quantize_row(own, m.dim, row_maximum)
        else:
            a.nop(Engine.VECTOR, signal=self.semaphore["SLICE"])
            self.program.gather_and_quantize("attention", m.dim, row_maximum)

    def _other_heads_alone(self):
        """The part of a chip without heads: to do as if, and to receive what the others have computed."""
        a, s = self.a, self.semaphore
        for name in ("STORED", "SAVED"):
            a.nop(Engine.STORES, signal=s[name])
        for name in ("ATTENDED", "SLICE"):
            a.nop(Engine.VECTOR, signal=s[name])
        self.program.gather_and_quantize("attention", self.model.dim, Scalar(self.pad["scalars"] + 12))
