# SPDX-License-Identifier: Apache-2.0
"""Cycles per token are measured once for each chip and program, and turned into tokens per second."""

from tepin.config import PRESETS
from tepin_fpga import speed
from tepin_fpga.speed import Speed, measure_speed
from tepin_host.compiler import compile_model
from tepin_testbench.random_model import random_model


def test_tokens_per_second():
    assert Speed("demo", "int8", 250_000).tokens_per_second(100_000_000) == 400
    assert Speed("demo", "int8", None, "too large").tokens_per_second(100_000_000) is None


def test_measurement(monkeypatch):
    model, config = random_model(3), PRESETS["tiny"]
    monkeypatch.setattr(speed, "_model", lambda name: model)
    models = [("demo", "int8"), ("demo", "int4")]
    int8, int4 = measure_speed(config, 16, models=models)
    for entry in (int8, int4):
        plan = compile_model(model, config, weights=entry.weights).plan
        assert plan.useful_bytes(1) / config.port_bytes < entry.cycles_per_token
    said = []
    assert measure_speed(config, 16, models=models, say=said.append) == [int8, int4]
    assert said == []
    (slower,) = measure_speed(config, 60, models=models[:1])
    assert slower.cycles_per_token > int8.cycles_per_token


def test_model_that_is_too_large():
    (result,) = measure_speed(PRESETS["tiny"], 16, models=[("15M shape", "int8")])
    assert result.cycles_per_token is None and "the scratchpad is too small for this model" in result.problem
