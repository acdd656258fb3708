# SPDX-License-Identifier: Apache-2.0
"""Kernels: short programs for the vector unit, run alone on arrays of numpy. docs/write-a-kernel.md begins here."""

from tepin_host.kernels.kernel import Kernel
from tepin_host.kernels.run import run_functional, run_timed

__all__ = ["Kernel", "run_functional", "run_timed"]
