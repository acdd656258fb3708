# SPDX-License-Identifier: Apache-2.0
"""The models of an ECP5's cells: what they do, what they refuse, and that a wrong cell is noticed."""

import re

import cocotb
import pytest
from amaranth.hdl import Shape
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

from tepin import verilog
from tepin.stream import StreamFifo
from tepin.verilator import ToolError
from tepin_testbench import gates, options
from tepin_testbench.runner import run_cocotb
from tepin_testbench.stream import start
from verification.testbenches.gates.cells import MEMORIES, MULTIPLIERS, Cells, initial
from verification.testbenches.stream import test_stream_fifo as fifo

DEVICE = gates.DEVICES["ecp5"]


@pytest.mark.slow
def test_cells():
    """Block RAMs of every width, and multipliers with and without registers, do what numbers in Python do."""
    text = verilog.convert(Cells(), name="cells", device=DEVICE)
    found = gates.cells(gates.synthesise(text, "cells"))
    assert found["DP16KD"] == len(MEMORIES) and found["MULT18X18D"] >= 2 * len(MULTIPLIERS)
    run_cocotb(Cells(), top="cells", test_module=__name__, text=text, family="ecp5")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def memories(dut):
    await start(dut)
    rng = options.generator("memories")
    contents = [initial(index, depth) for index, (_, depth, _, _) in enumerate(MEMORIES)]
    outputs = [None] * len(MEMORIES)
    for cycle in range(4000):
        write, read = (int(address) for address in rng.integers(1 << 13, size=2))
        if (
            rng.random() < 0.5
        ):  # Few addresses, so that some are written twice, and read while they are written.
            write, read = write % 8, read % 8
        data, enable = int(rng.integers(1 << 36)), int(rng.integers(16)) if cycle > 500 else 0
        taken = bool(rng.random() < 0.8) or cycle == 0
        dut.write.value, dut.read.value, dut.data.value = write, read, data
        dut.enable.value, dut.read_enable.value = enable, taken
        await RisingEdge(dut.clk)
        for index, (width, depth, part, transparent) in enumerate(MEMORIES):
            before = contents[index][read % depth]
            mask = sum(((1 << part) - 1) << part * n for n in range(width // part) if enable >> n & 1)
            old = contents[index][write % depth]
            contents[index][write % depth] = old & ~mask | data & mask
            if taken:
                outputs[index] = contents[index][read % depth] if transparent else before
        await ReadOnly()
        assert [int(getattr(dut, f"q{index}").value) for index in range(len(MEMORIES))] == outputs, cycle
        await FallingEdge(dut.clk)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def multipliers(dut):
    await start(dut)
    rng = options.generator("multipliers")
    limits = [0, 1, (1 << 17) - 1, 1 << 17, (1 << 18) - 1]
    for _ in range(500):
        a, b = (int(rng.choice(limits) if rng.random() < 0.3 else rng.integers(1 << 18)) for _ in range(2))
        dut.a.value, dut.b.value = a, b
        for _ in range(3):
            await RisingEdge(dut.clk)
        for index, shapes in enumerate(MULTIPLIERS):
            factors = [_as(value, Shape.cast(shape)) for value, shape in zip((a, b), shapes, strict=True)]
            product = factors[0] * factors[1] % (1 << sum(Shape.cast(shape).width for shape in shapes))
            for kind in "pc":
                assert int(getattr(dut, f"{kind}{index}").value) == product, (kind, factors)


def _as(value, shape):
    value %= 1 << shape.width
    return value - (1 << shape.width) if shape.signed and value >> shape.width - 1 else value


def fifo_netlist():
    text = verilog.convert(StreamFifo(shape=fifo.LAYOUT, depth=8), name="stream_fifo", device=DEVICE)
    return gates.synthesise(text, "stream_fifo")


def run_netlist(text, tmp_path):
    models = tmp_path / "cells.v"
    models.write_text(gates.cell_models(text))
    run_cocotb(
        StreamFifo(shape=fifo.LAYOUT, depth=8),
        top="stream_fifo",
        test_module=fifo.__name__,
        parameters={"depth": 8},
        text=text,
        extra_sources=[models],
        family="",
        extra_env={"COCOTB_MAX_FAILURES": "1"},
    )


def test_flipped_bit_is_noticed(tmp_path):
    """One bit of one look-up table."""
    text, count = re.subn(
        r"(?<=\.INIT\(16'h)\w{4}", lambda match: f"{int(match[0], 16) ^ 1:04x}", fifo_netlist(), count=1
    )
    assert count == 1
    with pytest.raises(AssertionError, match="cocotb on .*stream_fifo: "):
        run_netlist(text, tmp_path)


@pytest.mark.parametrize(
    "cell, parameter",
    [("DP16KD", '.REGMODE_A("OUTREG")'), ("MULT18X18D", '.REG_OUTPUT_CLK("CLK1")')],
)
def test_other_modes_are_refused(tmp_path, cell, parameter):
    text = fifo_netlist().rsplit("endmodule", 1)[0] + f"  {cell} #({parameter}) refused ();\nendmodule\n"
    with pytest.raises(ToolError, match=f"{cell}_mode_without_a_model"):
        run_netlist(text, tmp_path)


def test_wrong_part():
    text = verilog.convert(StreamFifo(shape=8, depth=2), name="queue")
    with pytest.raises(ValueError, match="queue has no instance 'engine'"):
        gates.synthesise(text, "queue", "engine")
