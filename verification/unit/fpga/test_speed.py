# SPDX-License-Identifier: Apache-2.0
"""Cycles per token are measured once for each chip and program, and turned into tokens per second."""

from tepin.config import PRESETS
from tepin_fpga import speed
from tepin_fpga.speed import Speed, measure_speed
from tepin_host.compiler import compile_model
from tepin_host.models import demo_model_path, load_model


def test_tokens_per_second():
    assert Speed("demo", "int8", 250_000).tokens_per_second(100_000_000) == 400


def test_measurement(monkeypatch):
    monkeypatch.setitem(speed._TOKENS, "demo", 2)
    config = PRESETS["tiny"]
    (first,) = measure_speed(config, 16, models=[("demo", "int8")])
    plan = compile_model(load_model(demo_model_path()), config, weights="int8").plan
    limit = plan.useful_bytes(1) / config.port_bytes
    assert limit <= first.cycles_per_token < 3 * limit
    said = []
    assert measure_speed(config, 16, models=[("demo", "int8")], say=said.append) == [first]
    assert said == []
