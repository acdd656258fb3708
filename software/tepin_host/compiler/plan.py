# SPDX-License-Identifier: Apache-2.0
"""Where everything of a model lies: tensors and KV pages in external memory, working buffers in the scratchpad.

External memory, from address 0 (exact addresses: `tepin compile` writes them to map.json):

    request     what the host asks for: prompt, number of tokens, seed, temperature
    constants   scalar constants, then the final norm's weights
    rotary      per position: cosines, then sines, of half a head
    embedding   per token: int8 row, float32 scale
    norms       per layer: attention norm, feed-forward norm
    weights     per layer: wk wv wq wo w1 w3 w2, then the classifier in chunks
    cache       per block of 64 tokens, per layer: key pages, value pages, value scales of all KV heads

A key page is the weight stream of a [head_dim][64] matrix, so inserting a token changes one column; a value page is that of
a [64][head_dim] matrix without scales, so inserting a token changes one row.

On several chips each has a plan of its own, for its part of the model (`shard.py`, `stage.py`).

With several slots (`batch.py`, `pipeline.py`), there is a cache for each of them, and the requests lie behind them:

    cache       per slot, each as above
    requests    number of lines; then for each its request, one behind the other, as far as memory goes
"""

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tepin.config import ChipConfig
from tepin.isa import ActivationType, DataType
from tepin_host.compiler.allocate import MemoryMap
from tepin_host.compiler.buffers import batch_buffers, place, single_buffers
from tepin_host.compiler.conventions import BLOCK, CONSTANTS, PROMPT_OFFSET
from tepin_host.compiler.shard import Shard
from tepin_host.compiler.stage import Stage
from tepin_host.errors import UserError
from tepin_host.layout import stream_size, table_stride, useful_bytes, weight_type
from tepin_host.models import ModelConfig

__all__ = ["MATRICES", "Plan"]

MATRICES = ("wk", "wv", "wq", "wo", "w1", "w3", "w2")
"""Matrices of a layer in the order in which the program consumes them."""


@dataclass(frozen=True)
class Plan:
    """Sizes and addresses of one model on one configuration.

    Parameters
    ----------
    model : ModelConfig
    config : ChipConfig
    weights : "int8" or "int4"
    activations : "int16" or "int8"
    chunk : int
        Most logits that are in the scratchpad at a time; a larger vocabulary goes through it chunk by chunk.
    rank, chips, topology : int, int, str
        Which chip of how many this is for, and how they are wired, as of `Shard`.
    rows : int
        Tokens that pass through the network at once; with more than one, it is the plan of a batch.
    parallel : "tensor" or "pipeline"
        Whether several chips have a part of every layer (`Shard`), or some layers each (`Stage`).
    """

    model: ModelConfig
    config: ChipConfig
    weights: str = "int8"
    activations: str = "int16"
    chunk: int = 4096
    rank: int = 0
    chips: int = 1
    topology: str = "ring"
    rows: int = 1
    parallel: str = "tensor"

    def __post_init__(self):
        if self.chunk < 1:
            raise ValueError(f"chunk must be at least 1, not {self.chunk}")
        if BLOCK % self.config.columns:
            raise UserError(f"columns must divide {BLOCK} to hold key pages, {self.config.columns} does not")
        if self.model.n_layers > 255:
            raise UserError(f"models of up to 255 layers are supported, not {self.model.n_layers}")
        if self.group > self.config.accumulator_rows:
            raise UserError(
                f"{self.group} query heads share a KV head, but this configuration multiplies at most "
                f"accumulator_rows={self.config.accumulator_rows} rows at a time"
            )
        if not 1 <= self.rows <= self.config.accumulator_rows:
            raise UserError(
                f"this configuration multiplies 1 to accumulator_rows={self.config.accumulator_rows} rows at a time, "
                f"not {self.rows}"
            )
        if self.rows > 1 and self.chips > 1:
            raise UserError("a batch runs on one chip; several chips have one row each")
        if self.parallel not in ("tensor", "pipeline"):
            raise ValueError(f"parallel must be tensor or pipeline, not {self.parallel!r}")
        if self.chips > 1 and self.shard.network.links > self.config.links:
            raise UserError(
                f"{self.chips} chips that are wired as {self.topology} need links={self.shard.network.links}, "
                f"this configuration has links={self.config.links}"
            )
        _ = self.memory, self.scratchpad

    # Shapes

    @cached_property
    def shard(self):
        """The chip's part of the model."""
        if self.parallel == "pipeline":
            return Stage(self.model, self.rank, self.chips, self.topology, self.weights, self.config.columns)
        return Shard(self.model, self.rank, self.chips, self.topology)

    @property
    def gathers(self):
        """Whether chips gather rows of which each has computed a part."""
        return self.chips > 1 and self.parallel == "tensor"

    @property
    def slots(self):
        """Texts that the program works on at a time."""
        return self.chips + 1 if self.parallel == "pipeline" else self.rows

    @property
    def layers(self):
        """Number of the chip's layers."""
        return self.shard.layers.count

    @property
    def heads(self):
        """The chip's query heads."""
        return self.shard.heads.count

    @property
    def kv_heads(self):
        """The chip's KV heads."""
        return self.shard.kv_heads.count

    @property
    def hidden(self):
        """The chip's hidden channels."""
        return self.shard.hidden.count

    @property
    def group(self):
        """Query heads per KV head."""
        return self.model.n_heads // self.model.n_kv_heads

    @property
    def weight_type(self):
        return weight_type(self.weights)

    @property
    def activation_type(self):
        return ActivationType[self.activations.upper()]

    @property
    def activation_data_type(self):
        return DataType[self.activations.upper()]

    @property
    def activation_bytes(self):
        return 2 if self.activations == "int16" else 1

    @property
    def activation_limit(self):
        return 32639 if self.activations == "int16" else 127

    def row_bytes(self, elements):
        """Bytes of a row of quantised activations, a multiple of 4."""
        return -(-elements * self.activation_bytes // 4) * 4

    @cached_property
    def shapes(self):
        """(N, K) of the chip's part of every matrix."""
        m, channels = self.model, self.shard.channels.count
        return {
            "wk": (self.kv_heads * m.head_dim, m.dim),
            "wv": (self.kv_heads * m.head_dim, m.dim),
            "wq": (self.heads * m.head_dim, m.dim),
            "wo": (channels, m.dim),
            "w1": (self.hidden, m.dim),
            "w3": (self.hidden, m.dim),
            "w2": (channels, m.hidden_dim),
        }

    def matrix_bytes(self, n, k):
        """Bytes of a matrix in memory, padded to the weight FIFO word."""
        c = self.config
        if n == 0:  # the projections of a chip without heads
            return 0
        return stream_size(k, n, c.columns, self.weights, align=c.fifo_word_bytes)

    @cached_property
    def offsets(self):
        """Offset of each matrix within a layer's weights; "end" is the size of a layer."""
        offsets, at = {}, 0
        for name in MATRICES:
            offsets[name] = at
            at += self.matrix_bytes(*self.shapes[name])
        return offsets | {"end": at}

    @cached_property
    def chunks(self):
        """The chip's chunks of the classifier as (first token id, tokens)."""
        own, most = self.shard.tokens, max(1, self.chunk // self.rows)
        return [(start, min(most, own.end - start)) for start in range(own.start, own.end, most)]

    @property
    def classifier_bytes(self):
        return sum(self.matrix_bytes(tokens, self.model.dim) for _, tokens in self.chunks)

    # KV pages

    @property
    def head_tiles(self):
        """Widths of the column tiles of a value page."""
        c, hd = self.config.columns, self.model.head_dim
        return [min(c, hd - start) for start in range(0, hd, c)]

    @property
    def key_tile_bytes(self):
        """One column tile of a key page: codes and scales of C tokens."""
        return self.config.columns * (self.model.head_dim + 4)

    @property
    def key_page_bytes(self):
        return BLOCK // self.config.columns * self.key_tile_bytes

    @property
    def value_page_bytes(self):
        word = self.config.fifo_word_bytes
        return -(-BLOCK * self.model.head_dim // word) * word

    @property
    def value_offset(self):
        """Offset of the value pages within a (block, layer)."""
        return self.kv_heads * self.key_page_bytes

    @property
    def pages_bytes(self):
        """Key and value pages of a (block, layer): what streams through the weight FIFO."""
        return self.kv_heads * (self.key_page_bytes + self.value_page_bytes)

    @property
    def cache_layer_bytes(self):
        return self.pages_bytes + self.kv_heads * BLOCK * 4

    @property
    def cache_block_bytes(self):
        return self.cache_layer_bytes * self.layers

    @property
    def slot_bytes(self):
        """All blocks of one text."""
        return -(-self.model.max_seq_len // BLOCK) * self.cache_block_bytes

    # Addresses

    @cached_property
    def memory(self):
        """The memory map."""
        m = self.model
        memory = MemoryMap(max(64, self.config.fifo_word_bytes))
        if self.slots == 1:
            memory.add("request", PROMPT_OFFSET + 4 * m.max_seq_len)
        memory.add("constants", self.constants_bytes)
        memory.add("rotary", m.max_seq_len * m.head_dim * 4)
        memory.add("embedding", self.shard.embedded.count * table_stride(m.dim))
        memory.add("norms", self.layers * 2 * m.dim * 4)
        memory.add("weights", self.layers * self.offsets["end"] + self.classifier_bytes)
        memory.add("cache", self.slots * self.slot_bytes)
        if self.slots > 1:
            memory.add("requests", PROMPT_OFFSET)
        if memory.size > 1 << 32:
            raise UserError(
                f"the model needs {memory.size:,} bytes of memory; the chip addresses 4,294,967,296"
            )
        return memory.regions

    @property
    def image_bytes(self):
        """Bytes of the memory image: everything but the cache."""
        return self.memory["cache"].address

    @property
    def constants_bytes(self):
        return 4 * (len(CONSTANTS) + len(self.chunks) + self.model.dim)

    @cached_property
    def scratchpad(self):
        """Addresses of the working buffers in the scratchpad, by name."""
        buffers = single_buffers(self) if self.rows == 1 else batch_buffers(self)
        return place(buffers, self.config)

    def own(self, name):
        """Scratchpad address of the chip's slot of a buffer that is gathered; of the buffer itself, if there is one chip."""
        return self.scratchpad[name] + self.shard.slots(name)[self.rank].start

    # What one token must move

    def useful_bytes(self, position):
        """Bytes that the chip must move for the token at `position`: unpadded tensors, keys and values read and written."""
        m = self.model
        embedding = m.dim + 4 if self.shard.embedded.count else 0
        per_token = self.layers * self.kv_heads * 2 * (m.head_dim + 4)
        return self.shared_bytes + embedding + per_token * (position + 1)

    @property
    def shared_bytes(self):
        """Of these, what serves all rows of a step: matrices and norms."""
        m = self.model
        matrices = self.layers * sum(useful_bytes(k, n, self.weights) for n, k in self.shapes.values() if n)
        return (
            matrices
            + useful_bytes(m.dim, self.shard.tokens.count, self.weights)
            + self.layers * 2 * m.dim * 4
        )

    def multiplications(self, position):
        """The chip's multiply-accumulates of decoding the token at `position`, on the array."""
        m = self.model
        weights = self.layers * sum(n * k for n, k in self.shapes.values()) + self.shard.tokens.count * m.dim
        return weights + self.layers * self.heads * 2 * m.head_dim * (position + 1)

    def constant_words(self):
        """The constants region's scalars as float32 (or raw integer) bytes."""
        m = self.model
        step = np.float32(1 / self.activation_limit)
        values = {
            "zero": 0.0,
            "one": 1.0,
            "log2e": np.float32(np.log2(np.e)),
            "activation_step": step,
            "query_step": np.float32(1 / (self.activation_limit * np.sqrt(m.head_dim))),
            "cache_step": np.float32(1 / 127),
            "inverse_dim": np.float32(1 / m.dim),
            "epsilon": np.float32(m.norm_eps),
        }
        words = struct.pack(f"<{len(CONSTANTS)}f", *(values[name] for name in CONSTANTS))
        return words + struct.pack(f"<{len(self.chunks)}I", *(start for start, _ in self.chunks))
