# SPDX-License-Identifier: Apache-2.0
"""The cache of builds, and the environment that Verilator runs in."""

import subprocess
import sys

import pytest

from tepin import verilator


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TEPIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("statement, status", [("assign o = i;", 0), ("assign o = missing;", 1)])
def test_verilator_runs(tmp_path, statement, status):
    (tmp_path / "wire.v").write_text(
        f"`default_nettype none\nmodule thru(input i, output o); {statement} endmodule\n"
    )
    command = ["verilator", "--lint-only", *verilator.warning_arguments(), "wire.v"]
    result = subprocess.run(
        command, cwd=tmp_path, env=verilator.environment(), capture_output=True, text=True
    )
    assert result.returncode == status, result.stderr


def test_environment_reports_missing_tools(tmp_path):
    with pytest.raises(verilator.ToolError, match=r"^Verilator needs g\+\+, make, perl: run scripts/setup"):
        verilator.environment({"PATH": str(tmp_path)})


def test_build_runs_once(cache):
    calls = []

    def build(directory):
        calls.append(directory)
        (directory / "result").write_text("done")

    first = verilator.cached_build("kind", "key", build)
    assert verilator.cached_build("kind", "key", build) == first == cache / "kind" / "key"
    assert (first / "result").read_text() == "done"
    assert len(calls) == 1
    assert [path.name for path in (cache / "kind").iterdir()] == ["key"]


def test_failed_build_leaves_nothing(cache):
    def build(directory):
        (directory / "half").write_text("")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="^stopped$"):
        verilator.cached_build("kind", "key", build)
    assert not any(path.is_dir() for path in (cache / "kind").iterdir())
    assert verilator.cached_build("kind", "key", lambda directory: None).is_dir()


def test_concurrent_builds_agree(cache, tmp_path):
    """Of several processes that want the same result, one makes it and all get it."""
    script = f"""
import os, time
from pathlib import Path
from tepin import verilator
def build(directory):
    with open({str(tmp_path / "log")!r}, "a") as log:
        log.write("built\\n")
    time.sleep(0.2)
    (directory / "result").write_text("done")
print((verilator.cached_build("kind", "key", build) / "result").read_text())
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert [process.communicate()[0] for process in processes] == ["done\n"] * 4
    assert (tmp_path / "log").read_text() == "built\n"


def test_keys_tell_parts_apart():
    parts = [("ab", "c"), ("a", "bc"), ("abc",), (["ab", "c"],), (["ab"], "c"), (["ab"], ["c"]), ()]
    assert len({verilator.content_key(*part) for part in parts}) == len(parts)
    assert verilator.content_key("a", b"b") == verilator.content_key("a", "b")
