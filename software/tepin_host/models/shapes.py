# SPDX-License-Identifier: Apache-2.0
"""Models of a given shape that nobody has trained, for figures that do not depend on weights."""

import numpy as np

from tepin_host.models.model import LAYER_TENSORS, Layer, Model, ModelConfig, tensor_shapes

__all__ = ["STORIES_15M", "STORIES_260K", "random_model"]

STORIES_15M = {
    "dim": 288,
    "hidden_dim": 768,
    "n_layers": 6,
    "n_heads": 6,
    "n_kv_heads": 6,
    "vocab_size": 32000,
    "max_seq_len": 256,
}
"""The shape of stories15M."""

STORIES_260K = {
    "dim": 64,
    "hidden_dim": 172,
    "n_layers": 5,
    "n_heads": 8,
    "n_kv_heads": 4,
    "vocab_size": 512,
    "max_seq_len": 512,
}
"""The shape of stories260K."""


def random_model(name, shape, *, seed=1):
    """A `Model` of this shape (keywords of `ModelConfig`) with normally distributed weights."""
    config = ModelConfig(**shape)
    rng, shapes = np.random.default_rng(seed), tensor_shapes(config)

    def tensor(tensor_name):
        size = shapes[tensor_name]
        return (rng.standard_normal(size, np.float32) / np.float32(np.sqrt(size[-1]))).astype(np.float32)

    embedding = tensor("embedding")
    return Model(
        name=name,
        config=config,
        embedding=embedding,
        layers=tuple(
            Layer(**{entry: tensor(entry) for entry in LAYER_TENSORS}) for _ in range(config.n_layers)
        ),
        final_norm=tensor("final_norm"),
        classifier=embedding,
    )
