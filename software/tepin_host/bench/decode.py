# SPDX-License-Identifier: Apache-2.0
"""Decoding: how much of the memory port's bandwidth a whole model uses, token by token, end to end.

On preset `sim` with a memory of constant latency, and on preset `board` with the RTL of the SDRAM controller and a model of
the part that objects to every violation: there the limit is the bandwidth of the pins, and refreshes are in what is measured.
"""

import numpy as np

from tepin.config import parse_config
from tepin_host.bench.row import CheckFailed, Row
from tepin_host.compiler import Request, compile_model
from tepin_host.compiler.kv_cache import KvCache
from tepin_host.driver import ChipDriver
from tepin_host.estimate import estimate
from tepin_host.models import demo_model_path, load_model
from tepin_host.models.shapes import STORIES_15M, random_model
from tepin_host.runtime import Report, run_reference, run_rtl
from tepin_host.simulation import ChipSimulator, build_simulator
from tepin_host.simulation.sdram import SdramMemory

__all__ = ["checked_run", "decode"]

_LATENCY = 100
_SIM_TOKENS, _BOARD_TOKENS, _TOKENS = 64, 16, 3
_CONTEXTS = (1, 64, 256)
_SDRAM_LATENCY = 19
"""Cycles from an address to its first beat if another row is open (docs/sdram.md), for the estimate."""

_BOARD = "board,scratchpad_bytes=262144"
"""Preset `board` with the scratchpad that the 15M shape takes: 128 of an ECP5-85F's 208 block RAMs."""


def decode(say):
    """The demo model on its way from BOS; on the board the 15M shape, too, at three lengths of context."""
    demo = load_model(demo_model_path())
    for weights in ("int8", "int4"):
        yield from _case(say, demo, "sim", weights, 1, _SIM_TOKENS)
    memory = SdramMemory()
    for weights in ("int8", "int4"):
        yield from _case(say, demo, _BOARD, weights, 1, _BOARD_TOKENS, memory)
    large = random_model("15M shape", STORIES_15M)
    for context in _CONTEXTS:
        for weights in ("int8", "int4"):
            yield from _case(say, large, _BOARD, weights, context, _TOKENS, memory)


def _case(say, model, preset, weights, context, tokens, sdram=None, library=None):
    """Greedy tokens up to a context of that length, or so many from BOS; checked against the functional simulator."""
    config = parse_config(preset)
    memory = f"sdram={sdram.name} at {sdram.clock_hz / 1e6:g} MHz" if sdram else f"latency={_LATENCY}"
    before = max(0, context - tokens)
    where = f"context {context} " if context > tokens else ""
    name = "demo model" if model.name == "demo" else model.name
    case = f"{name} {weights} {tokens} tokens {where}{preset} {config.describe()} {memory}"
    say(case)
    executable = compile_model(model, config, weights=weights)
    request = _request(executable, before, tokens)
    simulator = ChipSimulator(
        config,
        executable.memory(request),
        latency=_LATENCY,
        library=library or build_simulator(config, sdram=sdram, progress=say),
        sdram=sdram,
    )
    start, refreshes = simulator.cycle, simulator.refreshes if sdram else 0
    report = checked_run(executable, request, simulator, case)
    limit = report.bytes_per_token / config.port_bytes
    foreseen = estimate(
        model.config,
        config,
        weights=weights,
        tokens=tokens,
        context=before,
        latency=_SDRAM_LATENCY if sdram else _LATENCY,
        memory_share=sdram.timing_share if sdram else 1.0,
    )
    yield Row("decode", case, "cycles per token", report.cycles_per_token, "cycles", limit)
    yield Row("decode", case, "cycles per token, estimated", foreseen.cycles_per_token, "cycles", limit)
    yield Row("decode", case, "port utilisation", report.port_utilisation, "%", 100.0)
    for percentile in (50, 99):
        value = float(np.percentile(report.token_cycles, percentile, method="higher"))
        yield Row("decode", case, f"token time, p{percentile}", value, "cycles", limit)
    first = executable.plan.useful_bytes(before) / config.port_bytes
    yield Row("decode", case, "first token", report.first_token_cycles, "cycles", first)
    yield Row("decode", case, "array utilisation", report.array_utilisation, "%", 100.0)
    if sdram:
        yield from _spent(case, simulator, sdram, simulator.refreshes - refreshes)
        debt = sdram.refreshes_due(simulator.cycle - start) - (simulator.refreshes - refreshes)
        yield Row("decode", case, "refreshes postponed at the end", max(0, debt), "", sdram.postponed)


def checked_run(executable, request, simulator, case):
    """The `Report` of a text on the RTL, whose logits are compared with those of the functional simulator."""
    report, expected = Report(), Report()
    for _ in run_rtl(executable, request, report, simulator):
        pass
    for _ in run_reference(executable, request, expected):
        pass
    if report.logits_sha256 != expected.logits_sha256:
        raise CheckFailed(f"{case}: the RTL's logits differ from the functional simulator's")
    return report


def _spent(case, simulator, sdram, refreshes):
    """Where the cycles of the whole program went, at the pins."""
    counters = ChipDriver(simulator).counters()
    cycles = counters["cycles"]
    beats = counters["read_beats"] + counters["write_beats"]
    refreshing = sdram.refresh_cycles(refreshes)
    shares = {"a beat": beats, "refreshes": refreshing, "neither": cycles - beats - refreshing}
    for name, count in shares.items():
        yield Row("decode", case, f"cycles with {name}", 100 * count / cycles, "%")


def _request(executable, before, tokens):
    """BOS, behind a text of that length whose keys and values are there: zeros, which take no less time than others."""
    prompt = [1] * (before + 1)
    if not before:
        return Request(prompt, tokens, stop=())
    # The cache of a text of which nothing but the last token has yet to pass: what a run up to there would leave.
    empty = Request(prompt, 1, stop=())
    cache = KvCache.capture(executable, empty, [], executable.memory(empty))
    return Request(prompt, tokens, stop=(), cache=cache)
