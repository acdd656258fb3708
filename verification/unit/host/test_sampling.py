# SPDX-License-Identifier: Apache-2.0
"""Sampling on the chip: the Gumbel-max trick with counter-based noise."""

from dataclasses import replace

import numpy as np
import pytest

from tepin_host.compiler import Request, compile_model
from tepin_host.models import Model
from tepin_reference import random
from tepin_reference.kernels import softmax
from tepin_testbench.options import seed
from tepin_testbench.random_model import random_model
from verification.unit.host.generation import TINY, generate


@pytest.fixture(scope="module")
def executable():
    return compile_model(random_model(seed(), n_layers=1), TINY)


def text(executable, *, tokens=12, **arguments):
    return generate(executable, Request([5, 9], tokens, stop=(), **arguments)).tokens


def test_text_depends_on_the_seed_alone(executable):
    texts = [text(executable, seed=number, temperature=1.0) for number in range(5)]
    assert len({tuple(tokens) for tokens in texts}) == 5
    assert text(executable, seed=3, temperature=1.0) == texts[3]
    # 32 bits of the seed count, the highest as well.
    assert text(executable, seed=3 + 2**32, temperature=1.0) == texts[3]
    assert text(executable, seed=3 + 2**31, temperature=1.0) != texts[3]


def test_zero_temperature_ignores_the_seed(executable):
    assert text(executable, seed=1) == text(executable, seed=2)


def test_low_temperature_is_greedy(executable):
    assert text(executable, seed=1, temperature=1e-4) == text(executable)


def test_high_temperature_ignores_the_logits(executable):
    """As far as float32 holds a trace of the noise only, the token is the one with the largest noise."""
    tokens = text(executable, seed=9, temperature=1e9)
    count = np.arange(64, dtype=np.uint32)
    expected = [
        int(np.argmax(random.uniform(np.uint32(9), np.uint32(2 + i), count))) for i in range(len(tokens))
    ]
    assert tokens == expected


def same_everywhere() -> Model:
    """A model of 8 words that predicts the same distribution everywhere: all embeddings are one."""
    model = random_model(
        seed(), n_layers=1, dim=8, hidden_dim=8, n_heads=1, n_kv_heads=1, vocab_size=8, max_seq_len=512
    )
    return replace(model, embedding=np.tile(model.embedding[:1], (8, 1)), classifier=model.classifier / 4)


@pytest.mark.parametrize("temperature", [0.8, 2.0])
def test_frequencies_are_those_of_the_softmax(temperature):
    """Chi-squared with 7 degrees of freedom: a right sampler exceeds 35.3 for one seed in a hundred thousand."""
    count = 200
    executable = compile_model(same_everywhere(), TINY)
    result = generate(executable, Request([3], count, seed=seed(), temperature=temperature, stop=()))
    np.testing.assert_allclose(result.logits, np.broadcast_to(result.logits[0], (count, 8)), atol=1e-3)
    expected = count * softmax(result.logits[0].astype(np.float64) / temperature)
    observed = np.bincount(result.tokens, minlength=8)
    chi_squared = ((observed - expected) ** 2 / expected).sum()
    assert chi_squared < 35.3, (observed, expected.round(1))
