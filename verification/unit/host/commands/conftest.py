# SPDX-License-Identifier: Apache-2.0
"""The directory that command lines are run in: models, good and bad, and tokenizers."""

import struct

import pytest
from safetensors.numpy import save_file

from tepin.config import PRESETS
from tepin_host import runtime
from tepin_host.compiler import compile_model
from tepin_testbench.random_model import random_model
from verification.unit.host.commands.letters import LETTERS, talkative_model, tokenizer
from verification.unit.host.model_files import hf_metadata, hf_tensors, legacy, version1


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The directory."""
    directory = tmp_path_factory.mktemp("files")
    model = talkative_model()
    data = legacy(model)
    nan = struct.pack("<f", float("nan"))
    contents = {
        "model.bin": data,
        "tok64.bin": tokenizer(),
        "short.tokens": tokenizer(LETTERS[:32]),
        "cut.tokens": tokenizer()[:-1],
        "empty.bin": b"",
        "head.bin": data[:20],
        "cut.bin": data[:-4],
        "long.bin": data + b"\0",
        "text.bin": b"Once upon a time there was a file that held no model at all.\n",
        "zeros.bin": bytes(5000),
        "heads.bin": data[:16] + struct.pack("<i", 3) + data[20:],
        "nan.bin": data[:40] + nan + data[44:],
        "wide.bin": legacy(random_model(0, dim=8, hidden_dim=5000, n_layers=1, vocab_size=3, max_seq_len=4)),
        "huge.bin": version1(
            random_model(0, dim=8, hidden_dim=4, n_layers=255, n_heads=1, n_kv_heads=1, max_seq_len=1 << 20)
        ),
        "tok3.bin": tokenizer(LETTERS[:3]),
        "file": b"",
    }
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    save_file(hf_tensors(model), directory / "model.safetensors", metadata=hf_metadata(model))
    (directory / "cut.safetensors").write_bytes((directory / "model.safetensors").read_bytes()[:-4])
    (directory / "folder").mkdir()
    compile_model(model, PRESETS["tiny"], weights="int4").save(directory / "compiled")
    return directory


@pytest.fixture
def inside(files, monkeypatch):
    """The directory, as the current one."""
    monkeypatch.chdir(files)
    return files


@pytest.fixture
def idle(monkeypatch):
    """Fails a test that starts anything long."""
    for place in ("tepin_host.compiler.compile.build_image", "tepin_host.simulation.build_simulator"):
        monkeypatch.setattr(place, lambda *arguments, **others: pytest.fail("something long began"))
    monkeypatch.setattr(runtime, "FunctionalSimulator", lambda *arguments: pytest.fail("a run began"))
