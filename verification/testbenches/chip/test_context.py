# SPDX-License-Identifier: Apache-2.0
"""The demo model up to the last position of its context, on the chip that `tepin run` simulates by default."""

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin_host.compiler import Request, compile_model
from tepin_host.models import load_model
from verification.testbenches.chip.runs import assert_same, reference, rtl


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_whole_context(weights, model_paths):
    model = load_model(model_paths["demo"])
    context = model.config.max_seq_len
    executable = compile_model(model, PRESETS["sim"], weights=weights)
    # More than fit: the text ends with the context.
    request = Request([1], context + 10, seed=5, temperature=1.0, stop=())
    run = rtl(executable, request, latency=100)
    assert len(run.tokens) == context
    assert np.isfinite(run.logits).all()
    assert_same(run, reference(executable, request))
    report = run.report
    print(
        f"{weights}, {context} positions: {report.cycles_per_token:.0f} cycles per token, "
        f"{report.port_utilisation:.1f} % of the port"
    )
