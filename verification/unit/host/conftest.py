# SPDX-License-Identifier: Apache-2.0
"""Models for the host's tests: a random one of odd shape, and stories260K where it is at hand."""

import os
from pathlib import Path

import numpy as np
import pytest

from tepin_host.models import Layer, Model, ModelConfig, tensor_shapes
from tepin_testbench.options import generator

MODELS = Path(os.environ.get("TEPIN_MODELS", Path(__file__).parents[4] / "shared" / "models"))


def random_model(*, tied=True):
    """A model whose sizes are all different, with weights that float16 and bfloat16 hold exactly."""
    config = ModelConfig(
        dim=24,
        hidden_dim=20,
        n_layers=2,
        n_heads=6,
        n_kv_heads=3,
        vocab_size=11,
        max_seq_len=7,
        rope_theta=10000.0,
        norm_eps=1e-5,
        tied=tied,
    )
    rng = generator("random model")
    shapes = tensor_shapes(config)

    def tensor(name):
        return (rng.integers(-127, 128, shapes[name]) / 64).astype(np.float32)

    layer_names = [name for name in shapes if name not in ("embedding", "final_norm", "classifier")]
    embedding = tensor("embedding")
    return Model(
        name="random",
        config=config,
        embedding=embedding,
        layers=tuple(Layer(**{name: tensor(name) for name in layer_names}) for _ in range(config.n_layers)),
        final_norm=tensor("final_norm"),
        classifier=embedding if tied else tensor("classifier"),
    )


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def model(request):
    return random_model(tied=request.param)


@pytest.fixture
def stories():
    """Path of stories260K.bin, with its tokenizer beside it."""
    path = MODELS / "stories260K.bin"
    if not path.exists():
        pytest.skip(f"{path} is not there; TEPIN_MODELS names the folder")
    return path
