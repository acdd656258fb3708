# SPDX-License-Identifier: Apache-2.0
"""``tepin run``: what it says and writes.

Generations run on the functional simulator, with a random model whose vocabulary is a few letters.
"""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from tepin.config import PRESETS
from tepin_host import runtime, simulation
from tepin_host.compiler import Request, compile_model
from tepin_host.models import load_model
from verification.unit.host.commandline import outcome, run_json
from verification.unit.host.commands.letters import LETTERS, PROMPT, PROMPT_TOKENS
from verification.unit.host.generation import generate

CONTRACT = ["tokens", "text", "cycles_per_token", "bytes_per_token", "port_utilisation", "array_utilisation"]
CONTRACT += ["busy_cycles", "logits_sha256"]


@pytest.mark.parametrize("name", ["model.bin", "model.safetensors"])
def test_run_writes_text_table_and_json(capsys, inside, tmp_path, name):
    executable = compile_model(load_model(name), PRESETS["sim"])
    for sampling in range(100):
        expected = generate(executable, Request(PROMPT_TOKENS, 8, seed=sampling, temperature=0.7))
        if len(expected.tokens) > 1:
            break
    options = ["--prompt", PROMPT, "--tokens", 8, "--seed", sampling, "--temperature", 0.7]
    out, result = run_json(capsys, tmp_path, name, *options)
    assert list(result) == CONTRACT
    assert result["tokens"] == expected.tokens
    assert result["text"] == PROMPT + "".join(LETTERS[token] for token in expected.tokens)
    assert out.startswith(result["text"] + "\n")
    logits = expected.logits[: len(expected.tokens)].astype("<f4")
    assert result["logits_sha256"] == hashlib.sha256(logits.tobytes()).hexdigest()
    assert result["bytes_per_token"] > 0 and result["busy_cycles"] == {}
    assert result["cycles_per_token"] is result["port_utilisation"] is result["array_utilisation"] is None
    table = out[len(result["text"]) :]
    assert f"{PRESETS['sim'].hash:08x}" in table and result["logits_sha256"][:16] in table


@pytest.mark.parametrize("topology", ["ring", "full"])
def test_several_chips_write_the_same(capsys, inside, tmp_path, topology):
    argv = ["model.bin", "--prompt", "b", "--tokens", 3, "--config", "tiny", "--temperature", 1]
    _, alone = run_json(capsys, tmp_path, *argv)
    out, together = run_json(capsys, tmp_path, *argv, "--chips", 3, "--topology", topology)
    assert f"3, {topology}" in out
    for name in ("tokens", "text", "logits_sha256"):
        assert together[name] == alone[name]


def test_text_of_a_run_is_the_same_in_any_encoding(files):
    """What the terminal cannot show is replaced, and no error."""
    code = "import sys; from tepin_host import cli; sys.exit(cli.main())"
    argv = ["run", "model.bin", "--prompt", "aéb", "--tokens", "1", "--backend", "reference"]
    variables = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    result = subprocess.run(
        [sys.executable, "-c", code, *argv], cwd=files, env=variables, capture_output=True, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith(b"a?b")


def test_text_ends_at_the_end_of_the_context(capsys, inside, tmp_path):
    _, result = run_json(
        capsys, tmp_path, "model.bin", "--prompt", "a" * 18, "--tokens", 10**9, "--temperature", 9
    )
    assert len(result["tokens"]) <= 1


def test_json_replaces_a_file_or_goes_to_a_device(capsys, inside, tmp_path):
    argv = ["run", "model.bin", "--tokens", 1, "--backend", "reference", "--json"]
    (tmp_path / "old.json").write_text("old")
    (tmp_path / "link.json").symlink_to("old.json")
    assert outcome(capsys, *argv, tmp_path / "link.json")[0] == 0
    assert list(json.loads((tmp_path / "old.json").read_text())) == CONTRACT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "old.json"]
    assert (tmp_path / "link.json").is_symlink()
    assert outcome(capsys, *argv, "/dev/null")[0] == 0


@pytest.mark.parametrize("columns", ["20", "80", "300"])
def test_table_of_a_run_on_the_rtl_is_uncut(capsys, monkeypatch, inside, tmp_path, columns):
    """With the functional simulator in place of the chip: this is about what is said of the cycles."""

    class Simulator:
        cycle = 1_234_567

        def __init__(self, config, memory, *, latency, library):
            assert (config.port_width, latency, library) == (32, 77, "library")

    def run(executable, request, report, simulator):
        assert isinstance(simulator, Simulator)
        report.cycles_per_token, report.first_token_cycles = 2000.0, 34567
        report.busy_cycles = {"total": 1000, "matmul": 123, "vector": 456}
        yield from runtime.run_reference(executable, request, report)

    monkeypatch.setattr(simulation, "build_simulator", lambda config, **others: "library")
    monkeypatch.setattr(simulation, "ChipSimulator", Simulator)
    monkeypatch.setattr(runtime, "run_rtl", run)
    monkeypatch.setenv("COLUMNS", columns)
    path = tmp_path / "result.json"
    # Square brackets are markup to the library that prints tables.
    (tmp_path / "[bold]model.bin").write_bytes((inside / "model.bin").read_bytes())
    argv = [tmp_path / "[bold]model.bin", "--tokenizer", "tok64.bin", "--memory", "32,77", "--tokens", 3]
    status, out, err = outcome(capsys, "run", *argv, "--json", path)
    assert (status, err) == (0, "")
    result = json.loads(path.read_text())
    port = 100 * result["bytes_per_token"] / (2000 * 4)
    assert result["port_utilisation"] == pytest.approx(port)
    assert (result["cycles_per_token"], result["busy_cycles"]["vector"]) == (2000, 456)
    assert "…" not in out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in (
        "model [bold]model, int8 weights, int16 activations",
        "cycles per token 2,000",
        "cycles to the first token 34,567",
        f"useful bytes per token {result['bytes_per_token']:,.0f}",
        f"memory port {port:.1f} %",
        "matmul busy 12.3 %",
    ):
        assert line in lines
    config = replace(PRESETS["sim"], port_width=32)
    assert f"chip array=8x16 lanes=4 port=32 latency=77 hash={config.hash:08x}" in lines
