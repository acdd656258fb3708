# SPDX-License-Identifier: Apache-2.0
"""Kernels on the functional simulator, against float64."""

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin_host.errors import UserError
from tepin_host.kernels import Kernel, run_functional
from tepin_host.kernels.rows import layer_norm, rms_norm, softmax
from tepin_host.kernels.state_space import state_space_step
from tepin_reference import kernels

CONFIG = PRESETS["sim"]
SHAPES = [(1, 1), (1, 200), (5, 33)]


def normal(rng, *shape, scale=1):
    return (scale * rng.standard_normal(shape)).astype("<f4")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spread", [0.1, 50])
def test_softmax(shape, spread, rng):
    x = normal(rng, *shape, scale=spread)
    y = run_functional(softmax(x), CONFIG)["x"].astype(np.float64)
    assert np.abs(y - kernels.softmax(x)).max() < 2e-7
    assert np.abs(y.sum(axis=1) - 1).max() < 3e-7


def test_softmax_with_a_known_maximum(rng):
    x = normal(rng, 1, 100)
    exponent = np.floor(x.max(axis=1) * np.float32(np.log2(np.e))) + 1
    same = run_functional(softmax(x, exponent=exponent), CONFIG)["x"]
    np.testing.assert_array_equal(same, run_functional(softmax(x), CONFIG)["x"])


def test_softmax_to_int8(rng):
    x = normal(rng, 4, 50, scale=3)
    q = run_functional(softmax(x, levels=127), CONFIG)["q"]
    np.testing.assert_array_equal(q, np.rint(127 * kernels.softmax(x)))


def test_masked_elements_get_nothing(rng):
    x = normal(rng, 3, 40)
    x[0, ::2] = x[1] = -np.inf
    y = run_functional(softmax(x), CONFIG)["x"]
    assert not y[0, ::2].any() and not y[1].any()
    np.testing.assert_allclose(y[[0, 2]], kernels.softmax(x[[0, 2]]), atol=2e-7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("offset", [0, 100])
def test_norms(shape, offset, rng):
    x, gain, bias = normal(rng, *shape) + np.float32(offset), normal(rng, shape[1]), normal(rng, shape[1])
    x[0, 0] += 1e4 * (offset == 0)
    for kernel, expected in (
        (rms_norm(x, gain), kernels.rms_norm(x, gain, 1e-5)),
        (layer_norm(x, gain, bias), kernels.layer_norm(x, gain, bias, 1e-5)),
    ):
        y = run_functional(kernel, CONFIG)["x"]
        assert np.abs(y - expected).max() <= 5e-7 * np.abs(expected).max()


def test_state_space_step(rng):
    """Several tokens, the state going from one to the next, against the equations."""
    channels, states = 10, 16
    h = np.zeros((channels, states), "<f4")
    exact = h.astype(np.float64)
    A = -np.exp(normal(rng, channels, states))
    for _ in range(4):
        raw, x = normal(rng, channels), normal(rng, channels)
        B, C = normal(rng, states), normal(rng, states)
        results = run_functional(state_space_step(raw, x, A, B, C, h), CONFIG)
        delta = np.log1p(np.exp(raw.astype(np.float64)))[:, None]
        exact = np.exp(delta * A) * exact + delta * B * x[:, None]
        np.testing.assert_allclose(results["h"], exact, atol=2e-6 * np.abs(exact).max())
        np.testing.assert_allclose(results["y"], exact @ C, atol=2e-6 * np.abs(exact @ C).max())
        h = results["h"]


def test_arrays_that_do_not_fit():
    with pytest.raises(UserError, match="too small"):
        run_functional(softmax(np.zeros((1, CONFIG.scratchpad_bytes // 4), "<f4")), CONFIG)


def test_a_program_that_fails():
    kernel = Kernel(lambda a, pad: a.fail(7), {"x": np.zeros(1, "<f4")}, {"x": ((1,), "<f4")})
    with pytest.raises(UserError, match="the kernel stopped with SOFTWARE"):
        run_functional(kernel, CONFIG)
