# SPDX-License-Identifier: Apache-2.0
"""Projections: published numbers of weights, bounds that hold whatever the machine, the estimate of a compiled program."""

from dataclasses import replace

import pytest

from tepin.config import PRESETS
from tepin_host.estimate import estimate
from tepin_host.models import ModelConfig
from tepin_host.projection import SHAPES, Machine, Shape, project


@pytest.mark.parametrize(
    "name, weights, active", [("gpt-oss-120b", 116.8e9, 5.1e9), ("Llama-3.1-70B", 70.6e9, 69.5e9)]
)
def test_published_shapes(name, weights, active):
    assert SHAPES[name].parameters == pytest.approx(weights, rel=0.01)
    assert SHAPES[name].active_parameters == pytest.approx(active, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_bounds(shape):
    machine = Machine()
    one = project(shape, machine, group=1)
    assert one.links == 0 and one.cycles == pytest.approx(one.stage)
    assert one.memory * machine.port_bytes > shape.active_parameters * 17 / 32  # int4 with group parameters
    for group in (8, 64):
        p = project(shape, machine, group=group)
        assert one.memory / group <= p.memory < one.memory
        assert p.links > 0
        staged = project(shape, machine, group=group, stages=9)
        assert staged.cycles >= p.cycles
        assert p.cycles / 9 <= staged.stage < p.cycles / 6
        assert staged.chip_bytes < p.chip_bytes
    faster = project(shape, replace(machine, link_latency=10), group=8)
    assert faster.links < project(shape, machine, group=8).links


def test_no_constant_is_missing_much():
    """Of a shape that can be compiled, it says somewhat more than the estimate, which lets things happen at the same time."""
    size = {"dim": 64, "n_heads": 4, "n_kv_heads": 4, "vocab_size": 2048}
    model = ModelConfig(hidden_dim=192, n_layers=2, max_seq_len=64, **size)
    shape = Shape(layers=2, dim=64, heads=4, kv_heads=4, head_dim=16, hidden=192, vocab=2048, tied=True)
    for chips in (1, 2):
        config = replace(PRESETS["sim"], links=2 * (chips > 1))
        machine = Machine(port_bytes=config.port_bytes, columns=config.columns, lanes=config.lanes)
        cycles = estimate(model, config, chips=chips, tokens=3).cycles_per_token
        assert 0.8 < project(shape, machine, group=chips, context=2, weights="int8").cycles / cycles < 1.2


@pytest.mark.parametrize("wrong", [{"group": 0}, {"group": 20_000}, {"group": 1, "stages": 81}])
def test_wrong_divisions(wrong):
    with pytest.raises(ValueError, match="must be 1 to"):
        project(SHAPES["Llama-3.1-70B"], Machine(), **wrong)
