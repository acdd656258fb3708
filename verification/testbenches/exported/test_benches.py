# SPDX-License-Identifier: Apache-2.0
"""The testbenches that `tepin verilog` writes, as somebody runs them who has a simulator and nothing else."""

import shutil
import subprocess

import pytest

from tepin.config import PRESETS
from tepin_host.export import export

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")

UNITS = ("softmax", "norm", "activation")


def written(directory, top):
    for name, text in export(PRESETS["tiny"], top).items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    return directory


def last_line(directory, module):
    """Compiles and runs the testbench in a directory; returns the last line that it prints."""
    benches = sorted(str(path.relative_to(directory)) for path in (directory / "tb").glob("*.v"))
    command = ["iverilog", "-g2005", "-DTEPIN_RANDOM_START", "-o", "sim", "-f", f"{module}.f", *benches]
    subprocess.run(command, cwd=directory, check=True)
    result = subprocess.run(["vvp", "-n", "sim"], cwd=directory, check=True, capture_output=True, text=True)
    return result.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("top", UNITS)
def test_unit(tmp_path, top):
    assert last_line(written(tmp_path, top), f"tepin_{top}").startswith("PASS: ")


def test_wrong_result_is_found(tmp_path):
    written(tmp_path, "activation")
    path = tmp_path / "tb" / "expected.hex"
    lines = path.read_text().splitlines()
    lines[7] = f"{int(lines[7], 16) ^ 1:0{len(lines[7])}x}"
    path.write_text("\n".join(lines) + "\n")
    assert last_line(tmp_path, "tepin_activation") == f"FAIL: 1 of {len(lines)} beats are wrong"


@pytest.mark.slow
def test_chip(tmp_path):
    """Chip, memory and host in plain Verilog run the self test of the boards."""
    assert last_line(written(tmp_path, "chip"), "tepin").startswith("PASS: 4 tokens, ")
