# SPDX-License-Identifier: Apache-2.0
"""Derived sizes: what the estimate calls enough, and that the presets are enough for the demo model."""

import pytest

from tepin.config import PRESETS, parse_config
from tepin_host.bench.sizes import LOSS, SWEEPS, derive
from tepin_host.estimate import estimate
from tepin_host.models import demo_model_path, load_model


@pytest.fixture(scope="module")
def model():
    return load_model(demo_model_path()).config


@pytest.mark.parametrize("name", SWEEPS)
def test_enough_is_the_least_that_loses_little(model, name):
    config, values = parse_config("tiny,scratchpad_bytes=65536"), SWEEPS[name]
    enough, foreseen = derive(model, config, name, values, weights="int8")
    assert list(foreseen) == list(values) and sorted(foreseen.values(), reverse=True) == list(
        foreseen.values()
    )
    most = (1 + LOSS) * foreseen[values[-1]]
    assert foreseen[enough] <= most and all(foreseen[value] > most for value in values if value < enough)
    # It is the field that is swept, and nothing else.
    changed = parse_config(f"tiny,scratchpad_bytes=65536,{name}={values[0]}")
    alone = estimate(model, changed, weights="int8", latency=100, tokens=4)
    assert foreseen[values[0]] == alone.cycles_per_token


@pytest.mark.parametrize("preset, latency", [("sim", 100), ("board", 19)])
@pytest.mark.parametrize("name", ["weight_fifo_bytes", "outstanding"])
def test_presets_are_deep_enough(model, preset, latency, name):
    config = PRESETS[preset]
    size = getattr(config, name)
    enough, _ = derive(
        model, config, name, (size // 4, size // 2, size, 2 * size), weights="int8", latency=latency
    )
    assert enough <= size
