# SPDX-License-Identifier: Apache-2.0
"""What `tepin verilog` writes, before four linters with all of their warnings on: there is nothing to waive."""

from shutil import which

import pytest

from tepin.config import PRESETS
from tepin.tops import TOPS
from tepin_host.export import export
from tepin_testbench.lint import LINTERS

SMALL = ("link", "switch", "array", "sdram", "softmax", "norm", "activation")


def written(directory, config, top):
    """Paths of the Verilog of a top, written into a directory, and the name of its module."""
    paths = []
    for name, text in export(config, top).items():
        if name.startswith("rtl/"):
            paths.append(directory / name.removeprefix("rtl/"))
            paths[-1].write_text(text)
    return paths, TOPS[top].module


def check(directory, config, top, linters=LINTERS):
    files, module = written(directory, config, top)
    for name in linters:
        assert LINTERS[name](files, module) == [], name


def test_chip(tmp_path):
    check(tmp_path, PRESETS["tiny"], "chip")


@pytest.mark.parametrize("top", SMALL)
def test_unit(tmp_path, top):
    check(tmp_path, PRESETS["tiny"], top, linters=["verilator", "slang", "yosys"])


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["sim", "board", "asic"])
def test_preset(tmp_path, preset):
    check(tmp_path, PRESETS[preset], "chip")


@pytest.mark.slow
@pytest.mark.parametrize("top", [top for top in TOPS if top not in ("chip", "link", "switch", "sdram")])
def test_top(tmp_path, top):
    """What does not depend on the configuration is linted above."""
    check(tmp_path, PRESETS["sim"], top)


MISTAKES = {
    "verilator": "wire [3:0] x = a;\n  assign y = x[0];",  # widths differ
    "icarus": "assign y = missing;",
    "yosys": "reg x; always @* if (a) x = 1'b1;\n  assign y = x;",  # a latch
    "slang": "wire [3:0] x = a;\n  assign y = x[0];",
}


@pytest.mark.parametrize("linter", [name for name in LINTERS if name != "icarus" or which("iverilog")])
def test_linters_find_mistakes(tmp_path, linter):
    path = tmp_path / "top.v"
    for text, found in (("assign y = ~a;", False), (MISTAKES[linter], True)):
        path.write_text(f"module top (\n  input wire a,\n  output wire y\n);\n  {text}\nendmodule\n")
        assert bool(LINTERS[linter]([path], "top")) == found


def test_loops_across_modules_are_found(tmp_path):
    path = tmp_path / "top.v"
    path.write_text(
        "module top (input wire a, output wire y);\n  part one (a, y, y);\nendmodule\n"
        "module part (input wire a, input wire b, output wire y);\n  assign y = a & b;\nendmodule\n"
    )
    assert any("loop" in line for line in LINTERS["yosys"]([path], "top"))
