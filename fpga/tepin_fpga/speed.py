# SPDX-License-Identifier: Apache-2.0
"""Tokens per second of a configuration at a clock: cycles per token are measured, in the compiled simulation of the chip.

The memory of that simulation has the latency of the board's and is never busy with anything else; an SDRAM refreshes for
about 1.4 % of the time. Results are kept in the cache, under all that they depend on.
"""

import json
from dataclasses import dataclass, replace

import numpy as np

from tepin.config import PRESETS
from tepin.coprocessor.job import Shape
from tepin_host.compiler import compile_model
from tepin_host.coprocessor.estimate import LINE_BITS, traffic_per_token
from tepin_host.errors import UserError
from tepin_host.models.shapes import STORIES_15M, STORIES_260K

__all__ = ["COPROCESSOR_MODELS", "MODELS", "Speed", "measure_speed", "speed_on_board"]

_TOKENS = {"demo": 16, "15M shape": 2}
_SHAPES = {"15M shape": STORIES_15M, "260K shape": STORIES_260K}

MODELS = (("demo", "int8"), ("demo", "int4"), ("15M shape", "int8"), ("15M shape", "int4"))
"""Models and formats of weights that a build reports on. The 15M shape is that of stories15M, with random weights."""

COPROCESSOR_MODELS = ("260K shape", "demo", "15M shape")
"""The same for a coprocessor, in whose memory a weight is a byte in either format. The 260K shape is that of stories260K."""


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


_PROGRAM_FOR = replace(PRESETS["sim"], scratchpad_bytes=1 << 18)
"""The chip whose program a coprocessor's host runs."""


def speed_on_board(design, board, clock_hz, *, say=None):
    """`Speed` of each of `MODELS`, or `COPROCESSOR_MODELS`, for what a board runs, a `ChipConfig` or a `Shape`.

    For a coprocessor the cycles are those of its jobs and those that the line takes for a token; what the host does meanwhile
    is not in them, nor what a USB adapter adds.
    """
    if not isinstance(design, Shape):
        return measure_speed(design, board.latency, say=say)
    result = []
    for name in COPROCESSOR_MODELS:
        if say:
            say(f"counting bytes and cycles per token: {name}")
        try:
            traffic = traffic_per_token(compile_model(_model(name), _PROGRAM_FOR), design)
        except UserError as error:
            result.append(Speed(name, "int8", None, str(error)))
            continue
        line = LINE_BITS * (traffic.sent + traffic.received) / board.baud
        result.append(Speed(name, "int8", traffic.cycles + line * clock_hz))
    return result


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
    from tepin_host.models.shapes import random_model

    return load_model(demo_model_path()) if name == "demo" else random_model(name, _SHAPES[name])
