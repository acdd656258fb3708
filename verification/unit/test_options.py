# SPDX-License-Identifier: Apache-2.0
"""The suite's own options: seeds, the command that repeats a failure, and tests marked slow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tepin_testbench import options

ROOT = Path(__file__).resolve().parents[2]

SUITE = """
import os
import pytest

def test_draw(rng):
    print("drew", os.environ["TEPIN_SEED"], rng.integers(1 << 30))
    assert False

@pytest.mark.slow
def test_slow():
    assert False
"""


@pytest.fixture
def suite(tmp_path):
    """Runs pytest with the options of this suite on a small one; returns what it prints."""
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "test_sample.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\naddopts = --import-mode=importlib\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TEPIN", "PYTEST"))}

    def run(*arguments):
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True).stdout

    return run


def drawn(output):
    return [line for line in output.splitlines() if line.startswith("drew ")]


def test_seed_decides(suite):
    """The same seed draws the same numbers, another one others; the header and the environment have the seed."""
    first = suite("--seed", "3")
    assert "tepin: seed 3, cocotb tests on verilator" in first
    assert len(drawn(first)) == 1 and drawn(first)[0].startswith("drew 3 ")
    assert drawn(suite("--seed", "3")) == drawn(first)
    assert drawn(suite("--seed", "4"))[0].split()[2] != drawn(first)[0].split()[2]


def test_failure_names_command(suite):
    assert "\nscripts/test test_sample.py::test_draw --seed 3\n" in suite("--seed", "3")
    assert (
        "\nscripts/test test_sample.py::test_slow --seed 3 --sim icarus --slow\n"
        in suite("--seed", "3", "--slow", "--sim", "icarus")
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments, outcome",
    [
        ([], "1 failed, 1 deselected"),
        (["--slow"], "2 failed"),
        (["-m", "slow"], "1 failed, 1 deselected"),
        (["-m", "not slow"], "1 failed, 1 deselected"),
    ],
)
def test_slow_is_left_out(suite, arguments, outcome):
    output = suite(*arguments)
    assert f" {outcome} in " in output
    assert ("::test_slow" in output) == (arguments in (["--slow"], ["-m", "slow"]))


def test_generator_depends_on_names(monkeypatch):
    monkeypatch.setenv(options.SEED, "5")
    draws = [
        tuple(options.generator(*names).integers(1 << 30, size=4)) for names in [("a", "b"), ("ab",), ("a",)]
    ]
    assert len(set(draws)) == 3
    assert tuple(options.generator("a", "b").integers(1 << 30, size=4)) == draws[0]
