# SPDX-License-Identifier: Apache-2.0
"""FuseSoC takes an exported directory as a core: it lints with Verilator, and simulates with Icarus."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tepin import verilator
from verification.testbenches.exported.directory import written


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    return written(tmp_path_factory.mktemp("core"), "activation")


def fusesoc(core, work, target):
    environment = verilator.environment()
    # Neither settings nor libraries of whoever runs the tests.
    environment |= {"HOME": str(work), "XDG_CONFIG_HOME": str(work), "XDG_CACHE_HOME": str(work)}
    environment["PATH"] = str(Path(sys.executable).parent) + os.pathsep + environment["PATH"]
    command = [sys.executable, "-m", "fusesoc.main", "--cores-root", core, "run", "--target", target]
    command += ["tepin:chip:tepin_activation"]
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)


def test_lint(core, tmp_path):
    result = fusesoc(core, tmp_path, "lint")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "%Warning" not in result.stdout + result.stderr


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")
def test_simulation(core, tmp_path):
    result = fusesoc(core, tmp_path, "sim")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "PASS: " in result.stdout + result.stderr
