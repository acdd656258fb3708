# SPDX-License-Identifier: Apache-2.0
"""``tepin run --batch``: what it says and writes, and how it fails."""

import json

import pytest

from tepin_testbench.options import seed
from tepin_testbench.random_model import random_model
from verification.unit.host.commandline import assert_user_error, outcome
from verification.unit.host.model_files import legacy

REFERENCE = ["run", "model.bin", "--config", "tiny", "--backend", "reference", "--tokens", "4"]


def test_every_line_is_as_alone(inside, capsys, tmp_path):
    prompts = ["a cab", "be", "dead beef"]
    (tmp_path / "prompts").write_text("a cab\n\nbe\r\n  \ndead beef\n")
    batch = ["--batch", tmp_path / "prompts", "--temperature", "0.7", "--seed", "5"]
    status, out, err = outcome(capsys, *REFERENCE, *batch, "--json", tmp_path / "batch.json")
    assert (status, err) == (0, "")
    found = json.loads((tmp_path / "batch.json").read_text())
    assert [line["prompt"] for line in found["lines"]] == prompts
    assert "3, up to 2 at a time" in out
    for number, (prompt, line) in enumerate(zip(prompts, found["lines"], strict=True), 1):
        alone = ["--prompt", prompt, *batch[2:], "--json", tmp_path / "alone.json"]
        assert outcome(capsys, *REFERENCE, *alone)[0] == 0
        expected = json.loads((tmp_path / "alone.json").read_text())
        for name in ("tokens", "text", "logits_sha256"):
            assert line[name] == expected[name]
        assert f"[{number}] {line['text']}\n" in out
    assert found["tokens"] == sum(len(line["tokens"]) for line in found["lines"])
    assert found["cycles"] is None and found["cycles_per_token"] is None


def test_lines_on_a_pipeline(inside, capsys):
    """The same texts and logits as on one chip, and a single prompt likewise."""
    (inside / "two.bin").write_bytes(legacy(random_model(seed(), max_seq_len=20)))
    (inside / "prompts").write_text("a cab\nbe\ndead beef\n")
    results = []
    for chips in ([], ["--chips", "2", "--parallel", "pipeline"]):
        for what in (["--batch", "prompts"], ["--prompt", "a fee"]):
            options = [*chips, *what, "--tokenizer", "tok64.bin", "--json", "found.json"]
            status, out, err = outcome(capsys, "run", "two.bin", *REFERENCE[2:], *options)
            assert (status, err) == (0, "")
            results.append(json.loads((inside / "found.json").read_text()))
    assert "2, ring, pipeline" in out
    assert results[2]["lines"] == results[0]["lines"]
    for name in ("tokens", "text", "logits_sha256"):
        assert results[3][name] == results[1][name]


@pytest.mark.parametrize(
    "options, message",
    [
        (["--prompt", "a"], "--batch and --prompt exclude each other"),
        (["--chips", "2"], "--batch on several chips takes --parallel pipeline"),
        (["--parallel", "pipeline"], "--parallel pipeline takes several chips; see --chips"),
        (
            ["--parallel", "pipeline", "--chips", "2", "--rows", "2"],
            "--rows is for one chip: those of a pipeline have one row each",
        ),
        (["--parallel", "pipeline", "--chips", "9"], "a model runs on 1 to 8 chips, not 9"),
        (["--save-kv", "x"], "--batch and --save-kv exclude each other"),
        (["--load-kv", "x"], "--batch and --load-kv exclude each other"),
        (["--device", "x"], "--batch and --device exclude each other"),
        (["--board", "x"], "--batch and --board exclude each other"),
        (["--bit-errors", "0"], "--bit-errors are those of the links between several chips' RTL"),
        (["--trace", "x"], "--batch and --trace exclude each other"),
        (["--rows", "1"], "--rows must be at least 2, not 1"),
        (["--rows", "5"], "1 to accumulator_rows=4 rows at a time, not 5"),
        (["--seed", "-1"], "the seed must be 0 to 4294967295"),
        (["--tokens", "0"], "lines: line 1: the number of tokens must be at least 1"),
    ],
)
def test_wrong_options(options, message, inside, capsys, idle):
    (inside / "lines").write_text("a\n")
    assert_user_error(capsys, inside, [*REFERENCE, "--batch", "lines", *options], message)


@pytest.mark.parametrize(
    "name, message",
    [
        ("absent", "absent: No such file"),
        ("folder", "folder: Is a directory"),
        ("blank", "blank: there is no prompt in it"),
        ("latin", "latin: not a text in UTF-8"),
        ("long", "long: line 2: the prompt has "),
    ],
)
def test_wrong_files(name, message, inside, capsys, idle):
    (inside / "blank").write_text("\n \n")
    (inside / "latin").write_bytes(b"\xe9\n")
    (inside / "long").write_text("a\n" + "a" * 40 + "\n")
    assert_user_error(capsys, inside, [*REFERENCE, "--batch", name], message)


def test_wrong_without_batch(inside, capsys, idle):
    assert_user_error(capsys, inside, [*REFERENCE, "--rows", "2"], "--rows is for --batch")
    compiled = ["run", "compiled", "--batch", "lines", "--tokenizer", "tok64.bin"]
    (inside / "lines").write_text("a\n")
    assert_user_error(capsys, inside, compiled, "compiled: --batch takes a model file")
