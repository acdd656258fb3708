# SPDX-License-Identifier: Apache-2.0
"""The mathematics of a language model in float64, as a textbook writes it.

Accuracy is measured against these functions. They know nothing of the chip: no quantisation, no blocks, no order of
summation. One token is one row; matrices of weights are [outputs, inputs].
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

__all__ = [
    "Llama",
    "attention",
    "gelu",
    "kl_divergence",
    "layer_norm",
    "log_softmax",
    "matmul",
    "rms_norm",
    "rope",
    "sigmoid",
    "silu",
    "softmax",
]


def _float64(x) -> np.ndarray:
    return np.asarray(x, dtype=np.float64)


def matmul(x, weights) -> np.ndarray:
    """``y[m, n] = sum over k of x[m, k] * weights[n, k]``."""
    return _float64(x) @ _float64(weights).T


def softmax(x) -> np.ndarray:
    """``exp(x[i]) / sum over j of exp(x[j])`` along the last axis, shifted by the maximum so that it cannot overflow.

    An element of -inf gets probability 0.
    """
    x = _float64(x)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(x) -> np.ndarray:
    """``x[i] - ln(sum over j of exp(x[j]))`` along the last axis."""
    x = _float64(x)
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def kl_divergence(logits, approximate_logits) -> np.ndarray:
    """``sum over i of p[i] * ln(p[i] / q[i])`` along the last axis, in nats, of the softmax distributions p and q.

    How much worse ``approximate_logits`` predict than ``logits``.
    """
    log_p, log_q = log_softmax(logits), log_softmax(approximate_logits)
    return (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)


def rms_norm(x, weight, eps: float) -> np.ndarray:
    """``x[i] / sqrt(mean(x^2) + eps) * weight[i]`` along the last axis."""
    x = _float64(x)
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * _float64(weight)


def layer_norm(x, weight, bias, eps: float) -> np.ndarray:
    """``(x[i] - mean(x)) / sqrt(variance(x) + eps) * weight[i] + bias[i]`` along the last axis."""
    x = _float64(x)
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return centred / np.sqrt(variance + eps) * _float64(weight) + _float64(bias)


def sigmoid(x) -> np.ndarray:
    """``1 / (1 + exp(-x))``, without overflow: only exp(-|x|) is computed."""
    x = _float64(x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def silu(x) -> np.ndarray:
    """``x * sigmoid(x)``."""
    return _float64(x) * sigmoid(x)


# erfc, unlike 1 + erf, keeps its relative precision where GELU is tiny.
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def gelu(x) -> np.ndarray:
    """``x * (1 + erf(x / sqrt(2))) / 2``: the exact function, not its tanh approximation."""
    x = _float64(x)
    return 0.5 * x * _erfc(-x / math.sqrt(2.0))


def rope(x, positions, theta: float) -> np.ndarray:
    """Rotates the pair (2i, 2i + 1) of each head by the angle ``position * theta ** (-2i / head_dim)``.

    Parameters
    ----------
    x : [tokens, heads, head_dim]
    positions : [tokens]
        Position of each token in its sequence.
    theta : float
        Base of the frequencies.
    """
    x = _float64(x)
    head_dim = x.shape[-1]
    frequency = theta ** (-np.arange(0, head_dim, 2) / head_dim)
    angle = (_float64(positions)[:, None] * frequency)[:, None, :]
    even, odd = x[..., 0::2], x[..., 1::2]
    rotated = np.empty_like(x)
    rotated[..., 0::2] = even * np.cos(angle) - odd * np.sin(angle)
    rotated[..., 1::2] = even * np.sin(angle) + odd * np.cos(angle)
    return rotated


def attention(queries, keys, values) -> np.ndarray:
    """``softmax(q . k / sqrt(head_dim)) . v``, causal, with grouped heads.

    The queries belong to the last tokens of the sequence: query t of T sees all but the last T - 1 - t keys.

    Parameters
    ----------
    queries : [T, heads, head_dim]
    keys, values : [S, kv_heads, head_dim]
        S >= T; ``kv_heads`` divides ``heads``, and query head h uses key and value head ``h // (heads / kv_heads)``.

    Returns
    -------
    [T, heads, head_dim]
    """
    queries, keys, values = _float64(queries), _float64(keys), _float64(values)
    new, heads, head_dim = queries.shape
    total, kv_heads, _ = keys.shape
    group = heads // kv_heads
    visible = np.arange(total)[None, :] <= np.arange(total - new, total)[:, None]
    out = np.empty_like(queries)
    for head in range(heads):
        k, v = keys[:, head // group], values[:, head // group]
        scores = matmul(queries[:, head], k) / math.sqrt(head_dim)
        out[:, head] = softmax(np.where(visible, scores, -np.inf)) @ v
    return out


class Llama:
    """A Llama-style transformer: RMSNorm, rotary embedding, grouped-query attention, SiLU-gated feed-forward.

    Parameters
    ----------
    model
        Any object with the members ``config`` (``dim``, ``n_layers``, ``n_heads``, ``n_kv_heads``, ``head_dim``,
        ``rope_theta``, ``norm_eps``), ``embedding``, ``final_norm``, ``classifier`` and ``layers``, each layer with
        ``attention_norm``, ``wq``, ``wk``, ``wv``, ``wo``, ``ffn_norm``, ``w1``, ``w2``, ``w3``.
    """

    def __init__(self, model):
        self.model = model

    def forward(self, tokens: Sequence[int], cache: list | None = None) -> np.ndarray:
        """Logits [len(tokens), vocab]: row t predicts the token after ``tokens[t]``.

        ``cache`` continues a sequence: pass the same list, empty at first, with every call, and only the new tokens.
        It holds the keys and values of each layer. Without it, ``tokens`` are the whole sequence.
        """
        model, config = self.model, self.model.config
        cache = [] if cache is None else cache
        start = cache[0][0].shape[0] if cache else 0
        positions = np.arange(start, start + len(tokens))

        x = _float64(model.embedding[list(tokens)])
        for index, layer in enumerate(model.layers):
            h = rms_norm(x, layer.attention_norm, config.norm_eps)
            queries = matmul(h, layer.wq).reshape(len(tokens), config.n_heads, config.head_dim)
            keys = matmul(h, layer.wk).reshape(len(tokens), config.n_kv_heads, config.head_dim)
            values = matmul(h, layer.wv).reshape(len(tokens), config.n_kv_heads, config.head_dim)
            queries = rope(queries, positions, config.rope_theta)
            keys = rope(keys, positions, config.rope_theta)
            if index == len(cache):
                cache.append((keys, values))
            else:
                old_keys, old_values = cache[index]
                cache[index] = (np.concatenate([old_keys, keys]), np.concatenate([old_values, values]))
            mixed = attention(queries, *cache[index])
            x = x + matmul(mixed.reshape(len(tokens), config.dim), layer.wo)

            h = rms_norm(x, layer.ffn_norm, config.norm_eps)
            x = x + matmul(silu(matmul(h, layer.w1)) * matmul(h, layer.w3), layer.w2)
        return matmul(rms_norm(x, model.final_norm, config.norm_eps), model.classifier)

    def greedy(self, prompt: Sequence[int]) -> Iterator[int]:
        """The most likely next token again and again, without end; of equal ones the lowest. ``prompt`` is not empty."""
        cache = []
        tokens = list(prompt)
        while True:
            logits = self.forward(tokens, cache)[-1]
            tokens = [int(np.argmax(logits))]
            yield tokens[0]
