# SPDX-License-Identifier: Apache-2.0
"""Attention of the rows of a batch in one layer, each over its own text.

What has the same form for all rows is one command for all of them: rotary embedding, scales, quantised queries, the division
in the end. The rest is a list of *jobs*: of each row one for its current block, then one for each full block before it, in
the order of `attention.py`, with its steps. A job has three stages:

    1   scores (before that, for the first row of a slot: the slot's new keys into their pages, and back to memory)
    2   softmax, weighted values (before that, the same for values)
    3   the weighted values are added up

Three jobs are under way at a time, each in another stage: matmul engine and vector unit do not wait for each other. Of what
two jobs have at a time there are two buffers (`JOB`), and also of the pages that are being filled (`PAGES`): those
of the next slot are on their way meanwhile.

A job is known by the address of its row's record, 0 for none, and the address in memory of its full block, 0 for the current
block. Those of stages 2 and 3 are words in the scratchpad.
"""

from contextlib import ExitStack, contextmanager

from tepin.isa import Engine, Function, Reduction, ScalarOp
from tepin_host.assembler import Vector
from tepin_host.compiler.attention_parts import AttentionParts, Indirect
from tepin_host.compiler.conventions import BLOCK
from tepin_host.compiler.records import JOB, PAGES, ROW

__all__ = ["BatchAttention"]


class BatchAttention(AttentionParts):
    """Writes attention into a `BatchProgram`."""

    most_unrolled = 8

    def emit(self):
        """From k, v and q of the projections to the quantised attention output in `xq`."""
        self._all_rows()
        self._jobs()
        self._normalise()

    # What all rows have in common

    def _all_rows(self):
        """Rotated keys, their scales and those of the values; quantised queries."""
        a, pad, s, m, plan = self.a, self.pad, self.semaphore, self.model, self.plan
        head = 4 * m.head_dim
        with a.temporary("heads") as heads:
            a.scalar(ScalarOp.MUL, heads, self.program.count, plan.kv_heads)
            a.nop(Engine.VECTOR, wait=s["PRODUCTS"])
            self.rotate(pad | {"rotated": pad["keys"]}, pad["k"], heads, rotary_row=head)
            for name, source, wait in (("key", "keys", 0), ("value", "v", s["PRODUCTS"])):
                at = pad | {"steps": pad[f"{name}_steps"], "inverse": pad[f"{name}_inverse"]}
                self.cache_steps(at, pad[source], heads, wait=wait)
            a.nop(Engine.VECTOR, wait=s["PRODUCTS"])
            for query in range(plan.group):
                at = pad | {"rotated": pad["rotated"] + query * head}
                self.rotate(at, pad["q"] + query * head, heads, row=plan.group * head, rotary_row=head)
            a.scalar(ScalarOp.MUL, heads, self.program.count, plan.heads)
            self.quantize_query(pad | {"scale": pad["query_scale"]}, heads)
        a.nop(Engine.MATMUL, wait=s["ACTIVATIONS"])

    def _normalise(self):
        """xq, scale = quantise(attention / sums)."""
        a, pad, plan = self.a, self.pad, self.plan
        with a.temporary("heads") as heads:
            a.scalar(ScalarOp.MUL, heads, self.program.count, plan.heads)
            self.normalise(pad, heads, reduce=pad["maxima"])
        maximum = pad["scalars"]
        a.vector(
            Function.COPY,
            plan.heads,
            rows=self.program.count,
            a=Vector(pad["maxima"]),
            reduce=(Reduction.MAX, maximum),
        )
        self.program.quantize_rows(pad["attention"], self.model.dim, maximum)

    # Jobs

    def _jobs(self):
        a, pad, word = self.a, self.pad, self.program.word
        start = a.label("job")
        with a.temporary("job_row") as row, a.temporary("job_page") as page, a.temporary("job") as job:
            for name in ("row2", "row3"):
                a.store_word(a.zero, word(name))
            a.move(row, pad["row_table"])
            a.move(page, 0)
            a.move(job, pad["job_table"])
            a.place(start)
            with self._unless_zero(row):
                self._first_stage(row, page, job)
            self._other_job(job)
            with a.temporary("row2") as row2:
                a.load_word(row2, word("row2"))
                with self._unless_zero(row2):
                    self._second_stage(row2, job)
            self._other_job(job)
            with a.temporary("row3") as row3:
                a.load_word(row3, word("row3"))
                with self._unless_zero(row3):
                    self._third_stage(row3, job)
            self._other_job(job)
            self._advance(row, page, start)
        a.nop(Engine.STORES, signal=self.semaphore["STORED"])

    @contextmanager
    def _unless_zero(self, register):
        a = self.a
        skip = a.label("none")
        a.branch(ScalarOp.BEQ, register, a.zero, skip)
        yield
        a.place(skip)

    def _other_job(self, job):
        """job = the other record of the two."""
        with self.a.temporary("sum") as total:
            self.a.move(total, 2 * self.pad["job_table"] + JOB.size)
            self.a.scalar(ScalarOp.SUB, job, total, job)

    def _advance(self, row, page, start):
        """Move all jobs on by a stage, and go to `start` if there is any."""
        a, word, plan = self.a, self.program.word, self.plan
        following, moved = a.label("following"), a.label("moved")
        with a.temporary("one") as one, a.temporary("two") as two:
            for old, new in (("row2", "row3"), ("page2", "page3")):
                a.load_word(one, word(old))
                a.store_word(one, word(new))
            a.store_word(row, word("row2"))
            a.store_word(page, word("page2"))
            with self._unless_zero(row):
                ROW.load(a, two, row, "page")
                a.scalar(ScalarOp.ADD, two, two, self.program.r["layer"])
                first = a.label("first_block")
                a.branch(ScalarOp.BEQ, page, a.zero, first)
                a.scalar(ScalarOp.ADD, page, page, plan.cache_block_bytes)
                a.jump(following)
                a.place(first)
                ROW.load(a, page, row, "first_page")
                a.scalar(ScalarOp.ADD, page, page, self.program.r["layer"])
                a.place(following)
                a.branch(ScalarOp.BNE, page, two, moved)
                a.move(page, 0)
                ROW.load(a, row, row, "next")
                a.place(moved)
            a.load_word(one, word("row2"))
            a.load_word(two, word("row3"))
            a.scalar(ScalarOp.OR, one, one, two)
            a.scalar(ScalarOp.OR, one, one, row)
            a.branch(ScalarOp.BNE, one, a.zero, start)

    # First stage: keys, scores

    def _first_stage(self, row, page, job):
        a, s, plan = self.a, self.semaphore, self.plan
        full, done = a.label("full"), a.label("scored")
        at = {
            "qq": Indirect(row, ROW.at("queries"), self.pad["qq"]),
            "scale": Indirect(row, ROW.at("numbers"), self.pad["query_scale"]),
            "scores": Indirect(job, JOB.at("scores"), self.pad["scores"]),
        }
        a.branch(ScalarOp.BNE, page, a.zero, full)
        a.nop(Engine.LOADS, wait=s["SCALES_FREE"])
        with a.temporary("group") as group:
            ROW.load(a, group, row, "group")
            with self._unless_zero(group):
                self._insert_keys(row, group)
        with a.temporary("tiles") as tiles, a.temporary("keys") as keys:
            ROW.load(a, keys, row, "within")
            self.current_tiles(keys, tiles)
            ROW.load(a, keys, row, "pages")
            PAGES.load(a, keys, keys, "key_pages")
            self.scores(at, tiles, keys, signal="SCORED")
        self._free_pages(row, "KEYS_FREE")
        a.jump(done)
        a.place(full)
        a.weights(page, plan.value_offset)
        with a.temporary("scales") as scales:
            JOB.load(a, scales, job, "block_value_scales")
            a.load(
                page + plan.pages_bytes,
                scales + self.pad["block_value_scales"],
                plan.kv_heads * 4 * BLOCK,
                wait=s["SCALES_FREE"],
                signal=s["SCALES"],
            )
        self.scores(at, BLOCK, None, signal="SCORED")
        a.place(done)

    def _free_pages(self, row, signal):
        """Signal that the matmul engine has done with the pages of a slot, if this is its last row."""
        with self.a.temporary("last") as last:
            ROW.load(self.a, last, row, "last")
            with self._unless_zero(last):
                self.a.nop(Engine.MATMUL, signal=self.semaphore[signal])

    def _insert_keys(self, row, group):
        """Insert the new keys of a slot, `group` of them, into its pages, store them, and load the next slot's."""
        a, s, program = self.a, self.semaphore, self.program
        with a.temporary("buffers") as buffers, a.temporary("entry") as entry:
            a.load_word(buffers, program.word("buffers"))
            a.nop(Engine.VECTOR, wait=s["LOADED"])
            a.move(entry, row)
            with a.loop(group):
                ROW.store(a, buffers, entry, "pages")
                self._insert_row(entry, "key", "keys", self.insert_key)
                a.scalar(ScalarOp.ADD, entry, entry, ROW.size)
            self._other_pages(buffers)
            a.store_word(buffers, program.word("buffers"))
        for name in ("INSERTED", "ACTIVATIONS"):
            a.nop(Engine.VECTOR, signal=s[name])
        a.nop(Engine.MATMUL, wait=s["ACTIVATIONS"])
        ROW.load(a, group, row, "group")
        with self._slot_in_memory(row) as (slot, memory), self._pages(row, "key_pages") as at:
            self.store_keys(at, memory, slot, group, signal=s["SAVED"])
        self._for_next_slot(row, group, self.load_slot_keys, at_end=program.prefetch_norms)

    def _insert_row(self, entry, name, source, insert):
        """Insert one row's key or value."""
        a, pad = self.a, self.pad
        with a.temporary("slot") as slot, a.temporary("floats") as floats, a.temporary("numbers") as numbers:
            ROW.load(a, slot, entry, "within")
            ROW.load(a, floats, entry, "kv_floats")
            ROW.load(a, numbers, entry, "kv_numbers")
            at = {part: numbers + pad[f"{name}_{part}"] for part in ("steps", "inverse")}
            with self._pages(entry, *(page for page in PAGES.names if page.startswith(name))) as places:
                insert(at | places, floats + pad[source], slot)

    def _other_pages(self, record):
        """record = the other one of the two."""
        with self.a.temporary("sum") as total:
            self.a.move(total, 2 * self.pad["page_table"] + PAGES.size)
            self.a.scalar(ScalarOp.SUB, record, total, record)

    @contextmanager
    def _pages(self, row, *names):
        """Registers with the addresses of the page buffers that a row's slot has."""
        a = self.a
        with ExitStack() as stack:
            at = {name: stack.enter_context(a.temporary(name)) for name in names}
            for name, register in at.items():
                ROW.load(a, register, row, "pages")
                PAGES.load(a, register, register, name)
            yield at

    @contextmanager
    def _slot_in_memory(self, row):
        """Registers with the place of a row within its block, and its block's address in memory in the present layer."""
        a = self.a
        with a.temporary("slot") as slot, a.temporary("memory") as memory:
            ROW.load(a, slot, row, "within")
            ROW.load(a, memory, row, "page")
            a.scalar(ScalarOp.ADD, memory, memory, self.program.r["layer"])
            yield slot, memory

    def _for_next_slot(self, row, group, load, at_end=None):
        """`load` for the slot behind this one, of `group` rows, or for the first one in the next layer, if there is one."""
        a, program = self.a, self.program
        wrap, done = a.label("wrap"), a.label("loaded")
        a.scalar(ScalarOp.SUB, group, group, 1)
        a.scalar(ScalarOp.MUL, group, group, ROW.size)
        a.scalar(ScalarOp.ADD, group, group, row)
        ROW.load(a, group, group, "next")
        a.branch(ScalarOp.BEQ, group, a.zero, wrap)
        load(group, row)
        a.jump(done)
        a.place(wrap)
        if at_end:
            at_end()
        with program.unless_last_layer():
            a.move(group, self.pad["row_table"])
            load(group, row, ahead=self.plan.cache_layer_bytes)
        a.place(done)

    def load_slot_keys(self, row, before=None, *, ahead=0):
        """Load the key pages of the slot with this first row, `ahead` bytes behind those of the present layer.

        `before` is a row of the slot before in the same layer; that and this slot have different page buffers.
        """
        self._load_slot(row, before, ahead, ("key_pages",), self.load_keys, "KEYS_FREE", "LOADED")

    def load_slot_values(self, row, before=None, *, ahead=0):
        """As `load_slot_keys`, of values."""
        names = ("value_pages", "value_scales")
        self._load_slot(row, before, ahead, names, self.load_values, "VALUES_FREE", "VALUES")

    def _load_slot(self, row, before, ahead, names, load, free, signal):
        a, s = self.a, self.semaphore
        for semaphore in ("SAVED", free):
            a.nop(Engine.LOADS, wait=s[semaphore])
        with self._slot_in_memory(row) as (slot, memory), ExitStack() as stack:
            if ahead:
                a.scalar(ScalarOp.ADD, memory, memory, ahead)
            at = {name: stack.enter_context(a.temporary(name)) for name in names}
            for name, register in at.items():
                if before is None:
                    a.load_word(register, self.program.word("buffers"))
                else:
                    ROW.load(a, register, before, "pages")
                    self._other_pages(register)
                PAGES.load(a, register, register, name)
            load(at, memory, slot)
        a.nop(Engine.LOADS, signal=s[signal])

    # Second stage: values, softmax, weighted values

    def _second_stage(self, row, job):
        a, pad, s, plan = self.a, self.pad, self.semaphore, self.plan
        full, done = a.label("full"), a.label("weighted")
        with a.temporary("page2") as page:
            a.load_word(page, self.program.word("page2"))
            a.branch(ScalarOp.BNE, page, a.zero, full)
        weighted = {
            "probabilities_q": Indirect(job, JOB.at("probabilities_q"), pad["probabilities_q"]),
            "steps": Indirect(job, JOB.at("numbers"), pad["steps"]),
        }
        with a.temporary("group") as group:
            ROW.load(a, group, row, "group")
            with self._unless_zero(group):
                self._insert_values(row, group)
        with a.temporary("valid") as valid:
            ROW.load(a, valid, row, "within")
            a.scalar(ScalarOp.ADD, valid, valid, 1)
            with self._pages(row, "value_scales") as pages, self._softmax_places(row, job) as at:
                self.block_exponents(at, valid, at["exponents"], wait="SCORED")
                self.probabilities(at, valid, at["sums"], pages["value_scales"])
            a.nop(Engine.VECTOR, signal=s["SCALES_FREE"])
            with self._pages(row, "value_pages") as pages:
                target = Indirect(row, ROW.at("floats"), pad["attention"])
                self.weighted_values(weighted, valid, target, pages["value_pages"], signal="WEIGHTED")
        self._free_pages(row, "VALUES_FREE")
        a.jump(done)
        a.place(full)
        with self._softmax_places(row, job) as at, a.temporary("scales") as scales:
            JOB.load(a, scales, job, "block_value_scales")
            self.block_exponents(at, BLOCK, at["block_exponents"], wait="SCORED")
            self.new_exponents(at)
            a.nop(Engine.VECTOR, wait=s["SCALES"])
            self.probabilities(at, BLOCK, at["block_sums"], scales + pad["block_value_scales"])
            a.nop(Engine.VECTOR, signal=s["SCALES_FREE"])
            self.rescale_sums(at)
        with a.temporary("page2") as page:
            a.load_word(page, self.program.word("page2"))
            a.weights(page + plan.value_offset, plan.kv_heads * plan.value_page_bytes)
        target = Indirect(job, JOB.at("block_attention"), pad["block_attention"])
        self.weighted_values(weighted, BLOCK, target, None, signal="WEIGHTED")
        a.place(done)

    def _insert_values(self, row, group):
        """As `_insert_keys`, of values."""
        a, s = self.a, self.semaphore
        with a.temporary("entry") as entry:
            a.nop(Engine.VECTOR, wait=s["VALUES"])
            a.move(entry, row)
            with a.loop(group):
                self._insert_row(entry, "value", "v", self.insert_value)
                a.scalar(ScalarOp.ADD, entry, entry, ROW.size)
        a.nop(Engine.VECTOR, signal=s["INSERTED"])
        ROW.load(a, group, row, "group")
        with (
            self._slot_in_memory(row) as (slot, memory),
            self._pages(row, "value_pages", "value_scales") as at,
        ):
            self.store_values(at, memory, slot, group, wait=s["INSERTED"], signal=s["SAVED"])
        self._for_next_slot(row, group, self.load_slot_values)

    @contextmanager
    def _softmax_places(self, row, job):
        """Addresses of the operands of a row's softmax; the probabilities take the place of the scores."""
        a, pad = self.a, self.pad
        with (
            a.temporary("scores_") as scores,
            a.temporary("probabilities_q") as probabilities,
            a.temporary("numbers") as numbers,
            a.temporary("of_row") as of_row,
        ):
            JOB.load(a, scores, job, "scores")
            JOB.load(a, probabilities, job, "probabilities_q")
            JOB.load(a, numbers, job, "numbers")
            ROW.load(a, of_row, row, "numbers")
            yield pad | {
                "scores": scores + pad["scores"],
                "probabilities": scores + pad["scores"],
                "probabilities_q": probabilities + pad["probabilities_q"],
                "steps": numbers + pad["steps"],
                "rescale": numbers + pad["rescale"],
                "exponents": of_row + pad["exponents"],
                "sums": of_row + pad["sums"],
            }

    # Third stage: sums

    def _third_stage(self, row, job):
        a, pad, s = self.a, self.pad, self.semaphore
        full, done = a.label("full"), a.label("added")
        with a.temporary("page3") as page:
            a.load_word(page, self.program.word("page3"))
            a.branch(ScalarOp.BNE, page, a.zero, full)
        a.nop(Engine.VECTOR, wait=s["WEIGHTED"])
        a.jump(done)
        a.place(full)
        with a.temporary("total") as total, a.temporary("numbers") as numbers, a.temporary("block") as block:
            ROW.load(a, total, row, "floats")
            JOB.load(a, numbers, job, "numbers")
            JOB.load(a, block, job, "block_attention")
            at = {
                "attention": total + pad["attention"],
                "rescale": numbers + pad["rescale"],
                "block_attention": block + pad["block_attention"],
            }
            self.accumulate(at, wait=s["WEIGHTED"])
        a.place(done)
