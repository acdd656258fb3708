# SPDX-License-Identifier: Apache-2.0
"""Model files: every accepted format gives the same model, and every broken file one clear sentence."""

import random
import struct
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from tepin_host.errors import UserError
from tepin_host.models import Layer, Model, ModelConfig, demo_model_path, load_model
from tepin_host.models.safetensors_model import interleave_rope
from tepin_reference.kernels import Llama
from tepin_testbench import options
from verification.unit.host.model_files import hf_metadata, hf_tensors, legacy, version1


def assert_same(model, expected):
    assert model.config == expected.config
    tensors, expected_tensors = dict(model.tensors()), dict(expected.tensors())
    assert tensors.keys() == expected_tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, expected_tensors[name], err_msg=name)
    assert (model.classifier is model.embedding) == expected.config.tied


@pytest.fixture
def save(tmp_path):
    """Writes bytes to a model file and returns its path."""

    def write(data, name="broken.bin"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def save_tensors(tmp_path):
    """Writes tensors to a safetensors file and returns its path."""

    def write(tensors, metadata, name="broken.safetensors"):
        path = tmp_path / name
        save_file(tensors, path, metadata)
        return path

    return write


def error_of(path):
    with pytest.raises(UserError) as caught:
        load_model(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


# What is accepted.


def test_legacy_checkpoint(model, save):
    loaded = load_model(save(legacy(model), "some.thing.bin"))
    assert_same(loaded, model)
    assert loaded.name == "some.thing"


def test_version1_checkpoint(model, save):
    assert_same(load_model(save(version1(model))), model)


def test_safetensors(model, save_tensors):
    assert_same(load_model(save_tensors(hf_tensors(model), hf_metadata(model))), model)


def test_format_follows_content_not_name(model, save, save_tensors, tmp_path):
    path = save_tensors(hf_tensors(model), hf_metadata(model))
    assert_same(load_model(path.rename(tmp_path / "weights.bin")), model)
    assert_same(load_model(save(legacy(model), "model")), model)


def test_safetensors_optional_metadata(model, save_tensors):
    metadata = hf_metadata(model, tied=None, rope_theta=None, norm_eps=None)
    assert_same(load_model(save_tensors(hf_tensors(model), metadata)), model)
    metadata = hf_metadata(model, rope_theta="500000", norm_eps="1e-6")
    config = load_model(save_tensors(hf_tensors(model), metadata)).config
    assert (config.rope_theta, config.norm_eps) == (500000.0, 1e-6)


def test_safetensors_narrow_types(model, save_tensors, save):
    halves = {name: array.astype(np.float16) for name, array in hf_tensors(model).items()}
    assert_same(load_model(save_tensors(halves, hf_metadata(model))), model)
    # numpy has no bfloat16: write the upper halves of float32 and correct the header's type names, byte for byte.
    upper = {
        name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in hf_tensors(model).items()
    }
    data = save_tensors(upper, hf_metadata(model)).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].rstrip().replace(b'"U16"', b'"BF16"')
    header = header.ljust(-(-len(header) // 8) * 8)
    data = len(header).to_bytes(8, "little") + header + data[8 + length :]
    assert_same(load_model(save(data, "bf16.safetensors")), model)


def test_safetensors_half_rotary_order(model, save_tensors):
    """Rows in half order give the same model: undo the reader's permutation by the definition of the two orders."""
    head_dim = model.config.head_dim

    def to_half(weights):
        out = np.empty_like(weights)
        for row in range(len(weights)):
            head, element = divmod(row, head_dim)
            out[head * head_dim + element // 2 + (element % 2) * head_dim // 2] = weights[row]
        return out

    layers = tuple(replace(layer, wq=to_half(layer.wq), wk=to_half(layer.wk)) for layer in model.layers)
    in_half = replace(model, layers=layers)
    np.testing.assert_array_equal(interleave_rope(layers[0].wq, head_dim), model.layers[0].wq)
    assert_same(load_model(save_tensors(hf_tensors(in_half), hf_metadata(model, rope="half"))), model)


def test_safetensors_tied_may_repeat_the_embedding(model, save_tensors):
    tensors = hf_tensors(model) | {"lm_head.weight": model.embedding.copy()}
    loaded = load_model(save_tensors(tensors, hf_metadata(model, tied="true")))
    assert loaded.classifier is loaded.embedding
    tensors["lm_head.weight"][3, 2] += 1
    path = save_tensors(tensors, hf_metadata(model, tied="true"))
    assert error_of(path) == "the metadata says tied, but lm_head.weight is not the embedding"


def test_stories260k(stories):
    model = load_model(stories)
    assert model.config == ModelConfig(
        dim=64, hidden_dim=172, n_layers=5, n_heads=8, n_kv_heads=4, vocab_size=512, max_seq_len=512
    )
    assert model.parameter_count == 260_032
    assert model.config.head_dim == 8 and model.config.kv_dim == 32
    # Text, because only text shows that every tensor came from the right place.
    tokens = [1, 403]
    assert np.argmax(Llama(model).forward(tokens)[0]) == 403


def test_demo_model():
    path = demo_model_path()
    if not path.exists():
        pytest.skip("the demo model has not been trained yet")
    model = load_model(path)
    assert model.name == "demo" and model.config.vocab_size == 512 and model.config.max_seq_len == 512


# What is not.


def test_not_a_file(tmp_path, save):
    assert error_of(tmp_path / "absent.bin") == "no such model file"
    assert error_of(tmp_path).startswith(
        "is a directory, not a model file; accepted are llama2.c checkpoints"
    )
    assert error_of(save(b"")).startswith("empty file; accepted are")


@pytest.mark.parametrize(
    "data",
    [
        b"#!/bin/sh\necho this is no model, but long enough to hold a header\n",
        b"\xff" * 64,
        b"short",
        b"PK\3\4" * 20,
    ],
    ids=["text", "ones", "short", "archive"],
)
def test_not_a_model(save, data):
    message = error_of(save(data))
    assert message.startswith(
        "not a model file; accepted are llama2.c checkpoints (legacy or version 1, float32)"
    )


@pytest.mark.parametrize("write", [legacy, version1])
def test_checkpoint_of_wrong_length(model, save, write):
    data = write(model)
    for cut in (1, 4, len(data) // 2):
        assert error_of(save(data[:-cut])) == (
            f"truncated, {len(data) - cut} bytes where its llama2.c header asks for {len(data)}"
        )
    assert error_of(save(data + b"\0")) == (
        f"too long, {len(data) + 1} bytes where its llama2.c header asks for {len(data)}"
    )


def test_checkpoint_truncated_within_the_header(model, save):
    assert "not a model file" in error_of(save(legacy(model)[:20]))
    assert error_of(save(version1(model)[:20])) == "truncated, 20 bytes are too few for a model file's header"


@pytest.mark.parametrize(
    "field, value, message",
    [
        (0, 25, "dim 25 is not divisible by n_heads 6"),
        (0, 18, "head_dim 3 (dim / n_heads) is odd, rotary embedding needs pairs"),
        (4, 4, "n_heads 6 is not divisible by n_kv_heads 4"),
        (2, 0, "n_layers is 0, must be 1 to 1024"),
        (1, 1 << 20, "hidden_dim is 1048576, must be 1 to 131071"),
        (5, 2, "vocab_size is 2, must hold at least the three control tokens"),
    ],
)
@pytest.mark.parametrize("write, start", [(legacy, 0), (version1, 8)])
def test_checkpoint_contradicts_itself(model, save, write, start, field, value, message):
    data = bytearray(write(model))
    struct.pack_into("<i", data, start + 4 * field, value)
    assert error_of(save(data)) == f"not a usable model file (read as a llama2.c checkpoint: {message})"


def test_version1_unknown_version_and_flag(model, save):
    data = bytearray(version1(model))
    struct.pack_into("<i", data, 4, 2)
    assert error_of(save(data)) == (
        "llama2.c checkpoint of version 2; versions 0 and 1 (float32) are accepted"
    )
    data = bytearray(version1(model))
    data[36] = 7
    assert error_of(save(data)) == "the header's classifier flag is 7, must be 0 or 1"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("write", [legacy, version1])
def test_checkpoint_not_finite(model, save, write, value):
    layers = model.layers[0], replace(model.layers[1], w2=model.layers[1].w2.copy())
    broken = replace(model, layers=layers)
    layers[1].w2[3, 4] = value
    assert error_of(save(write(broken))) == "tensor layers.1.w2 contains NaN or infinite values"


def test_safetensors_not_finite(model, save_tensors):
    tensors = hf_tensors(model)
    tensors["model.norm.weight"] = np.full(24, np.nan, np.float16)
    assert error_of(save_tensors(tensors, hf_metadata(model))) == (
        "tensor model.norm.weight contains NaN or infinite values"
    )


def test_safetensors_damaged(model, save_tensors, save):
    data = save_tensors(hf_tensors(model), hf_metadata(model)).read_bytes()
    for damaged in (data[:-1], data[:200], data[:6], data + b"\0", b"\xff" * 8 + data[8:], b"no such thing"):
        message = error_of(save(damaged, "damaged.safetensors"))
        assert message.startswith("truncated or not a valid safetensors file (")


def test_safetensors_metadata(model, save_tensors):
    tensors = hf_tensors(model)

    def message(**changes):
        return error_of(save_tensors(tensors, hf_metadata(model, **changes)))

    assert message(dim=None, rope=None) == "the safetensors metadata lacks dim, rope"
    assert message(dim="many") == "metadata dim is 'many', must be an integer"
    assert message(norm_eps="small") == "metadata norm_eps is 'small', must be a number"
    assert message(norm_eps="nan") == "norm_eps is nan, must be a positive number"
    assert message(rope="neox") == "metadata rope is 'neox', must be 'interleaved' or 'half'"
    assert message(tied="maybe") == "metadata tied is 'maybe', must be 'true' or 'false'"
    assert message(n_heads="5") == (
        "dim 24 is not divisible by n_heads 5; n_heads 5 is not divisible by n_kv_heads 3"
    )
    assert message(hidden_dim="22") == (
        "tensor model.layers.0.mlp.gate_proj.weight has shape [20, 24], the metadata asks for [22, 24]"
    )
    assert message(n_layers="3") == "tensor model.layers.2.input_layernorm.weight is missing"
    assert message(n_layers="1").startswith(
        "9 tensors that a Llama model does not have, such as model.layers.1."
    )
    assert error_of(save_tensors(tensors, None)).startswith(
        "the safetensors metadata lacks dim, hidden_dim, "
    )


def test_safetensors_tensors(model, save_tensors):
    tensors = hf_tensors(model)
    extra = tensors | {"model.layers.0.self_attn.q_proj.bias": np.zeros(24, np.float32)}
    assert error_of(save_tensors(extra, hf_metadata(model))) == (
        "1 tensors that a Llama model does not have, such as model.layers.0.self_attn.q_proj.bias"
    )
    wide = tensors | {"model.norm.weight": np.zeros(24, np.float64)}
    assert error_of(save_tensors(wide, hf_metadata(model))) == (
        "tensor model.norm.weight is F64; F32, F16 and BF16 are accepted"
    )
    harmless = tensors | {"model.layers.0.self_attn.rotary_emb.inv_freq": np.zeros(2, np.float32)}
    assert_same(load_model(save_tensors(harmless, hf_metadata(model))), model)


@pytest.mark.parametrize("write", [legacy, version1, None], ids=["legacy", "version1", "safetensors"])
def test_damage_never_escapes_as_another_error(model, save, save_tensors, write):
    """Random damage either goes unnoticed, as in a weight, or ends in one line."""
    rng = random.Random(f"{options.seed()} {write and write.__name__}")
    data = write(model) if write else save_tensors(hf_tensors(model), hf_metadata(model)).read_bytes()
    noticed = 0
    for _ in range(150):
        damaged = bytearray(data)
        at = rng.randrange(rng.choice([8, 40, 300, len(data)]))
        match rng.randrange(3):
            case 0:
                damaged[at] ^= 1 << rng.randrange(8)
            case 1:
                del damaged[at : at + rng.choice([1, 4, len(data)])]
            case 2:
                damaged[at : at + 4] = rng.choice([b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xff\xff\xff\xff"])
        try:
            load_model(save(damaged, rng.choice(["damaged.bin", "damaged.safetensors"])))
        except UserError as error:
            assert "\n" not in str(error)
            noticed += 1
    assert noticed > 50


def test_config_reports_every_problem_at_once():
    with pytest.raises(ValueError) as caught:
        ModelConfig(dim=0, hidden_dim=1, n_layers=5000, n_heads=1, n_kv_heads=1, vocab_size=8, max_seq_len=8)
    assert str(caught.value) == "dim is 0, must be 1 to 131071; n_layers is 5000, must be 1 to 1024"


def test_model_checks_its_tensors(model):
    def rebuild(**changes):
        members = {name: getattr(model, name) for name in ("name", "config", "embedding", "layers")}
        members |= {"final_norm": model.final_norm, "classifier": model.classifier}
        return Model(**(members | changes))

    with pytest.raises(ValueError, match="model has 1 layers, its config says 2"):
        rebuild(layers=model.layers[:1])
    with pytest.raises(ValueError, match=r"tensor final_norm has shape \[5\], must be \[24\]"):
        rebuild(final_norm=np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="tensor final_norm is float64, must be float32"):
        rebuild(final_norm=np.zeros(24))
    if model.config.tied:
        with pytest.raises(ValueError, match="the classifier of a tied model must be its embedding"):
            rebuild(classifier=model.embedding.copy())
    assert isinstance(model.layers[0], Layer)
