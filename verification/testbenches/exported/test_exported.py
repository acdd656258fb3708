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


ENGINES = {run_matmul: "random_jobs", run_vector: "test_random_commands", run_dma: "random_descriptors"}
"""Engines, and which of their tests are run in Icarus, too, being the ones that mix everything."""


@pytest.mark.slow
@pytest.mark.parametrize("run", ENGINES)
def test_engine(run):
    run(exported=True, sim="verilator", family="")


@ICARUS
@pytest.mark.slow
@pytest.mark.parametrize("run", ENGINES)
def test_engine_in_icarus(run):
    run(exported=True, sim="icarus", family="", test_filter=ENGINES[run])
