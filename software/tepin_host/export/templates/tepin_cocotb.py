# SPDX-License-Identifier: Apache-2.0
"""What testbenches for cocotb have in common: the design in this directory, its start, and how it is built and run."""

import json
import os
import sys
from pathlib import Path

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

__all__ = ["HERE", "MANIFEST", "main", "start"]

HERE = Path(__file__).resolve().parents[1]
MANIFEST = json.loads((HERE / "manifest.json").read_text())


async def start(dut, *low):
    """Starts the clock and resets; these inputs are low."""
    dut.rst.value = 1
    for port in low:
        port.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


def main(test_module, simulator):
    """Builds the design, runs the tests of a module, and exits with status 1 unless all pass; SIM is another simulator."""
    simulator = os.environ.get("SIM", simulator)
    runner = get_runner(simulator)
    module = MANIFEST["module"]
    runner.build(
        sources=[HERE / line for line in (HERE / f"{module}.f").read_text().split()],
        hdl_toplevel=module,
        build_dir=HERE / "sim_build",
        build_args=["-g2005"] if simulator == "icarus" else ["--x-initial", "unique", "-Wno-fatal"],
        defines={"TEPIN_RANDOM_START": 1} if simulator == "icarus" else {},
        timescale=("1ns", "1ps"),
    )
    results = runner.test(hdl_toplevel=module, test_module=test_module, test_dir=HERE / "tb")
    tests, failures = get_results(results)
    sys.exit(failures != 0 or tests == 0)
