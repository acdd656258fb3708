# SPDX-License-Identifier: Apache-2.0
"""Loads a bitstream into a board, through openFPGALoader."""

import os
import shlex
import shutil
import subprocess

from tepin_fpga.tools import ToolFailed
from tepin_host.errors import UserError

__all__ = ["find_loader", "program_board"]

_VARIABLE = "OPENFPGALOADER"


def find_loader():
    """openFPGALoader's command as a list of words. Raises `UserError` with how to get it if there is none."""
    words = shlex.split(os.environ.get(_VARIABLE, "")) or ["openFPGALoader"]
    if shutil.which(words[0]) is None:
        raise UserError(
            f"{words[0]} is needed to load a board: run 'sudo apt-get install openfpgaloader', or name it in {_VARIABLE}"
        )
    return words


def program_board(board, bitstream):
    """Load `bitstream` into the FPGA of an attached board, where it stays until power is off.

    openFPGALoader writes its progress to the terminal. Raises `ToolFailed` if it fails.
    """
    status = subprocess.run([*find_loader(), "--board", board.loader, str(bitstream)]).returncode
    if status:
        raise ToolFailed(
            f"openFPGALoader could not load {board.name} (exit status {status}); 'tepin boards' shows what is attached"
        )
