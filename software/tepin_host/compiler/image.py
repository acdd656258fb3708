# SPDX-License-Identifier: Apache-2.0
"""Fills the memory image: tensors, or the chip's parts of them, quantised and laid out as `plan` says."""

import numpy as np

from tepin_host.compiler.plan import MATRICES
from tepin_host.layout import pack_matrix, pack_table
from tepin_host.quantize import QuantizedMatrix, quantize, quantize_int8

__all__ = ["build_image"]


def halves_order(heads, head_dim):
    """Row order that turns interleaved rotary pairs (2i, 2i+1) into halves (i, i + head_dim / 2) of every head.

    Queries and keys are permuted alike, so their products do not change, and the halves are contiguous operands.
    """
    one = np.concatenate([np.arange(0, head_dim, 2), np.arange(1, head_dim, 2)])
    return (np.arange(heads)[:, None] * head_dim + one).reshape(-1)


def rotary_table(config):
    """float32 [positions, head_dim]: cosines, then sines, of each pair."""
    pairs = config.head_dim // 2
    frequency = config.rope_theta ** (-np.arange(pairs) * 2.0 / config.head_dim)
    angle = np.arange(config.max_seq_len)[:, None] * frequency
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1).astype("<f4")


def build_image(model, plan, progress=None):
    """Quantise the chip's part of `model` and lay it out; returns uint8 [plan.image_bytes].

    `progress(fraction)` is called as layers are done.
    """
    image = np.zeros(plan.image_bytes, np.uint8)
    config = model.config

    def put(address, data):
        data = np.frombuffer(bytes(data), np.uint8)
        image[address : address + len(data)] = data

    at = {name: region.address for name, region in plan.memory.items()}
    put(at["constants"], plan.constant_words() + model.final_norm.astype("<f4").tobytes())
    put(at["rotary"], rotary_table(config).tobytes())
    shard = plan.shard
    if shard.embedded.count:
        put(at["embedding"], pack_table(quantize_int8(model.embedding[shard.embedded.slice])))
    layers = model.layers[shard.layers.slice]
    norms = [np.concatenate([layer.attention_norm, layer.ffn_norm]) for layer in layers]
    put(at["norms"], np.stack(norms).astype("<f4").tobytes())

    columns, word = plan.config.columns, plan.config.fifo_word_bytes
    order = {
        "wq": halves_order(config.n_heads, config.head_dim),
        "wk": halves_order(config.n_kv_heads, config.head_dim),
    }
    kv, queries = shard.kv_heads.scaled(config.head_dim), shard.heads.scaled(config.head_dim)
    rows = {"wk": kv, "wv": kv, "wq": queries, "wo": shard.channels, "w2": shard.channels}
    for index, layer in enumerate(layers):
        base = at["weights"] + index * plan.offsets["end"]
        for name in MATRICES:
            weights = getattr(layer, name)
            weights = weights[order[name]] if name in order else weights
            weights = weights[rows.get(name, shard.hidden).slice]
            if not len(weights):
                continue
            put(base + plan.offsets[name], pack_matrix(quantize(weights, plan.weights), columns, word))
        if progress:
            progress((index + 1) / (len(layers) + 1))
    address = at["weights"] + len(layers) * plan.offsets["end"]
    classifier = quantize(model.classifier[shard.tokens.slice], plan.weights)
    for start, tokens in plan.chunks:
        stream = pack_matrix(_rows(classifier, start - shard.tokens.start, tokens), columns, word)
        put(address, stream)
        address += len(stream)
    if progress:
        progress(1.0)
    return image


def _rows(matrix, start, count):
    """Some output channels of a quantised matrix."""
    part = slice(start, start + count)
    pick = lambda array: None if array is None else array[part]  # noqa: E731
    return QuantizedMatrix(
        codes=matrix.codes[part],
        scale=matrix.scale[part],
        zero=pick(matrix.zero),
        group_scale=pick(matrix.group_scale),
    )
