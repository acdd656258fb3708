# SPDX-License-Identifier: Apache-2.0
"""One model on several chips, one behind the other: which layers and which tokens belong to which chip.

Each chip has a contiguous range of whole layers with their KV cache, and the first one the embedding. The classifier is
divided by tokens, unevenly: a chip with fewer or smaller layers has more of it, so that all read the same number of bytes
for a token as nearly as it comes out.
"""

from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heapreplace

from tepin_host.compiler.shard import Part, Shard, split
from tepin_host.errors import UserError
from tepin_host.layout import table_stride, useful_bytes

__all__ = ["Stage"]


@dataclass(frozen=True)
class Stage(Shard):
    """What chip `rank` of `chips` has of a model, if the chips are stages of a pipeline.

    Parameters
    ----------
    model, rank, chips, topology
        As of `Shard`; at least 2 chips, at most as many as the model has layers.
    weights : "int8" or "int4"
        Their format, by which layers and tokens are weighed against each other.
    columns : int
        Of the array: tokens of the classifier are dealt out by so many.
    """

    weights: str = "int8"
    columns: int = 1

    def __post_init__(self):
        super().__post_init__()
        if self.chips < 2:
            raise UserError("a pipeline has at least 2 stages; see --chips")
        if self.model.n_layers < self.chips:
            raise UserError(
                f"a model of {self.model.n_layers} layers cannot be divided into {self.chips} stages"
            )
        if -(-self.model.vocab_size // self.columns) < self.chips:
            raise UserError(
                f"a classifier of {self.model.vocab_size} tokens, dealt out by {self.columns}, "
                f"cannot be divided into {self.chips} stages"
            )

    def _own(self, total):
        return Part(0, total)

    @cached_property
    def layers(self):
        return split(self.model.n_layers, self.chips)[self.rank]

    @cached_property
    def tokens(self):
        return Part(self.token_starts[self.rank], self._token_counts[self.rank])

    @property
    def embedded(self):
        return Part(0, self.model.vocab_size if self.rank == 0 else 0)

    @cached_property
    def token_starts(self):
        return [sum(self._token_counts[:rank]) for rank in range(self.chips)]

    @cached_property
    def _token_counts(self):
        """Tokens of each chip: one tile after the other goes to the chip that has the least to read."""
        m = self.model
        kv = m.n_kv_heads * m.head_dim
        shapes = (
            [(m.dim, m.dim)] * 2 + [(m.dim, kv)] * 2 + [(m.dim, m.hidden_dim)] * 2 + [(m.hidden_dim, m.dim)]
        )
        layer = sum(useful_bytes(k, n, self.weights) for k, n in shapes)
        tile = useful_bytes(m.dim, self.columns, self.weights)
        loads = [(part.count * layer + tile, rank) for rank, part in enumerate(split(m.n_layers, self.chips))]
        heapify(loads)
        tiles = [1] * self.chips
        for _ in range(-(-m.vocab_size // self.columns) - self.chips):
            load, rank = loads[0]
            tiles[rank] += 1
            heapreplace(loads, (load + tile, rank))
        counts = [count * self.columns for count in tiles]
        counts[-1] -= sum(counts) - m.vocab_size
        return counts

    def slots(self, name):
        """Only candidates are gathered; of every other buffer each chip has all."""
        if name == "candidates":
            return super().slots(name)
        m = self.model
        size = {
            "embedding": table_stride(m.dim),
            "attention": 4 * m.n_heads * m.head_dim,
            "o": 4 * m.dim,
            "gate": 4 * m.hidden_dim,
        }[name]
        return [Part(0, size)] * self.chips
