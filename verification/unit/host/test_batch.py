# SPDX-License-Identifier: Apache-2.0
"""Batches on the functional simulator: every line writes what it writes alone, with the same logits, whoever is beside it."""

from dataclasses import replace

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin_host import batch
from tepin_host.compiler import Request, compile_model
from tepin_host.compiler.allocate import ScratchpadMap
from tepin_host.compiler.kv_cache import KvCache
from tepin_host.errors import UserError
from tepin_host.models import demo_model_path, load_model
from tepin_host.runtime import Report, run_reference
from tepin_reference.simulator import FunctionalSimulator
from tepin_testbench import options
from tepin_testbench.random_model import random_model
from verification.unit.host.lines import assert_lines_as_alone, random_requests

CONFIG = replace(PRESETS["tiny"], scratchpad_bytes=1 << 17, accumulator_rows=8)


def assert_as_alone(model, requests, rows, config=CONFIG, **formats):
    """Run the requests as a batch, and each alone."""
    executable = compile_model(model, config, rows=rows, **formats)
    report = batch.BatchReport()
    events = list(batch.run_reference(executable, requests, report))
    assert_lines_as_alone(compile_model(model, config, **formats), requests, report, events)
    return report


SHAPES = [(3, 5), (1, 9), (20, 4), (67, 3), (2, 3), (9, 6), (1, 1), (63, 4)]
"""More lines than rows, within a block of 64 positions and beyond, of all lengths."""


@pytest.mark.parametrize("layers, rows", [(1, 2), (1, 8), (2, 5)])
def test_lines_write_what_they_write_alone(layers, rows, rng):
    assert_as_alone(random_model(options.seed(), n_layers=layers), random_requests(rng, SHAPES), rows)


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("activations", ["int16", "int8"])
def test_formats(weights, activations, rng):
    requests = random_requests(rng, [(3, 5), (8, 2), (1, 6)])
    model = random_model(options.seed(), n_layers=1)
    assert_as_alone(model, requests, 3, weights=weights, activations=activations)


@pytest.mark.parametrize(
    "shape",
    [
        {"dim": 36, "hidden_dim": 50, "n_heads": 3, "n_kv_heads": 3, "vocab_size": 61},
        {"dim": 32, "hidden_dim": 9, "n_heads": 4, "n_kv_heads": 1, "vocab_size": 5},
        {"dim": 72, "hidden_dim": 40, "n_heads": 9, "n_kv_heads": 9, "vocab_size": 40},
        {"dim": 80, "hidden_dim": 40, "n_heads": 4, "n_kv_heads": 2, "tied": True, "vocab_size": 100},
    ],
    ids=["odd", "one KV head", "nine KV heads", "tied"],
)
def test_other_shapes(shape, rng):
    """Ragged tiles, several tiles of a value page, groups of heads of all sizes, vocabularies in chunks."""
    model = random_model(options.seed(), n_layers=2, **shape)
    requests = random_requests(rng, [(4, 3), (65, 2), (1, 4)], model.config.vocab_size, stop=())
    assert_as_alone(model, requests, 3, chunk=72)


def test_text_ends_with_the_context(rng):
    model = random_model(options.seed(), n_layers=1, max_seq_len=9)
    report = assert_as_alone(model, random_requests(rng, [(4, 40), (9, 2), (1, 3)], stop=()), 2)
    assert [len(line.tokens) for line in report.lines] == [6, 1, 3]


def test_stop_token_makes_room(rng):
    """A line that a stop token has ended leaves its slot to the next one, also in the step in which another ends."""
    model = random_model(options.seed(), n_layers=1)
    request = Request([5], 30, seed=3, temperature=1.2, stop=())
    free = list(run_reference(compile_model(model, CONFIG), request, Report()))
    stop = next(token for index, token in enumerate(free) if index > 3 and token not in free[:index])
    requests = [replace(request, stop=(stop,)), replace(request, stop=(63, stop)), replace(request, tokens=3)]
    report = assert_as_alone(model, [*requests, *requests], 2)
    assert len(report.lines[0].tokens) == free.index(stop)


class CountingSimulator(FunctionalSimulator):
    """Counts the bytes that the weight FIFO takes in."""

    weight_bytes = 0

    def _weights(self, flags, fields):
        self.weight_bytes += fields["length"] * (fields["count"] if flags.dimensions else 1)
        super()._weights(flags, fields)


def test_prompts_pass_as_matrices(rng):
    """A prompt of 64 tokens takes 8 steps of 8 rows, in each of which every weight is read once."""
    executable = compile_model(random_model(options.seed()), CONFIG, rows=8)
    request = Request(rng.integers(0, 64, 64).tolist(), 1, stop=())
    simulator = CountingSimulator(CONFIG, batch.batch_memory(executable, [request]))
    assert len(list(simulator.run(executable.program))) == 1
    plan = executable.plan
    layers, first = plan.model.n_layers * plan.offsets["end"], plan.offsets["wo"]
    # In the end wk, wv and wq of a step that never comes.
    assert simulator.weight_bytes == 8 * layers + plan.classifier_bytes + first


def test_more_rows_than_lines(rng):
    assert_as_alone(random_model(options.seed(), n_layers=1), random_requests(rng, [(30, 4)]), 8)


def test_no_line():
    executable = compile_model(random_model(options.seed(), n_layers=1), CONFIG, rows=2)
    report = batch.BatchReport()
    assert list(batch.run_reference(executable, [], report)) == [] and report.tokens == 0


def test_most_rows_that_fit():
    model = load_model(demo_model_path()).config
    sim = PRESETS["sim"]
    few = batch.most_rows(model, sim)
    assert 2 <= few < 8
    with pytest.raises(UserError, match="the scratchpad is too small"):
        batch.Plan(model, sim, rows=few + 1)
    assert batch.most_rows(model, replace(sim, scratchpad_bytes=1 << 17)) == sim.rows
    with pytest.raises(UserError, match="the scratchpad is too small"):
        batch.most_rows(model, replace(sim, scratchpad_bytes=1 << 14))


def test_wrong_plans():
    model = random_model(1)
    with pytest.raises(UserError, match="1 to accumulator_rows=8 rows at a time, not 9"):
        compile_model(model, CONFIG, rows=9)
    with pytest.raises(UserError, match="1 to accumulator_rows=8 rows at a time, not 0"):
        compile_model(model, CONFIG, rows=0)
    with pytest.raises(UserError, match="a batch runs on one chip"):
        compile_model(model, replace(CONFIG, links=2), rows=2, chips=2)


def test_wrong_requests():
    model = random_model(1)
    with pytest.raises(UserError, match="compile the model for a batch"):
        batch.batch_memory(compile_model(model, CONFIG), [Request([1], 1)])
    executable = compile_model(model, CONFIG, rows=2)
    with pytest.raises(UserError, match="the number of tokens must be at least 1"):
        batch.batch_memory(executable, [Request([1], 0)])
    cache = KvCache([1, 2], 1, np.zeros(0, np.uint8), "")
    with pytest.raises(UserError, match="cannot go on from a KV cache"):
        batch.batch_memory(executable, [Request([1, 2], 1, cache=cache)])


def test_program_error_is_reported():
    executable = compile_model(random_model(1, n_layers=1), CONFIG, rows=2)
    broken = replace(executable, program=[0])
    with pytest.raises(UserError, match="the program stopped with ILLEGAL_INSTRUCTION"):
        list(batch.run_reference(broken, [Request([1], 1)], batch.BatchReport()))


def test_buffers_share_their_place_in_other_phases_only():
    pad = ScratchpadMap(1024, 1)
    one = pad.add("one", 256, 0, {"a"})
    assert pad.add("two", 256, 0, {"b"}) == one
    both = pad.add("both", 256, 0, {"a", "b"})
    assert both == 256
    assert pad.add("other", 128, 0, {"c"}) == one
    assert pad.add("always", 256) == 512
    assert pad.add("last", 256, 0, {"a"}) == 768
    with pytest.raises(UserError, match="fit in none"):
        pad.add("more", 16, 0, {"a"})
