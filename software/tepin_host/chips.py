# SPDX-License-Identifier: Apache-2.0
"""Runs one model on several chips, of which each has an `Executable` for its part: as `tepin_host.runtime` does on one.

Every chip writes every token. A token counts when all have written it, and if one writes another token than the others, that
is an error.
"""

import numpy as np

from tepin_host.errors import UserError
from tepin_host.runtime import checked
from tepin_reference.network import run_together
from tepin_reference.simulator import FunctionalSimulator, ProgramError

__all__ = ["run_reference"]


def run_reference(executables, request, report):
    """Yield the tokens of functional simulators that run together; `report` is filled in.

    Raises
    ------
    UserError
        If a program stops with an error, or the chips disagree.
    """
    simulators = [
        FunctionalSimulator(executable.plan.config, executable.memory(request), ports=ports)
        for executable, ports in zip(executables, executables[0].plan.shard.network.ports(), strict=True)
    ]
    written = [[] for _ in simulators]
    try:
        for chip, token in run_together(simulators, [executable.program for executable in executables]):
            written[chip].append(checked(token, executables[chip]))
            while all(len(tokens) > len(report.tokens) for tokens in written):
                yield _agreed([tokens[len(report.tokens)] for tokens in written], report)
    except ProgramError as error:
        raise UserError(f"the program stopped with {error}") from error
    report.observe(executables, [_words(simulator) for simulator in simulators])
    report.finish(executables, request)


def _agreed(tokens, report):
    """The token that all chips have written, appended to the report."""
    for chip, token in enumerate(tokens):
        if token != tokens[0]:
            raise UserError(f"the chips disagree: token {tokens[0]} from chip 0, {token} from chip {chip}")
    report.tokens.append(tokens[0])
    return tokens[0]


def _words(simulator):
    return np.concatenate([y.reshape(-1) for y in simulator.observed]) if simulator.observed else []
