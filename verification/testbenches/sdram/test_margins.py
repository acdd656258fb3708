# SPDX-License-Identifier: Apache-2.0
"""The controller keeps the times of its part, and wastes no cycle: a part that is a cycle slower objects.

That also shows that the model sees what it is there to see.
"""

import cocotb
import pytest
from cocotb.triggers import ClockCycles

from tepin_testbench import options
from tepin_testbench.models.sdram import STRICTER_BITS, VIOLATIONS
from tepin_testbench.runner import parameters
from verification.testbenches.sdram.bench import Bench, run

# Of the two times that keep a row open, only the longer one can be felt: tRAS in the one shape, tRC in the other.
UNFELT = {"narrow": ["T_RC"], "wide": ["T_RAS"]}
# The model looks at the first command after its own beginning only: a simulation for itself.
ONCE = "T_POWER_UP"


@pytest.mark.parametrize("shape", ["narrow", pytest.param("wide", marks=pytest.mark.slow)])
def test_margins(shape):
    run(__name__, shape=shape, test_filter="stricter_part")


def test_power_up():
    run(__name__, test_filter="stricter_power_up")


async def provoke(bench):
    """Traffic that comes upon every time there is; stops with the first violation."""
    rng = options.generator("margins")
    master, row_bytes = bench.master, parameters()["row_bytes"]
    stride = 4 * row_bytes  # from a row to the next one of the same bank
    for _ in range(60):
        events = []
        for _ in range(4):
            address = int(rng.integers(8)) * stride + int(rng.integers(2)) * row_bytes
            length = bench.beat * int(rng.integers(1, 3))
            if rng.random() < 0.5:
                events.append(master.init_write(address, bytes(length)))
            else:
                events.append(master.init_read(address, length))
        for event in events:
            await event.wait()
        if bench.violated():
            return
    for _ in range(6):
        events = [master.init_read(0, 1024) for _ in range(2048 * bench.beat // 1024)]
        for event in events:
            await event.wait()
        if bench.violated():
            return
    for _ in range(30):
        await ClockCycles(bench.dut.clk, 1000)
        if bench.violated():
            return


async def stricter(dut, name):
    bench = Bench(dut)
    await bench.start(watch=name is None)
    dut.stricter.value = 0 if name is None else 1 << VIOLATIONS.index(name)
    await provoke(bench)
    unfelt = name is None or name in UNFELT[parameters()["shape"]]
    assert bench.violated() == ([] if unfelt else [name])


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(name=[None, *(name for name in VIOLATIONS[:STRICTER_BITS] if name != ONCE)])
async def stricter_part(dut, name):
    await stricter(dut, name)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def stricter_power_up(dut):
    await stricter(dut, ONCE)
