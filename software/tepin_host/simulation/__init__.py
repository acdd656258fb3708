# SPDX-License-Identifier: Apache-2.0
"""The chip's generated Verilog, compiled to C++, with a memory around it."""

from tepin_host.simulation.build import build_simulator, chip_verilog
from tepin_host.simulation.chip import ChipSimulator, join, wire

__all__ = ["ChipSimulator", "build_simulator", "chip_verilog", "join", "wire"]
