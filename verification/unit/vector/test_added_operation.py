# SPDX-License-Identifier: Apache-2.0
"""docs/add-an-operation.md: its changes fit the sources, are few, and do what the page says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "add-an-operation.md"


def test_the_page_adds_an_operation(tmp_path):
    text = PAGE.read_text()
    changes = re.findall(r"```diff\n(.*?)```", text, re.DOTALL)
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    packages = ("hdl/tepin", "software/tepin_host", "verification/tepin_reference")
    for package in packages:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    patch = "".join(changes)
    subprocess.run(["git", "apply"], cwd=tmp_path, input=patch, text=True, check=True)
    assert len(re.findall(r"^[+-](?![+-])", patch, re.MULTILINE)) <= 30
    path = os.pathsep.join(str((tmp_path / package).parent) for package in packages)
    command = [sys.executable, "-W", "ignore", "-c", program]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True)
    assert (result.returncode, result.stdout) == (0, "every bit\n"), result.stderr
