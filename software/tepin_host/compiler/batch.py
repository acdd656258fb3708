# SPDX-License-Identifier: Apache-2.0
"""The program of a batch: many texts, from their prompts to their last tokens, without the host.

As many texts as the plan has rows are in the batch at once, each in a *slot* with KV pages of its own; when one ends, the
next line takes its slot. The program goes on in *steps*. In a step up to `plan.rows` tokens, a row each, pass through all
layers: one of every text that is being written, and as many of the prompts as there is room for
(`batch_schedule.py`). Weights are read once for all rows. A row attends to its own text up to its own position
(`batch_attention.py`), so nothing that is computed for it depends on the other rows.

Semaphores:

    LOADED       loads -> vector      in this order: embedding and rotary rows; then of each layer its norms, and the key
                                      pages of each slot
    VALUES       loads -> vector      the value pages of a slot are in the scratchpad
    ACTIVATIONS  vector -> matmul     the next activations are quantised
    PRODUCTS     matmul -> vector     the next products, but those of attention, are in the scratchpad
    SCORED       matmul -> vector     the scores of the next job of attention are
    WEIGHTED     matmul -> vector     the weighted values of the next job are
    INSERTED     vector -> stores     keys of a slot, or values, have been inserted into their pages
    SAVED        stores -> loads      ... and written to memory
    STORED       stores -> weights    ... those of all slots
    KEYS_FREE    matmul -> loads      the key pages of a slot may be overwritten
    VALUES_FREE  matmul -> loads      its value pages may be
    NORMS_FREE   vector -> loads      the norms of this layer may be
    SCALES       loads -> vector      the value scales of a full block are in the scratchpad
    SCALES_FREE  vector -> loads      those of a job may be overwritten
    DONE         vector, loads -> sequencer   what the sequencer waits for
"""

from contextlib import contextmanager

from tepin.isa import Engine, Reduction, ScalarOp
from tepin_host.compiler.batch_attention import BatchAttention
from tepin_host.compiler.batch_sampling import BatchSampler
from tepin_host.compiler.batch_schedule import Scheduler
from tepin_host.compiler.conventions import BLOCK, PROMPT_OFFSET
from tepin_host.compiler.records import JOB, PAGES, ROW, SLOT, WORDS
from tepin_host.compiler.rows import RowProgram
from tepin_host.layout import table_stride

__all__ = ["BatchProgram"]

_SEMAPHORES = (
    "LOADED",
    "ACTIVATIONS",
    "PRODUCTS",
    "SCORED",
    "WEIGHTED",
    "INSERTED",
    "STORED",
    "SAVED",
    "VALUES",
    "KEYS_FREE",
    "VALUES_FREE",
    "NORMS_FREE",
    "DONE",
    "SCALES",
    "SCALES_FREE",
)

_REGISTERS = {
    "count": "rows of this step; then tokens to choose",
    "layer": "offset of the present layer's pages within a block",
    "norms": "scratchpad address of the present layer's norms",
}


class BatchProgram(RowProgram):
    """Writes the program for a `Plan` with several rows; `words` is the result."""

    def __init__(self, plan):
        super().__init__(plan, _SEMAPHORES, _REGISTERS)
        self.scheduler = Scheduler(self)
        self.attention = BatchAttention(self)
        self.sampler = BatchSampler(self)
        self._emit()
        self.words = self.a.assemble()

    def word(self, name):
        """Scratchpad address of a single word."""
        return self.pad["words"] + WORDS.at(name)

    @property
    def layer_end(self):
        """The register `layer` behind the last layer."""
        return self.model.n_layers * self.plan.cache_layer_bytes

    @contextmanager
    def unless_last_layer(self):
        """Context of what is left out in the last layer."""
        a = self.a
        skip = a.label("last_layer")
        with a.temporary("last_layer") as last:
            a.move(last, self.layer_end - self.plan.cache_layer_bytes)
            a.branch(ScalarOp.BEQ, self.r["layer"], last, skip)
        yield
        a.place(skip)

    @contextmanager
    def _unless_full_blocks(self, op):
        """Context of what is left out if there are full blocks in this step (BNE), or if there are none (BEQ)."""
        a = self.a
        skip = a.label("full_blocks")
        with a.temporary("blocks") as blocks:
            a.load_word(blocks, self.word("full_blocks"))
            a.branch(op, blocks, a.zero, skip)
        yield
        a.place(skip)

    # The whole

    def _emit(self):
        a, r, s = self.a, self.r, self.semaphore
        self._prepare()
        step, layer, done = a.label("step"), a.label("layer"), a.label("done")
        a.place(step)
        self.scheduler.emit()
        a.branch(ScalarOp.BEQ, r["count"], a.zero, done)
        a.move(r["layer"], 0)
        self._embed()
        a.place(layer)
        self._layer()
        with a.temporary("end") as end:
            a.scalar(ScalarOp.ADD, r["layer"], r["layer"], self.plan.cache_layer_bytes)
            a.move(end, self.layer_end)
            a.branch(ScalarOp.BNE, r["layer"], end, layer)
        quiet = a.label("quiet")
        a.load_word(r["count"], self.word("samples"))
        a.branch(ScalarOp.BEQ, r["count"], a.zero, quiet)
        self.sampler.emit()
        a.jump(step)
        a.place(quiet)
        # What the next step's books are kept in may still be in use.
        a.nop(Engine.VECTOR, signal=s["DONE"])
        a.wait(s["DONE"])
        a.jump(step)
        a.place(done)
        a.flush()
        a.end()

    def _prepare(self):
        """Constants, number of lines, records, first prefetches, semaphores that start above zero."""
        a, s, pad, plan = self.a, self.semaphore, self.pad, self.plan
        a.load(self.address("requests"), pad["request"], PROMPT_OFFSET)
        a.load(self.address("norms"), pad["norms"], self._norm_bytes)
        a.load(self.address("constants"), pad["constants"], plan.constants_bytes, signal=s["DONE"])
        a.weights(self.address("weights"), plan.offsets["wo"])
        with a.temporary("layers") as layers:
            a.move(layers, self.model.n_layers)
            with a.loop(layers):
                a.signal(s["STORED"])
        for name, credits in (
            ("KEYS_FREE", 2),
            ("VALUES_FREE", 2),
            ("SCALES_FREE", 2),
            ("SAVED", 2),
            ("NORMS_FREE", 1),
        ):
            for _ in range(credits):
                a.signal(s[name])
        self._write_tables()
        a.move(self.r["norms"], pad["norms"])
        a.wait(s["DONE"])
        with a.temporary("value") as value:
            a.load_word(value, pad["request"])
            a.store_word(value, self.word("lines"))
            for name, start in (
                ("line", self.address("requests") + PROMPT_OFFSET),
                ("next_weights", self.address("weights")),
                ("next_norms", self.address("norms") + (self.model.n_layers > 1) * self._norm_bytes),
                ("buffers", pad["page_table"]),
            ):
                a.move(value, start)
                a.store_word(value, self.word(name))

    def _write_tables(self):
        """What stays the same in the records of slots, rows, jobs and page buffers."""
        plan, pad, m = self.plan, self.pad, self.model
        kv, heads = plan.kv_heads, plan.heads
        table = {"start": (0, 0), "positions": (0, 0), "cache": (self.address("cache"), plan.slot_bytes)}
        SLOT.write_table(self.a, pad["slot_table"], plan.rows, table | {"tag": (0, 1)})
        steps = {
            "kv_floats": 4 * kv * m.head_dim,
            "kv_numbers": 4 * kv,
            "numbers": 4 * heads,
            "queries": heads * plan.row_bytes(m.head_dim),
            "floats": 4 * heads * m.head_dim,
        }
        ROW.write_table(
            self.a, pad["row_table"], plan.rows, {name: (0, step) for name, step in steps.items()}
        )
        block = 4 * BLOCK
        steps = {
            "scores": heads * block,
            "probabilities_q": heads * plan.row_bytes(BLOCK),
            "numbers": 4 * heads,
            "block_attention": 4 * heads * m.head_dim,
            "block_value_scales": kv * block,
        }
        JOB.write_table(self.a, pad["job_table"], 2, {name: (0, step) for name, step in steps.items()})
        sizes = {
            "key_pages": kv * plan.key_page_bytes,
            "value_pages": kv * plan.value_page_bytes,
            "value_scales": kv * block,
        }
        PAGES.write_table(
            self.a, pad["page_table"], 2, {name: (pad[name], size) for name, size in sizes.items()}
        )

    @property
    def _norm_bytes(self):
        return 2 * self.model.dim * 4

    def _embed(self):
        """x = the embeddings of the step's tokens; the rotary rows of their positions, once for each KV head."""
        a, s, pad, plan = self.a, self.semaphore, self.pad, self.plan
        stride, rotary = table_stride(self.model.dim), 4 * self.model.head_dim
        a.load(
            self.address("embedding"),
            pad["embedding"],
            stride,
            repeat=(self.count, stride, stride),
            index=pad["tokens"],
        )
        a.load(
            self.address("rotary"),
            pad["rotary"],
            rotary,
            repeat=(self.count, rotary, plan.kv_heads * rotary),
            repeat2=(plan.kv_heads, 0, rotary),
            index=pad["positions"],
            signal=s["LOADED"],
        )
        a.nop(Engine.LOADS, signal=s["LOADED"])  # The first layer's norms are there already.
        with a.temporary("row") as row:
            a.move(row, pad["row_table"])
            self.attention.load_slot_keys(row)
            self.attention.load_slot_values(row)
        self.embed(pad["embedding"], stride, wait="LOADED")

    def _layer(self):
        a, s, pad, m = self.a, self.semaphore, self.pad, self.model
        self.norm_and_quantize(self.r["norms"], wait=s["LOADED"])
        self.project("wk", pad["k"], wait=s["ACTIVATIONS"])
        self.project("wv", pad["v"])
        self.project("wq", pad["q"])
        a.nop(Engine.WEIGHTS, wait=s["STORED"])
        # Full blocks pass between the weights; without any, the weights need not wait for attention.
        with self._unless_full_blocks(ScalarOp.BNE):
            self._prefetch_weights()
        self.attention.emit()
        with self._unless_full_blocks(ScalarOp.BEQ):
            self._prefetch_weights()
        self.project("wo", pad["o"], wait=s["ACTIVATIONS"])
        self.add_to_x(pad["o"], wait="PRODUCTS")
        self.norm_and_quantize(self.r["norms"] + 4 * m.dim)
        a.nop(Engine.VECTOR, signal=s["NORMS_FREE"])
        maximum = self._scalar_address(0)
        self.project("w1", pad["gate"], wait=s["ACTIVATIONS"])
        self.project("w3", pad["up"])
        self.silu_times(pad["gate"], pad["up"], pad["sigmoid"], reduce=(Reduction.ABSMAX, maximum))
        self.quantize_rows(pad["gate"], self.plan.hidden, maximum)
        self.project("w2", pad["o"], wait=s["ACTIVATIONS"])
        self.add_to_x(pad["o"], wait="PRODUCTS")
        with a.temporary("other") as other:
            self._other_norms(other)
            a.move(self.r["norms"], other)

    # Prefetch

    def _prefetch_weights(self):
        """Queue what follows wq: the rest of the layer, the classifier if need be, the next layer up to wq."""
        a, plan = self.a, self.plan
        first, end = plan.offsets["wo"], plan.offsets["end"]
        with a.temporary("weights") as weights:
            a.load_word(weights, self.word("next_weights"))
            last, done = a.label("last_layer"), a.label("prefetched")
            with a.temporary("last_layer") as layer:
                a.move(layer, self.layer_end - plan.cache_layer_bytes)
                a.branch(ScalarOp.BEQ, self.r["layer"], layer, last)
            a.weights(weights + first, end)
            a.scalar(ScalarOp.ADD, weights, weights, end)
            a.jump(done)
            a.place(last)
            a.weights(weights + first, end - first)
            with a.temporary("samples") as samples:
                a.load_word(samples, self.word("samples"))
                with a.unless(ScalarOp.BEQ, samples, a.zero):
                    a.weights(weights + end, plan.classifier_bytes)
            a.move(weights, self.address("weights"))
            a.weights(weights, first)
            a.place(done)
            a.store_word(weights, self.word("next_weights"))

    def prefetch_norms(self):
        """Load the next layer's norms, or those of the next step's first one."""
        a, s = self.a, self.semaphore
        with a.temporary("norm") as norm, a.temporary("other") as other:
            a.load_word(norm, self.word("next_norms"))
            self._other_norms(other)
            a.load(norm, other, self._norm_bytes, wait=s["NORMS_FREE"])
            a.scalar(ScalarOp.ADD, norm, norm, self._norm_bytes)
            a.move(other, self.address("norms") + self.model.n_layers * self._norm_bytes)
            with a.unless(ScalarOp.BNE, norm, other):
                a.move(norm, self.address("norms"))
            a.store_word(norm, self.word("next_norms"))
        with self.unless_last_layer():
            a.nop(Engine.LOADS, signal=s["LOADED"])

    def _other_norms(self, register):
        """register = scratchpad address of the norm buffer that the present layer does not use."""
        self.a.move(register, 2 * self.pad["norms"] + self._norm_bytes)
        self.a.scalar(ScalarOp.SUB, register, register, self.r["norms"])
