# SPDX-License-Identifier: Apache-2.0
"""The vector unit: error of softmax and norms by length of the row and spread of its elements, and cycles by lanes."""

from dataclasses import replace

import numpy as np

from tepin.config import PRESETS
from tepin_host.bench.row import CheckFailed, Row
from tepin_host.kernels import run_functional, run_timed
from tepin_host.kernels.rows import layer_norm, rms_norm, softmax
from tepin_host.simulation import build_simulator
from tepin_reference import kernels

__all__ = ["vector"]

_CONFIG = replace(PRESETS["sim"], scratchpad_bytes=1 << 18)
_LENGTHS = (8, 64, 512, 1000, 8192)
_SPREADS = (0.1, 1.0, 5.0, 50.0)
_LANES = (1, 2, 4, 8)
_LEVELS = 127
_SEED = 7


def vector(say):
    """Errors on the functional simulator, which is the RTL in every bit; cycles on the RTL, checked to be so."""
    rng = np.random.default_rng(_SEED)
    yield from _softmax_errors(rng, say)
    yield from _norm_errors(rng, say)
    yield from _cycles(rng, say)


def _random(rng, spread, *shape):
    return (spread * rng.standard_normal(shape)).astype("<f4")


def _softmax_errors(rng, say):
    for n in _LENGTHS:
        say(f"softmax of {n} elements")
        rows = max(1, 4096 // n)
        worst_sum, right, levels = 0.0, 0, 0
        for spread in _SPREADS:
            x = _random(rng, spread, rows, n)
            exact = kernels.softmax(x)
            y = run_functional(softmax(x), _CONFIG)["x"].astype(np.float64)
            worst_sum = max(worst_sum, np.abs(y.sum(axis=1) - 1).max())
            q = run_functional(softmax(x, levels=_LEVELS), _CONFIG)["q"]
            right, levels = right + (q == np.rint(_LEVELS * exact)).sum(), levels + q.size
            case = f"softmax of {n} elements, spread {spread:g}"
            yield Row("vector", case, "largest error", float(np.abs(y - exact).max()), "")
        case = f"softmax of {n} elements, all spreads"
        yield Row("vector", case, "largest error of a row's sum", float(worst_sum), "")
        yield Row("vector", case, "int8 correctly rounded", 100 * right / levels, "%", 100.0)
    n = 1000
    for name, x in _odd_rows(rng, n).items():
        y = run_functional(softmax(x), _CONFIG)["x"]
        masked = np.isneginf(x).all()
        error = float(np.abs(y - (0 if masked else kernels.softmax(x))).max())
        if not np.isfinite(error):
            raise CheckFailed(f"softmax of {name}: {y}")
        yield Row("vector", f"softmax of {n} elements, {name}", "largest error", error, "")


def _odd_rows(rng, n):
    usual = _random(rng, 5, 1, n)
    huge, some = usual.copy(), usual.copy()
    huge[0, n // 3] = 1e4
    some[0, rng.random(n) < 0.5] = -np.inf
    return {
        "one huge": huge,
        "all equal": np.full_like(usual, -3.75),
        "half of them masked": some,
        "all masked": np.full_like(usual, -np.inf),
    }


def _norm_errors(rng, say):
    for n in _LENGTHS:
        say(f"norms of {n} elements")
        gain, bias = _random(rng, 1, n), _random(rng, 1, n)
        for kind in ("plain", "outlier of 1e4", "mean of 100"):
            x = _random(rng, 1, 1, n)
            if kind == "outlier of 1e4":
                x[0, n // 3] = 1e4
            elif kind == "mean of 100":
                x += 100
            for name, kernel, exact in (
                ("RMSNorm", rms_norm(x, gain, 1e-5), kernels.rms_norm(x, gain, 1e-5)),
                ("LayerNorm", layer_norm(x, gain, bias, 1e-5), kernels.layer_norm(x, gain, bias, 1e-5)),
            ):
                y = run_functional(kernel, _CONFIG)["x"]
                error = float(np.abs(y - exact).max() / np.abs(exact).max())
                yield Row("vector", f"{name} of {n} elements, {kind}", "largest error / largest", error, "")


def _cycles(rng, say):
    n, rows = 1024, 8
    one, many, gain, bias = (_random(rng, 1, *shape) for shape in ((1, n), (rows, n), (n,), (n,)))
    known, all_known = np.full(1, 6, "<f4"), np.full(rows, 6, "<f4")
    # name: (kernel, passes over the elements)
    cases = {
        f"softmax of {n}, maximum known": (softmax(one, exponent=known), 2),
        f"softmax of {n}": (softmax(one), 3),
        f"softmax of {rows} x {n}": (softmax(many), 3),
        f"softmax of {rows} x {n}, maxima known": (softmax(many, exponent=all_known), 2),
        f"RMSNorm of {n}": (rms_norm(one, gain), 3),
        f"RMSNorm of {rows} x {n}": (rms_norm(many, gain), 3),
        f"LayerNorm of {n}": (layer_norm(one, gain, bias), 5),
    }
    for lanes in _LANES:
        config = replace(_CONFIG, lanes=lanes)
        library = build_simulator(config, progress=say)
        for name, (kernel, passes) in cases.items():
            case = f"{name} lanes={lanes}"
            say(case)
            outputs, cycles = run_timed(kernel, config, library=library)
            if any((outputs[key] != value).any() for key, value in run_functional(kernel, config).items()):
                raise CheckFailed(f"{case}: the RTL's results differ from the functional simulator's")
            limit = passes * kernel.inputs["x"].size / lanes
            yield Row("vector", case, "cycles", cycles, "cycles", limit)
