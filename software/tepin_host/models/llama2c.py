# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the llama2.c project: the legacy format (version 0) and version 1.

Legacy: seven little-endian int32 (dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_seq_len), vocab_size
negative if the classifier is not tied, and then float32 tensors, each kind for all layers in turn. Two tables of
rotary cosines and sines follow the final norm; they are skipped, because they follow from the hyperparameters.

Version 1: the magic number ``0x616b3432``, the version, the same seven numbers, a byte that says whether the classifier
is tied, zeros up to 256 bytes, and the tensors in another order, without the tables.

Neither stores the rotary base or the norm's epsilon: they are 10000 and 1e-5.
"""

import math
import struct
from pathlib import Path

import numpy as np

from tepin_host.errors import UserError
from tepin_host.models.model import LAYER_TENSORS, Layer, Model, ModelConfig, tensor_shapes

__all__ = ["MAGIC", "read_legacy", "read_version1"]


MAGIC = 0x616B3432

_MATRICES = ("wq", "wk", "wv", "wo")
_FEED_FORWARD = ("w1", "w2", "w3")
_LEGACY_ORDER = (
    *("embedding", "attention_norm", *_MATRICES, "ffn_norm", *_FEED_FORWARD, "final_norm"),
    *("rope_cos", "rope_sin", "classifier"),
)
_VERSION1_ORDER = (
    *("attention_norm", "ffn_norm", "final_norm", "embedding", *_MATRICES, *_FEED_FORWARD),
    "classifier",
)

_LEGACY_HEADER = struct.Struct("<7i")
_VERSION1_HEADER = struct.Struct("<Ii7iB")
_VERSION1_HEADER_BYTES = 256


def read_legacy(path: Path) -> Model:
    """Reads a legacy checkpoint. Raises `UserError` for anything else."""
    sizes = _read_header(path, _LEGACY_HEADER)
    *others, vocab_size, max_seq_len = sizes
    config = _config(path, (*others, abs(vocab_size), max_seq_len), tied=vocab_size > 0)
    return _read_tensors(path, config, _LEGACY_HEADER.size, _LEGACY_ORDER)


def read_version1(path: Path) -> Model:
    """Reads a version 1 checkpoint. Raises `UserError` for anything else, quantised versions included."""
    magic, version, *sizes, tied = _read_header(path, _VERSION1_HEADER)
    if magic != MAGIC:
        raise UserError(
            f"{path}: not a llama2.c checkpoint, the magic number is {magic:#010x}, not {MAGIC:#010x}"
        )
    if version != 1:
        raise UserError(
            f"{path}: llama2.c checkpoint of version {version}; versions 0 and 1 (float32) are accepted"
        )
    if tied > 1:
        raise UserError(f"{path}: the header's classifier flag is {tied}, must be 0 or 1")
    config = _config(path, sizes, tied=bool(tied))
    return _read_tensors(path, config, _VERSION1_HEADER_BYTES, _VERSION1_ORDER)


def _read_header(path: Path, header: struct.Struct) -> tuple[int, ...]:
    with path.open("rb") as file:
        data = file.read(header.size)
    if len(data) < header.size:
        raise UserError(f"{path}: truncated, {len(data)} bytes are too few for a model file's header")
    return header.unpack(data)


def _config(path: Path, sizes, *, tied: bool) -> ModelConfig:
    dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_seq_len = sizes
    try:
        return ModelConfig(
            dim=dim,
            hidden_dim=hidden_dim,
            n_layers=n_layers,
            n_heads=n_heads,
            n_kv_heads=n_kv_heads,
            vocab_size=vocab_size,
            max_seq_len=max_seq_len,
            tied=tied,
        )
    except ValueError as error:
        raise UserError(
            f"{path}: not a usable model file (read as a llama2.c checkpoint: {error})"
        ) from error


def _read_tensors(path: Path, config: ModelConfig, header_bytes: int, order: tuple[str, ...]) -> Model:
    shapes = tensor_shapes(config)
    shapes |= {name: (config.n_layers, *shapes[name]) for name in LAYER_TENSORS}
    shapes["rope_cos"] = shapes["rope_sin"] = (config.max_seq_len, config.head_dim // 2)
    if config.tied:
        shapes["classifier"] = (0,)

    expected = header_bytes + 4 * sum(math.prod(shapes[name]) for name in order)
    actual = path.stat().st_size
    if actual != expected:
        kind = "truncated" if actual < expected else "too long"
        raise UserError(f"{path}: {kind}, {actual} bytes where its llama2.c header asks for {expected}")

    values = np.fromfile(path, dtype="<f4", offset=header_bytes).astype(np.float32, copy=False)
    tensors = {}
    start = 0
    for name in order:
        size = math.prod(shapes[name])
        tensors[name] = values[start : start + size].reshape(shapes[name])
        start += size
    try:
        return Model(
            name=path.stem,
            config=config,
            embedding=tensors["embedding"],
            layers=tuple(
                Layer(**{name: tensors[name][index] for name in LAYER_TENSORS})
                for index in range(config.n_layers)
            ),
            final_norm=tensors["final_norm"],
            classifier=tensors["embedding"] if config.tied else tensors["classifier"],
        )
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
