# SPDX-License-Identifier: Apache-2.0
"""The systolic array in this directory against numpy; needs cocotb, numpy and a simulator, and nothing of Tepin.

Run `python tb/test_array.py`; with SIM=verilator in another simulator than Icarus, with RANDOM_SEED=7 for other numbers.
"""

import json
import os
import sys
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

HERE = Path(__file__).resolve().parents[1]
MANIFEST = json.loads((HERE / "manifest.json").read_text())
CONFIG = MANIFEST["config"]
ROWS, COLUMNS, BITS = (CONFIG[name] for name in ("rows", "columns", "activation_width"))
TILES = 12


def packed(values, bits):
    """The first one lowest."""
    return sum((int(value) & ((1 << bits) - 1)) << bits * index for index, value in enumerate(values))


def unpacked(word, bits, count):
    values = [word >> bits * index & ((1 << bits) - 1) for index in range(count)]
    return [value - (value >> (bits - 1) << bits) for value in values]


async def send(dut, name, words, rng, pause):
    """Words into a stream, with pauses."""
    valid, ready, payload = (getattr(dut, f"{name}__{part}") for part in ("valid", "ready", "payload"))
    for word in words:
        while rng.random() < pause:
            await RisingEdge(dut.clk)
        payload.value, valid.value = word, 1
        await RisingEdge(dut.clk)
        while not int(ready.value):
            await RisingEdge(dut.clk)
        valid.value = 0


async def run(dut, rng, pause):
    """Tiles of random weights, some passes through each; every sum is that of numpy."""
    dut.rst.value = 1
    dut.i__valid.value = dut.i_weights__valid.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    weights, passes, expected = [], [], []
    for _ in range(TILES):
        tile = rng.integers(-128, 128, (ROWS, COLUMNS))
        weights += [packed(row, 8) | (k == ROWS - 1) << 8 * COLUMNS for k, row in enumerate(tile)]
        for index in range(int(rng.integers(1, 2 * ROWS))):
            activations = rng.integers(-(1 << (BITS - 1)), 1 << (BITS - 1), ROWS)
            passes.append(packed(activations, BITS) | (index == 0) << BITS * ROWS)
            expected.append((activations @ tile).tolist())
    cocotb.start_soon(send(dut, "i_weights", weights, rng, pause))
    cocotb.start_soon(send(dut, "i", passes, rng, pause))
    width = len(dut.o__payload) // COLUMNS
    for count, sums in enumerate(expected):
        await RisingEdge(dut.clk)
        while not int(dut.o__valid.value):
            await RisingEdge(dut.clk)
        result = unpacked(int(dut.o__payload.value), width, COLUMNS)
        assert result == sums, f"pass {count}: {result} instead of {sums}"


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.5])
async def sums_are_those_of_numpy(dut, pause):
    await run(dut, np.random.default_rng(int(os.environ.get("RANDOM_SEED", "1"))), pause)


def main():
    simulator = os.environ.get("SIM", "icarus")
    runner = get_runner(simulator)
    module = MANIFEST["module"]
    runner.build(
        sources=[HERE / line for line in (HERE / f"{module}.f").read_text().split()],
        hdl_toplevel=module,
        build_dir=HERE / "sim_build",
        build_args=["-g2005"] if simulator == "icarus" else ["--x-initial", "unique"],
        defines={"TEPIN_RANDOM_START": 1} if simulator == "icarus" else {},
        timescale=("1ns", "1ps"),
    )
    results = runner.test(hdl_toplevel=module, test_module=Path(__file__).stem, test_dir=HERE / "tb")
    tests, failures = get_results(results)
    sys.exit(failures != 0 or tests == 0)


if __name__ == "__main__":
    main()
