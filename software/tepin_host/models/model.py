# SPDX-License-Identifier: Apache-2.0
"""A Llama-style model in memory: hyperparameters and float32 tensors, valid by construction.

Rotary embedding is *interleaved* everywhere behind this point: the pair i of a head is its elements 2i and 2i + 1.
Readers of files with another order permute on the way in.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

__all__ = ["LAYER_TENSORS", "Layer", "Model", "ModelConfig", "tensor_shapes"]


# Largest accepted value of each hyperparameter. 131,071 is the longest exact sum of the chip's accumulators.
_LIMITS = {
    "dim": 131_071,
    "hidden_dim": 131_071,
    "n_layers": 1024,
    "n_heads": 1024,
    "n_kv_heads": 1024,
    "vocab_size": 1 << 20,
    "max_seq_len": 1 << 20,
}


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Hyperparameters of a Llama-style model.

    Members
    -------
    dim : int
        Width of the residual stream; a multiple of ``2 * n_heads``.
    hidden_dim : int
        Width of the feed-forward network.
    n_layers, n_heads, n_kv_heads : int
        ``n_kv_heads`` divides ``n_heads``; each key and value head serves ``n_heads / n_kv_heads`` query heads.
    vocab_size : int
        Number of tokens. Token 1 begins a text and token 2 ends it.
    max_seq_len : int
        Longest context, in tokens.
    rope_theta, norm_eps : float
        Base of the rotary embedding's frequencies; constant under the root of RMSNorm.
    tied : bool
        Whether the classifier is the embedding.

    Raises
    ------
    ValueError
        With every violation in one message.
    """

    dim: int
    hidden_dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    vocab_size: int
    max_seq_len: int
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    tied: bool = True

    def __post_init__(self):
        if problems := self._problems():
            raise ValueError("; ".join(problems))

    def _problems(self) -> list[str]:
        problems = []
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if not 1 <= value <= limit:
                problems.append(f"{name} is {value}, must be 1 to {limit}")
        for name in ("rope_theta", "norm_eps"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                problems.append(f"{name} is {value}, must be a positive number")
        if problems:
            return problems
        if self.vocab_size < 3:
            problems.append(f"vocab_size is {self.vocab_size}, must hold at least the three control tokens")
        if self.dim % self.n_heads:
            problems.append(f"dim {self.dim} is not divisible by n_heads {self.n_heads}")
        elif self.head_dim % 2:
            problems.append(f"head_dim {self.head_dim} (dim / n_heads) is odd, rotary embedding needs pairs")
        if self.n_heads % self.n_kv_heads:
            problems.append(f"n_heads {self.n_heads} is not divisible by n_kv_heads {self.n_kv_heads}")
        return problems

    @property
    def head_dim(self) -> int:
        """Elements of one head."""
        return self.dim // self.n_heads

    @property
    def kv_dim(self) -> int:
        """Elements of the keys (or values) of one token in one layer."""
        return self.n_kv_heads * self.head_dim


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """Tensors of one transformer block, float32. Matrices are [outputs, inputs]."""

    attention_norm: np.ndarray
    wq: np.ndarray
    wk: np.ndarray
    wv: np.ndarray
    wo: np.ndarray
    ffn_norm: np.ndarray
    w1: np.ndarray
    w2: np.ndarray
    w3: np.ndarray


LAYER_TENSORS = tuple(field.name for field in fields(Layer))


def tensor_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor by its name in `Model` and `Layer`; the classifier is listed even if it is tied."""
    dim, hidden, kv_dim = config.dim, config.hidden_dim, config.kv_dim
    return {
        "embedding": (config.vocab_size, dim),
        "attention_norm": (dim,),
        "wq": (dim, dim),
        "wk": (kv_dim, dim),
        "wv": (kv_dim, dim),
        "wo": (dim, dim),
        "ffn_norm": (dim,),
        "w1": (hidden, dim),
        "w2": (dim, hidden),
        "w3": (hidden, dim),
        "final_norm": (dim,),
        "classifier": (config.vocab_size, dim),
    }


@dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """A model: ``logits = classifier @ rms_norm(blocks(embedding[token]))``.

    Members
    -------
    name : str
        What to call it in reports.
    config : ModelConfig
    embedding : float32 [vocab_size, dim]
    layers : tuple of Layer
    final_norm : float32 [dim]
    classifier : float32 [vocab_size, dim]
        The very same array as ``embedding`` if ``config.tied``.

    Raises
    ------
    ValueError
        For a tensor of the wrong shape or type, or with a NaN or an infinity in it; the message names the tensor.
    """

    name: str
    config: ModelConfig
    embedding: np.ndarray
    layers: tuple[Layer, ...]
    final_norm: np.ndarray
    classifier: np.ndarray

    def __post_init__(self):
        if len(self.layers) != self.config.n_layers:
            raise ValueError(f"model has {len(self.layers)} layers, its config says {self.config.n_layers}")
        if self.config.tied and self.classifier is not self.embedding:
            raise ValueError("the classifier of a tied model must be its embedding")
        shapes = tensor_shapes(self.config)
        for name, array in self.tensors():
            expected = shapes[name.rpartition(".")[2]]
            if array.shape != expected:
                raise ValueError(f"tensor {name} has shape {list(array.shape)}, must be {list(expected)}")
            if array.dtype != np.float32:
                raise ValueError(f"tensor {name} is {array.dtype}, must be float32")
            if not np.isfinite(array).all():
                raise ValueError(f"tensor {name} contains NaN or infinite values")

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        """Every stored tensor with its name (``layers.3.wq``), each once."""
        yield "embedding", self.embedding
        for index, layer in enumerate(self.layers):
            for name in LAYER_TENSORS:
                yield f"layers.{index}.{name}", getattr(layer, name)
        yield "final_norm", self.final_norm
        if not self.config.tied:
            yield "classifier", self.classifier

    @property
    def parameter_count(self) -> int:
        """Number of parameters, a tied classifier counted once."""
        return sum(array.size for _, array in self.tensors())
