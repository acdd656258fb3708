# SPDX-License-Identifier: Apache-2.0
"""Llama models as safetensors: the usual tensor names, hyperparameters in the file's metadata.

Metadata (all values are strings): ``dim``, ``hidden_dim``, ``n_layers``, ``n_heads``, ``n_kv_heads``, ``vocab_size``,
``max_seq_len`` and ``rope`` ("interleaved" or "half") are required; ``rope_theta`` (10000), ``norm_eps`` (1e-5) and
``tied`` ("true" or "false"; without it, a file with a classifier is not tied) may be left out.

Tensors are F32, F16 or BF16. ``rope = "half"`` means that a head's pair i is its elements i and i + head_dim / 2; the
rows of the query and key projections are then put in interleaved order, which changes no result.
"""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, deserialize, safe_open

from tepin_host.errors import UserError
from tepin_host.models.model import Layer, Model, ModelConfig, tensor_shapes

__all__ = ["interleave_rope", "looks_like_safetensors", "read_safetensors"]


_LAYER_NAMES = {
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
_TOP_NAMES = {
    "embedding": "model.embed_tokens.weight",
    "final_norm": "model.norm.weight",
    "classifier": "lm_head.weight",
}
_SIZES = ("dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len")


def looks_like_safetensors(head: bytes, size: int) -> bool:
    """Whether a file of ``size`` bytes that begins with ``head`` (>= 9 bytes) can only be meant as safetensors."""
    return len(head) >= 9 and head[8:9] == b"{" and 0 < int.from_bytes(head[:8], "little") <= size - 8


def interleave_rope(weights: np.ndarray, head_dim: int) -> np.ndarray:
    """Rows of a query or key projection [heads * head_dim, inputs], from "half" to interleaved rotary order."""
    rows, inputs = weights.shape
    halves = weights.reshape(rows // head_dim, 2, head_dim // 2, inputs)
    return np.ascontiguousarray(halves.transpose(0, 2, 1, 3)).reshape(rows, inputs)


def read_safetensors(path: Path) -> Model:
    """Reads a safetensors file. Raises `UserError` for anything that is not a Llama model with its metadata."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        stored = dict(deserialize(path.read_bytes()))
    except SafetensorError as error:
        raise UserError(f"{path}: truncated or not a valid safetensors file ({error})") from error

    config, rope = _config(path, metadata, has_classifier=_TOP_NAMES["classifier"] in stored)
    tensors = _Tensors(path, stored, tensor_shapes(config))
    embedding = tensors.take("embedding", _TOP_NAMES["embedding"])
    layers = []
    for index in range(config.n_layers):
        layer = {
            name: tensors.take(name, f"model.layers.{index}.{stem}.weight")
            for name, stem in _LAYER_NAMES.items()
        }
        if rope == "half":
            layer |= {name: interleave_rope(layer[name], config.head_dim) for name in ("wq", "wk")}
        layers.append(Layer(**layer))
    final_norm = tensors.take("final_norm", _TOP_NAMES["final_norm"])
    classifier = embedding
    if _TOP_NAMES["classifier"] in stored or not config.tied:
        classifier = tensors.take("classifier", _TOP_NAMES["classifier"])
        if config.tied:
            if not np.array_equal(classifier, embedding):
                raise UserError(
                    f"{path}: the metadata says tied, but {_TOP_NAMES['classifier']} is not the embedding"
                )
            classifier = embedding
    tensors.check_nothing_left()
    try:
        return Model(
            name=path.stem,
            config=config,
            embedding=embedding,
            layers=tuple(layers),
            final_norm=final_norm,
            classifier=classifier,
        )
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def _config(path: Path, metadata: dict[str, str], *, has_classifier: bool) -> tuple[ModelConfig, str]:
    if missing := [name for name in (*_SIZES, "rope") if name not in metadata]:
        raise UserError(f"{path}: the safetensors metadata lacks {', '.join(missing)}")

    def parse(kind, name, default=None):
        text = metadata.get(name, default)
        try:
            return kind(text)
        except ValueError as error:
            what = "an integer" if kind is int else "a number"
            raise UserError(f"{path}: metadata {name} is {text!r}, must be {what}") from error

    def choose(name, choices, default=None):
        text = metadata.get(name, default)
        if text not in choices:
            raise UserError(f"{path}: metadata {name} is {text!r}, must be {' or '.join(map(repr, choices))}")
        return text

    rope = choose("rope", ("interleaved", "half"))
    tied = choose("tied", ("true", "false"), "false" if has_classifier else "true")
    sizes = {name: parse(int, name) for name in _SIZES}
    rope_theta = parse(float, "rope_theta", "10000")
    norm_eps = parse(float, "norm_eps", "1e-5")
    try:
        return ModelConfig(**sizes, rope_theta=rope_theta, norm_eps=norm_eps, tied=tied == "true"), rope
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


class _Tensors:
    """Takes tensors out of a deserialised file, converted to float32 and checked, and knows what is left."""

    def __init__(self, path: Path, stored: dict[str, dict], shapes: dict[str, tuple[int, ...]]):
        self._path = path
        # Old exports carry the rotary frequencies, which follow from the metadata.
        self._stored = {name: entry for name, entry in stored.items() if not name.endswith(".inv_freq")}
        self._shapes = shapes

    def take(self, name: str, stored_name: str) -> np.ndarray:
        if stored_name not in self._stored:
            raise UserError(f"{self._path}: tensor {stored_name} is missing")
        entry = self._stored.pop(stored_name)
        shape = self._shapes[name]
        if tuple(entry["shape"]) != shape:
            raise UserError(
                f"{self._path}: tensor {stored_name} has shape {list(entry['shape'])}, "
                f"the metadata asks for {list(shape)}"
            )
        values = _to_float32(entry["data"], entry["dtype"])
        if values is None:
            raise UserError(
                f"{self._path}: tensor {stored_name} is {entry['dtype']}; F32, F16 and BF16 are accepted"
            )
        if not np.isfinite(values).all():
            raise UserError(f"{self._path}: tensor {stored_name} contains NaN or infinite values")
        return values.reshape(shape)

    def check_nothing_left(self):
        if self._stored:
            first = sorted(self._stored)[0]
            raise UserError(
                f"{self._path}: {len(self._stored)} tensors that a Llama model does not have, such as {first}"
            )


def _to_float32(data: bytes, dtype: str) -> np.ndarray | None:
    if dtype == "F32":
        return np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False)
    if dtype == "F16":
        return np.frombuffer(data, dtype="<f2").astype(np.float32)
    if dtype == "BF16":
        return (np.frombuffer(data, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
    return None
