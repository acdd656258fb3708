# SPDX-License-Identifier: Apache-2.0
"""Blocks whose testbenches also run on other forms of them: netlists for an FPGA, exported files.

A queue with a memory, the systolic array with its multipliers, and the engines. Further arguments go to `run_cocotb` and say
which form it is.
"""

from tepin.matmul.array import SystolicArray
from tepin.stream import StreamFifo
from tepin_testbench.runner import run_cocotb
from verification.testbenches.array import test_systolic_array as array
from verification.testbenches.dma import configurations, test_moves
from verification.testbenches.matmul import test_matmul_engine as matmul
from verification.testbenches.stream import test_stream_fifo as fifo
from verification.testbenches.vector import test_vector_engine as vector
from verification.testbenches.vector.bench import VectorBench

__all__ = ["run_array", "run_dma", "run_fifo", "run_matmul", "run_vector"]


def run_fifo(**form):
    dut = StreamFifo(shape=fifo.LAYOUT, depth=8)
    run_cocotb(dut, top="stream_fifo", test_module=fifo.__name__, parameters={"depth": 8}, **form)


def run_array(activation_width, **form):
    arguments = {"rows": 2, "columns": 4, "activation_width": activation_width}
    run_cocotb(
        SystolicArray(**arguments, tag=array.TAG_WIDTH),
        top="systolic_array",
        test_module=array.__name__,
        parameters={**arguments, "latency": arguments["rows"] + 4},
        **form,
    )


def run_vector(**form):
    """Softmax, norms and all the others, with one lane."""
    config = {"lanes": 1, "line_bytes": 4, "size": vector.SIZE}
    run_cocotb(VectorBench(**config), top="vector", test_module=vector.__name__, parameters=config, **form)


def run_matmul(**form):
    """The array of `tiny`."""
    matmul.test_matmul_engine("2x8", **form)


def run_dma(**form):
    """Beats that are much smaller than lines."""
    configurations.run("narrow", test_moves.__name__, form=form)
