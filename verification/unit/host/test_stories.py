# SPDX-License-Identifier: Apache-2.0
"""stories260K, compiled: the text that it is known to write, and how far quantisation moves its predictions.

Skipped where the model is not at hand.
"""

import pytest

from tepin.config import PRESETS
from tepin_host.compiler import Request, compile_model
from tepin_host.models import load_model
from tepin_host.tokenizer import Tokenizer
from tepin_reference.kernels import kl_divergence
from verification.unit.host.generation import expected_logits, generate

TEXT = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
    "big, red ball. She wanted to play with it, but it was too high."
)

KL_BOUND = {"int8": 0.004, "int4": 0.15}
"""Nats per token; measured 0.0022 and 0.11."""


@pytest.fixture
def model(stories):
    return load_model(stories)


def test_greedy_text(stories, model):
    tokenizer = Tokenizer.load(stories.with_name("tok512.bin"), model.config.vocab_size)
    executable = compile_model(model, PRESETS["sim"])
    result = generate(executable, Request(tokenizer.encode(""), 75))
    assert tokenizer.text([Tokenizer.bos, *result.tokens]).startswith(TEXT)


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_predictions_stay_close_to_those_of_the_float_model(model, weights):
    executable = compile_model(model, PRESETS["sim"], weights=weights)
    request = Request([1], 200 if weights == "int8" else 60, seed=1, temperature=1.0, stop=())
    result = generate(executable, request)
    divergence = kl_divergence(expected_logits(model, request, result.tokens), result.logits).mean()
    print(f"{weights}: mean KL divergence {divergence:.4f} nats over {len(result.tokens)} tokens")
    assert divergence < KL_BOUND[weights]
