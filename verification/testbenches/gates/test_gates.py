# SPDX-License-Identifier: Apache-2.0
"""Blocks as netlists for an ECP5: array, vector engine and a queue run the tests that their sources pass.

What is simulated is the output of Yosys, with models of the cells (`tepin_testbench.gates`). The tests themselves are
those of the blocks' own testbenches.
"""

import pytest

from tepin.matmul.array import SystolicArray
from tepin.stream import StreamFifo
from tepin_testbench.runner import run_cocotb
from verification.testbenches.array import test_systolic_array as array
from verification.testbenches.stream import test_stream_fifo as fifo
from verification.testbenches.vector import test_vector_engine as vector
from verification.testbenches.vector.bench import VectorBench

FAMILY = "ecp5"


def test_fifo():
    dut = StreamFifo(shape=fifo.LAYOUT, depth=8)
    run_cocotb(dut, top="stream_fifo", test_module=fifo.__name__, parameters={"depth": 8}, family=FAMILY)


@pytest.mark.slow
@pytest.mark.parametrize("activation_width", [8, 16])
def test_array(activation_width):
    """Multipliers with all their registers inside."""
    arguments = {"rows": 2, "columns": 4, "activation_width": activation_width}
    run_cocotb(
        SystolicArray(**arguments, tag=array.TAG_WIDTH),
        top="systolic_array",
        test_module=array.__name__,
        parameters={**arguments, "latency": arguments["rows"] + 4},
        family=FAMILY,
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
        family=FAMILY,
        part="engine",
    )
