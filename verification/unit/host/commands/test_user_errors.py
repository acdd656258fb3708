# SPDX-License-Identifier: Apache-2.0
"""``tepin run``, ``compile``, ``disasm`` and ``bench``: how they fail, in one line and without a trace."""

import pytest

from tepin.isa import ErrorCode
from tepin_host import bench, runtime
from tepin_reference.simulator import ProgramError
from verification.unit.host.commandline import assert_user_error, outcome, snapshot

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
