# SPDX-License-Identifier: Apache-2.0
"""One model on several chips, functionally: the same tokens and the same bits of every logit as on one."""

from dataclasses import fields, replace

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin.isa import ScalarOp
from tepin.program import ScalarInstruction, decode
from tepin_host import chips
from tepin_host.compiler import Executable, Request, compile_chips, compile_model
from tepin_host.compiler.plan import Plan
from tepin_host.compiler.shard import Shard, split
from tepin_host.errors import UserError
from tepin_host.models import Layer, ModelConfig
from tepin_host.runtime import Report, run_reference
from tepin_reference.network import Network
from tepin_testbench.options import seed
from tepin_testbench.random_model import random_model
from verification.unit.host.generation import TINY, sampled


def linked(count, topology="ring"):
    return replace(TINY, links=Network(count, topology).links)


def alone(model, request, **formats):
    report = Report()
    list(run_reference(compile_model(model, TINY, **formats), request, report))
    return report


def together(model, request, count, topology="ring", **settings):
    executables = compile_chips(model, linked(count, topology), chips=count, topology=topology, **settings)
    report = Report()
    assert list(chips.run_reference(executables, request, report)) == report.tokens
    return report


def assert_same(one, other):
    assert one.tokens == other.tokens
    np.testing.assert_array_equal(one.logits.view(np.uint32), other.logits.view(np.uint32))


# Same bits


@pytest.mark.parametrize("topology", ["ring", "full"])
@pytest.mark.parametrize("count", [2, 4, 8])
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_number_of_chips_changes_no_bit(weights, count, topology):
    model = random_model(seed(), n_heads=8, n_kv_heads=8, n_layers=2)
    request = sampled([3, 60], 3)
    expected = alone(model, request, weights=weights)
    assert_same(together(model, request, count, topology, weights=weights), expected)


def test_greedy_choice_changes_no_bit():
    model, request = random_model(seed()), Request([3, 9], 4, stop=())
    assert_same(together(model, request, 2), alone(model, request))


@pytest.mark.parametrize(
    "shape, count",
    [
        ({"dim": 36, "hidden_dim": 50, "n_heads": 6, "n_kv_heads": 3, "vocab_size": 61}, 2),
        ({"dim": 36, "hidden_dim": 50, "n_heads": 6, "n_kv_heads": 3, "vocab_size": 61}, 3),
        ({"dim": 36, "hidden_dim": 37, "n_heads": 6, "n_kv_heads": 6, "vocab_size": 61}, 4),
        ({"dim": 32, "hidden_dim": 9, "n_heads": 4, "n_kv_heads": 1, "vocab_size": 9}, 8),
        ({"tied": True, "vocab_size": 100}, 5),
    ],
    ids=lambda value: value if isinstance(value, int) else "-".join(map(str, value.values())),
)
@pytest.mark.parametrize("weights, activations", [("int8", "int16"), ("int4", "int8")])
def test_what_does_not_come_out_even_changes_no_bit(shape, count, weights, activations):
    """More of everything for some chips, chips without heads, vocabularies in chunks."""
    model = random_model(seed(), n_layers=1, **shape)
    formats = {"weights": weights, "activations": activations}
    request = sampled([1, shape["vocab_size"] - 1], 2)
    assert_same(together(model, request, count, chunk=5, **formats), alone(model, request, **formats))


def test_beyond_a_block_changes_no_bit():
    model = random_model(seed(), n_layers=1)
    request = sampled(np.arange(62) % 64, 5)
    assert_same(together(model, request, 4), alone(model, request))


@pytest.mark.parametrize("count", [2, 4])
def test_ties_go_to_the_lowest_token(count):
    model = random_model(seed(), n_layers=1)
    classifier = np.tile(model.classifier[:16], (4, 1))  # every row four times, for different chips
    classifier[:16] *= np.float32(0.5)
    report = together(replace(model, classifier=classifier), Request([3], 6, stop=()), count)
    assert report.tokens == report.logits.argmax(axis=1).tolist()
    assert any(16 <= token < 32 for token in report.tokens)


def test_stop_token_ends_all_chips():
    model = random_model(seed())
    request = sampled([1], 9)
    tokens = together(model, request, 2).tokens
    stopped = together(model, replace(request, stop=(tokens[4],)), 2)
    assert stopped.tokens == tokens[: tokens.index(tokens[4])]


def test_chips_that_disagree_are_an_error():
    model, request = random_model(seed(), n_layers=1), sampled([3], 3)
    executables = compile_chips(model, linked(2), chips=2)
    program, pc = executables[1].program, 0
    while getattr(decode(program, pc)[0], "op", None) != ScalarOp.PUSH:
        pc += decode(program, pc)[1]
    program[pc] = ScalarInstruction(ScalarOp.PUSH).encode()[0]  # register 0 instead of the token
    with pytest.raises(UserError, match="the chips disagree: token [0-9]+ from chip 0, 0 from chip 1"):
        list(chips.run_reference(executables, request, Report()))


# Memory


def poisoned(model, shard):
    """The model with something else in the place of all that belongs to other chips only."""

    def poison(array, *parts):
        keep = np.zeros(len(array), bool)
        for part in parts:
            keep[part.slice] = True
        return np.where(
            keep[:, None], array, np.float32(1e3) * np.arange(1, array.shape[1] + 1, dtype=np.float32)
        )

    width = model.config.head_dim
    rows = {
        "wk": shard.kv_heads.scaled(width),
        "wv": shard.kv_heads.scaled(width),
        "wq": shard.heads.scaled(width),
        "wo": shard.channels,
        "w1": shard.hidden,
        "w3": shard.hidden,
        "w2": shard.channels,
    }
    layers = [
        Layer(
            **{
                field.name: poison(getattr(layer, field.name), rows[field.name])
                if field.name in rows
                else getattr(layer, field.name)
                for field in fields(Layer)
            }
        )
        for layer in model.layers
    ]
    return replace(
        model,
        layers=tuple(layers),
        embedding=poison(model.embedding, shard.tokens),
        classifier=poison(model.classifier, shard.tokens),
    )


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_chip_has_nothing_of_what_belongs_to_others(weights):
    model, count = random_model(seed(), n_heads=4, n_kv_heads=4), 3
    for rank in range(count):
        settings = {"rank": rank, "chips": count, "weights": weights}
        shard = Shard(model.config, rank, count)
        changed = poisoned(model, shard)
        assert not np.array_equal(changed.layers[0].w2, model.layers[0].w2)
        executable, other = (compile_model(one, linked(count), **settings) for one in (model, changed))
        np.testing.assert_array_equal(executable.image, other.image)
        assert executable.program == other.program


@pytest.mark.parametrize("count", [2, 4, 8])
@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize(
    "shape",
    [
        {"dim": 288, "hidden_dim": 768, "n_heads": 6, "n_kv_heads": 6},
        {"dim": 256, "hidden_dim": 1024, "n_heads": 8, "n_kv_heads": 8},
    ],
    ids=["6 heads", "8 heads"],
)
def test_bytes_of_a_chip(shape, weights, count):
    """Image of the largest chip, for shapes of 15 million parameters: little more than its share."""
    model = ModelConfig(n_layers=6, vocab_size=32000, max_seq_len=256, **shape)
    config = replace(PRESETS["sim"], scratchpad_bytes=1 << 18, links=2)
    whole = Plan(model, config, weights).image_bytes
    parts = [Plan(model, config, weights, rank=rank, chips=count).image_bytes for rank in range(count)]
    print(f"{max(parts):,} of {whole:,} bytes, {100 * (max(parts) * count / whole - 1):.1f} % above a share")
    assert whole < sum(parts)
    assert max(parts) <= 1.05 * whole / count


def test_useful_bytes_of_all_chips():
    """What the chips move together is what one chip moves, but for norms and rows of the embedding."""
    model = random_model(seed()).config
    one = Plan(model, TINY).useful_bytes(70)
    parts = sum(Plan(model, linked(2), rank=rank, chips=2).useful_bytes(70) for rank in range(2))
    assert parts == one + model.n_layers * 2 * model.dim * 4 + model.dim + 4


def test_split():
    assert [part.count for part in split(10, 4)] == [3, 3, 2, 2]
    assert [part.start for part in split(10, 4)] == [0, 3, 6, 8]
    assert [part.count for part in split(2, 3)] == [1, 1, 0]


# Directories, errors


def test_saved_and_loaded(tmp_path):
    executables = compile_chips(random_model(seed()), linked(2), chips=2)
    for executable in executables:
        executable.save(tmp_path / str(executable.plan.rank))
    loaded = [Executable.load(tmp_path / str(rank)) for rank in range(2)]
    assert [executable.plan for executable in loaded] == [executable.plan for executable in executables]
    runs = [Report(), Report()]
    for chips_of_run, report in zip((executables, loaded), runs, strict=True):
        list(chips.run_reference(chips_of_run, Request([3], 3, stop=()), report))
    assert_same(*runs)


@pytest.mark.parametrize("count", [0, 9, -1])
def test_wrong_number_of_chips(count):
    with pytest.raises(UserError, match=f"a model runs on 1 to 8 chips, not {count}"):
        Shard(random_model(1).config, chips=count)


@pytest.mark.parametrize(
    "shape, message",
    [
        ({"hidden_dim": 7}, "a model with 7 hidden channels cannot be divided among 8 chips"),
        ({"vocab_size": 5}, "a model with 5 tokens cannot be divided among 8 chips"),
        (
            {"dim": 4, "n_heads": 2, "n_kv_heads": 2},
            "a model with 4 channels cannot be divided among 8 chips",
        ),
    ],
)
def test_too_many_chips(shape, message):
    with pytest.raises(UserError, match=message):
        Shard(random_model(1, **shape).config, chips=8)


def test_too_few_links():
    with pytest.raises(
        UserError, match="4 chips that are wired as full need links=3, this configuration has links=2"
    ):
        compile_chips(random_model(1), replace(TINY, links=2), chips=4, topology="full")
