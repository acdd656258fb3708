# SPDX-License-Identifier: Apache-2.0
"""Accuracy: how far the quantised model on the chip is from the same model in float64."""

import numpy as np

from tepin.config import PRESETS
from tepin_host.bench.row import CheckFailed, Row
from tepin_host.compiler import Request, compile_model
from tepin_host.models import demo_model_path, load_model
from tepin_host.runtime import Report, run_reference
from tepin_reference.kernels import Llama, kl_divergence

__all__ = ["accuracy", "divergence"]

_TOKENS = 200


def divergence(model, weights, tokens, *, seed=0):
    """KL divergence [tokens] of the next-token distributions from float64 to the chip's, on a text sampled by the chip."""
    executable = compile_model(model, PRESETS["sim"], weights=weights)
    report = Report()
    request = Request([1], tokens, seed=seed, temperature=1.0, stop=())
    text = [1, *run_reference(executable, request, report)]
    return kl_divergence(Llama(model).forward(text[:-1]), report.logits)


def accuracy(say):
    """Mean and largest KL divergence over a sampled text of the demo model."""
    model = load_model(demo_model_path())
    for weights in ("int8", "int4"):
        case = f"demo model {weights} int16 activations {_TOKENS} tokens"
        say(case)
        values = divergence(model, weights, _TOKENS)
        if not np.isfinite(values).all():
            raise CheckFailed(f"{case}: a logit is not finite")
        yield Row("accuracy", case, "mean KL", float(values.mean()), "nat")
        yield Row("accuracy", case, "largest KL", float(values.max()), "nat")
