# SPDX-License-Identifier: Apache-2.0
"""Compiled models: what they compute, and that nothing but the model and its quantisation has a say in it.

Bounds are on random models (`tepin_testbench.random_model`), whose logits have a standard deviation of about 2. The first
is against float64 mathematics on the dequantised weights, so it leaves 16-bit (8-bit) activations and 8-bit keys and
values as the only sources of error. Measured over three seeds: root mean square 0.012 (0.035), KL divergence 5.6e-5
(5.0e-4) nats; of int8 weights with 16-bit activations against the original model: 5.4e-4 nats.
"""

from dataclasses import replace

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin_host.compiler import Request, compile_model
from tepin_host.compiler.plan import MATRICES, Plan
from tepin_host.errors import UserError
from tepin_host.layout import table_stride
from tepin_host.models import ModelConfig
from tepin_reference.kernels import kl_divergence
from tepin_testbench.options import seed
from tepin_testbench.random_model import random_model
from verification.unit.host.generation import TINY, dequantized, expected_logits, generate, sampled

RMS_BOUND = {"int16": 0.02, "int8": 0.07}
KL_BOUND = {"int16": 2e-4, "int8": 2e-3}
ORIGINAL_KL_BOUND = 2e-3


@pytest.fixture(scope="module")
def model():
    return random_model(seed())


@pytest.fixture(scope="module")
def executable(model):
    return compile_model(model, TINY)


# Accuracy


@pytest.mark.parametrize("activations", ["int16", "int8"])
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_logits_are_those_of_the_mathematics(model, weights, activations):
    request = sampled([3, 9], 12)
    result = generate(compile_model(model, TINY, weights=weights, activations=activations), request)
    assert len(result.tokens) == 12
    expected = expected_logits(dequantized(model, weights), request, result.tokens)
    assert np.sqrt(np.mean((result.logits - expected) ** 2)) < RMS_BOUND[activations]
    assert kl_divergence(expected, result.logits).mean() < KL_BOUND[activations]


def test_int8_predicts_as_the_original_model_does(model, executable):
    request = sampled([3, 9], 24)
    result = generate(executable, request)
    expected = expected_logits(model, request, result.tokens)
    assert kl_divergence(expected, result.logits).mean() < ORIGINAL_KL_BOUND


def test_greedy_takes_the_most_likely_token(executable):
    result = generate(executable, Request([5], 10, stop=()))
    assert result.tokens == result.logits.argmax(axis=1).tolist()


def test_tied_classifier():
    model = random_model(seed(), tied=True)
    request = sampled([7], 6)
    result = generate(compile_model(model, TINY), request)
    expected = expected_logits(model, request, result.tokens)
    assert kl_divergence(expected, result.logits).mean() < ORIGINAL_KL_BOUND


def test_zeros_and_large_numbers_stay_numbers(model):
    """Rows of zeros have no scale; scores in the hundreds over- and underflow every exponential without its maximum."""
    layers = [replace(layer, wq=layer.wq * 30, wk=layer.wk * 30, wo=layer.wo * 0) for layer in model.layers]
    embedding = model.embedding * np.float32(1e5)
    embedding[4] = 0
    wild = replace(model, layers=tuple(layers), embedding=embedding)
    request = Request([4, 5, 4, 6], 3, stop=())
    result = generate(compile_model(wild, TINY), request)
    expected = expected_logits(wild, request, result.tokens)
    assert kl_divergence(expected, result.logits).max() < 1e-2
    result = generate(compile_model(wild, TINY), Request([4], 1, stop=()))
    assert (result.logits == 0).all() and result.tokens == [0]


# Same bits


@pytest.fixture(scope="module")
def across_blocks():
    """A model and a request that ends in the second block of attention."""
    model = random_model(seed(), n_layers=1)
    request = sampled(np.arange(62) % 64, 5)
    return model, request, generate(compile_model(model, TINY), request)


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": 16},
        {"columns": 32, "rows": 16, "accumulator_rows": 16},
        {"columns": 4, "port_width": 512, "lanes": 16},
        {"rows": 8, "lanes": 1, "port_width": 16, "scratchpad_banks": 1, "scratchpad_bytes": 65536},
        {"activation_width": 16, "port_width": 128, "scratchpad_banks": 8, "scratchpad_bytes": 131072},
    ],
    ids=lambda changes: ",".join(f"{key}={value}" for key, value in changes.items()),
)
def test_configuration_changes_no_bit(across_blocks, changes):
    model, request, expected = across_blocks
    result = generate(compile_model(model, replace(TINY, **changes)), request)
    assert result.tokens == expected.tokens
    np.testing.assert_array_equal(result.logits, expected.logits)


@pytest.mark.parametrize("weights, activations", [("int4", "int16"), ("int4", "int8"), ("int8", "int8")])
def test_configuration_changes_no_bit_of_other_formats(weights, activations):
    model = random_model(seed(), n_layers=1, hidden_dim=37)
    formats = {"weights": weights, "activations": activations}
    first, second = (
        generate(compile_model(model, config, **formats), sampled([1, 2, 3], 4))
        for config in (TINY, PRESETS["asic"])
    )
    np.testing.assert_array_equal(first.logits, second.logits)


@pytest.mark.parametrize("chunk", [7, 16, 40, 63])
def test_chunks_of_the_vocabulary_change_no_bit(chunk):
    model = random_model(seed(), n_layers=1, vocab_size=64)
    for request in (Request([3, 9], 4, stop=()), sampled([3, 9], 4)):
        whole, chunked = (generate(compile_model(model, TINY, chunk=size), request) for size in (4096, chunk))
        assert chunked.tokens == whole.tokens
        np.testing.assert_array_equal(chunked.logits, whole.logits)


@pytest.mark.parametrize("chunk", [16, 4096])
def test_ties_go_to_the_lowest_token(chunk):
    model = random_model(seed(), n_layers=1)
    # Every row of the classifier is there three times, in different chunks.
    classifier = np.tile(model.classifier[:16], (4, 1))
    classifier[:16] *= np.float32(0.5)
    executable = compile_model(replace(model, classifier=classifier), TINY, chunk=chunk)
    result = generate(executable, Request([3], 6, stop=()))
    assert result.tokens == result.logits.argmax(axis=1).tolist()
    assert any(16 <= token < 32 for token in result.tokens)


def test_prompt_is_the_same_as_feeding_its_tokens(executable):
    fed = generate(executable, sampled([3], 9))
    for length in (2, 5, 9):
        prompt = [3, *fed.tokens[: length - 1]]
        result = generate(executable, sampled(prompt, 10 - length))
        assert result.tokens == fed.tokens[length - 1 :]
        np.testing.assert_array_equal(result.logits, fed.logits[length - 1 :])


def test_one_image_serves_every_request(model, executable):
    requests = [sampled([3], 3), Request([60, 2, 2, 8], 2, stop=()), sampled([3], 5, seed=8)]
    image = executable.image.copy()
    first = [generate(executable, request) for request in requests]
    for request, result in zip(requests, first, strict=True):
        again = generate(compile_model(model, TINY), request)
        assert again.tokens == result.tokens
        np.testing.assert_array_equal(again.logits, result.logits)
    np.testing.assert_array_equal(executable.image, image)


# Every tensor counts


def tensors(plan):
    """(name, address of a byte) of everything in the image that the first token depends on."""
    memory, model = plan.memory, plan.model
    for layer in range(model.n_layers):
        base = memory["weights"].address + layer * plan.offsets["end"]
        for name in MATRICES:
            # Column 1 of row 5.
            yield f"{layer}.{name}", base + plan.offsets[name] + 5 * plan.config.columns + 1
        for number, name in enumerate(("attention_norm", "ffn_norm")):
            # The exponent of an element.
            yield f"{layer}.{name}", memory["norms"].address + 4 * model.dim * (2 * layer + number) + 43
    yield "classifier", memory["weights"].address + model.n_layers * plan.offsets["end"] + 50
    yield "embedding", memory["embedding"].address + 3 * table_stride(model.dim) + 10
    yield "embedding scale", memory["embedding"].address + 4 * table_stride(model.dim) - 2
    yield "rotary", memory["rotary"].address + 4 * model.head_dim + 3
    yield "final norm", memory["cache"].address - 1


def test_a_flipped_bit_anywhere_changes_the_logits(executable):
    request = Request([5, 3], 1, stop=())
    expected = generate(executable, request)
    places = dict(tensors(executable.plan))
    places["final norm"] = executable.plan.memory["constants"].address + executable.plan.constants_bytes - 1
    assert len(places) == 2 * 9 + 5
    for name, address in places.items():
        memory = executable.memory(request)
        memory[address] ^= 0x40
        changed = generate(executable, request, memory=memory)
        assert not np.array_equal(changed.logits, expected.logits), name


# End of the text


def test_stop_tokens_end_the_text_and_are_no_part_of_it(executable):
    free = generate(executable, sampled([5], 12)).tokens
    once = [token for token in free[3:] if free.count(token) == 1]
    assert len(once) >= 2, free
    early, late = free.index(once[0]), free.index(once[1])
    for stop in [(once[0],), (once[0], once[1]), (once[1], once[0])]:
        request = replace(sampled([5], 12), stop=stop)
        assert generate(executable, request).tokens == free[:early]
    assert generate(executable, replace(sampled([5], 12), stop=(once[1],))).tokens == free[:late]
    # In the prompt a stop token is a token like any other.
    request = replace(sampled([5, *free[: late + 1]], 2), stop=(once[0],))
    assert generate(executable, request).tokens == free[late + 1 : late + 3]


@pytest.mark.parametrize("prompt, tokens, expected", [(1, 100, 9), (3, 100, 7), (9, 5, 1), (4, 2, 2)])
def test_text_ends_with_the_context(prompt, tokens, expected):
    executable = compile_model(random_model(seed(), n_layers=1, max_seq_len=9), TINY)
    result = generate(executable, sampled(range(prompt), tokens))
    assert len(result.tokens) == len(result.logits) == expected


# What does not fit


@pytest.mark.parametrize(
    "changes, config, message",
    [
        ({}, {"columns": 12}, "columns must divide 64 to hold key pages, 12 does not"),
        ({"n_layers": 256}, {}, "models of up to 255 layers are supported, not 256"),
        ({"n_heads": 8, "n_kv_heads": 1}, {}, "8 query heads share a KV head.*accumulator_rows=4"),
        ({"hidden_dim": 4096}, {}, "the scratchpad is too small for this model: 8192 bytes for xq"),
        (
            {"vocab_size": 1 << 20, "dim": 4096},
            {"scratchpad_bytes": 1 << 24},
            "the chip addresses 4,294,967,296",
        ),
    ],
    ids=["columns", "layers", "heads", "scratchpad", "memory"],
)
def test_models_that_do_not_fit(changes, config, message):
    shape = {
        "dim": 32,
        "hidden_dim": 48,
        "n_layers": 2,
        "n_heads": 4,
        "n_kv_heads": 2,
        "vocab_size": 64,
        "max_seq_len": 160,
    }
    with pytest.raises(UserError, match=message):
        Plan(ModelConfig(**shape | changes), replace(TINY, **config))


def test_program_that_does_not_fit(model):
    with pytest.raises(
        UserError, match="the program has .* words, .* of this configuration 1024; use a larger"
    ):
        compile_model(model, replace(TINY, program_words=1024))


def test_chunk_must_be_positive(model):
    with pytest.raises(ValueError, match="chunk must be at least 1, not 0"):
        compile_model(model, TINY, chunk=0)


def test_progress_goes_from_layer_to_layer(model):
    steps = []
    compile_model(model, TINY, progress=steps.append)
    assert steps == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1]


# What a token moves


def test_useful_bytes_and_multiplications_of_a_token(model):
    plan = Plan(model.config, TINY)
    matrices = sum(array.size for layer in model.layers for array in vars(layer).values() if array.ndim == 2)
    channels = sum(len(array) for layer in model.layers for array in vars(layer).values() if array.ndim == 2)
    norms = sum(4 * array.size for layer in model.layers for array in vars(layer).values() if array.ndim == 1)
    classifier = model.classifier.size + 4 * len(model.classifier)
    cache = 2 * model.config.n_layers * (model.config.kv_dim + 4 * model.config.n_kv_heads)
    constant = matrices + 4 * channels + norms + classifier + model.config.dim + 4
    for position in (0, 100):
        # One key and value is written, those of the earlier positions are read.
        assert plan.useful_bytes(position) == constant + cache * (position + 1)
        attention = 2 * model.config.n_layers * model.config.dim * (position + 1)
        assert plan.multiplications(position) == matrices + model.classifier.size + attention
