# SPDX-License-Identifier: Apache-2.0
"""One model on several chips: which output channels, heads and tokens belong to which chip.

Every matrix is divided by output channels, attention by KV heads (with their query heads), the vocabulary by tokens. Each
chip has a contiguous part; where it does not come out even, the first chips have one more. A chip may be without heads,
if there are more chips than heads, but has at least one channel of everything else.

What the chips then lack of a row they gather (`SLOTS`): in float32, before norms and maxima, which are computed of the whole
row everywhere. So nothing that is computed depends on the number of chips.
"""

from dataclasses import dataclass
from functools import cached_property

from tepin_host.errors import UserError
from tepin_host.layout import table_stride
from tepin_host.models import ModelConfig
from tepin_reference.network import Network

__all__ = ["SLOTS", "Part", "Shard", "split"]

SLOTS = ("embedding", "attention", "o", "gate", "candidates")
"""Buffers of the scratchpad that the chips gather, a slot from each."""

MOST_CHIPS = 8


@dataclass(frozen=True)
class Part:
    """Some consecutive items of a whole."""

    start: int
    count: int

    @property
    def end(self):
        return self.start + self.count

    def scaled(self, factor):
        """The same part if every item consists of so many."""
        return Part(self.start * factor, self.count * factor)

    @property
    def slice(self):
        return slice(self.start, self.end)


def split(total, chips):
    """Parts of `total` items, one for each chip, that differ by at most one item."""
    least, more = divmod(total, chips)
    return [Part(rank * least + min(rank, more), least + (rank < more)) for rank in range(chips)]


@dataclass(frozen=True)
class Shard:
    """What chip `rank` of `chips` has of a model.

    Parameters
    ----------
    model : ModelConfig
    rank, chips : int
    topology : str
        How the chips are wired, see `tepin_reference.network`. Of no meaning if there is only one.
    """

    model: ModelConfig
    rank: int = 0
    chips: int = 1
    topology: str = "ring"

    def __post_init__(self):
        if not 1 <= self.chips <= MOST_CHIPS:
            raise UserError(f"a model runs on 1 to {MOST_CHIPS} chips, not {self.chips}")
        for name, count in (
            ("channels", self.model.dim),
            ("hidden channels", self.model.hidden_dim),
            ("tokens", self.model.vocab_size),
        ):
            if count < self.chips:
                raise UserError(f"a model with {count} {name} cannot be divided among {self.chips} chips")

    @property
    def network(self):
        return Network(self.chips, self.topology)

    def _own(self, total):
        return split(total, self.chips)[self.rank]

    @property
    def layers(self):
        return Part(0, self.model.n_layers)

    @cached_property
    def kv_heads(self):
        return self._own(self.model.n_kv_heads)

    @cached_property
    def heads(self):
        return self.kv_heads.scaled(self.model.n_heads // self.model.n_kv_heads)

    @cached_property
    def channels(self):
        """Output channels of wo and w2."""
        return self._own(self.model.dim)

    @cached_property
    def hidden(self):
        return self._own(self.model.hidden_dim)

    @cached_property
    def tokens(self):
        """Rows of the classifier."""
        return self._own(self.model.vocab_size)

    @property
    def embedded(self):
        """Rows of the embedding."""
        return self.tokens

    @cached_property
    def token_starts(self):
        """First token of each chip."""
        return [part.start for part in split(self.model.vocab_size, self.chips)]

    def slots(self, name):
        """Each chip's slot of a gathered buffer, in bytes."""
        m = self.model
        if name in ("embedding", "candidates"):
            size = table_stride(m.dim) if name == "embedding" else 8
            return [Part(rank * size, size) for rank in range(self.chips)]
        total, size = {
            "attention": (m.n_kv_heads, 4 * m.head_dim * (m.n_heads // m.n_kv_heads)),
            "o": (m.dim, 4),
            "gate": (m.hidden_dim, 4),
        }[name]
        return [part.scaled(size) for part in split(total, self.chips)]
