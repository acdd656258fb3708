# SPDX-License-Identifier: Apache-2.0
"""Model files: `load_model` recognises a format by its content and returns a `Model`."""

import struct
from pathlib import Path

from tepin_host.errors import UserError
from tepin_host.models.llama2c import MAGIC, read_legacy, read_version1
from tepin_host.models.model import LAYER_TENSORS, Layer, Model, ModelConfig, tensor_shapes
from tepin_host.models.safetensors_model import looks_like_safetensors, read_safetensors

__all__ = [
    "LAYER_TENSORS",
    "Layer",
    "Model",
    "ModelConfig",
    "demo_model_path",
    "load_model",
    "tensor_shapes",
]


_ACCEPTED = "accepted are llama2.c checkpoints (legacy or version 1, float32) and safetensors with metadata"


def demo_model_path() -> Path:
    """The project's own small story teller, the model of a ``tepin run`` that names none."""
    return Path(__file__).parent.parent / "data" / "demo.safetensors"


def load_model(path: Path | str) -> Model:
    """Reads a model file; its content decides the format, whatever its name.

    Raises
    ------
    UserError
        If the file is missing, is not a model file, or contradicts itself; the message says what is accepted.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such model file")
    if path.is_dir():
        raise UserError(f"{path}: is a directory, not a model file; {_ACCEPTED}")
    if not path.is_file():
        raise UserError(f"{path}: not a regular file; {_ACCEPTED}")
    try:
        return _reader(path)(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def _reader(path: Path):
    size = path.stat().st_size
    if size == 0:
        raise UserError(f"{path}: empty file; {_ACCEPTED}")
    with path.open("rb") as file:
        head = file.read(28)
    if head[:4] == MAGIC.to_bytes(4, "little"):
        return read_version1
    if path.suffix == ".safetensors" or looks_like_safetensors(head, size):
        return read_safetensors
    # A legacy checkpoint has no magic number: seven sizes, of which only the vocabulary's may be negative.
    sizes = struct.unpack(f"<{len(head) // 4}i", head[: len(head) // 4 * 4])
    plausible = all(0 <= value < 1 << 24 for index, value in enumerate(sizes) if index != 5)
    if not plausible or len(head) < 28:
        raise UserError(f"{path}: not a model file; {_ACCEPTED}")
    return read_legacy
