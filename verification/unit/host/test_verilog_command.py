# SPDX-License-Identifier: Apache-2.0
"""``tepin verilog``: complete and correct files, the same every time, and nothing half-written."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tepin import isa
from tepin.config import PRESETS
from tepin.control.registers import REGISTERS, register
from tepin.documents import registers_markdown
from tepin.tops import TOPS
from tepin_host import export
from tepin_host.errors import UserError
from tepin_host.export.manifest import port_groups
from verification.unit.host.commandline import assert_user_error, outcome, snapshot

TINY = PRESETS["tiny"]
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def chip(tmp_path_factory):
    """A directory with the whole chip."""
    directory = tmp_path_factory.mktemp("verilog") / "deep" / "chip"
    assert run_elsewhere(directory, "--top", "chip").returncode == 0
    return directory


def run_elsewhere(directory, *argv, **environment):
    """The command in a process of its own, started in another place."""
    command = [sys.executable, "-c", "import sys; from tepin_host import cli; sys.exit(cli.main())"]
    command += ["verilog", "--config", "tiny", "-o", str(directory), *argv]
    variables = {"TEPIN_CACHE": str(ROOT / ".cache"), **os.environ, **environment}
    return subprocess.run(command, cwd="/", env=variables, capture_output=True, text=True)


def declared_ports(text, module):
    """[(name, direction, width)] of a module, from its Verilog."""
    (names,) = re.findall(rf"^module {module} \((.*?)\);$", text, re.M | re.S)
    ports = re.findall(r"^  (input|output) (?:wire|reg) +(?:\[(\d+):0\])? *(\w+),?$", names, re.M)
    assert len(ports) == names.count("\n") - 1
    return [(name, direction, int(high or 0) + 1) for direction, high, name in ports]


def check_manifest(directory, top):
    manifest = json.loads((directory / "manifest.json").read_text())
    module = manifest["module"]
    assert (manifest["top"], module) == (top, TOPS[top].module)
    assert manifest["isa_version"] == isa.ISA_VERSION
    assert manifest["config_hash"] == TINY.hash
    listed = {file["name"] for file in manifest["files"]}
    present = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert listed == present - {"manifest.json"}
    sources = [file["name"] for file in manifest["files"] if file["name"].startswith("rtl/")]
    assert (directory / f"{module}.f").read_text().split() == sources
    for file in manifest["files"]:
        data = (directory / file["name"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
    ports = [port for group in manifest["ports"] for port in group["ports"]]
    text = (directory / "rtl" / f"{module}.v").read_text()
    assert [(port["name"], port["direction"], port["width"]) for port in ports] == declared_ports(
        text, module
    )
    for port in ports:
        fields = sorted(
            port.get("fields", {"all": [port["width"] - 1, 0]}).values(), key=lambda bits: bits[1]
        )
        assert [low for _, low in fields] == [0, *(high + 1 for high, _ in fields[:-1])]
        assert fields[-1][0] == port["width"] - 1
    assert all(group["meaning"] and group["handshake"] for group in manifest["ports"])
    page = (directory / "datasheet.md").read_text()
    for name in (*(port["name"] for port in ports), *(memory["module"] for memory in manifest["memories"])):
        assert f"| `{name}` |" in page
    for path in (directory / "rtl").iterdir():
        lines = path.read_text().splitlines()
        assert lines[0] == "// SPDX-License-Identifier: Apache-2.0"
        assert sum(line.startswith("module ") for line in lines) == 1
        assert f"module {path.stem} (" in lines
    return manifest


def test_chip(chip):
    assert sorted(path.name for path in chip.iterdir()) == sorted(
        [name.rstrip("/") for name in export.file_names("chip")]
    )
    manifest = check_manifest(chip, "chip")
    memory = {user: entry for entry in manifest["memories"] for user in entry["users"]}
    assert memory["tepin_controller_fetch"]["bytes"] == 4 * TINY.program_words
    assert memory["tepin_dma_weights_fifo"]["bytes"] == TINY.weight_fifo_bytes
    bank = memory["tepin_scratchpad_bank"]
    assert bank["bytes"] == TINY.scratchpad_bytes and bank["parts"] == 4
    assert bank["count"] == TINY.scratchpad_banks * TINY.line_bytes // 4
    assert bank["module"] == f"tepin_ram_1r1w_{bank['depth']}x32_m4_nc"
    assert (manifest["crossings"], manifest["reset"]["kind"]) == ([], "synchronous")
    handshakes = {group["name"]: group["handshake"] for group in manifest["ports"]}
    assert (handshakes["m_axi"], handshakes["s_axil"], handshakes["irq"]) == ("AXI4", "AXI4-Lite", "none")
    assert (chip / "registers.md").read_text() == registers_markdown()
    for path in (path for path in chip.rglob("*") if path.is_file()):
        assert str(ROOT) not in path.read_text() and str(Path.home()) + "/" not in path.read_text()


def test_registers_have_one_reset_and_no_initial_value(chip):
    """All of them change at the rising edge of the one clock; what a simulator is told is for simulators that ask for it."""
    for path in (chip / "rtl").iterdir():
        text = re.sub(r"`ifdef TEPIN_RANDOM_START.*?`endif", "", path.read_text(), flags=re.S)
        assert "initial" not in text and "negedge" not in text
        assert not re.search(r"^  (output )?(wire|reg) [^;()]*=", text, re.M)
        assert set(re.findall(r"always @(.*?) ", text)) <= {"(posedge", "*"}
        assert set(re.findall(r"posedge (\w+)", text)) <= {"clk"}


def test_header_agrees_with_the_definitions(chip, tmp_path):
    values = {f"TEPIN_{entry.name}": entry.offset for entry in REGISTERS}
    values |= {f"TEPIN_CODE_{code.name}": code.value for code in isa.ErrorCode}
    values |= {f"TEPIN_SCALAR_OP_{op.name}": op.value for op in isa.ScalarOp}
    values |= {f"TEPIN_FUNCTION_{function.name}": function.value for function in isa.Function}
    values |= {
        "TEPIN_EXPECTED_CONFIG_HASH": TINY.hash,
        "TEPIN_EXPECTED_ISA_VERSION": isa.ISA_VERSION,
        "TEPIN_TOKEN_VALID_MASK": register("TOKEN").fields[1].mask,
        "TEPIN_ENGINE_VECTOR": 5,
        "TEPIN_HEADER_LENGTH_SHIFT": 16,
        "TEPIN_SCALAR_WORD_RD_MASK": 0xF000,
        "TEPIN_FIELD_WORD_REGISTER_MASK": 0xF000_0000,
        "TEPIN_MATMUL_FLAGS_OBSERVE_MASK": isa.MatmulFlags.const({"observe": 1}).as_bits(),
        "TEPIN_VECTOR_FLAGS_TWO_DIMENSIONAL_MASK": isa.VectorFlags.const({"two_dimensional": 1}).as_bits(),
    }
    checks = [f'_Static_assert({name} == {value}u, "{name}");' for name, value in values.items()]
    (tmp_path / "check.c").write_text("\n".join(['#include "tepin.h"', '#include "tepin.h"', *checks, ""]))
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{chip}"]
    subprocess.run(["gcc", *flags, tmp_path / "check.c"], check=True)


def test_engine_alone_is_the_same_everywhere(capsys, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    status, out, err = outcome(capsys, "verilog", "--config", "tiny", "--top", "dma", "-o", one)
    assert (status, err) == (0, "generating Verilog\n")
    assert re.search(r"rtl/ \(\d+ modules\), tepin_dma.f, .*, manifest.json; array=2x8", out)
    result = run_elsewhere(other, "--top", "dma", PYTHONHASHSEED="7")
    assert (result.returncode, result.stderr) == (0, "generating Verilog\n")
    assert [*snapshot(one).values()] == [*snapshot(other).values()]
    assert [path.relative_to(one) for path in snapshot(one)] == [
        path.relative_to(other) for path in snapshot(other)
    ]
    manifest = check_manifest(one, "dma")
    assert "scratchpad reads" in manifest["conventions"]
    control = next(group for group in manifest["ports"] if group["name"] == "loads_control")
    error = next(port for port in control["ports"] if port["name"] == "loads_control__error")
    assert error["fields"] == {"code": [7, 0], "pc": [22, 8], "info": [54, 23]}


def test_clock_gates(capsys, tmp_path):
    """On request only: two engines of the DMA stop, by instances of a module that a cell can replace."""
    texts = {}
    for name, options in (("plain", []), ("gated", ["--clock-gates"])):
        argv = ["verilog", "--config", "tiny", "--top", "dma", "-o", tmp_path / name, *options]
        assert outcome(capsys, *argv)[0] == 0
        manifest = check_manifest(tmp_path / name, "dma")
        texts[name] = (tmp_path / name / "rtl" / "tepin_dma.v").read_text()
        assert ("tepin_clock_gate" in texts[name]) == (name == "gated")
        assert manifest.get("clock gates") == (
            {"module": "tepin_clock_gate", "count": 2} if name == "gated" else None
        )
    assert len(re.findall("^  tepin_clock_gate ", texts["gated"], re.M)) == 2
    assert "clocks are stopped" in (tmp_path / "gated" / "datasheet.md").read_text()


def test_link_has_axi_streams(capsys, tmp_path):
    assert outcome(capsys, "verilog", "--config", "tiny", "--top", "link", "-o", tmp_path / "link")[0] == 0
    manifest = check_manifest(tmp_path / "link", "link")
    names = [port["name"] for group in manifest["ports"] for port in group["ports"]]
    assert names[:8] == [
        *("clk", "rst"),
        *("s_axis_tdata", "s_axis_tvalid", "s_axis_tready"),
        *("m_axis_tdata", "m_axis_tvalid", "m_axis_tready"),
    ]
    assert "axi streams" in manifest["conventions"] and "semaphores" not in manifest["conventions"]


def test_switch_has_a_stream_for_each_port(capsys, tmp_path):
    directory = tmp_path / "switch"
    assert outcome(capsys, "verilog", "--config", "tiny", "--top", "switch", "-o", directory)[0] == 0
    groups = {group["name"]: group["ports"] for group in check_manifest(directory, "switch")["ports"]}
    assert len(groups["i"]) == len(groups["o"]) == 4 * 3
    assert groups["i"][0]["fields"] == {"word": [63, 0], "port": [65, 64]}


def test_ports_of_links_are_explained():
    """Ports that only some configurations have."""
    linked = TOPS["chip"].make(replace(TINY, links=2))
    extra = [name for name in linked.signature.members if name not in TOPS["chip"].ports]
    assert extra == list(TOPS["chip"].optional)
    groups = {group["name"]: group["ports"] for group in port_groups(linked, TOPS["chip"])}
    assert [port["name"] for port in groups["link_o"]][:3] == [
        "link_o__0__payload",
        "link_o__0__valid",
        "link_o__0__ready",
    ]
    assert len(groups["link_i"]) == len(groups["link_o"]) == 6


@pytest.mark.parametrize("top", TOPS)
def test_meanings_are_complete(top):
    assert list(TOPS[top].ports) == list(TOPS[top].make(TINY).signature.members)


@pytest.fixture
def quick(monkeypatch):
    """Instead of the files, which take long: texts that are their own names."""

    def make(config, top, *, single_file, clock_gates):
        names = export.file_names(top, single_file=single_file)
        return {name + "some" * name.endswith("/"): name for name in names}

    monkeypatch.setattr(export, "export", make)


def test_force_replaces_what_it_writes(capsys, quick, tmp_path):
    (tmp_path / "tepin.v").write_text("old")
    (tmp_path / "mine.txt").write_text("keep")
    argv = ["verilog", "--single-file", "-o", tmp_path]
    assert_user_error(capsys, tmp_path, argv, f"{tmp_path / 'tepin.v'}: exists already; --force replaces it")
    assert outcome(capsys, *argv, "--force")[0] == 0
    names = [name for name in export.file_names("chip", single_file=True) if not name.endswith("/")]
    written = {tmp_path / name: name.encode() for name in names}
    written |= {tmp_path / "tb": None, tmp_path / "tb" / "some": b"tb/"}
    assert snapshot(tmp_path) == written | {tmp_path / "mine.txt": b"keep"}


def test_directories_are_not_mixed(capsys, quick, tmp_path):
    """Modules of another design are not left beside those of this one without a word."""
    (tmp_path / "rtl").mkdir()
    argv = ["verilog", "-o", tmp_path]
    assert outcome(capsys, *argv)[0] == 0
    assert (tmp_path / "rtl" / "some").read_text() == "rtl/"
    argv += ["--top", "array"]
    assert_user_error(capsys, tmp_path, argv, f"{tmp_path / 'rtl'}: exists already; --force replaces it")
    assert outcome(capsys, *argv, "--force")[0] == 0


def test_single_file_has_the_same_modules(capsys, tmp_path):
    modules = {}
    for name, options in (("one", ["--single-file"]), ("many", [])):
        argv = ["verilog", "--config", "tiny", "--top", "link", "-o", tmp_path / name, *options]
        assert outcome(capsys, *argv)[0] == 0
        files = (tmp_path / name / "tepin_link.f").read_text().split()
        text = "".join((tmp_path / name / file).read_text() for file in files)
        modules[name] = re.findall(r"^module .*?^endmodule$", text, re.MULTILINE | re.DOTALL)
    assert modules["one"] == modules["many"] and len(modules["one"]) > 1


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--config", "huge", "-o", "new"], "unknown preset 'huge'; presets are tiny, sim, board, asic"),
        (["--config", "sim,rows=3", "-o", "new"], "rows must be even, 2 to 64, not 3"),
        (["--config", "sim,row=2", "-o", "new"], "'row=2' is not a setting; settings are "),
        (
            ["--top", "cpu", "-o", "new"],
            f"unknown top 'cpu'; tops are {', '.join(TOPS)}",
        ),
        ([], "the following arguments are required: -o/--output"),
        (["-o", "file"], "file: Not a directory"),
        (["-o", "file/new"], "file/new: Not a directory"),
        (["-o", "full", "--force"], "full/tepin.h: is a directory, a file is to be written there"),
        (["-o", "full"], "full/tepin.h: exists already; --force replaces it"),
        (["-o", "rtl_is_a_file"], "rtl_is_a_file/rtl: is a file, a directory is to be written there"),
        (["-o", "/proc/new"], "/proc/new: "),
    ],
)
def test_user_errors(capsys, monkeypatch, tmp_path, argv, message):
    monkeypatch.setattr(export, "export", lambda *arguments: pytest.fail("the work began"))
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("full/tepin.h").mkdir(parents=True)
    Path("rtl_is_a_file").mkdir()
    Path("rtl_is_a_file/rtl").write_text("")
    assert_user_error(capsys, tmp_path, ["verilog", *argv], message)


@pytest.mark.parametrize("error", [UserError("no such tool"), OSError(28, "No space left on device")])
def test_failure_leaves_nothing_behind(capsys, monkeypatch, tmp_path, error):
    def fail(config, top, *, single_file, clock_gates):
        raise error

    monkeypatch.setattr(export, "export", fail)
    (tmp_path / "tepin.f").write_text("old")
    for path in (tmp_path, tmp_path / "new" / "chip"):
        before = snapshot(tmp_path)
        status, out, err = outcome(capsys, "verilog", "-o", path, "--force")
        assert (status, out) == (2, "")
        assert err.splitlines()[-1] == f"tepin: error: {error.strerror if error.args[1:] else error}"
        assert snapshot(tmp_path) == before
