# SPDX-License-Identifier: Apache-2.0
"""Blocks as netlists for an ECP5: array, vector engine and a queue run the tests that their sources pass.

What is simulated is the output of Yosys, with models of the cells (`tepin_testbench.gates`). The tests themselves are
those of the blocks' own testbenches.
"""

import pytest

from verification.testbenches.forms import run_array, run_fifo, run_vector

FAMILY = "ecp5"


def test_fifo():
    run_fifo(family=FAMILY)


@pytest.mark.slow
@pytest.mark.parametrize("activation_width", [8, 16])
def test_array(activation_width):
    """Multipliers with all their registers inside."""
    run_array(activation_width, family=FAMILY)


@pytest.mark.slow
def test_vector_engine():
    run_vector(family=FAMILY, part="engine")
