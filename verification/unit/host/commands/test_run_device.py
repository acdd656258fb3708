# SPDX-License-Identifier: Apache-2.0
"""``tepin run --device``: text, table and JSON of a run on a board, here one of Python, and what is said when it fails."""

import functools
import json
from dataclasses import replace

import pytest

from tepin.config import PRESETS
from tepin.control.registers import register
from tepin.io.protocol import Request
from tepin_host.compiler import Request as Generation
from tepin_host.compiler import compile_model
from tepin_host.models import load_model
from verification.unit.host.commandline import assert_user_error, outcome
from verification.unit.host.commands.letters import (
    LETTERS,
    PROMPT,
    PROMPT_TOKENS,
    talkative_model,
    tokenizer,
)
from verification.unit.host.fake_device import CYCLES_PER_TOKEN, FakeChip, FakeDevice, Noise
from verification.unit.host.generation import generate
from verification.unit.host.model_files import legacy

TINY = PRESETS["tiny"]
TOKENS = 4


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("device")
    (directory / "model.bin").write_bytes(legacy(talkative_model()))
    (directory / "tok64.bin").write_bytes(tokenizer())
    return directory


@pytest.fixture
def device(files, monkeypatch):
    monkeypatch.chdir(files)
    fake = FakeDevice(FakeChip(TINY, 1 << 18))
    yield fake
    if fake.unplug_after != 0:
        fake.close()


def run(capsys, tmp_path, device, *argv):
    """(standard output, JSON) of a run on the device."""
    path = tmp_path / "result.json"
    argv = ["model.bin", "--prompt", PROMPT, "--tokens", TOKENS, *argv]
    status, out, err = outcome(capsys, "run", *argv, "--device", device.path, "--json", path)
    assert (status, err) == (0, "")
    return out, json.loads(path.read_text())


@functools.cache
def expected(**others):
    """What the functional simulator generates for the prompt."""
    executable = compile_model(load_model("model.bin"), TINY)
    return generate(executable, Generation(PROMPT_TOKENS, TOKENS, **others))


def test_text_table_and_json(capsys, tmp_path, device):
    out, result = run(capsys, tmp_path, device)
    tokens = expected().tokens
    assert len(tokens) == TOKENS and result["tokens"] == tokens
    assert result["text"] == PROMPT + "".join(LETTERS[token] for token in tokens)
    assert out.startswith(result["text"] + "\n")
    assert result["logits_sha256"] is None
    # All tokens come with one answer of this device: its chip takes no time.
    assert result["cycles_per_token"] == 0 and result["busy_cycles"]["total"] == TOKENS * CYCLES_PER_TOKEN
    assert f"hash={TINY.hash:08x}" in out and "latency" not in out and "sha256" not in out


def test_cycles_are_those_of_the_chip(capsys, tmp_path, device, monkeypatch):
    """With a device that gives one token per answer."""
    monkeypatch.setattr("tepin_host.serial.chip.TOKEN_BYTES", 4)
    out, result = run(capsys, tmp_path, device)
    assert result["cycles_per_token"] == CYCLES_PER_TOKEN
    assert result["port_utilisation"] == pytest.approx(
        100 * result["bytes_per_token"] / (4 * CYCLES_PER_TOKEN)
    )
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "cycles per token 5,000" in lines and "cycles to the first token 5,000" in lines
    assert "device 100,000,000 cycles/s, 20000.0 tokens/s" in lines


def test_second_run_sends_only_the_request(capsys, tmp_path, device):
    run(capsys, tmp_path, device)
    first = device.executed.count(Request.WRITE_MEMORY)
    device.executed.clear()
    _, result = run(capsys, tmp_path, device, "--seed", 3, "--temperature", 0.8)
    assert result["tokens"] == expected(seed=3, temperature=0.8).tokens
    assert device.executed.count(Request.WRITE_MEMORY) == 16 < first


def test_run_after_one_that_was_interrupted(capsys, tmp_path, device):
    """A program still runs, and has left tokens."""
    device.chip.status = 1
    device.chip.tokens.extend([60, 61])
    _, result = run(capsys, tmp_path, device, "--config", "tiny")
    assert result["tokens"] == expected().tokens


def test_directory_of_compile(capsys, tmp_path, device):
    assert outcome(capsys, "compile", "model.bin", "--config", "tiny", "-o", tmp_path / "compiled")[0] == 0
    argv = [
        "run",
        tmp_path / "compiled",
        "--prompt",
        PROMPT,
        "--tokens",
        TOKENS,
        "--device",
        f"{device.path},115200",
    ]
    status, out, err = outcome(capsys, *argv)
    assert (status, err) == (0, "")
    assert out.startswith(PROMPT + "".join(LETTERS[token] for token in expected().tokens) + "\n")
    assert outcome(capsys, "compile", "model.bin", "-o", tmp_path / "sim")[0] == 0
    message = f"chip is {TINY.hash:08x}, {tmp_path}/sim was compiled for {PRESETS['sim'].hash:08x}; compile the model"
    assert_user_error(capsys, tmp_path, ["run", tmp_path / "sim", "--device", device.path], message)


def test_configuration_that_is_no_preset(capsys, tmp_path, device):
    device.chip.config = replace(TINY, queue_words=128)
    device.chip.words[register("CONFIG_HASH").offset] = device.chip.config.hash
    argv = ["run", "model.bin", "--device", device.path, "--json", tmp_path / "out.json"]
    found = f"{device.chip.config.hash:08x}"
    assert_user_error(capsys, tmp_path, argv, f"chip is {found}, which is no preset; say with --config what")
    message = f"chip is {found}, --config tiny is {TINY.hash:08x}"
    assert_user_error(capsys, tmp_path, [*argv, "--config", "tiny"], message)
    _, result = run(capsys, tmp_path, device, "--config", "tiny,queue_words=128")
    assert result["tokens"] == expected().tokens


def test_memory_that_is_too_small(capsys, tmp_path, device):
    device.chip.memory = device.chip.memory[:4096].copy()
    argv = ["run", "model.bin", "--device", device.path]
    assert_user_error(capsys, tmp_path, argv, "bytes of memory, the board has 4,096")


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--backend", "reference"], "--device and --backend exclude each other"),
        (
            ["--memory", "32,10"],
            "--memory is for simulations of the chip alone; a device has the memory that it has",
        ),
        (["--prompt", "a" * 19], "the prompt has 21 tokens, the model's context is 20"),
    ],
)
def test_what_is_wrong_on_the_command_line(capsys, tmp_path, device, argv, message):
    assert_user_error(capsys, tmp_path, ["run", "model.bin", "--device", device.path, *argv], message)
    assert Request.WRITE_MEMORY not in device.executed


def test_no_device(capsys, tmp_path, files, monkeypatch):
    monkeypatch.chdir(files)
    argv = ["run", "model.bin", "--device", tmp_path / "ttyUSB0", "--json", tmp_path / "out.json"]
    assert_user_error(capsys, tmp_path, argv, "ttyUSB0: no such device; serial ports of this machine: ")


def test_program_that_stops_with_an_error(capsys, tmp_path, device):
    """A memory that lies: the program is damaged behind the host's back."""
    write = device.chip.write

    def damaging(offset, value):
        if offset == register("CONTROL").offset:
            device.chip.program[0] = 0xFFFF_FFFF
        return write(offset, value)

    device.chip.write = damaging
    argv = ["run", "model.bin", "--prompt", PROMPT, "--device", device.path]
    status, _, err = outcome(capsys, *argv)
    assert status == 2 and "the chip stopped with ILLEGAL_INSTRUCTION at word " in err
    device.chip.write = write
    _, result = run(capsys, tmp_path, device)
    assert result["tokens"] == expected().tokens


def test_run_over_a_noisy_line(capsys, tmp_path, device, rng):
    device.noise_in = device.noise_out = Noise(rng, 0.0003)
    _, result = run(capsys, tmp_path, device)
    assert result["tokens"] == expected().tokens


def test_unplugged_while_loading_then_plugged_in_again(capsys, tmp_path, device, files):
    device.unplug_after = 12
    argv = ["run", "model.bin", "--device", device.path, "--json", tmp_path / "out.json"]
    status, out, err = outcome(capsys, *argv)
    assert (status, out) == (2, "") and "Traceback" not in err
    assert "has gone away" in err or "stopped answering" in err
    assert not (tmp_path / "out.json").exists()
    again = FakeDevice(device.chip)
    _, result = run(capsys, tmp_path, again)
    assert result["tokens"] == expected().tokens
    again.close()
