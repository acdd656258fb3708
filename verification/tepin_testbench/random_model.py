# SPDX-License-Identifier: Apache-2.0
"""Small random language models for tests of everything that a model passes through."""

from dataclasses import replace

import numpy as np

from tepin_host.models import LAYER_TENSORS, Layer, Model, ModelConfig, tensor_shapes

__all__ = ["random_model", "without_weights"]

# Standard deviation of a product of a normalised row with a matrix. Queries and keys above 1 make attention prefer some
# tokens, the classifier above 1 makes the model prefer some words.
_GAINS = {"wq": 1.25, "wk": 1.25, "classifier": 2.0}

_DEFAULTS = {
    "dim": 32,
    "hidden_dim": 48,
    "n_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 2,
    "vocab_size": 64,
    "max_seq_len": 160,
    "tied": False,
}


def random_model(seed, **overrides):
    """A random Llama, the same for the same arguments.

    Parameters
    ----------
    seed : int
    **overrides
        Members of `ModelConfig` other than dim 32, hidden_dim 48, n_layers 2, n_heads 4, n_kv_heads 2, vocab_size 64,
        max_seq_len 160, tied False.

    Returns
    -------
    Model
        Its weights are normal numbers scaled such that activations stay near 1 and logits spread over a few units: what
        it predicts depends on all of the text, and no part of the network is idle.
    """
    config = ModelConfig(**_DEFAULTS | overrides)
    rng = np.random.default_rng(seed)
    shapes = tensor_shapes(config)

    def tensor(name):
        shape = shapes[name]
        if len(shape) == 1:
            return rng.uniform(0.5, 1.5, shape).astype(np.float32)
        scale = 1.0 if name == "embedding" else _GAINS.get(name, 1.0) / np.sqrt(shape[1])
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    embedding = tensor("embedding")
    layers = tuple(Layer(**{name: tensor(name) for name in LAYER_TENSORS}) for _ in range(config.n_layers))
    return Model(
        name=f"random-{seed}",
        config=config,
        embedding=embedding,
        layers=layers,
        final_norm=tensor("final_norm"),
        classifier=embedding if config.tied else tensor("classifier"),
    )


def without_weights(model):
    """The same model with zeros for all matrices, but for the embedding."""

    def layer(old):
        return replace(old, **{name: np.zeros_like(w) for name, w in vars(old).items() if w.ndim == 2})

    return replace(model, layers=tuple(map(layer, model.layers)), classifier=np.zeros_like(model.classifier))
