# SPDX-License-Identifier: Apache-2.0
"""Cycles per token are measured once for each chip and program, and turned into tokens per second."""

import pytest

from tepin.config import PRESETS
from tepin.coprocessor.job import Shape
from tepin_fpga import speed
from tepin_fpga.board import find_board
from tepin_fpga.speed import Speed, measure_speed
from tepin_host.compiler import compile_model
from tepin_host.coprocessor.estimate import traffic_per_token
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


def test_a_coprocessor(monkeypatch):
    """Cycles of its jobs, and those that the line takes for its bytes."""
    model, board, shape = random_model(1), find_board("icebreaker"), Shape(4, 1 << 14)
    monkeypatch.setattr(speed, "_model", lambda name: model)
    clock_hz = 24_000_000
    found = speed.speed_on_board(shape, board, clock_hz)
    assert [entry.model for entry in found] == list(speed.COPROCESSOR_MODELS)
    traffic = traffic_per_token(compile_model(model, PRESETS["tiny"]), shape)
    line = (traffic.sent + traffic.received) * 10 * clock_hz / board.baud
    # The classifier of another chip's program may be in other pieces.
    assert found[0].cycles_per_token == pytest.approx(traffic.cycles + line, rel=0.02)
    assert found[0].tokens_per_second(clock_hz) == pytest.approx(clock_hz / found[0].cycles_per_token)
