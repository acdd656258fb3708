# SPDX-License-Identifier: Apache-2.0
"""Decoding: how much of the memory port's bandwidth a whole model uses, token by token, end to end."""

from tepin.config import PRESETS
from tepin_host.bench.row import CheckFailed, Row
from tepin_host.compiler import Request, compile_model
from tepin_host.models import demo_model_path, load_model
from tepin_host.runtime import Report, run_reference, run_rtl
from tepin_host.simulation import ChipSimulator, build_simulator

__all__ = ["decode"]

_PRESET = "sim"
_LATENCY = 100
_TOKENS = 64


def decode(say):
    """The demo model from BOS, greedy, `_TOKENS` tokens, int8 and int4; checked against the functional simulator."""
    config = PRESETS[_PRESET]
    library = build_simulator(config, progress=say)
    model = load_model(demo_model_path())
    for weights in ("int8", "int4"):
        case = f"demo model {weights} {_TOKENS} tokens {_PRESET} {config.describe()} latency={_LATENCY}"
        say(case)
        executable = compile_model(model, config, weights=weights)
        request = Request([1], _TOKENS, stop=())
        simulator = ChipSimulator(config, executable.memory(request), latency=_LATENCY, library=library)
        report, expected = Report(), Report()
        for _ in run_rtl(executable, request, report, simulator):
            pass
        for _ in run_reference(executable, request, expected):
            pass
        if report.logits_sha256 != expected.logits_sha256:
            raise CheckFailed(f"{case}: the RTL's logits differ from the functional simulator's")
        limit = report.bytes_per_token / config.port_bytes
        yield Row("decode", case, "cycles per token", report.cycles_per_token, "cycles", limit)
        yield Row("decode", case, "port utilisation", report.port_utilisation, "%", 100.0)
        yield Row("decode", case, "array utilisation", report.array_utilisation, "%", 100.0)
        first = executable.plan.useful_bytes(0) / config.port_bytes
        yield Row("decode", case, "first token", report.first_token_cycles, "cycles", first)
