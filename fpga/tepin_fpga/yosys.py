# SPDX-License-Identifier: Apache-2.0
"""Yosys as a program, out of the Python package `pyosys`: ``python -m tepin_fpga.yosys SCRIPT``.

The package is native code and as quick as an installed Yosys; it has no program of its own.
"""

import sys


def main():
    from pyosys import libyosys

    libyosys.run_pass(f"script {sys.argv[1]}", libyosys.Design())
    return 0


if __name__ == "__main__":
    sys.exit(main())
