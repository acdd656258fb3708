# SPDX-License-Identifier: Apache-2.0
"""Generations on the functional simulator, and the float64 mathematics of the very weights that it multiplies with."""

from dataclasses import dataclass, replace

import numpy as np

from tepin.config import PRESETS
from tepin_host.compiler import Request
from tepin_host.models import LAYER_TENSORS
from tepin_host.quantize import dequantize, quantize, quantize_int8
from tepin_reference import kernels
from tepin_reference.simulator import FunctionalSimulator

__all__ = ["TINY", "Generation", "dequantized", "expected_logits", "generate", "sampled"]

TINY = PRESETS["tiny"]


@dataclass(frozen=True, eq=False)
class Generation:
    """What one run left: tokens, logits [tokens, vocabulary], and the simulator."""

    tokens: list
    logits: np.ndarray
    simulator: FunctionalSimulator


def generate(executable, request, *, memory=None):
    """Run a request from a fresh image, or from `memory`."""
    memory = executable.memory(request) if memory is None else memory
    simulator = FunctionalSimulator(executable.plan.config, memory)
    tokens = list(simulator.run(executable.program, limit=2_000_000))
    observed = np.concatenate([y.reshape(-1) for y in simulator.observed])
    logits = observed.reshape(-1, executable.plan.model.vocab_size)
    return Generation(tokens, logits, simulator)


def sampled(prompt, tokens, *, seed=1):
    """A request whose text wanders about: every token is drawn, and none ends it."""
    return Request(list(prompt), tokens, seed=seed, temperature=1.0, stop=())


def dequantized(model, kind):
    """The model with the weights that a chip really multiplies with."""
    assert not model.config.tied, "embedding and classifier may be quantised differently"

    def approximate(array):
        return array if array.ndim == 1 else dequantize(quantize(array, kind))

    layers = [
        replace(layer, **{name: approximate(getattr(layer, name)) for name in LAYER_TENSORS})
        for layer in model.layers
    ]
    return replace(
        model,
        embedding=dequantize(quantize_int8(model.embedding)),
        layers=tuple(layers),
        classifier=dequantize(quantize(model.classifier, kind)),
    )


def expected_logits(model, request, tokens):
    """What the mathematics predicts for each of the generated tokens."""
    text = [*request.prompt, *tokens]
    return kernels.Llama(model).forward(text[:-1])[len(request.prompt) - 1 :]
