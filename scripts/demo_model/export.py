# SPDX-License-Identifier: Apache-2.0
"""Writing the demo model: float16 safetensors with the hyperparameters as metadata."""

import json
import os
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from scripts.demo_model.network import Llama, Shape

__all__ = ["SIZE_LIMIT", "load_model", "save_model"]

SIZE_LIMIT = 1 << 20


def save_model(model: Llama, path: Path, tokenizer_name: str, training: dict) -> int:
    """Write the weights as float16 and return the bytes of the file; ``ValueError`` past ``SIZE_LIMIT``.

    The file appears whole or not at all. Query and key rows are in interleaved rotary order. ``training`` says
    how the weights came about; it is kept as JSON beside the hyperparameters.
    """
    shape = model.shape
    metadata = {
        "dim": str(shape.dim),
        "hidden_dim": str(shape.hidden_dim),
        "n_layers": str(shape.n_layers),
        "n_heads": str(shape.n_heads),
        "n_kv_heads": str(shape.n_kv_heads),
        "vocab_size": str(shape.vocab_size),
        "max_seq_len": str(shape.max_seq_len),
        "rope_theta": str(shape.rope_theta),
        "norm_eps": str(shape.norm_eps),
        "rope": "interleaved",
        "tied": "true",
        "tokenizer": tokenizer_name,
        "training": json.dumps(training),
    }
    tensors = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    draft = Path(path).with_suffix(".draft")
    save_file(tensors, draft, metadata=metadata)
    size = draft.stat().st_size
    if size > SIZE_LIMIT:
        draft.unlink()
        raise ValueError(f"the model takes {size} bytes, more than {SIZE_LIMIT}")
    draft.chmod(0o644)
    os.replace(draft, path)
    return size


def load_model(path: Path) -> tuple[Llama, dict]:
    """Read what ``save_model`` wrote: the model, of the default shape, and how it was trained."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        training = json.loads(file.metadata()["training"])
    model = Llama(Shape())
    model.load_state_dict(tensors)
    return model, training
