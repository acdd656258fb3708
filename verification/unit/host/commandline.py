# SPDX-License-Identifier: Apache-2.0
"""Runs command lines as a user would, and checks how they fail."""

import json
from pathlib import Path

from tepin_host import cli

__all__ = ["assert_user_error", "outcome", "run_json", "snapshot"]


def outcome(capsys, *argv):
    """(exit status, standard output, standard error) of a command line."""
    capsys.readouterr()
    status = cli.main([str(argument) for argument in argv])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def run_json(capsys, tmp_path, *argv):
    """(standard output, JSON) of a run on the functional simulator."""
    path = tmp_path / "result.json"
    status, out, err = outcome(capsys, "run", *argv, "--backend", "reference", "--json", path)
    assert (status, err) == (0, "")
    return out, json.loads(path.read_text())


def snapshot(directory):
    """Every file and directory below, with its contents."""
    paths = sorted(Path(directory).rglob("*"))
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


def assert_user_error(capsys, directory, argv, message):
    """The command line fails with exactly one line, in which `message` occurs, and changes nothing in `directory`."""
    before = snapshot(directory)
    status, out, err = outcome(capsys, *argv)
    assert (status, out) == (2, ""), err
    assert err.startswith("tepin: error: ") and err.count("\n") == 1 and err.endswith("\n"), err
    assert message in err, err
    assert snapshot(directory) == before
