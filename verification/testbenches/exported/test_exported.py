# SPDX-License-Identifier: Apache-2.0
"""Blocks as `tepin verilog` writes them run the tests that their sources pass, from random bits in all registers."""

import shutil

import pytest

from verification.testbenches.forms import run_array, run_dma, run_fifo, run_matmul, run_vector

ICARUS = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")
SIMULATORS = [
    pytest.param("icarus", marks=ICARUS),
    pytest.param("verilator", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("sim", SIMULATORS)
def test_fifo(sim):
    run_fifo(exported=True, sim=sim, family="")


@pytest.mark.parametrize("sim", SIMULATORS)
def test_array(sim):
    run_array(8, exported=True, sim=sim, family="")


@pytest.mark.slow
@pytest.mark.parametrize("sim", ["icarus", "verilator"])
@pytest.mark.parametrize("run", [run_matmul, run_vector, run_dma])
def test_engine(run, sim):
    run(exported=True, sim=sim, family="")
