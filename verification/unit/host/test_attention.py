# SPDX-License-Identifier: Apache-2.0
"""Attention of compiled models: every grouping of heads, ragged tiles, and contexts of more than one and two blocks.

Compared with float64 mathematics on the dequantised weights, position by position; see `test_compiler.py` for the bound.
"""

from dataclasses import replace

import numpy as np
import pytest

from tepin_host.compiler import compile_model
from tepin_testbench.options import generator, seed
from tepin_testbench.random_model import random_model
from verification.unit.host.generation import TINY, dequantized, expected_logits, generate, sampled

RMS_BOUND = 0.04
"""Of the logits of one position; measured over three seeds: 0.026."""


def check(model, request, configs, **formats):
    """Every position within the bound, and the same bits from every configuration."""
    first, *others = (generate(compile_model(model, config, **formats), request) for config in configs)
    for other in others:
        np.testing.assert_array_equal(other.logits, first.logits)
    expected = expected_logits(dequantized(model, formats.get("weights", "int8")), request, first.tokens)
    errors = np.sqrt(np.mean((first.logits - expected) ** 2, axis=1))
    assert len(errors) == request.tokens
    assert errors.max() < RMS_BOUND, errors.round(3).tolist()


@pytest.mark.parametrize("head_dim", [8, 12, 20])
@pytest.mark.parametrize("group", [1, 2, 4])
def test_groups_of_heads_and_ragged_tiles(group, head_dim):
    heads = 2 * group
    model = random_model(
        seed(), n_layers=1, n_heads=heads, n_kv_heads=2, dim=heads * head_dim, max_seq_len=64
    )
    check(model, sampled([1, 2, 3], 8), [TINY, replace(TINY, columns=16)])


@pytest.mark.parametrize("kv_heads", [1, 3])
def test_other_numbers_of_heads(kv_heads):
    model = random_model(seed(), n_layers=2, n_heads=3, n_kv_heads=kv_heads, dim=30, max_seq_len=64)
    check(model, sampled([1, 2, 3], 8), [TINY])


@pytest.mark.parametrize(
    "group, head_dim, columns, weights",
    [(1, 8, 8, "int8"), (2, 12, 8, "int8"), (4, 20, 16, "int4")],
)
def test_blocks_of_the_past(group, head_dim, columns, weights):
    """Positions 59 to 138: the last of the first block, all of the second, the first of the third."""
    heads = 2 * group if group < 4 else 4
    model = random_model(
        seed(),
        n_layers=1,
        n_heads=heads,
        n_kv_heads=heads // group,
        dim=heads * head_dim,
        hidden_dim=16,
        vocab_size=48,
    )
    prompt = generator("prompt", group, head_dim).integers(0, 48, 60).tolist()
    check(model, sampled(prompt, 80), [replace(TINY, columns=columns)], weights=weights)


def test_pages_of_several_layers_and_blocks_do_not_mix():
    """The second layer's pages lie between the blocks of the first."""
    model = random_model(seed(), n_layers=3, dim=16, n_heads=2, n_kv_heads=1, hidden_dim=16, vocab_size=32)
    prompt = generator("prompt").integers(0, 32, 126).tolist()
    check(model, sampled(prompt, 6), [TINY])
