# SPDX-License-Identifier: Apache-2.0
"""Loading a bitstream through openFPGALoader."""

import pytest

from tepin_fpga.board import find_board
from tepin_fpga.program import find_loader, program_board
from tepin_fpga.tools import ToolFailed
from tepin_host.errors import UserError

BOARD = find_board("ulx3s-85f")


@pytest.fixture
def loader(monkeypatch, tmp_path):
    """A loader that writes its arguments to a file, and fails if that exists."""
    path = tmp_path / "openFPGALoader"
    path.write_text(f'#!/bin/sh\n[ ! -e {tmp_path}/said ] && echo "$@" > {tmp_path}/said\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("OPENFPGALOADER", raising=False)
    return tmp_path


def test_loading(loader):
    program_board(BOARD, loader / "some.bit")
    assert (loader / "said").read_text() == f"--board ulx3s {loader}/some.bit\n"


def test_failure(loader):
    (loader / "said").write_text("")
    with pytest.raises(ToolFailed, match=r"could not load ulx3s-85f \(exit status 1\)"):
        program_board(BOARD, loader / "some.bit")


def test_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("OPENFPGALOADER", raising=False)
    with pytest.raises(
        UserError, match="^openFPGALoader is needed to load a board: run 'sudo apt-get install"
    ):
        find_loader()
    monkeypatch.setenv("OPENFPGALOADER", "mine --verbose")
    with pytest.raises(UserError, match="^mine is needed"):
        find_loader()
