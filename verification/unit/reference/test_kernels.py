# SPDX-License-Identifier: Apache-2.0
"""The float64 kernels against independent sums, identities and a published model's text."""

import itertools
import math
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tepin_host.models import load_model
from tepin_host.tokenizer import Tokenizer
from tepin_reference import kernels
from tepin_reference.kernels import Llama
from tepin_testbench.options import generator

MODELS = Path(os.environ.get("TEPIN_MODELS", Path(__file__).parents[4] / "shared" / "models"))

STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
    "big, red ball. She wanted to play with it, but it was too high."
)


@pytest.fixture
def rng(request):
    return generator(request.node.name)


def test_matmul(rng):
    x, weights = rng.standard_normal((2, 5)), rng.standard_normal((3, 5))
    expected = [[math.fsum(x[m, k] * weights[n, k] for k in range(5)) for n in range(3)] for m in range(2)]
    np.testing.assert_allclose(kernels.matmul(x, weights), expected, rtol=1e-13)
    assert kernels.matmul(x.astype(np.float32), weights).dtype == np.float64


def test_softmax(rng):
    x = rng.standard_normal((4, 9)) * 5
    for row, result in zip(x, kernels.softmax(x), strict=True):
        total = math.fsum(math.exp(value) for value in row)
        np.testing.assert_allclose(result, [math.exp(value) / total for value in row], rtol=1e-13)
    np.testing.assert_allclose(kernels.softmax(x + 1e4), kernels.softmax(x), rtol=1e-10)
    assert kernels.softmax([-math.inf, 0.0, 0.0]).tolist() == [0.0, 0.5, 0.5]
    np.testing.assert_allclose(np.exp(kernels.log_softmax(x)), kernels.softmax(x), rtol=1e-13)
    assert kernels.log_softmax([0.0, 2000.0]).tolist() == [-2000.0, 0.0]


def test_kl_divergence(rng):
    p, q = kernels.softmax(rng.standard_normal(6)), kernels.softmax(rng.standard_normal(6))
    expected = math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert kernels.kl_divergence(np.log(p) + 3, np.log(q)) == pytest.approx(expected, rel=1e-12)
    assert kernels.kl_divergence(np.log(p), np.log(p)) == 0


def test_norms(rng):
    x, weight, bias = rng.standard_normal((3, 8)) * 3 + 1, rng.standard_normal(8), rng.standard_normal(8)
    eps = 0.01
    for row, rms, layer in zip(
        x, kernels.rms_norm(x, weight, eps), kernels.layer_norm(x, weight, bias, eps), strict=True
    ):
        root = math.sqrt(math.fsum(value * value for value in row) / 8 + eps)
        np.testing.assert_allclose(rms, [v / root * w for v, w in zip(row, weight, strict=True)], rtol=1e-13)
        mean = math.fsum(row) / 8
        root = math.sqrt(math.fsum((value - mean) ** 2 for value in row) / 8 + eps)
        expected = [(v - mean) / root * w + b for v, w, b in zip(row, weight, bias, strict=True)]
        np.testing.assert_allclose(layer, expected, rtol=1e-11)


def test_activations():
    x = np.array([-1000.0, -30.0, -1.0, -1e-9, 0.0, 1e-9, 0.5, 30.0, 1000.0])
    sigmoid = [0.0, *(1 / (1 + math.exp(-value)) for value in x[1:])]
    np.testing.assert_allclose(kernels.sigmoid(x), sigmoid, rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(kernels.silu(x), x * sigmoid, rtol=1e-14, atol=1e-300)
    # Tabulated values of the normal distribution function: 1 - 0.158655..., and its tail at -6.
    np.testing.assert_allclose(
        kernels.gelu([1.0, -1.0]), [0.8413447460685429, -0.15865525393145707], rtol=1e-14
    )
    np.testing.assert_allclose(kernels.gelu(-6.0), -6 * 9.865876450376946e-10, rtol=1e-13)
    np.testing.assert_allclose(kernels.gelu(x) - kernels.gelu(-x), x, rtol=1e-14)


def test_rope_is_a_rotation_of_complex_pairs(rng):
    x = rng.standard_normal((3, 2, 6))
    positions = np.array([0, 5, 1000])
    out = kernels.rope(x, positions, 10000.0)
    for token, head, pair in itertools.product(range(3), range(2), range(3)):
        angle = positions[token] / 10000.0 ** (2 * pair / 6)
        rotated = complex(*x[token, head, 2 * pair : 2 * pair + 2]) * complex(
            math.cos(angle), math.sin(angle)
        )
        np.testing.assert_allclose(
            out[token, head, 2 * pair : 2 * pair + 2], [rotated.real, rotated.imag], atol=1e-12
        )
    np.testing.assert_array_equal(out[0], x[0])


def test_rope_scores_depend_on_distance_only(rng):
    q, k = rng.standard_normal((1, 1, 8)), rng.standard_normal((1, 1, 8))

    def score(query_position, key_position):
        rotated = kernels.rope(q, [query_position], 10000.0), kernels.rope(k, [key_position], 10000.0)
        return float((rotated[0] * rotated[1]).sum())

    assert score(7, 3) == pytest.approx(score(504, 500), abs=1e-12)
    assert abs(score(7, 3) - score(7, 4)) > 1e-3


def test_attention(rng):
    new, total, heads, kv_heads, head_dim = 2, 5, 4, 2, 3
    queries = rng.standard_normal((new, heads, head_dim))
    keys, values = rng.standard_normal((2, total, kv_heads, head_dim))
    out = kernels.attention(queries, keys, values)
    for t, head in itertools.product(range(new), range(heads)):
        visible = total - new + t + 1
        scores = [
            math.exp(queries[t, head] @ keys[s, head // 2] / math.sqrt(head_dim)) for s in range(visible)
        ]
        expected = sum(score * values[s, head // 2] for s, score in enumerate(scores)) / sum(scores)
        np.testing.assert_allclose(out[t, head], expected, rtol=1e-12)


def random_llama(rng):
    config = SimpleNamespace(
        dim=12, n_layers=2, n_heads=3, n_kv_heads=1, head_dim=4, rope_theta=100.0, norm_eps=1e-5
    )

    def layer():
        shapes = {"wq": (12, 12), "wk": (4, 12), "wv": (4, 12), "wo": (12, 12)}
        shapes |= {"w1": (10, 12), "w2": (12, 10), "w3": (10, 12), "attention_norm": (12,), "ffn_norm": (12,)}
        return SimpleNamespace(**{name: rng.standard_normal(shape) for name, shape in shapes.items()})

    embedding = rng.standard_normal((20, 12))
    return Llama(
        SimpleNamespace(
            config=config,
            embedding=embedding,
            layers=[layer(), layer()],
            final_norm=rng.standard_normal(12),
            classifier=embedding,
        )
    )


def test_llama_cache_changes_nothing(rng):
    llama = random_llama(rng)
    tokens = [1, 7, 7, 19, 0, 3]
    whole = llama.forward(tokens)
    assert whole.shape == (6, 20)
    cache = []
    parts = [
        llama.forward(tokens[:3], cache),
        llama.forward(tokens[3:4], cache),
        llama.forward(tokens[4:], cache),
    ]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-10, atol=1e-10)


def test_llama_is_causal(rng):
    llama = random_llama(rng)
    np.testing.assert_allclose(
        llama.forward([1, 2, 3, 4])[:2], llama.forward([1, 2, 9, 9])[:2], rtol=1e-10, atol=1e-10
    )


def test_llama_greedy_continues_with_the_argmax(rng):
    llama = random_llama(rng)
    tokens = [1, 5]
    for token in itertools.islice(llama.greedy([1, 5]), 4):
        assert token == np.argmax(llama.forward(tokens)[-1])
        tokens.append(token)


def test_stories260k_tells_its_story():
    path = MODELS / "stories260K.bin"
    if not path.exists():
        pytest.skip(f"{path} is not there; TEPIN_MODELS names the folder")
    tokenizer = Tokenizer.load(path.with_name("tok512.bin"), 512)
    tokens = list(itertools.islice(Llama(load_model(path)).greedy(tokenizer.encode("")), 100))
    assert tokenizer.text([tokenizer.bos, *tokens]).startswith(STORY)
