# SPDX-License-Identifier: Apache-2.0
"""The steps of attention for one token, wherever its operands lie: what the order of `attention.py` and of others is made of.

Every step takes `at`, the scratchpad addresses of its operands by name: numbers, or registers with an offset (`Operand`), so
that the same step serves one token at a fixed place and each of many. Heads are rows of vector commands.
"""

from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace

from tepin.isa import DataType, Engine, Function, Reduction, ScalarOp
from tepin_host.assembler import Register, Strided, Vector
from tepin_host.compiler.conventions import BLOCK
from tepin_host.compiler.open_pages import OpenPages

__all__ = ["AttentionParts", "Indirect"]


@dataclass(frozen=True)
class Indirect:
    """An address of a product's operand that is a word in the scratchpad (at a register plus `offset`) plus `base`."""

    register: Register
    offset: int
    base: int

    def __add__(self, offset):
        return replace(self, base=self.base + offset)


class AttentionParts(OpenPages):
    """Writes steps of attention into a `RowProgram`."""

    most_unrolled = 1
    """Most products with pages, of a KV head each, that are commands of their own instead of those of a loop."""

    # Rotary embedding, quantisation, insertion

    def rotate(self, at, source, heads, *, row=None, rotary_row=0):
        """rotated = rotary(source), halves apart; `source` and, if given, `row` (bytes from head to head) are as they lie."""
        a, half = self.a, self.model.head_dim // 2
        width = 4 * half
        row = 2 * width if row is None else row
        low, high = (Strided(source + offset, stride=4, row_stride=row) for offset in (0, width))
        low_out, high_out = (
            Strided(at["rotated"] + offset, stride=4, row_stride=row) for offset in (0, width)
        )
        cosine, sine = (
            Strided(at["rotary"] + offset, stride=4, row_stride=rotary_row) for offset in (0, width)
        )
        product = Vector(at["products"])
        a.vector(Function.MUL, half, rows=heads, a=high, b=sine, d=product)
        minus = Vector(at["products"], negate=True)
        a.vector(Function.MADD, half, rows=heads, a=low, b=cosine, c=minus, d=low_out)
        a.vector(Function.MUL, half, rows=heads, a=low, b=sine, d=product)
        a.vector(Function.MADD, half, rows=heads, a=high, b=cosine, c=product, d=high_out)

    def per_head(self, address):
        """Operand that broadcasts one number per row."""
        return Strided(address, stride=0, row_stride=4)

    def cache_steps(self, at, source, heads, *, wait=0):
        """steps, inverse of heads that lie behind each other, for int8."""
        a, maxima = self.a, Vector(at["maxima"])
        a.vector(
            Function.COPY,
            self.model.head_dim,
            rows=heads,
            a=Vector(source),
            reduce=(Reduction.ABSMAX, maxima.base),
            wait=wait,
        )
        self.program.step_of(maxima, heads, "cache_step", at=at)

    def insert_key(self, at, source, slot):
        """Quantise a key into its page: a column of every head's, and its scale."""
        a, plan, m = self.a, self.plan, self.model
        heads, columns = plan.kv_heads, plan.config.columns
        with a.temporary("tile") as tile, a.temporary("column") as column:
            a.scalar(ScalarOp.SHR, tile, slot, columns.bit_length() - 1)
            a.scalar(ScalarOp.MUL, tile, tile, plan.key_tile_bytes)
            a.scalar(ScalarOp.ADD, tile, tile, at["key_pages"])
            a.scalar(ScalarOp.AND, column, slot, columns - 1)
            a.scalar(ScalarOp.ADD, tile, tile, column)
            inserted = Strided(tile, stride=columns, row_stride=plan.key_page_bytes)
            a.vector(
                Function.MUL,
                m.head_dim,
                rows=heads,
                a=Vector(source),
                b=self.per_head(at["inverse"]),
                d=inserted,
                d_type=DataType.INT8,
            )
            a.scalar(ScalarOp.MUL, column, column, 3)
            a.scalar(ScalarOp.ADD, tile, tile, column)
            scales = Strided(tile + m.head_dim * columns, stride=plan.key_page_bytes, row_stride=0)
            a.vector(Function.COPY, heads, a=Vector(at["steps"]), d=scales)

    def insert_value(self, at, source, slot, *, signal=0):
        """Quantise a value into its page: a row of every head's, and its scale."""
        a, plan, m = self.a, self.plan, self.model
        heads = plan.kv_heads
        with a.temporary("row") as row:
            start = 0
            for offset, width in self.value_tiles():
                a.scalar(ScalarOp.MUL, row, slot, width)
                a.vector(
                    Function.MUL,
                    width,
                    rows=heads,
                    a=Strided(source + 4 * start, stride=4, row_stride=4 * m.head_dim),
                    b=self.per_head(at["inverse"]),
                    d=Strided(
                        self._place(row, at["value_pages"]) + offset,
                        stride=1,
                        row_stride=plan.value_page_bytes,
                    ),
                    d_type=DataType.INT8,
                )
                start += width
            a.scalar(ScalarOp.MUL, row, slot, 4)
            scales = Strided(self._place(row, at["value_scales"]), stride=4 * BLOCK, row_stride=0)
            a.vector(Function.COPY, heads, a=Vector(at["steps"]), d=scales, signal=signal)

    def quantize_query(self, at, heads):
        """qq = quantise(rotated query) of so many heads; the scale also divides the scores by sqrt(head_dim)."""
        a, plan, m = self.a, self.plan, self.model
        maxima, rotated = Vector(at["maxima"]), Vector(at["rotated"])
        a.vector(Function.COPY, m.head_dim, rows=heads, a=rotated, reduce=(Reduction.ABSMAX, maxima.base))
        self.program.step_of(maxima, heads, at=at)
        scale = Vector(at["scale"])
        a.vector(Function.MUL, heads, a=maxima, b=self.program.constant("query_step"), d=scale)
        a.vector(
            Function.MUL,
            m.head_dim,
            rows=heads,
            a=rotated,
            b=self.per_head(at["inverse"]),
            d=Strided(at["qq"], stride=plan.activation_bytes, row_stride=plan.row_bytes(m.head_dim)),
            d_type=plan.activation_data_type,
            signal=self.semaphore["ACTIVATIONS"],
        )

    # Products with pages

    def current_tiles(self, slot, register):
        """register = tokens in the column tiles of a key page up to that of the token in `slot`."""
        a, columns = self.a, self.plan.config.columns
        a.scalar(ScalarOp.SHR, register, slot, columns.bit_length() - 1)
        a.scalar(ScalarOp.ADD, register, register, 1)
        a.scalar(ScalarOp.MUL, register, register, columns)

    def scores(self, at, n, keys, *, wait=False, signal="PRODUCTS"):
        """scores[h][t] = q[h] . k[t] for one block; `keys`: register with the key pages' address, or None for the FIFO."""
        plan, m, group = self.plan, self.model, self.plan.group
        row = plan.row_bytes(m.head_dim)
        self._for_each_kv_head(
            wait_first=wait,
            signal_last=signal,
            pages=keys,
            page_bytes=plan.key_page_bytes,
            steps={
                "activations": (at["qq"], group * row),
                "output": (at["scores"], group * 4 * BLOCK),
                "scale": (at["scale"], group * 4),
            },
            k=m.head_dim,
            n=n,
            activation_stride=row,
            output_stride=4 * BLOCK,
            scales=True,
        )

    def weighted_values(self, at, k, target, pages, *, signal="PRODUCTS"):
        """P[h] @ V for one block of k tokens to the rows at `target`; values from `pages` (a register) or the FIFO."""
        plan, m, group = self.plan, self.model, self.plan.group
        row = plan.row_bytes(BLOCK)
        # From the FIFO a page is one stream. In the scratchpad its tiles are BLOCK rows high, of which k are valid.
        tiles = [(0, m.head_dim)] if pages is None else list(self.value_tiles())
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
                signal_last=signal if index == len(tiles) - 1 else None,
                pages=pages,
                page_bytes=plan.value_page_bytes,
                steps={
                    "activations": (at["probabilities_q"], group * row),
                    "output": (target + 4 * start, group * 4 * m.head_dim),
                    "scale": (at["steps"], group * 4),
                },
                k=k,
                n=width,
                activation_stride=row,
                output_stride=4 * m.head_dim,
                scales=False,
            )
            start += width

    def _for_each_kv_head(self, *, wait_first, pages, page_bytes, steps, signal_last, **job):
        """One matmul per KV head; `steps` are operands as (address, bytes from head to head)."""
        a, s = self.a, self.semaphore
        if wait_first:
            a.nop(Engine.MATMUL, wait=s["ACTIVATIONS"])
        if pages is not None:
            steps = steps | {"scratch_weights": (pages, page_bytes)}
        heads = self.plan.kv_heads
        unroll = max(count for count in range(1, self.most_unrolled + 1) if heads % count == 0)
        with a.temporary("heads") as count, ExitStack() as stack:
            registers = {
                name: address if address is pages else stack.enter_context(a.temporary(name))
                for name, (address, _) in steps.items()
            }
            loops = unroll < heads or self.most_unrolled == 1
            if loops:
                a.move(count, heads // unroll)
            for name, register in registers.items():
                if register is not pages:
                    self._set(register, steps[name][0])
            with a.loop(count) if loops else nullcontext():
                for head in range(unroll):
                    a.matmul(
                        m=self.plan.group,
                        activation_type=self.plan.activation_type,
                        **{name: register + head * steps[name][1] for name, register in registers.items()},
                        **job,
                    )
                for name, register in registers.items():
                    if loops or register is pages:  # pages are left behind those of the last head
                        a.scalar(ScalarOp.ADD, register, register, unroll * steps[name][1])
        if signal_last:
            a.nop(Engine.MATMUL, signal=s[signal_last])

    def _set(self, register, address):
        if isinstance(address, Indirect):
            self.a.load_word(register, address.offset, address.register)
            self.a.scalar(ScalarOp.ADD, register, register, address.base)
        else:
            self.a.move(register, address)

    # Softmax

    def block_exponents(self, at, n, target, *, wait="PRODUCTS"):
        """target[h] = floor(max_t scores * log2 e) + 1."""
        a, heads = self.a, self.model.n_heads
        maxima, target = Vector(at["maxima"]), Vector(target)
        a.vector(
            Function.COPY,
            n,
            rows=heads,
            a=Strided(at["scores"], stride=4, row_stride=4 * BLOCK),
            reduce=(Reduction.MAX, maxima.base),
            wait=self.semaphore[wait],
        )
        log2e, one = self.program.constant("log2e"), self.program.constant("one")
        a.vector(Function.MADD, heads, a=maxima, b=log2e, c=one, d=target)
        a.vector(Function.FLOOR, heads, a=target, d=target)

    def new_exponents(self, at):
        """exponents = max(exponents, block_exponents); rescale = 2 ** (the former exponents - the new ones)."""
        a, heads = self.a, self.plan.heads
        running, new, rescale = (Vector(at[name]) for name in ("exponents", "block_exponents", "rescale"))
        a.vector(Function.MAX, heads, a=running, b=new, d=new)
        a.vector(Function.ADD, heads, a=new, b=Vector(at["exponents"], negate=True), d=rescale)
        a.vector(Function.EXPM, heads, a=self.program.constant("zero"), b=rescale, d=rescale)
        a.vector(Function.COPY, heads, a=new, d=running)

    def rescale_sums(self, at):
        """sums = sums * rescale + block_sums."""
        sums = Vector(at["sums"])
        self.a.vector(
            Function.MADD,
            self.plan.heads,
            a=sums,
            b=Vector(at["rescale"]),
            c=Vector(at["block_sums"]),
            d=sums,
        )

    def accumulate(self, at, *, wait=0):
        """attention = attention * rescale + block_attention."""
        total = Vector(at["attention"])
        self.a.vector(
            Function.MADD,
            self.model.head_dim,
            rows=self.plan.heads,
            a=total,
            b=self.per_head(at["rescale"]),
            c=Vector(at["block_attention"]),
            d=total,
            wait=wait,
        )

    def probabilities(self, at, n, sums, value_scales):
        """e = 2 ** (scores * log2 e - exponents), sums[h] = sum e, probabilities_q, steps = quantise(e * value_scales)."""
        a, plan = self.a, self.plan
        row = 4 * BLOCK
        rows = lambda address: Strided(address, stride=4, row_stride=row)  # noqa: E731
        e = rows(at["probabilities"])
        a.vector(
            Function.EXPM,
            n,
            rows=plan.heads,
            a=rows(at["scores"]),
            b=self.per_head(at["exponents"]),
            d=e,
            reduce=(Reduction.FIXED_SUM, sums),
        )
        maxima = at["maxima"]
        if plan.group == 1:
            a.vector(
                Function.MUL,
                n,
                rows=plan.heads,
                a=e,
                b=rows(value_scales),
                d=e,
                reduce=(Reduction.ABSMAX, maxima),
            )
        else:
            for head in range(plan.kv_heads):
                first = head * plan.group
                part = rows(at["probabilities"] + first * row)
                a.vector(
                    Function.MUL,
                    n,
                    rows=plan.group,
                    a=part,
                    b=Strided(value_scales + head * row, stride=4, row_stride=0),
                    d=part,
                    reduce=(Reduction.ABSMAX, maxima + 4 * first),
                )
        self.program.step_of(Vector(maxima), plan.heads, at=at)
        a.vector(
            Function.MUL,
            n,
            rows=plan.heads,
            a=e,
            b=self.per_head(at["inverse"]),
            d=Strided(at["probabilities_q"], stride=plan.activation_bytes, row_stride=plan.row_bytes(BLOCK)),
            d_type=plan.activation_data_type,
            signal=self.semaphore["ACTIVATIONS"],
        )

    def normalise(self, at, heads, *, reduce, signal=0):
        """attention = attention / sums for so many heads, with their largest magnitudes to `reduce`."""
        a = self.a
        a.vector(Function.RECIPROCAL, heads, a=Vector(at["sums"]), d=Vector(at["inverse"]))
        total = Vector(at["attention"])
        a.vector(
            Function.MUL,
            self.model.head_dim,
            rows=heads,
            a=total,
            b=self.per_head(at["inverse"]),
            d=total,
            reduce=(Reduction.ABSMAX, reduce),
            signal=signal,
        )
