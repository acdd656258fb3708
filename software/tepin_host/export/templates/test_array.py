# SPDX-License-Identifier: Apache-2.0
"""The systolic array in this directory against numpy; needs cocotb, numpy and a simulator, and nothing of Tepin.

Run `python tb/test_array.py`; with SIM=verilator in another simulator than Icarus, with RANDOM_SEED=7 for other numbers.
"""

import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from tepin_cocotb import MANIFEST, main, start

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
    await start(dut, dut.i__valid, dut.i_weights__valid)
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


if __name__ == "__main__":
    main(Path(__file__).stem, "icarus")
