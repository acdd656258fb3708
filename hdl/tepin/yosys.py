# SPDX-License-Identifier: Apache-2.0
"""Yosys out of the Python package `pyosys`, as a program: ``python -m tepin.yosys SCRIPT``, and where its libraries are.

The package is native code and as quick as an installed Yosys; it has no program of its own.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from tepin.verilator import ToolError

__all__ = ["share"]


def share():
    """Folder of Yosys' cell libraries. Raises `ToolError` if there is no Yosys."""
    spec = find_spec("pyosys")
    if spec is None or spec.origin is None:
        raise ToolError("Yosys is not installed: run scripts/setup, or `pip install pyosys`")
    return Path(spec.origin).parent / "share"


def main():
    from pyosys import libyosys

    libyosys.run_pass(f"script {sys.argv[1]}", libyosys.Design())
    return 0


if __name__ == "__main__":
    sys.exit(main())
