# SPDX-License-Identifier: Apache-2.0
"""The stream units: the same bits whatever the number of lanes, those of the kernels on the chip; and wrong parameters."""

import hashlib

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin.units.activation import ActivationUnit
from tepin.units.norm import NormUnit
from tepin.units.softmax import SoftmaxUnit
from tepin_host.kernels import run_functional
from tepin_host.kernels.rows import layer_norm, rms_norm, softmax
from tepin_reference import float32, units
from tepin_testbench.pysim import simulate
from verification.testbenches.units.rows import beats, parameter_beats, parse

LANES = (1, 2, 4, 8)
EPSILON = 1e-5


def run(unit, rows, *, masks=False, width=32, settings=(), parameters=()):
    """Send rows through a unit whose inputs `settings` stay; return what comes out."""
    items = []
    count = sum(-(-row.size // unit.lanes) for row in rows)

    async def send(ctx):
        for name, value in dict(settings).items():
            ctx.set(getattr(unit, name), value)
        for stream, words in (
            ("i_parameters", parameters),
            ("i", [b for r in rows for b in beats(r, unit.lanes, masks=masks)]),
        ):
            for word in words:
                port = getattr(unit, stream)
                ctx.set(port.payload.as_value(), word)
                ctx.set(port.valid, 1)
                await ctx.tick().until(port.ready)
                ctx.set(port.valid, 0)
        while len(items) < count:
            await ctx.tick()

    async def receive(ctx):
        ctx.set(unit.o.ready, 1)
        async for _, _, valid, item in ctx.tick().sample(unit.o.valid, unit.o.payload.as_value()):
            if valid:
                items.append(item)

    simulate(unit, send, background=[receive], cycles=5000)
    return parse(items, unit.lanes, width=width)


def digest(rows):
    return hashlib.sha256(b"".join(row.tobytes() for row in rows)).hexdigest()


def test_softmax_of_every_number_of_lanes(rng):
    x = (3 * rng.standard_normal((2, 19))).astype("<f4")
    expected = run_functional(softmax(x), PRESETS["sim"])["x"]
    assert digest(units.softmax(row) for row in x) == digest(expected)
    hashes = {digest(run(SoftmaxUnit(lanes=lanes, max_length=32), x, masks=True)) for lanes in LANES}
    assert hashes == {digest(expected)}


@pytest.mark.parametrize("centre", [False, True], ids=["RMSNorm", "LayerNorm"])
def test_norm_of_every_number_of_lanes(centre, rng):
    x = (3 * rng.standard_normal((2, 19)) + 5).astype("<f4")
    gain, bias = rng.standard_normal((2, 19)).astype("<f4")
    kernel = layer_norm(x, gain, bias, EPSILON) if centre else rms_norm(x, gain, EPSILON)
    expected = run_functional(kernel, PRESETS["sim"])["x"]
    share, epsilon = (int(float32.bits(np.float32(number))) for number in (1 / 19, EPSILON))
    settings = {"centre": int(centre), "share": share, "epsilon": epsilon}
    hashes = {
        digest(
            run(
                NormUnit(lanes=lanes, max_length=32),
                x,
                settings=settings,
                parameters=parameter_beats(gain, bias, lanes),
            )
        )
        for lanes in LANES
    }
    assert hashes == {digest(expected)}


def test_activation_of_every_number_of_lanes(rng):
    x = (3 * rng.standard_normal((1, 11))).astype("<f4")
    hashes = {digest(run(ActivationUnit(lanes=lanes), x)) for lanes in LANES}
    assert hashes == {digest([units.silu(x[0])])}


@pytest.mark.parametrize("unit", [SoftmaxUnit, NormUnit, ActivationUnit])
@pytest.mark.parametrize("lanes", [0, 3, 32])
def test_init_wrong_lanes(unit, lanes):
    with pytest.raises(ValueError, match=f"^Lanes must be 1, 2, 4, 8 or 16, not {lanes}$"):
        unit(lanes=lanes)


@pytest.mark.parametrize("unit", [SoftmaxUnit, NormUnit])
def test_init_wrong_max_length(unit):
    message = "Maximum length must be a multiple of the 4 lanes, at least twice that, not"
    for length in (4, 0, 63):
        with pytest.raises(ValueError, match=f"^{message} {length}$"):
            unit(lanes=4, max_length=length)
    with pytest.raises(TypeError, match=r"^Maximum length must be an integer, not 64\.0$"):
        unit(lanes=4, max_length=64.0)


@pytest.mark.parametrize("levels", [0, 128, 1.5])
def test_init_wrong_levels(levels):
    with pytest.raises(ValueError, match=f"^Levels must be 1 to 127, or None for float32, not {levels}$"):
        SoftmaxUnit(lanes=1, levels=levels)


@pytest.mark.parametrize("unit", [SoftmaxUnit, NormUnit, ActivationUnit])
def test_init_wrong_architecture(unit):
    with pytest.raises(
        ValueError, match="^Architecture must be None or one of generic, ecp5, ecp5-model, not 'ice'$"
    ):
        unit(lanes=1, architecture="ice")
