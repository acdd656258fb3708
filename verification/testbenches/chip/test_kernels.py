# SPDX-License-Identifier: Apache-2.0
"""Kernels on the compiled RTL: every bit as on the functional simulator, and a time that is always the same."""

import numpy as np
import pytest

from tepin_host.errors import UserError
from tepin_host.kernels import Kernel, run_functional, run_timed
from tepin_host.kernels.rows import layer_norm, rms_norm, softmax
from tepin_host.kernels.state_space import state_space_step
from verification.testbenches.chip.runs import TINY


def normal(rng, *shape):
    return rng.standard_normal(shape).astype("<f4")


KERNELS = {
    "softmax": lambda rng: softmax(normal(rng, 3, 77)),
    "softmax of one row": lambda rng: softmax(normal(rng, 1, 300), levels=127),
    "RMSNorm": lambda rng: rms_norm(normal(rng, 2, 90), normal(rng, 90)),
    "LayerNorm": lambda rng: layer_norm(normal(rng, 2, 90), normal(rng, 90), normal(rng, 90)),
    "state space": lambda rng: state_space_step(
        normal(rng, 6),
        normal(rng, 6),
        normal(rng, 6, 16),
        normal(rng, 16),
        normal(rng, 16),
        normal(rng, 6, 16),
    ),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernel(name, rng):
    kernel = KERNELS[name](rng)
    expected = run_functional(kernel, TINY)
    results, cycles = run_timed(kernel, TINY)
    assert results.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(results[key].view(np.uint8), value.view(np.uint8))
    again, cycles_of_slow_memory = run_timed(kernel, TINY, latency=7)
    assert cycles == cycles_of_slow_memory > 0
    assert all(np.array_equal(again[key].view(np.uint8), results[key].view(np.uint8)) for key in results)


def test_a_program_that_fails():
    kernel = Kernel(lambda a, pad: a.fail(7), {"x": np.zeros(1, "<f4")}, {"x": ((1,), "<f4")})
    with pytest.raises(UserError, match="the kernel stopped with SOFTWARE"):
        run_timed(kernel, TINY)
