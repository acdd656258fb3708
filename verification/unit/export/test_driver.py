# SPDX-License-Identifier: Apache-2.0
"""The bare-metal driver: compiles without a warning as C99 and as C++, and does what its header says."""

import subprocess
from pathlib import Path

import pytest

from tepin import documents
from tepin.config import PRESETS
from tepin_host.export.templates import template

HERE = Path(__file__).parent
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]


@pytest.fixture
def sources(tmp_path):
    for name in ("tepin_driver.h", "tepin_driver.c"):
        (tmp_path / name).write_text(template(name))
    header = documents.registers_header(config_hash=PRESETS["tiny"].hash) + documents.isa_header()
    (tmp_path / "tepin.h").write_text(header)
    return tmp_path


def test_program_is_run(sources):
    flags = ["-std=c99", *STRICT, f"-I{sources}", "-include", HERE / "mock_chip.h"]
    command = ["gcc", *flags, "-o", sources / "test", sources / "tepin_driver.c", HERE / "test_driver.c"]
    subprocess.run(command, check=True)
    assert subprocess.run([sources / "test"]).returncode == 0


@pytest.mark.parametrize("command", [["gcc", "-std=c99"], ["g++", "-x", "c++", "-std=c++11"]])
def test_registers_in_memory(sources, command):
    """Without anything defined, registers are words behind a pointer."""
    subprocess.run([*command, *STRICT, "-ffreestanding", "-c", "tepin_driver.c"], cwd=sources, check=True)
