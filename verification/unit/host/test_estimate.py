# SPDX-License-Identifier: Apache-2.0
"""Estimates: what must follow from what, and the command. Whether they are right is tested on the chip."""

import argparse
import json
from dataclasses import replace

import pytest

from tepin.config import PRESETS
from tepin_host.commands.estimate import command
from tepin_host.errors import UserError
from tepin_host.estimate import estimate
from tepin_host.models import ModelConfig, demo_model_path, load_model

LINKED = replace(PRESETS["sim"], links=2)


@pytest.fixture(scope="module")
def demo():
    return load_model(demo_model_path()).config


def cycles(demo, config=LINKED, **settings):
    return estimate(demo, config, tokens=2, **settings).cycles_per_token


def test_more_takes_longer(demo):
    assert cycles(demo, weights="int4") < cycles(demo)
    assert cycles(demo, chips=2) < cycles(demo)
    assert cycles(demo, chips=4, link_latency=20) < cycles(demo, chips=4, link_latency=200)
    assert cycles(demo, chips=4) < cycles(demo, chips=4, link_words_per_cycle=0.25)
    assert cycles(demo, replace(LINKED, port_width=32)) > 1.9 * cycles(demo)


def test_never_quicker_than_the_port(demo):
    for weights in ("int8", "int4"):
        result = estimate(demo, LINKED, weights=weights, tokens=3, latency=1)
        assert result.cycles_per_token >= result.bytes_per_token / LINKED.port_bytes


def test_words_on_the_links(demo):
    """Per token and chip of two: half of each gathered row, a row of the embedding, a candidate."""
    rows = 3 * demo.dim + demo.hidden_dim
    words = demo.n_layers * rows * 4 // 2 // 8 + -(-(demo.dim + 4) // 8) + 1
    assert estimate(demo, LINKED, chips=2, tokens=2).link_words == words
    assert estimate(demo, LINKED, tokens=2).link_words == 0


def test_pipeline(demo):
    """Twice as many stages write almost twice as many tokens; the row goes once around, and to all but one in the end."""
    one, two, four = (
        estimate(demo, LINKED, chips=chips, parallel="pipeline" if chips > 1 else "tensor", tokens=3)
        for chips in (1, 2, 4)
    )
    assert 1.9 < one.cycles_per_token / two.cycles_per_token <= 2
    assert 3.8 < one.cycles_per_token / four.cycles_per_token <= 4
    assert four.bytes_per_token == one.bytes_per_token
    row, steps = (
        demo.dim * 4 // 8,
        15 + 4,
    )  # 15 passes, one behind the other, of which the last one goes on for four steps
    candidates, broadcasts = 3 * 4 * 15, 2 * row * 15
    assert four.link_words == (4 * row * steps + candidates + broadcasts) / 4 / 15


def test_no_weights_are_needed():
    """A layer of the size of those of real models, on a large chip whose array takes more than its port brings."""
    model = ModelConfig(
        dim=2048, hidden_dim=5632, n_layers=1, n_heads=32, n_kv_heads=8, vocab_size=4096, max_seq_len=64
    )
    config = replace(PRESETS["asic"], port_width=128, scratchpad_bytes=1 << 22, links=2)
    result = estimate(model, config, chips=8, tokens=1, latency=50)
    port = result.bytes_per_token / 8 / config.port_bytes
    assert port < result.cycles_per_token < 1.1 * port


def run(*argv):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(argv))


def test_command(capsys, tmp_path):
    run("--chips", "4", "--tokens", "2", "--json", str(tmp_path / "out.json"))
    out, result = capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())
    assert list(result) == ["first_token_cycles", "cycles_per_token", "bytes_per_token", "link_words"]
    assert f"{result['cycles_per_token']:,.0f}" in out and "4, ring" in out
    assert f"{1e8 / result['cycles_per_token']:,.1f} tokens/s" in out


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--chips", "9"], "a model runs on 1 to 8 chips, not 9"),
        (["--parallel", "pipeline"], "a pipeline has at least 2 stages"),
        (["--parallel", "pipeline", "--chips", "5"], "a model of 4 layers cannot be divided into 5 stages"),
        (["--tokens", "0"], "--tokens must be at least 1, not 0"),
        (["--tokens", "600"], "--tokens must be at most the model's context, 512"),
        (["--latency", "0"], "--latency must be at least 1, not 0"),
        (["--link-latency", "1"], "--link-latency must be at least 2, not 1"),
        (["--clock", "0"], "--clock must be above 0, not 0"),
        (["--config", "huge"], "unknown preset 'huge'"),
    ],
)
def test_command_fails_in_one_line(argv, message):
    with pytest.raises(UserError, match=message):
        run(*argv)
