# SPDX-License-Identifier: Apache-2.0
"""The testbenches that `tepin verilog` writes, as somebody runs them who has a simulator and nothing else."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tepin import verilator
from tepin.config import PRESETS
from tepin_host.compiler.compile import compile_model
from tepin_host.compiler.executable import Request
from tepin_host.runtime import Report, run_reference
from tepin_testbench.random_model import random_model
from verification.testbenches.exported.directory import written

ICARUS = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")

SCRIPT = Path(__file__).parents[3] / "scripts" / "verilog_system"
UNITS = (
    "softmax",
    "norm",
    "activation",
    "array",
    "link",
    "switch",
    "sdram",
    "matmul",
    "vector",
    "dma",
    "copier",
)


def last_line(directory, module):
    """Compiles and runs the testbench in a directory; returns the last line that it prints."""
    benches = sorted(str(path.relative_to(directory)) for path in (directory / "tb").glob("*.v"))
    command = ["iverilog", "-g2005", "-DTEPIN_RANDOM_START", "-o", "sim", "-f", f"{module}.f", *benches]
    subprocess.run(command, cwd=directory, check=True)
    result = subprocess.run(["vvp", "-n", "sim"], cwd=directory, check=True, capture_output=True, text=True)
    return result.stdout.strip().splitlines()[-1]


@ICARUS
@pytest.mark.parametrize("top", UNITS)
def test_unit(tmp_path, top):
    assert last_line(written(tmp_path, top), f"tepin_{top}").startswith("PASS: ")


@ICARUS
@pytest.mark.parametrize(
    "top, file, line, said",
    [
        ("activation", "expected.hex", 7, "FAIL: 1 of "),
        ("array", "expected_0.hex", 7, "FAIL: a word is wrong"),
        ("link", "expected_1.hex", 39, "FAIL: a word is wrong"),
        ("switch", "expected_3.hex", 20, "FAIL: a word is wrong"),
        ("sdram", "expected_1.hex", 30, "FAIL: a word is wrong"),
        ("dma", "scratchpad_expected.hex", 9000, "FAIL: 1 words of memories are wrong"),
        ("dma", "ram_expected.hex", 1100, "FAIL: 1 words of memories are wrong"),
        ("copier", "ram_expected.hex", 1100, "FAIL: 1 words of memories are wrong"),
    ],
)
def test_wrong_result_is_found(tmp_path, top, file, line, said):
    written(tmp_path, top)
    path = tmp_path / "tb" / file
    lines = path.read_text().splitlines()
    lines[line] = f"{int(lines[line], 16) ^ 1:0{len(lines[line])}x}"
    path.write_text("\n".join(lines) + "\n")
    assert last_line(tmp_path, f"tepin_{top}").startswith(said)


ALLOWED = {"cocotb", "cocotb_tools", "numpy", "tepin_cocotb", *sys.stdlib_module_names}


def imported(directory):
    """What the testbenches for cocotb import."""
    pattern = re.compile(r"^(?:from|import) (\w+)", re.MULTILINE)
    return {name for path in directory.glob("*.py") for name in pattern.findall(path.read_text())}


@ICARUS
@pytest.mark.parametrize("broken", [False, True])
def test_cocotb(tmp_path, broken):
    """The testbench for cocotb, which needs cocotb and numpy alone."""
    written(tmp_path, "array")
    assert not imported(tmp_path / "tb") - ALLOWED
    if broken:
        path = tmp_path / "rtl" / "tepin_array.v"
        text = path.read_text()
        path.write_text(text.replace("{sum_1_7, sum_1_6,", "{sum_1_6, sum_1_7,"))
        assert path.read_text() != text
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "tb/test_array.py"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.returncode == 0) == (not broken), result.stdout + result.stderr


@ICARUS
def test_missing_word_is_found(tmp_path):
    written(tmp_path, "array")
    path = tmp_path / "tb" / "tepin_array_tb.v"
    text = path.read_text()
    path.write_text(text.replace(".valid(o__valid)", ".valid(o__valid && sink_0.total != 5)"))
    assert path.read_text() != text
    assert last_line(tmp_path, "tepin_array").startswith("FAIL: words are missing after ")


def system_output(directory):
    """Compiles the chip's testbench with Verilator, Icarus being too slow for it; returns the lines that it prints."""
    benches = sorted(str(path.relative_to(directory)) for path in (directory / "tb").glob("*.v"))
    environment = verilator.environment()
    environment["MAKEFLAGS"] += " OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
    # The package lacks the compiler flag for coroutines that an installed Verilator is configured with.
    command = [verilator.root() / "bin" / "verilator", "--binary", "--timing", "-CFLAGS", "-fcoroutines"]
    command += ["--x-initial", "unique", "-Wno-fatal", "-f", "tepin.f", *benches]
    command += ["--top-module", "tepin_system_tb"]
    subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True)
    run = [directory / "obj_dir" / "Vtepin_system_tb", "+verilator+rand+reset+2", "+verilator+seed+5"]
    return subprocess.run(run, cwd=directory, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.slow
def test_chip(tmp_path):
    """Chip, memory and host in plain Verilog run the self test of the boards."""
    output = system_output(written(tmp_path, "chip"))
    assert [line for line in output if line.startswith("token ")] == [
        f"token {part}" for part in (1, 2, 3, 4)
    ]
    assert any(line.startswith("PASS: 4 tokens, ") for line in output)


@pytest.mark.slow
def test_chip_with_cocotb(tmp_path):
    """The same program with a host and a memory that need cocotb and numpy alone."""
    written(tmp_path, "chip")
    assert not imported(tmp_path / "tb") - ALLOWED
    environment = verilator.environment()
    environment["MAKEFLAGS"] += " OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "tb/test_chip.py"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "chip_passes_its_self_test" in result.stdout


@pytest.mark.slow
def test_model(tmp_path):
    """A compiled model in the same system writes the tokens of the functional simulator."""
    written(tmp_path, "chip")
    executable = compile_model(random_model(1, n_layers=1, max_seq_len=64), PRESETS["tiny"])
    executable.save(tmp_path / "model")
    command = [sys.executable, SCRIPT, tmp_path / "model", tmp_path, "--ids", "1,5,9", "--tokens", "3"]
    subprocess.run(command, check=True)
    tokens = list(run_reference(executable, Request([1, 5, 9], 3), Report()))
    output = system_output(tmp_path)
    assert [line for line in output if line.startswith("token ")] == [f"token {token}" for token in tokens]
    assert any(line.startswith("PASS: 3 tokens, ") for line in output)
