# SPDX-License-Identifier: Apache-2.0
"""``tepin run --device`` with a coprocessor at the other end: the text and every logit are those of the chip."""

import json

import pytest

from tepin.coprocessor.job import Shape
from verification.unit.host.commandline import assert_user_error, outcome
from verification.unit.host.commands.letters import PROMPT, talkative_model, tokenizer
from verification.unit.host.fake_coprocessor import FakeCoprocessor
from verification.unit.host.model_files import legacy

TOKENS = 4


@pytest.fixture
def model(tmp_path, monkeypatch):
    (tmp_path / "model.bin").write_bytes(legacy(talkative_model()))
    (tmp_path / "tok64.bin").write_bytes(tokenizer())
    monkeypatch.chdir(tmp_path)
    return ["model.bin", "--prompt", PROMPT, "--tokens", TOKENS]


@pytest.fixture
def device(request):
    shape, others = getattr(request, "param", (Shape(4, 1 << 15), {}))
    fake = FakeCoprocessor(shape, **others)
    yield fake
    fake.close()


def run(capsys, tmp_path, *argv):
    path = tmp_path / "result.json"
    status, out, err = outcome(capsys, "run", *argv, "--json", path)
    assert status == 0, err
    return out, err, json.loads(path.read_text())


@pytest.mark.parametrize("options", [(), ("--weights", "int4"), ("--temperature", 0.7), ("--config", "tiny")])
def test_the_same_bits_as_the_chip(capsys, tmp_path, model, device, options):
    out, err, found = run(capsys, tmp_path, *model, *options, "--device", device.path)
    _, _, expected = run(capsys, tmp_path, *model, *options, "--backend", "reference")
    assert found == expected and found["logits_sha256"]
    assert "coprocessor" in out and "array=2x4 memory=32K" in out and "bytes" in out
    assert device.jobs and not err


@pytest.mark.parametrize("device", [(Shape(4, 1 << 13), {})], indirect=True)
def test_matrices_that_do_not_fit_go_over_the_line(capsys, tmp_path, model, device):
    _, err, found = run(capsys, tmp_path, *model, "--device", device.path)
    assert "matrices do not fit into the coprocessor's memory; their weights go over the line" in err
    assert found == run(capsys, tmp_path, *model, "--backend", "reference")[2]


@pytest.mark.parametrize("device", [(Shape(4, 1 << 15), {"version": 2})], indirect=True)
def test_another_version_of_the_protocol(capsys, tmp_path, model, device):
    message = "the device speaks version 2 of the protocol"
    assert_user_error(capsys, tmp_path, ["run", *model, "--device", device.path], message)


def test_options_that_exclude_a_device(capsys, tmp_path, model, device):
    argv = ["run", *model, "--device", device.path, "--memory", "64,9"]
    assert_user_error(capsys, tmp_path, argv, "--memory is for simulations of the chip alone")
