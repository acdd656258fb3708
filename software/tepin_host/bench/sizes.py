# SPDX-License-Identifier: Apache-2.0
"""What is deep, wide or many enough: sizes that a model derives, beside what the chip's RTL says to each of them.

The weight FIFO, the bursts in flight and the lanes of a small chip are changed one at a time. `tepin_host.estimate` foresees
the cycles of a token, and from them the least size that is worth having; then the same chips are built and run.
"""

from dataclasses import replace

from tepin.config import parse_config
from tepin_host.bench.decode import checked_run
from tepin_host.bench.row import Row
from tepin_host.compiler import Request, compile_model
from tepin_host.estimate import estimate
from tepin_host.models import demo_model_path, load_model
from tepin_host.simulation import ChipSimulator, build_simulator

__all__ = ["LOSS", "SWEEPS", "derive", "sizes"]

_BASE = "tiny,scratchpad_bytes=65536"
_LATENCY = 100
_TOKENS = 4
SWEEPS = {
    "weight_fifo_bytes": (2048, 4096, 8192),
    "outstanding": (4, 8, 16),
    "lanes": (1, 2, 4),
}
"""Fields of `ChipConfig`, and the sizes that they are given, the others being those of the preset."""

LOSS = 0.02
"""A size is enough if the largest one saves no more than this share of the cycles."""


def derive(model, config, name, values, *, weights, latency=_LATENCY, tokens=_TOKENS):
    """The least of these sizes that is enough, by estimate, and the cycles per token that are foreseen with each.

    Parameters
    ----------
    model : ModelConfig
    config : ChipConfig
    name : str
        The field of `config` that is given these `values`, in rising order.
    """
    foreseen = {
        value: estimate(
            model, replace(config, **{name: value}), weights=weights, tokens=tokens, latency=latency
        ).cycles_per_token
        for value in values
    }
    most = (1 + LOSS) * foreseen[values[-1]]
    return next(value for value in values if foreseen[value] <= most), foreseen


def sizes(say):
    """The demo model from BOS, int8 and int4, on each of the chips."""
    model = load_model(demo_model_path())
    base = parse_config(_BASE)
    request = Request([1], _TOKENS, stop=())
    for name, values in SWEEPS.items():
        for weights in ("int8", "int4"):
            enough, foreseen = derive(model.config, base, name, values, weights=weights)
            case = f"demo model {weights} {_BASE} port={base.port_width} latency={_LATENCY}"
            yield Row("sizes", f"{case}, {name}", "enough, derived", enough, "")
            for value in values:
                config = replace(base, **{name: value})
                report = _measure(f"{case}, {name}={value}", model, config, request, weights, say)
                limit = report.bytes_per_token / config.port_bytes
                for metric, cycles in (
                    ("cycles per token", report.cycles_per_token),
                    ("cycles per token, estimated", foreseen[value]),
                ):
                    yield Row("sizes", f"{case}, {name}={value}", metric, cycles, "cycles", limit)


def _measure(case, model, config, request, weights, say):
    say(case)
    executable = compile_model(model, config, weights=weights)
    simulator = ChipSimulator(
        config,
        executable.memory(request),
        latency=_LATENCY,
        library=build_simulator(config, progress=say),
    )
    return checked_run(executable, request, simulator, case)
