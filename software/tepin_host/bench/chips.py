# SPDX-License-Identifier: Apache-2.0
"""Several chips: how much quicker they decode than one. Each has a memory of its own; links are as fast as memory."""

from dataclasses import replace

from tepin.config import PRESETS
from tepin_host import chips
from tepin_host.bench.pipelines import pipelines
from tepin_host.bench.row import CheckFailed, Row
from tepin_host.compiler import Request, compile_chips, compile_model
from tepin_host.compiler.plan import Plan
from tepin_host.models import demo_model_path, load_model
from tepin_host.models.shapes import STORIES_15M, random_model
from tepin_host.runtime import Report, run_rtl
from tepin_host.simulation import ChipSimulator, build_simulator, join

__all__ = ["decode_on_chips"]

_COLUMNS = {"int8": 16, "int4": 32}
"""The array takes in twice as many weights per cycle as the port brings, so that it catches up after vector phases."""
_LATENCY, _LINK_LATENCY = 100, 20
_COUNTS = (2, 4, 8)
_SHAPES = {
    "6 heads": STORIES_15M,
    "8 heads": STORIES_15M | {"dim": 256, "hidden_dim": 1024, "n_heads": 8, "n_kv_heads": 8},
}
"""Shapes of 15 million parameters, 6 layers, 32,000 tokens; that with 6 heads is that of stories15M."""


def decode_on_chips(say):
    """Decoding one text on one chip and on several, and many on pipelines; checked to have the same logits."""
    models = [(replace(load_model(demo_model_path()), name="demo model"), 16, 6)]
    models += [(random_model(f"15M shape, {name}", shape), 3, 2) for name, shape in _SHAPES.items()]
    for weights, columns in _COLUMNS.items():
        config = replace(PRESETS["sim"], columns=columns, scratchpad_bytes=1 << 18, links=2)
        library = build_simulator(config, progress=say)
        for model, tokens, tokens_of_each in models:
            request = Request([1], tokens, stop=())
            alone = _alone(model, config, weights, request, library)
            for count in _COUNTS:
                case = (
                    f"{model.name} {weights} {tokens} tokens {count} chips ring latency={_LINK_LATENCY} "
                    f"{config.describe()} memory latency={_LATENCY}"
                )
                say(case)
                executables = compile_chips(model, config, chips=count, weights=weights)
                report = _together(executables, request, library)
                if (report.tokens, report.logits_sha256) != (alone.tokens, alone.logits_sha256):
                    raise CheckFailed(f"{case}: other logits than on one chip")
                speedup = alone.cycles_per_token / report.cycles_per_token
                limit = report.bytes_per_token / count / config.port_bytes
                share = max(executable.plan.image_bytes for executable in executables)
                share *= 100 * count / Plan(model.config, config, weights).image_bytes
                yield Row("chips", case, "cycles per token", report.cycles_per_token, "cycles", limit)
                yield Row("chips", case, "speed-up", speedup, "times", float(count))
                yield Row("chips", case, "memory of the largest chip", share, "% of its share", 100.0)
            yield from pipelines(
                say,
                model,
                config,
                weights,
                library,
                alone,
                tokens=tokens_of_each,
                latency=_LATENCY,
                link_latency=_LINK_LATENCY,
            )


def _alone(model, config, weights, request, library):
    executable = compile_model(model, config, weights=weights)
    simulator = ChipSimulator(config, executable.memory(request), latency=_LATENCY, library=library)
    report = Report()
    for _ in run_rtl(executable, request, report, simulator):
        pass
    return report


def _together(executables, request, library):
    config = executables[0].plan.config
    simulators = [
        ChipSimulator(config, executable.memory(request), latency=_LATENCY, library=library)
        for executable in executables
    ]
    join(simulators, executables[0].plan.shard.network, latency=_LINK_LATENCY)
    report = Report()
    for _ in chips.run_rtl(executables, request, report, simulators):
        pass
    return report
