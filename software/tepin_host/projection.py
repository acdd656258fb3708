# SPDX-License-Identifier: Apache-2.0
"""How fast models would decode that are too large to compile here, on up to thousands of chips: arithmetic, no simulation.

`tepin_host.estimate` follows every command of a compiled program. This does not: it adds up the bytes that the busiest
chip of a group reads, the words that it gets from the others, and what its vector unit does in between, one after the
other, as if nothing of it were done at the same time. No constant is fitted to a result; what a machine can do is a
parameter.
"""

from dataclasses import dataclass
from math import ceil, log

from tepin.isa import WeightType
from tepin_reference.weights import stream_bytes

__all__ = ["SHAPES", "Machine", "Projection", "Shape", "project"]

_START = 35  # cycles of a vector command besides its elements: docs/vector.md
_EXCHANGE = 20  # of a message besides its words, _NEXT of one behind another, _FORWARD until a word is sent on: docs/chips.md
_NEXT = 3
_FORWARD = 8
_BYTES = 8  # of a word on a link


@dataclass(frozen=True)
class Shape:
    """A decoder.

    Members
    -------
    hidden : int
        Of the MLP, or of each expert.
    experts, active : int
        How many there are in a layer, and how many a token takes; 1 and 1 without experts.
    window : int
        Tokens that every second layer looks back, 0 if all look back to the beginning.
    """

    layers: int
    dim: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocab: int
    experts: int = 1
    active: int = 1
    window: int = 0
    tied: bool = False

    @property
    def parameters(self):
        """How many weights there are, without norms and biases."""
        return self._weights(self.experts) + (0 if self.tied else self.vocab * self.dim)

    @property
    def active_parameters(self):
        """How many of them a token takes; of the embedding that is one row."""
        return self._weights(self.active)

    def _weights(self, experts):
        attention = self.dim * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        mlp = 3 * self.dim * self.hidden * experts + (self.dim * self.experts if self.experts > 1 else 0)
        return self.layers * (attention + mlp) + self.vocab * self.dim


SHAPES = {
    "gpt-oss-120b": Shape(
        layers=36, dim=2880, heads=64, kv_heads=8, head_dim=64, hidden=2880, vocab=201088,
        experts=128, active=4, window=128,
    ),
    "Llama-3.1-70B": Shape(
        layers=80, dim=8192, heads=64, kv_heads=8, head_dim=128, hidden=28672, vocab=128256,
    ),
}  # fmt: skip
"""As published with the models."""


@dataclass(frozen=True)
class Machine:
    """What chips, memories, links and switches do.

    Members
    -------
    clock : float
        In hertz, of everything.
    port_bytes : int
        That each chip's memory brings per cycle.
    columns, lanes : int
        Of the array, which keeps up with the memory, and of the vector unit.
    link_latency : int
        Cycles from chip to chip or from chip to switch; a link carries a word of 8 bytes per cycle.
    switch_latency, switch_ports : int
        Cycles in a switch, and how many links it has. More chips need several in a row.
    ring : int
        Groups of so many chips or less are rings, larger ones have switches.
    """

    clock: float = 1e9
    port_bytes: int = 64
    columns: int = 64
    lanes: int = 64
    link_latency: int = 20
    switch_latency: int = 4
    switch_ports: int = 16
    ring: int = 8

    def gather(self, floats, chips):
        """Cycles until every chip of a group has a row of which each has computed a part."""
        if chips == 1:
            return 0
        slot = ceil(floats / chips) * 4 / _BYTES
        if chips <= self.ring:
            step = max(slot, self.link_latency + _FORWARD)
            return _EXCHANGE + slot + self.link_latency + (chips - 2) * step
        switches = ceil(log(chips, self.switch_ports) - 1e-9)
        way = (switches + 1) * self.link_latency + switches * self.switch_latency
        return _EXCHANGE + way + (chips - 1) * (slot + _NEXT)

    def vector(self, passes):
        """Cycles of vector commands, each over so many elements."""
        return sum(_START + ceil(elements / self.lanes) for elements in passes)


@dataclass(frozen=True)
class Projection:
    """A token of one sequence, on `stages` groups of `group` chips that have the layers one after the other.

    Members
    -------
    memory, links, vector : float
        Cycles of a token, of all stages together.
    stage : float
        Cycles of the slowest stage: with a sequence in each stage, a token leaves in this time.
    chip_bytes : float
        Weights in the memory of the chip that has most.
    """

    group: int
    stages: int
    memory: float
    links: float
    vector: float
    stage: float
    chip_bytes: float

    @property
    def cycles(self):
        """Of a token of one sequence."""
        return self.memory + self.links + self.vector


def project(shape, machine, *, group, stages=1, context=4096, weights="int4"):
    """Project decoding at a position `context`.

    Raises
    ------
    ValueError
        If there are more stages than layers, or more chips in a group than a layer has channels.
    """
    if not 1 <= stages <= shape.layers:
        raise ValueError(f"stages must be 1 to {shape.layers}, not {stages}")
    if not 1 <= group <= min(shape.dim, shape.hidden):
        raise ValueError(f"group must be 1 to {min(shape.dim, shape.hidden)}, not {group}")
    one = _Layers(shape, machine, group, context, weights)
    memory = sum(one.memory) + one.classifier
    # Each chip of a stage hands on its part of the row, and the next stage gathers it.
    hop = _EXCHANGE + machine.link_latency + ceil(shape.dim / group) * 4 / _BYTES
    hop = hop + machine.gather(shape.dim, group) if stages > 1 else 0
    links = shape.layers * one.links + one.choice + (stages - 1) * hop
    # The last stage has the classifier, and fewer layers for it.
    ends = one.classifier + one.choice
    splits = [(ceil((shape.layers - last) / max(stages - 1, 1)), last) for last in range(shape.layers + 1)]
    if stages == 1:
        splits = [(0, shape.layers)]
    stage, layers = min(
        (max(first * one.layer + hop, last * one.layer + ends), max(first, last)) for first, last in splits
    )
    return Projection(
        group=group,
        stages=stages,
        memory=memory,
        links=links,
        vector=shape.layers * one.vector,
        stage=stage if stages > 1 else memory + links + shape.layers * one.vector,
        chip_bytes=layers * one.stored + one.ends_stored,
    )


class _Layers:
    """Layers on the chip of a group that has most of them, in cycles and bytes."""

    def __init__(self, shape, machine, group, context, weights):
        kind = WeightType.INT8 if weights == "int8" else WeightType.INT4

        def matrix(k, n):
            return stream_bytes(k, n, machine.columns, kind, True)

        s, share = shape, lambda count: ceil(count / group)
        kv_heads = share(s.kv_heads)
        heads = kv_heads * s.heads // s.kv_heads
        attention = matrix(s.dim, (heads + 2 * kv_heads) * s.head_dim) + matrix(
            s.heads * s.head_dim, share(s.dim)
        )
        expert = matrix(s.dim, 2 * share(s.hidden)) + matrix(s.hidden, share(s.dim))
        router = matrix(s.dim, share(s.experts)) if s.experts > 1 else 0
        contexts = [context, min(context, s.window)] if s.window else [context]
        # Keys and values are int8, with a float32 scale for each token and head.
        caches = [2 * kv_heads * length * (s.head_dim + 4) for length in contexts]
        rest = attention + router + s.active * expert
        self.memory = [(rest + caches[layer % len(caches)]) / machine.port_bytes for layer in range(s.layers)]
        self.stored = attention + router + s.experts * expert
        classifier = matrix(s.dim, share(s.vocab))
        self.classifier = classifier / machine.port_bytes
        self.ends_stored = classifier + (0 if s.tied else share(s.vocab) * s.dim)
        rows = [s.heads * s.head_dim, s.dim, s.active * s.hidden, s.dim] + [s.experts] * (s.experts > 1)
        self.links = sum(machine.gather(row, group) for row in rows)
        self.choice = machine.gather(2 * group, group)  # the best token of each chip, and its value
        mine = s.active * share(s.hidden)
        self.vector = machine.vector(
            [s.dim] * 4  # two norms: the sum of squares, the product
            + [
                row for row in (s.dim, s.heads * s.head_dim, s.dim, s.active * s.hidden) for _ in range(2)
            ]  # quantised
            + [s.dim] * 2  # added to the stream
            + [(heads + kv_heads) * s.head_dim] * 3  # rotated
            + [heads * context] * 3  # softmax
            + [mine] * 3  # SiLU and product
            + [s.experts] * (s.active if s.experts > 1 else 0)
        )
        self.layer = max(self.memory) + self.links + self.vector
