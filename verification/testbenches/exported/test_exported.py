# SPDX-License-Identifier: Apache-2.0
"""Blocks as `tepin verilog` writes them run the tests that their sources pass, from random bits in all registers."""

import shutil

import pytest

from tepin.matmul.array import SystolicArray
from tepin.stream import StreamFifo
from tepin_testbench.runner import run_cocotb
from verification.testbenches.array import test_systolic_array as array
from verification.testbenches.stream import test_stream_fifo as fifo
from verification.testbenches.vector import test_vector_engine as vector
from verification.testbenches.vector.bench import VectorBench

ICARUS = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")
SIMULATORS = [
    pytest.param("icarus", marks=ICARUS),
    pytest.param("verilator", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("sim", SIMULATORS)
def test_fifo(sim):
    dut = StreamFifo(shape=fifo.LAYOUT, depth=8)
    parameters = {"depth": 8}
    run_cocotb(
        dut,
        top="stream_fifo",
        test_module=fifo.__name__,
        parameters=parameters,
        exported=True,
        sim=sim,
        family="",
    )


@pytest.mark.parametrize("sim", SIMULATORS)
def test_array(sim):
    arguments = {"rows": 2, "columns": 4, "activation_width": 8}
    run_cocotb(
        SystolicArray(**arguments, tag=array.TAG_WIDTH),
        top="systolic_array",
        test_module=array.__name__,
        parameters={**arguments, "latency": arguments["rows"] + 4},
        exported=True,
        sim=sim,
        family="",
    )


@pytest.mark.slow
def test_vector_engine():
    """Softmax, norms and all the others, with one lane."""
    config = {"lanes": 1, "line_bytes": 4, "size": vector.SIZE}
    run_cocotb(
        VectorBench(**config),
        top="vector",
        test_module=vector.__name__,
        parameters=config,
        exported=True,
        sim="verilator",
        family="",
    )
