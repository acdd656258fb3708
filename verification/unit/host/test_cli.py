# SPDX-License-Identifier: Apache-2.0
"""The command line: one clear line and the right exit status, whatever goes wrong."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from tepin.config import PRESETS
from tepin_host import cli
from tepin_host.commands import Command
from tepin_host.errors import UserError
from verification.unit.host.commandline import outcome


def add_arguments(parser):
    parser.add_argument("--count", type=int, default=1, metavar="N", help="how often")
    parser.add_argument("--raise", dest="exception", help="what goes wrong")


def run(arguments):
    if arguments.exception:
        raise RAISED[arguments.exception]
    print("hello " * arguments.count)
    return 7 if arguments.count > 3 else None


RAISED = {
    "user": UserError("model.bin: no such\n  model file"),
    "interrupt": KeyboardInterrupt(),
    "full": OSError(28, "No space left on device"),
    "denied": PermissionError(13, "Permission denied", "out.json"),
    "bug": ZeroDivisionError("a bug"),
    "odd": OSError("no errno"),
}

greet = Command(
    help="says hello", add_arguments=add_arguments, run=run, example="tepin greet --count 2\ntepin greet"
)
wrong = "not a Command"


@pytest.fixture(autouse=True)
def commands(monkeypatch, request):
    """Commands of this test module instead of the installed ones, but for the tests of the latter."""
    if "installed" not in request.fixturenames:
        entries = [
            EntryPoint("greet", f"{__name__}:greet", cli._GROUP),
            EntryPoint("wrong", f"{__name__}:wrong", cli._GROUP),
            EntryPoint("absent", "no_such_package.command:command", cli._GROUP),
        ]
        monkeypatch.setattr(cli, "entry_points", lambda group: entries)
        return entries
    return None


@pytest.fixture
def installed():
    """Asks for the commands as installed."""


def test_command_runs(capsys):
    assert outcome(capsys, "greet", "--count", "2") == (0, "hello hello \n", "")
    assert outcome(capsys, "greet", "--count", "4")[0] == 7


def test_user_error_is_one_line(capsys):
    assert outcome(capsys, "greet", "--raise", "user") == (
        2,
        "",
        "tepin: error: model.bin: no such model file\n",
    )


def test_interrupt(capsys):
    assert outcome(capsys, "greet", "--raise", "interrupt") == (130, "", "")


def test_failed_file_access_is_one_line(capsys):
    assert outcome(capsys, "greet", "--raise", "full") == (2, "", "tepin: error: No space left on device\n")
    assert outcome(capsys, "greet", "--raise", "denied") == (
        2,
        "",
        "tepin: error: out.json: Permission denied\n",
    )


def test_bugs_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.main(["greet", "--raise", "bug"])
    with pytest.raises(OSError, match="no errno"):
        cli.main(["greet", "--raise", "odd"])
    with pytest.raises(TypeError, match="is not a Command: 'not a Command'"):
        cli.main(["wrong"])


@pytest.mark.parametrize(
    "argv, message",
    [
        (["sing"], "unknown command 'sing'; commands are absent, greet, wrong"),
        (["absent"], "command 'absent' cannot be loaded: No module named 'no_such_package'"),
        (["greet", "--loud"], "unrecognized arguments: --loud; try 'tepin greet --help'"),
        (["greet", "--cou", "3"], "unrecognized arguments: --cou 3; try 'tepin greet --help'"),
        (["greet", "--count", "x"], "argument --count: invalid int value: 'x'; try 'tepin greet --help'"),
    ],
)
def test_usage_error_is_one_line(capsys, argv, message):
    assert outcome(capsys, *argv) == (2, "", f"tepin: error: {message}\n")


def test_option_without_command(capsys, commands):
    del commands[1]
    assert outcome(capsys, "--loud") == (
        2,
        "",
        "tepin: error: unrecognized arguments: --loud; try 'tepin --help'\n",
    )
    # argparse of different Python versions disagree on whether this is a wrong argument or none.
    status, out, err = outcome(capsys, "--")
    assert (status, out) == (2, "")
    assert (
        err.startswith("tepin: error: ") and err.endswith("; try 'tepin --help'\n") and err.count("\n") == 1
    )


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_lists_commands(capsys, commands, argv):
    del commands[1]
    status, out, err = outcome(capsys, *argv)
    assert (status, err) == (0, "")
    assert "  greet       says hello\n" in out
    assert "  absent      (unavailable: No module named 'no_such_package')\n" in out
    assert "example:\n  tepin run" in out


def test_help_of_a_command(capsys):
    status, out, err = outcome(capsys, "greet", "--help")
    assert (status, err) == (0, "")
    assert out.startswith("usage: tepin greet [-h] [--count N]")
    assert "\nSays hello.\n" in out and "how often" in out
    assert out.endswith("example:\n  tepin greet --count 2\n  tepin greet\n")


def test_version(capsys, commands):
    del commands[1]
    status, out, _ = outcome(capsys, "--version")
    assert status == 0 and out.startswith("tepin ") and out.strip()[-1].isdigit()


def test_every_command_is_installed(installed):
    commands = {entry.name for entry in cli.entry_points(group="tepin.commands")}
    assert commands >= {"run", "compile", "disasm", "verilog", "bench", "configs", "estimate"}


def test_configs(capsys, installed, tmp_path):
    path = tmp_path / "presets.json"
    status, out, err = outcome(capsys, "configs", "--json", str(path))
    assert (status, err) == (0, "")
    presets = json.loads(path.read_text())
    assert list(presets) == list(PRESETS)
    assert presets["sim"]["columns"] == PRESETS["sim"].columns
    heading = next(line for line in out.splitlines() if line.split()[:1] == ["preset"])
    assert heading.split() == ["preset", *PRESETS]
    ports = next(line for line in out.splitlines() if line.strip().startswith("memory port"))
    assert [word for word in ports.split() if word.isdigit()] == [str(c.port_width) for c in PRESETS.values()]
    assert "…" not in out, "the table does not fit 80 columns"


def test_configs_into_absent_folder(capsys, installed, tmp_path):
    path = tmp_path / "absent" / "presets.json"
    assert outcome(capsys, "configs", "--json", str(path)) == (
        2,
        "",
        f"tepin: error: {path}: No such file or directory\n",
    )


PRINTING = """
from tepin_host.commands import Command
cli._load = lambda entry: Command(help="", add_arguments=lambda parser: None, run=lambda arguments: print("text"))
"""


@pytest.mark.parametrize("replacement", ["", PRINTING], ids=["rich", "print"])
def test_reader_that_goes_away(installed, replacement):
    """As in ``tepin configs | true``, with a real pipe, because the interpreter's own exit must be silent as well."""
    code = f"import sys; from tepin_host import cli; {replacement}\nsys.stdin.read(); sys.exit(cli.main(['configs']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    process.stdin.close()
    error = process.stderr.read()
    assert (process.wait(timeout=60), error) == (1, b"")
    process.stderr.close()
