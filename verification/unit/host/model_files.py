# SPDX-License-Identifier: Apache-2.0
"""Writes models in the formats of model files, by other ways than those that read them."""

import struct

import numpy as np

__all__ = ["hf_metadata", "hf_tensors", "legacy", "version1"]

NORMS = ("attention_norm", "ffn_norm")
MATRICES = ("wq", "wk", "wv", "wo")
FEED_FORWARD = ("w1", "w2", "w3")
HF_NAMES = {
    "attention_norm": "input_layernorm",
    "wq": "self_attn.q_proj",
    "wk": "self_attn.k_proj",
    "wv": "self_attn.v_proj",
    "wo": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "w1": "mlp.gate_proj",
    "w2": "mlp.down_proj",
    "w3": "mlp.up_proj",
}


def stacked(model, names):
    return b"".join(getattr(layer, name).tobytes() for name in names for layer in model.layers)


def sizes(config):
    return (config.dim, config.hidden_dim, config.n_layers, config.n_heads, config.n_kv_heads)


def legacy(model):
    """The oldest llama2.c checkpoint, without a version in its header."""
    config = model.config
    vocab_size = config.vocab_size if config.tied else -config.vocab_size
    tables = np.full((2, config.max_seq_len, config.head_dim // 2), 0.5, np.float32)
    return (
        struct.pack("<7i", *sizes(config), vocab_size, config.max_seq_len)
        + model.embedding.tobytes()
        + stacked(model, ("attention_norm", *MATRICES, "ffn_norm", *FEED_FORWARD))
        + model.final_norm.tobytes()
        + tables.tobytes()
        + (b"" if config.tied else model.classifier.tobytes())
    )


def version1(model):
    """A llama2.c checkpoint of version 1."""
    config = model.config
    header = struct.pack(
        "<4si7iB", b"24ka", 1, *sizes(config), config.vocab_size, config.max_seq_len, config.tied
    )
    return (
        header.ljust(256, b"\0")
        + stacked(model, NORMS)
        + model.final_norm.tobytes()
        + model.embedding.tobytes()
        + stacked(model, (*MATRICES, *FEED_FORWARD))
        + (b"" if config.tied else model.classifier.tobytes())
    )


def hf_tensors(model):
    """The tensors of a safetensors file, by the names of Hugging Face."""
    tensors = {"model.embed_tokens.weight": model.embedding, "model.norm.weight": model.final_norm}
    if not model.config.tied:
        tensors["lm_head.weight"] = model.classifier
    for index, layer in enumerate(model.layers):
        for name, stem in HF_NAMES.items():
            tensors[f"model.layers.{index}.{stem}.weight"] = getattr(layer, name)
    return tensors


def hf_metadata(model, **changes):
    """What a safetensors file says of the model beside its tensors; a change to None leaves a member out."""
    config = model.config
    names = ("dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len")
    metadata = {name: str(getattr(config, name)) for name in names}
    metadata |= {"rope_theta": "10000.0", "norm_eps": "1e-05", "rope": "interleaved"}
    metadata |= {"tied": "true" if config.tied else "false"}
    return {name: value for name, value in (metadata | changes).items() if value is not None}
