# SPDX-License-Identifier: Apache-2.0
"""Which working buffers a program has in the scratchpad: of one row at a time, and of up to `plan.rows` rows.

A row of `(name, bytes, preferred bank, phases)` for each: pages apart from each other, first operands apart from second ones.
Where many rows need a lot of room, buffers share it that are in use in different phases of a layer.
"""

from tepin_host.compiler.allocate import ScratchpadMap
from tepin_host.compiler.conventions import BLOCK, PROMPT_OFFSET
from tepin_host.compiler.records import BOOKS, JOB, PAGES, PASS, ROW, SLOT, TEXT, WORDS
from tepin_host.layout import table_stride

__all__ = ["batch_buffers", "place", "single_buffers"]

_PROJECT, _ATTEND, _FEED, _CHOOSE = ({name} for name in ("project", "attend", "feed", "choose"))


def place(buffers, config):
    """Addresses by name; a name whose size is another name is another name of that buffer."""
    pad = ScratchpadMap(config.scratchpad_bytes, config.scratchpad_banks)
    addresses = {}
    for name, size, bank, *phases in buffers:
        addresses[name] = addresses[size] if isinstance(size, str) else pad.add(name, size, bank, *phases)
    return addresses


def single_buffers(plan):
    """Of a program with one row."""
    m = plan.model
    heads, kv_heads, dim, hidden = plan.heads, plan.kv_heads, m.dim, plan.hidden
    chunk = max(tokens for _, tokens in plan.chunks)
    yield "key_pages", kv_heads * plan.key_page_bytes, 0
    yield "value_pages", kv_heads * plan.value_page_bytes, 1
    yield "value_scales", kv_heads * BLOCK * 4, 1
    yield "block_value_scales", kv_heads * BLOCK * 4, 1
    yield "scores", heads * BLOCK * 4, 2
    yield "probabilities", heads * BLOCK * 4, 3
    yield "probabilities_q", heads * plan.row_bytes(BLOCK), 3
    yield "x", 4 * dim, 2
    yield "norms", 2 * 2 * dim * 4, 3
    yield "u", 4 * dim, 2
    yield "xq", plan.row_bytes(max(dim, m.hidden_dim)), 3
    yield "embedding", (plan.chips if plan.gathers else 1) * table_stride(dim), 3
    yield "rotary", 4 * m.head_dim, 3
    yield "k", 4 * kv_heads * m.head_dim, 2
    yield "v", 4 * kv_heads * m.head_dim, 2
    yield "q", 4 * heads * m.head_dim, 2
    yield "rotated", 4 * heads * m.head_dim, 2
    yield "products", 4 * heads * m.head_dim // 2, 3
    yield "qq", heads * plan.row_bytes(m.head_dim), 3
    yield "attention", 4 * dim, 2
    yield "block_attention", 4 * heads * m.head_dim, 3
    yield "o", 4 * dim, 3
    yield "gate", 4 * m.hidden_dim, 2
    yield "up", 4 * hidden, 3
    yield "sigmoid", 4 * hidden, 3
    yield "logits", 4 * chunk, 2
    yield "noise", 4 * chunk, 3
    yield "constants", plan.constants_bytes, 3
    yield "request", PROMPT_OFFSET, 0
    yield "words", 64, 0
    yield "best", 8 * len(plan.chunks) + 8, 2
    # A row's maximum and scale are there without heads, too.
    for name, least in (
        ("maxima", 4),
        ("sums", 0),
        ("block_sums", 0),
        ("exponents", 0),
        ("block_exponents", 0),
        ("rescale", 0),
        ("steps", 4),
        ("inverse", 4),
        ("scale", 4),
    ):
        yield name, max(least, 4 * heads), 2
    yield "scalars", 32, 2
    if plan.chips > 1:
        yield "candidates", 8 * plan.chips, 2
        yield "choice", 8, 2
    if plan.slots > 1:
        yield "inbox", 4 * dim, 3
        yield "final", 4 * dim, 3
        yield "slot_table", plan.slots * TEXT.size, 2
        yield "passes", (plan.chips + 1) * PASS.size, 2
        yield "books", BOOKS.size, 2


def batch_buffers(plan):
    """Of a program with up to `plan.rows` rows; what there is two of, is worked on in turns."""
    m, rows = plan.model, plan.rows
    heads, kv_heads, dim, hidden = plan.heads, plan.kv_heads, m.dim, plan.hidden
    chunk = max(tokens for _, tokens in plan.chunks)
    # Of all phases: pages and what the loads bring early.
    yield "key_pages", 2 * kv_heads * plan.key_page_bytes, 0
    yield "value_pages", 2 * kv_heads * plan.value_page_bytes, 1
    yield "value_scales", 2 * kv_heads * BLOCK * 4, 1
    yield "block_value_scales", 2 * kv_heads * BLOCK * 4, 1
    yield "norms", 2 * 2 * dim * 4, 3
    yield "embedding", rows * table_stride(dim), 3
    yield "rotary", rows * 4 * kv_heads * m.head_dim, 3
    yield "x", rows * 4 * dim, 2
    yield "o", rows * 4 * dim, 3
    yield "u", "o", 3
    yield "xq", rows * plan.row_bytes(max(dim, hidden)), 3
    yield "constants", plan.constants_bytes, 3
    yield "request", PROMPT_OFFSET, 0
    for name, size in (
        ("words", WORDS.size),
        ("row_table", rows * ROW.size),
        ("slot_table", rows * SLOT.size),
        ("job_table", 2 * JOB.size),
        ("page_table", 2 * PAGES.size),
        ("tokens", 4 * rows),
        ("positions", 4 * rows),
        ("samplers", 4 * rows),
        ("scale", 4 * rows),
        ("scalars", 4 * 4 * rows),
        ("maxima", 4 * rows * heads),
        ("steps", 4 * max(rows, 2) * heads),
        ("inverse", 4 * rows * heads),
        ("block_sums", 4 * heads),
        ("block_exponents", 4 * heads),
    ):
        yield name, size, 2
    for name, size in (
        ("query_scale", 4 * rows * heads),
        ("key_steps", 4 * rows * kv_heads),
        ("key_inverse", 4 * rows * kv_heads),
        ("value_steps", 4 * rows * kv_heads),
        ("value_inverse", 4 * rows * kv_heads),
    ):
        yield name, size, 2, _PROJECT | _ATTEND
    yield "gate", rows * 4 * hidden, 2, _FEED
    yield "up", rows * 4 * hidden, 3, _FEED
    yield "sigmoid", rows * 4 * hidden, 1, _FEED
    yield "logits", rows * 4 * chunk, 2, _CHOOSE
    yield "noise", 4 * chunk, 3, _CHOOSE
    yield "best", 8 * rows * (len(plan.chunks) + 1), 2, _CHOOSE
    yield "keys", rows * 4 * kv_heads * m.head_dim, 2, _PROJECT | _ATTEND
    yield "v", rows * 4 * kv_heads * m.head_dim, 2, _PROJECT | _ATTEND
    yield "qq", rows * heads * plan.row_bytes(m.head_dim), 3, _PROJECT | _ATTEND
    yield "k", rows * 4 * heads * m.head_dim, 2, _PROJECT
    yield "rotated", "k", 2
    yield "q", rows * 4 * heads * m.head_dim, 2, _PROJECT
    yield "products", rows * 4 * heads * m.head_dim // 2, 3, _PROJECT
    yield "scores", 2 * heads * BLOCK * 4, 2, _ATTEND
    yield "probabilities_q", 2 * heads * plan.row_bytes(BLOCK), 3, _ATTEND
    yield "attention", rows * 4 * dim, 2, _ATTEND
    yield "block_attention", 2 * 4 * heads * m.head_dim, 3, _ATTEND
    yield "exponents", 4 * rows * heads, 2, _ATTEND
    yield "sums", 4 * rows * heads, 2, _ATTEND
    yield "rescale", 4 * 2 * heads, 2, _ATTEND
