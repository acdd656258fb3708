# SPDX-License-Identifier: Apache-2.0
"""Pipelines on functional simulators: every line writes what it writes alone on one chip, with the same logits."""

from dataclasses import fields, replace

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin.isa import ScalarOp
from tepin.program import ScalarInstruction, decode
from tepin_host import batch, pipeline
from tepin_host.compiler import Executable, Request, compile_chips, compile_model
from tepin_host.compiler.plan import Plan
from tepin_host.compiler.stage import Stage
from tepin_host.errors import UserError
from tepin_host.models import ModelConfig
from tepin_host.models.shapes import STORIES_15M
from tepin_host.runtime import Report, run_reference
from tepin_reference.network import Network
from tepin_testbench.options import seed
from tepin_testbench.random_model import random_model
from verification.unit.host.generation import TINY
from verification.unit.host.lines import assert_lines_as_alone, random_requests


def linked(count, topology="ring"):
    return replace(TINY, links=Network(count, topology).links)


def stages(model, count, topology="ring", **settings):
    config = linked(count, topology)
    return compile_chips(model, config, chips=count, topology=topology, parallel="pipeline", **settings)


def assert_as_alone(model, requests, count, topology="ring", **settings):
    """Run the requests on a pipeline, and each alone on one chip; returns the pipeline's report."""
    executables = stages(model, count, topology, **settings)
    report = batch.BatchReport()
    events = list(pipeline.run_reference(executables, requests, report))
    assert_lines_as_alone(compile_model(model, TINY, **settings), requests, report, events)
    return report


# Same bits


@pytest.mark.parametrize(
    "layers, count, shapes",
    [
        (2, 2, [(3, 4), (1, 6), (66, 2), (2, 3), (1, 1), (63, 3)]),
        (4, 3, [(1, 3), (2, 5), (1, 1), (4, 2), (1, 4), (3, 2)]),
        (4, 4, [(2, 2), (1, 3), (1, 1), (1, 2), (2, 1), (1, 2), (1, 1)]),
    ],
)
def test_lines_write_what_they_write_alone(layers, count, shapes, rng):
    """More lines than slots, of all lengths, within a block of 64 positions and beyond."""
    assert_as_alone(random_model(seed(), n_layers=layers), random_requests(rng, shapes), count)


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("activations", ["int16", "int8"])
@pytest.mark.parametrize("count, topology", [(2, "ring"), (3, "full")])
def test_formats_and_topologies(weights, activations, count, topology, rng):
    requests = random_requests(rng, [(3, 2), (1, 3)])
    model = random_model(seed(), n_layers=count)
    assert_as_alone(model, requests, count, topology, weights=weights, activations=activations)


def test_eight_stages(rng):
    """With one layer each, more slots than lines."""
    assert_as_alone(random_model(seed(), n_layers=8), random_requests(rng, [(1, 2), (3, 1)]), 8)


@pytest.mark.parametrize(
    "shape",
    [
        {"dim": 36, "hidden_dim": 50, "n_heads": 3, "n_kv_heads": 3, "vocab_size": 61},
        {"dim": 32, "hidden_dim": 9, "n_heads": 4, "n_kv_heads": 1, "vocab_size": 17},
        {"dim": 80, "hidden_dim": 40, "n_heads": 4, "n_kv_heads": 2, "tied": True, "vocab_size": 100},
    ],
    ids=["odd", "one KV head", "tied"],
)
def test_other_shapes(shape, rng):
    """Ragged tiles, vocabularies in chunks, the last token alone in its tile."""
    model = random_model(seed(), n_layers=2, **shape)
    requests = random_requests(rng, [(4, 2), (1, 3)], model.config.vocab_size, stop=())
    assert_as_alone(model, requests, 2, chunk=16)


@pytest.mark.parametrize("count", [2, 4])
def test_one_text(count):
    """A text alone in the pipeline, from a prompt of more tokens than there are slots."""
    model, request = random_model(seed(), n_layers=4), Request([7, 3, 60, 2, 9, 9, 1], 5, stop=())
    report, alone = Report(), Report()
    tokens = list(pipeline.one_text(stages(model, count), request, report))
    assert tokens == report.tokens == list(run_reference(compile_model(model, TINY), request, alone))
    assert report.logits_sha256 == alone.logits_sha256


def test_text_ends_with_the_context(rng):
    model = random_model(seed(), n_layers=2, max_seq_len=9)
    report = assert_as_alone(model, random_requests(rng, [(4, 40), (9, 2), (2, 40)], stop=()), 2)
    assert [len(line.tokens) for line in report.lines] == [6, 1, 8]


def test_stop_token_makes_room():
    model = random_model(seed(), n_layers=2)
    request = Request([5], 9, seed=3, temperature=1.2, stop=())
    free = list(run_reference(compile_model(model, TINY), request, Report()))
    stop = next(token for index, token in enumerate(free) if index > 1 and token not in free[:index])
    requests = [replace(request, stop=(stop,)), replace(request, stop=(63, stop)), replace(request, tokens=3)]
    report = assert_as_alone(model, [*requests, requests[1]], 2)
    assert len(report.lines[0].tokens) == free.index(stop)


def test_stop_token_at_once():
    """A line without a single token."""
    model = random_model(seed(), n_layers=2)
    (first,) = run_reference(compile_model(model, TINY), Request([5], 1, stop=()), Report())
    report = assert_as_alone(model, [Request([5], 9, stop=(first,)), Request([6], 2, stop=())], 2)
    assert report.lines[0].tokens == []


@pytest.mark.parametrize("count", [2, 4])
def test_ties_go_to_the_lowest_token(count):
    model = random_model(seed(), n_layers=4)
    classifier = np.tile(model.classifier[:16], (4, 1))  # every row four times, for different chips
    classifier[:16] *= np.float32(0.5)
    report = assert_as_alone(replace(model, classifier=classifier), [Request([3], 4, stop=())], count)
    (line,) = report.lines
    assert line.tokens == line.logits.argmax(axis=1).tolist()


def test_chips_that_disagree_are_an_error():
    executables = stages(random_model(seed(), n_layers=2), 2)
    program, pc = executables[1].program, 0
    while getattr(decode(program, pc)[0], "op", None) != ScalarOp.PUSH:
        pc += decode(program, pc)[1]
    program[pc] = ScalarInstruction(ScalarOp.PUSH).encode()[0]  # register 0 instead of the word
    with pytest.raises(UserError, match="the chips disagree: token [0-9]+ from chip 0, 0 from chip 1"):
        list(pipeline.run_reference(executables, [Request([3], 3)], batch.BatchReport()))


# What belongs to whom


def poisoned(model, stage):
    """The model with something else in the place of all that belongs to other chips only."""

    def poison(array, part):
        own = np.zeros(len(array), bool)
        own[part.slice] = True
        return np.where(
            own[:, None], array, np.float32(1e3) * np.arange(1, array.shape[1] + 1, dtype=np.float32)
        )

    layers = list(model.layers)
    for index, layer in enumerate(layers):
        if not stage.layers.start <= index < stage.layers.end:
            changed = {field.name: -3 * getattr(layer, field.name) + 1 for field in fields(layer)}
            layers[index] = replace(layer, **changed)
    return replace(
        model,
        layers=tuple(layers),
        embedding=poison(model.embedding, stage.embedded),
        classifier=poison(model.classifier, stage.tokens),
    )


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_chip_has_nothing_of_what_belongs_to_others(weights):
    model, count = random_model(seed(), n_layers=5), 3
    for rank, executable in enumerate(stages(model, count, weights=weights)):
        changed = poisoned(model, executable.plan.shard)
        other = stages(changed, count, weights=weights)[rank]
        np.testing.assert_array_equal(executable.image, other.image)
        assert executable.program == other.program


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("shape", [{}, {"dim": 256, "hidden_dim": 1024, "n_heads": 8, "n_kv_heads": 8}])
def test_stages_read_the_same_number_of_bytes(shape, weights, count):
    """Of shapes of 15 million parameters, whose 6 layers do not divide by 4; the classifier makes up for it."""
    model = ModelConfig(**STORIES_15M | shape)
    config = replace(PRESETS["sim"], scratchpad_bytes=1 << 18, links=2)
    plans = [
        Plan(model, config, weights, rank=rank, chips=count, parallel="pipeline") for rank in range(count)
    ]
    read = [plan.shared_bytes for plan in plans]
    print(f"layers {[plan.layers for plan in plans]}, bytes {read}")
    assert sum(plan.layers for plan in plans) == model.n_layers
    assert sum(plan.shard.tokens.count for plan in plans) == model.vocab_size
    assert sum(read) == Plan(model, config, weights).shared_bytes
    assert max(read) <= 1.001 * sum(read) / count
    assert max(plan.image_bytes - plan.memory["embedding"].size for plan in plans) < 1.03 * max(read)


def test_layers_may_outweigh_the_classifier():
    """Then a chip with a layer more has a single tile of tokens."""
    stages_ = [Stage(random_model(1, n_layers=5).config, rank, 2, columns=8) for rank in range(2)]
    assert [(stage.layers.count, stage.tokens.count) for stage in stages_] == [(3, 8), (2, 56)]


@pytest.mark.parametrize(
    "shape, count, message",
    [
        ({}, 1, "a pipeline has at least 2 stages"),
        ({}, 9, "a model runs on 1 to 8 chips, not 9"),
        ({"n_layers": 3}, 4, "a model of 3 layers cannot be divided into 4 stages"),
        (
            {"n_layers": 8, "vocab_size": 33},
            6,
            "a classifier of 33 tokens, dealt out by 8, cannot be divided into 6 stages",
        ),
    ],
)
def test_wrong_number_of_stages(shape, count, message):
    with pytest.raises(UserError, match=message):
        Stage(random_model(1, **shape).config, chips=count, columns=8)


def test_wrong_parallel():
    with pytest.raises(ValueError, match="parallel must be tensor or pipeline, not 'both'"):
        compile_chips(random_model(1), linked(2), chips=2, parallel="both")


def test_saved_and_loaded(tmp_path):
    for executable in stages(random_model(seed()), 2):
        executable.save(tmp_path / "stage")
        found = Executable.load(tmp_path / "stage")
        assert (found.plan, found.program) == (executable.plan, executable.program)
        np.testing.assert_array_equal(found.image, executable.image)


def test_memory_is_that_of_many_texts():
    with pytest.raises(UserError, match="the program works on many texts"):
        stages(random_model(seed()), 2)[0].memory(Request([1], 1))
