# SPDX-License-Identifier: Apache-2.0
"""``tepin compile`` and ``disasm``: what they say and write, and that the result runs as the model does."""

import numpy as np

from tepin_host.compiler import Executable
from tepin_testbench.options import seed
from verification.unit.host.commandline import assert_user_error, outcome, run_json
from verification.unit.host.commands.letters import LETTERS, PROMPT, tokenizer


def test_compile_disasm_run(capsys, inside, tmp_path):
    directory = tmp_path / "a" / "compiled"
    argv = ["model.bin", "--config", "tiny", "--weights", "int4", "--activations", "int8"]
    for _ in range(2):  # The second time over the first.
        status, out, err = outcome(capsys, "compile", *argv, "-o", directory)
        assert (status, err) == (0, "")
    executable = Executable.load(directory)
    assert out.startswith(f"{directory}: program of {len(executable.program)} words, image of ")
    files = sorted(path.name for path in directory.iterdir())
    assert files == ["image.bin", "map.json", "program.bin", "tokenizer.bin"]
    assert [path.name for path in directory.parent.iterdir()] == ["compiled"]

    status, listing, err = outcome(capsys, "disasm", directory)
    assert (status, err) == (0, "")
    assert outcome(capsys, "disasm", directory / "program.bin")[1] == listing
    starts = [int(line.split()[0]) for line in listing.splitlines()]
    assert starts[0] == 0 and starts == sorted(set(starts))
    for line, start in zip(listing.splitlines(), starts, strict=True):
        assert int(line.split()[1], 16) == executable.program[start]
    assert "(no instruction)" not in listing and listing.splitlines()[-1].split()[2] == "end"

    options = ["--prompt", PROMPT, "--tokens", 6, "--seed", 3, "--temperature", 0.8]
    _, compiled = run_json(capsys, tmp_path, directory, *options)
    assert compiled == run_json(capsys, tmp_path, *argv, *options)[1]
    agreeing = ["--config", "tiny", "--weights", "int4", "--activations", "int8", "--memory", "32,5"]
    assert compiled == run_json(capsys, tmp_path, directory, *agreeing, *options)[1]
    (directory / "tokenizer.bin").unlink()
    assert compiled == run_json(capsys, tmp_path, directory, "--tokenizer", "tok64.bin", *options)[1]


def test_compile_without_tokenizer(capsys, tmp_path, files):
    (tmp_path / "model.bin").write_bytes((files / "model.bin").read_bytes())
    (tmp_path / "tokenizer.bin").write_bytes(tokenizer(LETTERS[:5]))  # of another model
    assert outcome(capsys, "compile", tmp_path / "model.bin", "-o", tmp_path / "out")[0] == 0
    assert not (tmp_path / "out" / "tokenizer.bin").exists()


def test_compile_that_fails_leaves_what_was_there(capsys, monkeypatch, inside, tmp_path):
    (tmp_path / "program.bin").write_bytes(b"old")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Executable, "save", fail)
    message = "No space left on device"
    assert_user_error(capsys, tmp_path, ["compile", "model.bin", "-o", tmp_path], message)
    assert_user_error(capsys, tmp_path, ["compile", "model.bin", "-o", tmp_path / "new"], message)


def test_disasm_of_anything(capsys, tmp_path):
    words = np.random.default_rng(seed()).integers(0, 1 << 32, 2000, dtype=np.uint32)
    (tmp_path / "noise.bin").write_bytes(words.astype("<u4").tobytes())
    status, out, err = outcome(capsys, "disasm", tmp_path / "noise.bin")
    assert (status, err) == (0, "")
    assert "(no instruction)" in out
