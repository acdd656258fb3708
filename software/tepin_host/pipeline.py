# SPDX-License-Identifier: Apache-2.0
"""Runs many texts on several chips of which each has some layers of the model: as `tepin_host.batch` does on one chip.

Each line's tokens and logits are those of its request alone on one chip, in every bit.
"""

import numpy as np

from tepin_host.batch import BatchReport, Steps, batch_memory
from tepin_host.chips import reference_words, rtl_words
from tepin_host.driver import ChipDriver
from tepin_host.runtime import busy_cycles

__all__ = ["one_text", "run_reference", "run_rtl"]


def run_reference(executables, requests, report, memories=None):
    """Yield (line, token or None, whether the line has ended) of functional simulators that run together.

    There is no token where the one that was chosen has ended the text and is not part of it. `memories` are what they
    work on, by default new ones. Raises as `tepin_host.chips.run_reference` does.

    Parameters
    ----------
    report : BatchReport
        Is filled in.
    """
    memories = memories or [batch_memory(executable, requests) for executable in executables]
    steps, observed = Steps(executables[0], requests, report), [[] for _ in executables]
    for word in reference_words(executables, memories, observed):
        yield steps.take(word)
    _conclude(executables, requests, report, steps, observed)


def run_rtl(executables, requests, report, simulators):
    """As `run_reference`, of simulated chips, whose memories are `batch_memory(executable, requests)`.

    They are joined as the executables' network says. The engines' cycles are those of chip 0.
    """
    steps, observed = Steps(executables[0], requests, report), [[] for _ in executables]
    for word, report.cycles in rtl_words(executables, simulators, observed):
        yield steps.take(word, report.cycles)
    steps.time()
    report.busy_cycles = busy_cycles(ChipDriver(simulators[0]))
    _conclude(executables, requests, report, steps, observed)


def one_text(executables, request, report, simulators=None):
    """Yield the tokens of a single text, of simulated chips or else of functional simulators; its `Report` is filled in."""
    batch = BatchReport(lines=[report])
    if simulators:
        events = run_rtl(executables, [request], batch, simulators)
    else:
        events = run_reference(executables, [request], batch)
    for _, token, _ in events:
        if token is not None:
            yield token
    report.busy_cycles = batch.busy_cycles


def _conclude(executables, requests, report, steps, observed):
    parts = [
        words.reshape(-1, executable.plan.shard.tokens.count)
        for executable, words in zip(executables, observed, strict=True)
    ]
    steps.assign(np.concatenate(parts, axis=1))
    for line, request in zip(report.lines, requests, strict=True):
        line.finish(executables, request)
