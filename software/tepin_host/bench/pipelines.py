# SPDX-License-Identifier: Apache-2.0
"""Pipelines of chips: how many more tokens than one chip they write, with as many texts as are on their way at a time."""

from tepin_host import pipeline
from tepin_host.batch import BatchReport, batch_memory
from tepin_host.bench.row import CheckFailed, Row
from tepin_host.compiler import Request, compile_chips, compile_model
from tepin_host.runtime import Report, run_reference
from tepin_host.simulation import ChipSimulator, join

__all__ = ["pipelines", "rate"]

_COUNTS = (2, 4)


def pipelines(say, model, config, weights, library, alone, *, tokens, latency, link_latency):
    """Rows for 2 and 4 stages; checked to write what each text writes alone in functional simulation.

    Parameters
    ----------
    alone : Report
        Of one chip that writes a text from its beginning.
    tokens : int
        Of each text.
    latency, link_latency : int
        Of memory and links, in cycles.
    """
    single = compile_model(model, config, weights=weights)
    for count in _COUNTS:
        case = (
            f"{model.name} {weights} {tokens} tokens of each of {count + 1} texts {count} chips pipeline ring "
            f"latency={link_latency} {config.describe()} memory latency={latency}"
        )
        say(case)
        requests = [Request([1 + line], tokens, stop=()) for line in range(count + 1)]
        executables = compile_chips(model, config, chips=count, weights=weights, parallel="pipeline")
        report, cycles = rate(executables, requests, library, latency=latency, link_latency=link_latency)
        for request, line in zip(requests, report.lines, strict=True):
            expected = Report()
            for _ in run_reference(single, request, expected):
                pass
            if (line.tokens, line.logits_sha256) != (expected.tokens, expected.logits_sha256):
                raise CheckFailed(f"{case}: other logits than those of the text alone")
        limit = report.lines[0].bytes_per_token / count / config.port_bytes
        same = alone.token_cycles[: tokens - 1]
        yield Row("chips", case, "cycles per token", cycles, "cycles", limit)
        yield Row("chips", case, "speed-up", sum(same) / len(same) / cycles, "times", float(count))


def rate(executables, requests, library, *, latency, link_latency):
    """Run as many texts as there are slots, of equally many tokens; returns the report and the cycles between two tokens.

    These are counted from the first token of the first text to its last: then all texts are on their way.
    """
    config = executables[0].plan.config
    simulators = [
        ChipSimulator(config, batch_memory(executable, requests), latency=latency, library=library)
        for executable in executables
    ]
    join(simulators, executables[0].plan.shard.network, latency=link_latency)
    report, stamps = BatchReport(), []
    for _ in pipeline.run_rtl(executables, requests, report, simulators):
        stamps.append(report.cycles)
    intervals = len(requests) * (requests[0].tokens - 1)
    return report, (stamps[intervals] - stamps[0]) / intervals
