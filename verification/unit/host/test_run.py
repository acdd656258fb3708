# SPDX-License-Identifier: Apache-2.0
"""``tepin run``, ``compile``, ``disasm`` and ``bench``: what they say and write, and how they fail.

Generations run on the functional simulator, with a random model whose vocabulary is a few letters.
"""

import hashlib
import json
import os
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from tepin.config import PRESETS
from tepin.isa import ErrorCode
from tepin_host import bench, cli, runtime, simulation
from tepin_host.bench import CheckFailed, Row
from tepin_host.compiler import Executable, Request, compile_model
from tepin_host.models import load_model
from tepin_host.tokenizer import Tokenizer
from tepin_reference.simulator import ProgramError
from tepin_testbench.options import seed
from tepin_testbench.random_model import random_model
from verification.unit.host.commandline import assert_user_error, outcome, snapshot
from verification.unit.host.generation import generate
from verification.unit.host.test_models import hf_metadata, hf_tensors, legacy, version1

LETTERS = ["<unk>", "<s>", "</s>", " ", *"abcdefghijklmnopqrstuvwxyz", "é", *(f"<{n}>" for n in range(33))]
"""64 tokens; those that are no letters are spelled in angle brackets."""

PROMPT = "a cab"
PROMPT_TOKENS = [1, 3, 4, 3, 6, 4, 5]

CONTRACT = ["tokens", "text", "cycles_per_token", "bytes_per_token", "port_utilisation", "array_utilisation"]
CONTRACT += ["busy_cycles", "logits_sha256"]


def tokenizer(pieces):
    return Tokenizer([piece.encode() for piece in pieces], [0.0] * len(pieces)).to_bytes()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A directory with models, good and bad, and tokenizers."""
    directory = tmp_path_factory.mktemp("files")
    model = random_model(seed(), n_layers=1, max_seq_len=20)
    classifier = model.classifier.copy()
    classifier[1:3] = classifier[4] / 2  # The most likely token never ends the text.
    model = replace(model, classifier=classifier)
    data = legacy(model)
    nan = struct.pack("<f", float("nan"))
    contents = {
        "model.bin": data,
        "tok64.bin": tokenizer(LETTERS),
        "short.tokens": tokenizer(LETTERS[:32]),
        "cut.tokens": tokenizer(LETTERS)[:-1],
        "empty.bin": b"",
        "head.bin": data[:20],
        "cut.bin": data[:-4],
        "long.bin": data + b"\0",
        "text.bin": b"Once upon a time there was a file that held no model at all.\n",
        "zeros.bin": bytes(5000),
        "heads.bin": data[:16] + struct.pack("<i", 3) + data[20:],
        "nan.bin": data[:40] + nan + data[44:],
        "wide.bin": legacy(random_model(0, dim=8, hidden_dim=5000, n_layers=1, vocab_size=3, max_seq_len=4)),
        "huge.bin": version1(
            random_model(0, dim=8, hidden_dim=4, n_layers=255, n_heads=1, n_kv_heads=1, max_seq_len=1 << 20)
        ),
        "tok3.bin": tokenizer(LETTERS[:3]),
        "file": b"",
    }
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    save_file(hf_tensors(model), directory / "model.safetensors", metadata=hf_metadata(model))
    (directory / "cut.safetensors").write_bytes((directory / "model.safetensors").read_bytes()[:-4])
    (directory / "folder").mkdir()
    compile_model(model, PRESETS["tiny"], weights="int4").save(directory / "compiled")
    return directory


@pytest.fixture
def inside(files, monkeypatch):
    """The directory, as the current one."""
    monkeypatch.chdir(files)
    return files


@pytest.fixture
def idle(monkeypatch):
    """Fails a test that starts anything long."""
    for place in ("tepin_host.compiler.compile.build_image", "tepin_host.simulation.build_simulator"):
        monkeypatch.setattr(place, lambda *arguments, **others: pytest.fail("something long began"))
    monkeypatch.setattr(runtime, "FunctionalSimulator", lambda *arguments: pytest.fail("a run began"))


# What fails


MODELS = [
    (["absent.bin"], "absent.bin: no such model file"),
    ([""], "not a compiled model"),
    (["empty.bin"], "empty.bin: empty file; accepted are llama2.c checkpoints"),
    (["head.bin"], "head.bin: not a model file; accepted are"),
    (["cut.bin"], "cut.bin: truncated, "),
    (["long.bin"], "long.bin: too long, "),
    (["text.bin"], "text.bin: not a model file; accepted are"),
    (["zeros.bin"], "zeros.bin: not a usable model file (read as a llama2.c checkpoint: dim is 0"),
    (
        ["heads.bin"],
        "heads.bin: not a usable model file (read as a llama2.c checkpoint: n_heads 4 is not div",
    ),
    (["nan.bin"], "nan.bin: tensor embedding contains NaN or infinite values"),
    (["cut.safetensors"], "cut.safetensors: truncated or not a valid safetensors file"),
    (["wide.bin"], "the scratchpad is too small for this model"),
    (["huge.bin"], "bytes of memory; the chip addresses 4,294,967,296"),
    (["model.bin", "--config", "huge"], "unknown preset 'huge'; presets are tiny, sim, board, asic"),
    (["model.bin", "--config", ""], "unknown preset ''; presets are tiny, sim, board, asic"),
    (["model.bin", "--config", "sim,lanes"], "'lanes' is not a setting; settings are"),
    (
        ["model.bin", "--config", "sim,lanes=3,rows=1"],
        "rows must be even, 2 to 64, not 1; lanes must be 1, 2",
    ),
    (["model.bin", "--config", "sim,lanes=x"], "lanes must be an integer, not 'x'"),
    (["model.bin", "--config", "sim,columns=12"], "columns must divide 64 to hold key pages, 12 does not"),
    (["model.bin", "--weights", "int3"], "argument --weights: invalid choice: 'int3'"),
    (["model.bin", "--activations", "int4"], "argument --activations: invalid choice: 'int4'"),
    (["model.bin", "--tokenizer", "absent"], "absent: no such tokenizer file"),
    (["model.bin", "--tokenizer", "folder"], "folder: is a directory, not a tokenizer file"),
    (["model.bin", "--tokenizer", "model.bin"], "model.bin: not a llama2.c tokenizer file"),
    (["model.bin", "--tokenizer", "cut.tokens"], "cut.tokens: not a llama2.c tokenizer file (it ends within"),
    (
        ["model.bin", "--tokenizer", "short.tokens"],
        "tokenizer has 32 tokens, the model has 64; they do not bel",
    ),
    (["model.bin", "--unknown"], "unrecognized arguments: --unknown"),
]

RUNS = [
    (["folder"], "folder: not a compiled model: No such file or directory"),
    (["model.bin", "--prompt", "a" * 19], "the prompt has 21 tokens, the model's context is 20"),
    (
        ["model.bin", "--prompt", "a日b"],
        "character '日' is neither in the vocabulary nor spelled by its byte",
    ),
    (["model.bin", "--prompt", "a\udce9"], "the prompt is not valid UTF-8 text"),
    (["model.bin", "--tokens", "0"], "the number of tokens must be at least 1, not 0"),
    (["model.bin", "--tokens", "-3"], "the number of tokens must be at least 1, not -3"),
    (["model.bin", "--tokens", "many"], "argument --tokens: invalid int value: 'many'"),
    (["model.bin", "--tokens", "1.5"], "argument --tokens: invalid int value: '1.5'"),
    (["model.bin", "--temperature", "-1"], "the temperature must be a number, 0 or more, not -1.0"),
    (["model.bin", "--temperature", "nan"], "the temperature must be a number, 0 or more, not nan"),
    (["model.bin", "--temperature", "inf"], "the temperature must be a number, 0 or more, not inf"),
    (["model.bin", "--temperature", "1e-40"], "the temperature 1e-40 is too close to 0"),
    (["model.bin", "--temperature", "hot"], "argument --temperature: invalid float value: 'hot'"),
    (["model.bin", "--seed", "-1"], "the seed must be 0 to 4294967295, not -1"),
    (["model.bin", "--seed", "4294967296"], "the seed must be 0 to 4294967295, not 4294967296"),
    (["model.bin", "--seed", "x"], "argument --seed: invalid int value: 'x'"),
    (["model.bin", "--memory", "64"], "--memory takes WIDTH,LATENCY, such as 64,100, not '64'"),
    (["model.bin", "--memory", "64,1,2"], "--memory takes WIDTH,LATENCY, such as 64,100, not '64,1,2'"),
    (["model.bin", "--memory", "wide,1"], "--memory takes WIDTH,LATENCY, such as 64,100, not 'wide,1'"),
    (["model.bin", "--memory", "65,100"], "--memory 65,100: port_width must be 16, 32, 64, 128, 256 or 512"),
    (["model.bin", "--memory", "64,0"], "the memory latency must be 1 to 100000 cycles, not 0"),
    (["model.bin", "--backend", "fpga"], "argument --backend: invalid choice: 'fpga'"),
    (["model.bin", "--chips", "0"], "a model runs on 1 to 8 chips, not 0"),
    (["model.bin", "--chips", "9"], "a model runs on 1 to 8 chips, not 9"),
    (["model.bin", "--chips", "x"], "argument --chips: invalid int value: 'x'"),
    (["model.bin", "--chips", "2", "--topology", "star"], "argument --topology: invalid choice: 'star'"),
    (
        ["model.bin", "--chips", "4", "--config", "tiny,links=1"],
        "4 chips that are wired as ring need links=2, this configuration has links=1",
    ),
    (["model.bin", "--chips", "2", "--bit-errors", "0.02"], "--bit-errors must be 0 to 0.01, not 0.02"),
    (["model.bin", "--bit-errors", "1e-5"], "--bit-errors are those of the links between several chips' RTL"),
    (["compiled", "--chips", "2"], "compiled: compiled for chip 0 of 1; several chips run together only"),
    (["model.bin", "--json", "absent/out.json"], "absent/out.json: No such file or directory"),
    (["model.bin", "--json", "folder"], "folder: Is a directory"),
    (["model.bin", "--json", ""], ": Is a directory"),
    (["model.bin", "--json", "file/out.json"], "file/out.json: Not a directory"),
    (["compiled"], "compiled/map.json: no tokenizer beside it"),
    (["compiled", "--config", "sim"], "compiled: compiled for rows 2, not 8; compile the model again"),
    (["compiled", "--config", "tiny,lanes=4"], "compiled: compiled for lanes 2, not 4; compile"),
    (["compiled", "--weights", "int8"], "compiled: compiled for weights int4, not int8; compile"),
    (["compiled", "--activations", "int8"], "compiled: compiled for activations int16, not int8; compile"),
    (["compiled", "--memory", "64,100"], "compiled: compiled for port_width 32, not 64; compile"),
]


def case_name(value):
    return "_".join(value) if isinstance(value, list) else ""


@pytest.mark.parametrize("argv, message", MODELS + RUNS, ids=case_name)
def test_run_fails_in_one_line(capsys, inside, idle, argv, message):
    for backend in ("reference", "rtl"):
        if backend == "reference" and "--backend" in argv:
            continue
        extra = [] if "--backend" in argv else ["--backend", backend]
        extra += [] if "--json" in argv else ["--json", "result.json"]
        assert_user_error(capsys, inside, ["run", *argv, *extra], message)


@pytest.mark.parametrize(
    "argv, message",
    [(argv, message) for argv, message in MODELS if argv[0]]
    + [
        ([""], "is a directory, not a model file"),
        (["compiled"], "compiled: is a directory, not a model file; accepted are"),
        (["model.bin", "-o", "file"], "file: Not a directory"),
        (["model.bin", "-o", "file/new"], "file/new: Not a directory"),
    ],
    ids=case_name,
)
def test_compile_fails_in_one_line(capsys, inside, idle, argv, message):
    output = [] if "-o" in argv else ["-o", "new/model"]
    assert_user_error(capsys, inside, ["compile", *argv, *output], message)


@pytest.mark.parametrize(
    "argv, message",
    [
        (
            ["absent"],
            "absent: no such program; accepted are a directory of `tepin compile` and a program.bin",
        ),
        (["folder"], "folder/program.bin: no such program"),
        (["empty.bin"], "empty.bin: 0 bytes are not a program of 32-bit words"),
        (["text.bin"], "text.bin: 61 bytes are not a program of 32-bit words"),
        (["huge.bin"], "bytes are not a program, which has up to 32768 words"),
        ([], "the following arguments are required: DIR|FILE"),
    ],
    ids=case_name,
)
def test_disasm_fails_in_one_line(capsys, inside, argv, message):
    assert_user_error(capsys, inside, ["disasm", *argv], message)


@pytest.mark.parametrize(
    "argv, message",
    [
        (["speed"], "unknown benchmark 'speed'; benchmarks are fake"),
        (["--json", "absent/out.json"], "absent/out.json: No such file or directory"),
        (["--json", "folder"], "folder: Is a directory"),
    ],
    ids=case_name,
)
def test_bench_fails_in_one_line(capsys, monkeypatch, inside, argv, message):
    monkeypatch.setattr(bench, "BENCHES", {"fake": lambda say: pytest.fail("a benchmark began")})
    assert_user_error(capsys, inside, ["bench", *argv], message)


def test_error_with_line_breaks_in_a_name_is_one_line(capsys, inside):
    assert_user_error(capsys, inside, ["run", "absent\nfile.bin"], "absent file.bin: no such model file")


def test_no_memory_on_this_machine(capsys, monkeypatch, inside):
    def fail(*arguments):
        raise MemoryError("Unable to allocate 4.00 GiB")

    monkeypatch.setattr("tepin_host.compiler.compile.build_image", fail)
    message = "not enough memory on this machine (Unable to allocate 4.00 GiB)"
    assert_user_error(capsys, inside, ["run", "model.bin", "--json", "result.json"], message)
    assert_user_error(capsys, inside, ["compile", "model.bin", "-o", "new"], message)


@pytest.mark.parametrize("token", [64, None])
def test_program_that_goes_wrong(capsys, monkeypatch, inside, token):
    """As a damaged program does: an error within the text leaves no JSON behind."""

    class Broken(runtime.FunctionalSimulator):
        def run(self, program):
            yield 4
            if token:
                yield token
            raise ProgramError(ErrorCode.SCRATCHPAD, 17, 0x10)

    monkeypatch.setattr(runtime, "FunctionalSimulator", Broken)
    before = snapshot(inside)
    argv = ["run", "model.bin", "--prompt", "b", "--backend", "reference", "--json", "result.json"]
    expected = (
        "wrote token 64, the vocabulary has 64" if token else "stopped with SCRATCHPAD at word 17, info 0x10"
    )
    assert outcome(capsys, *argv) == (2, "ba\n", f"tepin: error: the program {expected}\n")
    assert snapshot(inside) == before


# What works


def run_json(capsys, tmp_path, *argv):
    """(standard output, JSON) of a run on the functional simulator."""
    path = tmp_path / "result.json"
    status, out, err = outcome(capsys, "run", *argv, "--backend", "reference", "--json", path)
    assert (status, err) == (0, "")
    return out, json.loads(path.read_text())


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


def fake(say):
    say("measuring")
    yield Row(
        "fake", "a case in words that is so long that no terminal shows it " * 3, "speed", 1.5, "m/s", 3.0
    )
    yield Row("fake", "[red]", "size", 2e6, "bytes")


def wrong(say):
    yield Row("wrong", "case", "speed", 1.0, "m/s")
    raise CheckFailed("case: 1 is not 2")


def test_bench(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "BENCHES", {"fake": fake, "wrong": wrong})
    status, out, err = outcome(capsys, "bench", "fake", "--json", tmp_path / "rows.json")
    assert (status, err) == (0, "measuring\n")
    first, second = json.loads((tmp_path / "rows.json").read_text())
    assert list(first) == ["bench", "case", "metric", "value", "unit", "limit"]
    assert (first["value"], first["limit"], second["limit"]) == (1.5, 3.0, None)
    assert first["case"].strip() in out and "[red]" in out and "2e+06 bytes" in out and "…" not in out


def test_bench_with_wrong_results_fails_and_writes_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "BENCHES", {"wrong": wrong})
    outcome_of_it = outcome(capsys, "bench", "--json", tmp_path / "rows.json")
    assert outcome_of_it == (1, "", "tepin: error: case: 1 is not 2\n")
    assert not list(tmp_path.iterdir())


def test_every_command_is_installed():
    commands = {entry.name for entry in cli.entry_points(group="tepin.commands")}
    assert commands >= {"run", "compile", "disasm", "verilog", "bench", "configs", "estimate"}
