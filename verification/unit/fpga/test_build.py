# SPDX-License-Identifier: Apache-2.0
"""``tepin build`` and ``tepin boards``: what they write and say, and how they fail. The tools are played by functions."""

import json

import pytest

import tepin_fpga.board
import tepin_fpga.build
import tepin_fpga.flow
import tepin_fpga.speed
from tepin_fpga.board import find_board
from tepin_fpga.build import file_names
from tepin_fpga.report import BuildFailed
from tepin_fpga.speed import Speed
from tepin_fpga.tools import NEXTPNR_ECP5, ToolFailed
from verification.unit.fpga.small import EXPECTED, small_board
from verification.unit.host.commandline import assert_user_error, outcome, snapshot

NAME = "ulx3s-85f"
CELLS = {"system.multiplier.product": "MULT18X18D", "system.memory.words.0.0": "DP16KD"}


class Tools:
    """Plays Yosys, nextpnr and the packer. `achieved` is in MHz; `failure` is raised by place and route."""

    def __init__(self):
        self.cells, self.achieved, self.failure, self.dsps = CELLS, 120.0, None, 1
        self.seeds, self.constraints = [], ""

    def synthesise(self, directory, files, *, top, device, register, say):
        assert all((directory / name).read_text() for name in files) and "sdram__dq" in register
        (directory / "yosys.log").write_text("synthesised")
        cells = {name: {"type": kind} for name, kind in self.cells.items()}
        (directory / "design.json").write_text(json.dumps({"modules": {top: {"cells": cells}}}))

    def route(self, directory, *, device, package, speed, seed, constraints, placer, written, say):
        (directory / "nextpnr.log").write_text("routed")
        for name in ("design.lpf", "design.config", "report.json"):
            (directory / name).write_text("")
        if written:
            cell = {"type": "TRELLIS_FF", "attributes": {"NEXTPNR_BEL": "X1/Y2/SLICEA.FF0"}}
            (directory / written).write_text(
                json.dumps({"modules": {"top": {"cells": {"system.host.a": cell}}}})
            )
        self.seeds.append(seed)
        if self.failure:
            raise self.failure
        used = {"TRELLIS_COMB": 1234, "TRELLIS_FF": 567, "MULT18X18D": self.dsps, "DP16KD": 1}
        return {
            "critical_paths": [],
            "fmax": {"$glbnet$clk": {"achieved": self.achieved, "constraint": 100.0}},
            "utilization": {cell: {"used": count, "available": 2000} for cell, count in used.items()},
        }

    def pack(self, directory, bitstream, *, say):
        (directory / "ecppack.log").write_text("")
        (directory / bitstream).write_text("bits")


@pytest.fixture
def tools(monkeypatch):
    """The played tools, a system that is quick to make, and a speed that nobody measured."""
    tools = Tools()
    for step in ("synthesise", "route", "pack"):
        monkeypatch.setattr(tepin_fpga.flow, step, getattr(tools, step))
    monkeypatch.setattr(tepin_fpga.board, "find_board", lambda name: small_board(name, clock_hz=100_000_000))
    monkeypatch.setattr(tepin_fpga.build, "expected_primitives", lambda config, family: EXPECTED)
    speeds = [
        Speed("demo", "int8", 250_000.0),
        Speed("demo", "int4", 100_000.0),
        Speed("15M shape", "int8", None, "no room"),
    ]
    monkeypatch.setattr(tepin_fpga.speed, "measure_speed", lambda config, latency, *, say: speeds)
    return tools


def test_build(capsys, tools, tmp_path):
    output, figures = tmp_path / "new" / "out", tmp_path / "figures.json"
    status, out, err = outcome(capsys, "build", NAME, "--seed", 7, "-o", output, "--json", figures)
    assert (status, tools.seeds) == (0, [7]), err
    assert sorted(path.name for path in output.iterdir()) == sorted(file_names(find_board(NAME)))
    assert all(line.startswith("[") for line in err.splitlines())
    lines = [line.split() for line in out.splitlines()]
    assert ["LUT4", "1,234", "766"] in lines and ["FF", "567", "1,433"] in lines
    assert ["DSP", "1", "1,999"] in lines and ["block", "RAM", "1", "1,999"] in lines
    assert ["clk", "100.0", "MHz", "120.0", "MHz"] in lines
    chip = ["array=8x8", "lanes=2", "port=16"]
    speeds = [line for line in lines if line[:1] == ["demo"]]
    assert [line[1:4] for line in speeds] == [["int8", "250,000", "400.00"], ["int4", "100,000", "1,000.00"]]
    assert all(line[4:7] == chip and line[7].startswith("hash=") for line in speeds)
    result = json.loads(figures.read_text())
    assert (result["board"], result["seed"], result["clock_hz"]) == (NAME, 7, 100_000_000)
    assert f"hash={result['config_hash']}" == speeds[0][7]
    assert result["resources"]["DSP"] == {"used": 1, "available": 2000, "free": 1999}
    assert result["clocks_mhz"]["clk"] == {"asked": 100.0, "reached": 120.0, "met": 120.0}
    assert result["primitives"]["multiplier"] == {"dsps": 1, "block_rams": 0}
    assert [entry["tokens_per_second"] for entry in result["speed"]] == [400, 1000, None]
    assert "15M shape, int8 weights: no room\n" in out


def test_picture(capsys, tools, tmp_path):
    """Also of a design that misses its clock: it shows why."""
    for achieved, expected in ((120.0, 0), (99.0, 1)):
        tools.achieved, output = achieved, tmp_path / str(expected)
        assert outcome(capsys, "build", NAME, "--picture", "-o", output)[0] == expected
        text = (output / "floorplan.svg").read_text()
        assert "M1 2h1v1h-1z" in text and "array=8x8" in text
        assert not (output / "placed.json").exists()


def test_clock_is_what_the_pll_makes(capsys, tools, tmp_path):
    arguments = ["build", NAME, "--clock", "110", "-o", tmp_path / "out", "--json", tmp_path / "json"]
    assert outcome(capsys, *arguments)[0] == 0
    assert json.loads((tmp_path / "json").read_text())["clock_hz"] == 110_000_000


def miss_timing(tools):
    tools.achieved = 99.94
    return "timing is not met: clk 99.9 of 100.0 MHz"


def not_fit(tools):
    tools.failure = BuildFailed("the design does not fit: it needs 29 DSPs of 28")
    return str(tools.failure)


def tool_fails(tools):
    tools.failure = ToolFailed("nextpnr-ecp5 failed: ERROR: Unable to find legal placement")
    return str(tools.failure)


def lose_a_multiplier(tools):
    tools.cells = {}
    return "synthesis has changed what the configuration says: multiplier has 0 DSPs"


def place_too_many(tools):
    tools.dsps = 2
    return "2 DSPs and 1 block RAMs were placed, the configuration has 1 DSPs and 1 block RAMs"


@pytest.mark.parametrize("fail", [miss_timing, not_fit, tool_fails, lose_a_multiplier, place_too_many])
def test_failed_build_leaves_logs_and_no_bitstream(capsys, tools, tmp_path, fail):
    (tmp_path / f"{NAME}.bit").write_text("an older one")
    (tmp_path / "mine.txt").write_text("keep")
    message = fail(tools)
    status, out, err = outcome(capsys, "build", NAME, "-o", tmp_path, "--json", tmp_path / "json")
    assert (status, out) == (1, "")
    last = err.splitlines()[-1]
    assert last.startswith("tepin: error: ") and message in last
    assert {path.name for path in tmp_path.iterdir()} <= {
        "yosys.log",
        "nextpnr.log",
        "report.json",
        "mine.txt",
    }
    assert (tmp_path / "yosys.log").read_text() == "synthesised" and (tmp_path / "mine.txt").exists()


def test_what_cannot_fit_is_told_at_once(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(tepin_fpga.flow, "synthesise", lambda *a, **k: pytest.fail("the work began"))
    status, out, err = outcome(capsys, "build", "ulx3s-25f", "--config", "sim", "-o", tmp_path / "out")
    assert (status, out) == (1, "")
    assert err.startswith("tepin: error: the design does not fit: it needs ") and " DSPs of 28" in err
    assert snapshot(tmp_path) == {}


def test_a_chip_that_does_not_go_with_the_memory(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(tepin_fpga.flow, "synthesise", lambda *a, **k: pytest.fail("the work began"))
    status, out, err = outcome(capsys, "build", "ulx3s-85f", "--config", "tiny", "-o", tmp_path / "out")
    assert (status, out) == (2, "")
    assert "tepin: error: ulx3s-85f: The chip's memory port has 32 bits, the SDRAM 16" in err
    assert snapshot(tmp_path) == {}


def test_other_failures_leave_nothing(capsys, monkeypatch, tools, tmp_path):
    monkeypatch.setattr(tepin_fpga.flow, "pack", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    assert outcome(capsys, "build", NAME, "-o", tmp_path / "out")[0] == 130
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize(
    "argv, message",
    [
        (["ulx4s"], "unknown board 'ulx4s'; boards are ulx3s-85f, "),
        ([], "the following arguments are required: BOARD"),
        ([NAME, "--config", "huge"], "unknown preset 'huge'"),
        ([NAME, "--config", "board,rows=3"], "rows must be even, 2 to 64, not 3"),
        ([NAME, "--seed", "-1"], "--seed must not be negative, not -1"),
        ([NAME, "--clock", "500"], "A PLL makes 5 to 400 MHz, not 500 MHz"),
        ([NAME, "--clock", "fast"], "invalid float value: 'fast'"),
        ([NAME, "-o", "file"], "file: Not a directory"),
        ([NAME, "--json", "missing/json"], "missing/json: No such file or directory"),
    ],
)
def test_user_errors(capsys, monkeypatch, tmp_path, argv, message):
    monkeypatch.setattr(tepin_fpga.flow, "synthesise", lambda *a, **k: pytest.fail("the work began"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert_user_error(capsys, tmp_path, ["build", *argv], message)


def test_missing_tools(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(NEXTPNR_ECP5.variable, "no-nextpnr")
    assert_user_error(
        capsys, tmp_path, ["build", NAME], "NEXTPNR_ECP5 names 'no-nextpnr', which is no program"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    message = "openFPGALoader is needed to load a board: run 'sudo apt-get install openfpgaloader'"
    assert_user_error(capsys, tmp_path, ["build", NAME, "--program"], message)


def test_program(capsys, monkeypatch, tools, tmp_path):
    loaded = []
    monkeypatch.setattr(tepin_fpga.program, "find_loader", lambda: ["openFPGALoader"])
    monkeypatch.setattr(
        tepin_fpga.program,
        "program_board",
        lambda board, path: loaded.append((board.loader, path.read_text())),
    )
    assert outcome(capsys, "build", NAME, "-o", tmp_path, "--program")[0] == 0
    assert loaded == [("ulx3s", "bits")]
    tools.achieved = 1
    assert outcome(capsys, "build", NAME, "-o", tmp_path, "--program")[0] == 1
    assert len(loaded) == 1


def test_boards(capsys, monkeypatch, tmp_path):
    from tepin_fpga import attached

    monkeypatch.setattr(attached, "attached_boards", lambda boards: [])
    status, out, err = outcome(capsys, "boards", "--json", tmp_path / "json")
    assert (status, err) == (0, "")
    assert all(name in out for name in ("ulx3s-85f", "ulx3s-25f", "ulx3s-12f", "No board is attached"))
    result = json.loads((tmp_path / "json").read_text())
    assert [board["name"] for board in result["boards"]][0] == NAME and result["attached"] == []

    found = attached.Attached(NAME, "/dev/ttyUSB7", "D00083", False)
    monkeypatch.setattr(attached, "attached_boards", lambda boards: [found])
    monkeypatch.setenv(NEXTPNR_ECP5.variable, "no-nextpnr")
    out = outcome(capsys, "boards")[1]
    assert "No board is attached" not in out
    assert "You may not use /dev/ttyUSB7: run 'sudo usermod -a -G dialout $USER' and log in again." in out
    assert "Missing: NEXTPNR_ECP5 names 'no-nextpnr', which is no program." in out
