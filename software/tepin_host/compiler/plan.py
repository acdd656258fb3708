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

On several chips each has a plan of its own, for its part of the model (`shard.py`).
"""

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tepin.config import ChipConfig
from tepin.isa import ActivationType, DataType
from tepin_host.compiler.allocate import MemoryMap, ScratchpadMap
from tepin_host.compiler.shard import Shard
from tepin_host.errors import UserError
from tepin_host.layout import stream_size, table_stride, useful_bytes, weight_type
from tepin_host.models import ModelConfig

__all__ = ["BLOCK", "CONSTANTS", "MATRICES", "REQUEST_HEADER", "Plan"]

BLOCK = 64
"""Tokens of a KV page; attention goes on in blocks of this many."""

MATRICES = ("wk", "wv", "wq", "wo", "w1", "w3", "w2")
"""Matrices of a layer in the order in which the program consumes them."""

REQUEST_HEADER = ("prompt_length", "positions", "seed", "inverse_temperature", "stop0", "stop1", "start")
"""32-bit words at the start of the request region; the prompt's tokens follow at byte 64."""

PROMPT_OFFSET = 64

CONSTANTS = ("zero", "one", "log2e", "activation_step", "query_step", "cache_step", "inverse_dim", "epsilon")
"""float32 words at the start of the constants region."""


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
    """

    model: ModelConfig
    config: ChipConfig
    weights: str = "int8"
    activations: str = "int16"
    chunk: int = 4096
    rank: int = 0
    chips: int = 1
    topology: str = "ring"

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
        return Shard(self.model, self.rank, self.chips, self.topology)

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
        own = self.shard.tokens
        return [(start, min(self.chunk, own.end - start)) for start in range(own.start, own.end, self.chunk)]

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
        return self.cache_layer_bytes * self.model.n_layers

    # Addresses

    @cached_property
    def memory(self):
        """The memory map."""
        m = self.model
        memory = MemoryMap(max(64, self.config.fifo_word_bytes))
        memory.add("request", PROMPT_OFFSET + 4 * m.max_seq_len)
        memory.add("constants", self.constants_bytes)
        memory.add("rotary", m.max_seq_len * m.head_dim * 4)
        memory.add("embedding", self.shard.tokens.count * table_stride(m.dim))
        memory.add("norms", m.n_layers * 2 * m.dim * 4)
        memory.add("weights", m.n_layers * self.offsets["end"] + self.classifier_bytes)
        memory.add("cache", -(-m.max_seq_len // BLOCK) * self.cache_block_bytes)
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
        m, config = self.model, self.config
        pad = ScratchpadMap(config.scratchpad_bytes, config.scratchpad_banks)
        heads, kv_heads, dim, hidden = self.heads, self.kv_heads, m.dim, self.hidden
        sizes = {
            # name: (bytes, preferred bank); pages apart from each other, first operands apart from second ones
            "key_pages": (kv_heads * self.key_page_bytes, 0),
            "value_pages": (kv_heads * self.value_page_bytes, 1),
            "value_scales": (kv_heads * BLOCK * 4, 1),
            "block_value_scales": (kv_heads * BLOCK * 4, 1),
            "scores": (heads * BLOCK * 4, 2),
            "probabilities": (heads * BLOCK * 4, 3),
            "probabilities_q": (heads * self.row_bytes(BLOCK), 3),
            "x": (4 * dim, 2),
            "norms": (2 * 2 * dim * 4, 3),
            "u": (4 * dim, 2),
            "xq": (self.row_bytes(max(dim, m.hidden_dim)), 3),
            "embedding": (self.chips * table_stride(dim), 3),
            "rotary": (4 * m.head_dim, 3),
            "k": (4 * kv_heads * m.head_dim, 2),
            "v": (4 * kv_heads * m.head_dim, 2),
            "q": (4 * heads * m.head_dim, 2),
            "rotated": (4 * heads * m.head_dim, 2),
            "products": (4 * heads * m.head_dim // 2, 3),
            "qq": (heads * self.row_bytes(m.head_dim), 3),
            "attention": (4 * dim, 2),
            "block_attention": (4 * heads * m.head_dim, 3),
            "o": (4 * dim, 3),
            "gate": (4 * m.hidden_dim, 2),
            "up": (4 * hidden, 3),
            "sigmoid": (4 * hidden, 3),
            "logits": (4 * max(tokens for _, tokens in self.chunks), 2),
            "noise": (4 * max(tokens for _, tokens in self.chunks), 3),
            "constants": (self.constants_bytes, 3),
            "request": (PROMPT_OFFSET, 0),
            "words": (64, 0),
            "best": (8 * len(self.chunks) + 8, 2),
        }
        for name in (
            "maxima",
            "sums",
            "block_sums",
            "exponents",
            "block_exponents",
            "rescale",
            "steps",
            "inverse",
        ):
            sizes[name] = (4 * heads, 2)
        # A row's maximum and scale are there without heads, too.
        sizes |= {name: (max(4, sizes[name][0]), 2) for name in ("maxima", "steps", "inverse")}
        sizes |= {"scale": (max(4, 4 * heads), 2), "scalars": (32, 2)}
        if self.chips > 1:
            sizes |= {"candidates": (8 * self.chips, 2)}
        for name, (size, bank) in sizes.items():
            pad.add(name, size, bank)
        return {name: region.address for name, region in pad.buffers.items()}

    def own(self, name):
        """Scratchpad address of the chip's slot of a buffer that is gathered; of the buffer itself, if there is one chip."""
        return self.scratchpad[name] + self.shard.slots(name)[self.rank].start

    # What one token must move

    def useful_bytes(self, position):
        """Bytes that the chip must move for the token at `position`: unpadded tensors, keys and values read and written."""
        m = self.model
        matrices = m.n_layers * sum(useful_bytes(k, n, self.weights) for n, k in self.shapes.values() if n)
        classifier = useful_bytes(m.dim, self.shard.tokens.count, self.weights)
        norms = m.n_layers * 2 * m.dim * 4
        embedding = m.dim + 4
        per_token = m.n_layers * self.kv_heads * 2 * (m.head_dim + 4)
        return matrices + classifier + norms + embedding + per_token * (position + 1)

    def multiplications(self, position):
        """The chip's multiply-accumulates of decoding the token at `position`, on the array."""
        m = self.model
        weights = m.n_layers * sum(n * k for n, k in self.shapes.values()) + self.shard.tokens.count * m.dim
        return weights + m.n_layers * self.heads * 2 * m.head_dim * (position + 1)

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
