# SPDX-License-Identifier: Apache-2.0
"""Real models on chips of different shapes: the same bits of every logit, and those of the functional simulator.

Each shape is a build of minutes, and 64 tokens of a real model are millions of cycles.
"""

import functools
from dataclasses import replace

import pytest

from tepin.config import PRESETS
from tepin_host.compiler import Request, compile_model
from tepin_host.models import load_model
from verification.testbenches.chip.runs import TINY, reference, rtl

pytestmark = pytest.mark.slow

SIM = PRESETS["sim"]
SMALL = replace(TINY, scratchpad_bytes=SIM.scratchpad_bytes)
SHAPES = {
    "8x16, 4 lanes, 64 bit": SIM,
    "2x8, 2 lanes, 32 bit": SMALL,
    "4x8 of 16 bit, 1 lane, 16 bit": replace(SMALL, rows=4, activation_width=16, lanes=1, port_width=16),
    "8x8 of 16 bit, 8 lanes, 128 bit": replace(SIM, columns=8, activation_width=16, lanes=8, port_width=128),
}
REQUEST = Request([1], 64, seed=3, temperature=0.9, stop=())


@functools.cache
def expected(path, weights):
    """What the functional simulator makes of a model, compiled for one and the same shape."""
    return reference(compile_model(load_model(path), SIM, weights=weights), REQUEST)


@pytest.mark.parametrize("name", ["demo", "stories260K"])
@pytest.mark.parametrize("shape", SHAPES)
def test_shape_changes_no_bit(shape, name, model_paths):
    path = model_paths[name]
    if not path.exists():
        pytest.skip(f"{path} is not there; TEPIN_MODELS names the folder")
    hashes = set()
    for weights in ("int8", "int4"):
        run = rtl(compile_model(load_model(path), SHAPES[shape], weights=weights), REQUEST, latency=100)
        assert len(run.tokens) == 64
        assert run.tokens == expected(path, weights).tokens
        assert run.logits.tobytes() == expected(path, weights).logits.tobytes()
        report = run.report
        print(
            f"{name}, {weights}, {shape}: {report.cycles_per_token:.0f} cycles per token, "
            f"{report.port_utilisation:.1f} % of the port, {report.array_utilisation:.1f} % of the array, "
            f"logits {report.logits_sha256[:16]}"
        )
        hashes.add(report.logits_sha256)
    assert len(hashes) == 2
