# SPDX-License-Identifier: Apache-2.0
"""What `tepin run` says about a run: a table for people, JSON for scripts."""

import json

from tepin_host.commands.tables import print_rows

__all__ = ["print_report", "report_json"]


def print_report(report, executables, *, latency=None, speed=None, links=None, others=None):
    """Print the table.

    Parameters
    ----------
    report : tepin_host.runtime.Report
    executables : list of Executable
        One for each chip.
    latency : int, optional
        Of the memory, in cycles, if that is known.
    links : str, optional
        What has happened on the links between chips.
    speed : (str, float), optional
        What ran, such as "simulation", and its cycles per second, if there were cycles.
    others : dict from str to str, optional
        Further rows.
    """
    plan, model = executables[0].plan, executables[0].name
    memory = f" latency={latency}" if latency else ""
    rows = {
        "model": f"{model}, {plan.weights} weights, {plan.activations} activations",
        "chip": f"{plan.config.describe()}{memory} hash={plan.config.hash:08x}",
        **({"chips": f"{plan.chips}, {plan.topology}, {plan.parallel}"} if plan.chips > 1 else {}),
        "tokens": f"{len(report.tokens)}",
    }
    if speed and report.cycles_per_token:
        name, rate = speed
        total = report.busy_cycles["total"]
        rows |= {
            "cycles per token": f"{report.cycles_per_token:,.0f}",
            "cycles to the first token": f"{report.first_token_cycles:,}",
            "useful bytes per token": f"{report.bytes_per_token:,.0f}",
            "memory port": f"{report.port_utilisation:.1f} %",
            "array": f"{report.array_utilisation:.1f} %",
            **{
                f"{engine} busy": f"{100 * busy / total:.1f} %"
                for engine, busy in report.busy_cycles.items()
                if engine != "total"
            },
            name: f"{rate:,.0f} cycles/s, {rate / report.cycles_per_token:.1f} tokens/s",
        }
    if links:
        rows["links"] = links
    rows |= others or {}
    if report.logits_sha256:
        rows["logits"] = f"sha256 {report.logits_sha256[:16]}..."
    print_rows(rows)


def report_json(report, text):
    """The results as JSON text. Cycles and utilisations are null, and no engine busy, where there is no time.

    The hash is null where logits are not observed.
    """
    result = {
        "tokens": report.tokens,
        "text": text,
        "cycles_per_token": report.cycles_per_token,
        "bytes_per_token": report.bytes_per_token,
        "port_utilisation": report.port_utilisation,
        "array_utilisation": report.array_utilisation,
        "busy_cycles": report.busy_cycles,
        "logits_sha256": report.logits_sha256,
    }
    return json.dumps(result, indent=2) + "\n"
