# SPDX-License-Identifier: Apache-2.0
"""Tokens per second of a configuration at a clock: cycles per token are measured, in the compiled simulation of the chip.

The memory of that simulation has the latency of the board's and is never busy with anything else; an SDRAM refreshes for
about 1.4 % of the time. Results are kept in the cache, under all that they depend on.
"""

import json
from dataclasses import dataclass

import numpy as np

from tepin_host.errors import UserError

__all__ = ["MODELS", "Speed", "measure_speed"]

_TOKENS = {"demo": 16, "15M shape": 2}

MODELS = (("demo", "int8"), ("demo", "int4"), ("15M shape", "int8"), ("15M shape", "int4"))
"""Models and formats of weights that a build reports on. The 15M shape is that of stories15M, with random weights."""


@dataclass(frozen=True)
class Speed:
    """Cycles per token of a model, without its clock; None and a `problem` if the chip cannot run it."""

    model: str
    weights: str
    cycles_per_token: float | None
    problem: str = ""

    def tokens_per_second(self, clock_hz):
        """At this clock."""
        return clock_hz / self.cycles_per_token if self.cycles_per_token else None


def measure_speed(config, latency, *, models=MODELS, say=None):
    """Measure each of `models`, from the beginning of a text; returns a list of `Speed`.

    Parameters
    ----------
    config : ChipConfig
    latency : int
        Of the memory, in cycles.
    models : pairs of str
        Name and format of weights.
    say : callable(str), optional

    Raises
    ------
    UserError
        If there is no C++ compiler for the simulation.
    """
    from tepin_host.compiler import compile_model

    result = []
    for name, weights in models:
        try:
            executable = compile_model(_model(name), config, weights=weights)
        except UserError as error:
            result.append(Speed(name, weights, None, str(error)))
            continue
        cycles = _measure(executable, latency, f"{name}, {weights} weights", _TOKENS[name], say)
        result.append(Speed(name, weights, cycles))
    return result


def _measure(executable, latency, name, tokens, say):
    """Cycles per token, from the cache or from a simulation of `tokens` tokens."""
    from tepin import verilator
    from tepin_host.compiler import Request
    from tepin_host.runtime import Report, run_rtl
    from tepin_host.simulation import ChipSimulator, build_simulator
    from tepin_host.simulation.build import chip_verilog

    config = executable.plan.config
    text = chip_verilog(config, progress=say)
    request = Request([1], tokens, stop=())
    memory = executable.memory(request)
    program = np.asarray(executable.program, "<u4").tobytes()

    def build(directory):
        if say:
            say(f"measuring cycles per token: {name}")
        simulator = ChipSimulator(
            config, memory, latency=latency, library=build_simulator(config, progress=say)
        )
        report = Report()
        for _ in run_rtl(executable, request, report, simulator):
            pass
        (directory / "speed.json").write_text(json.dumps(report.cycles_per_token))

    key = verilator.content_key(text, program, memory.tobytes(), str(latency))
    return json.loads((verilator.cached_build("speed", key, build) / "speed.json").read_text())


def _model(name):
    from tepin_host.models import demo_model_path, load_model
    from tepin_host.models.shapes import STORIES_15M, random_model

    return load_model(demo_model_path()) if name == "demo" else random_model(name, STORIES_15M)
