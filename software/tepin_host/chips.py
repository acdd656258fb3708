# SPDX-License-Identifier: Apache-2.0
"""Runs one model on several chips, of which each has an `Executable` for its part: as `tepin_host.runtime` does on one.

Every chip writes every token. A token counts when all have written it, and if one writes another token than the others, that
is an error.
"""

import numpy as np

from tepin.isa import ErrorCode
from tepin_host.driver import ChipDriver
from tepin_host.errors import UserError
from tepin_host.runtime import busy_cycles, checked, start
from tepin_reference.network import run_together
from tepin_reference.simulator import FunctionalSimulator, ProgramError

__all__ = ["run_reference", "run_rtl"]


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


def run_rtl(executables, request, report, simulators):
    """Yield the tokens of simulated chips; `report` is filled in.

    The cycles are those from when the last chip has started to when all have written the token, the engines' cycles those
    of chip 0.

    Parameters
    ----------
    simulators : list of ChipSimulator
        Joined as the executables' network says; their memories are `executable.memory(request)`.

    Raises
    ------
    UserError
        If a program stops with an error; of a link, it names the chips at both ends.
    """
    drivers = [ChipDriver(simulator) for simulator in simulators]
    for driver, executable in zip(drivers, executables, strict=True):
        driver.identify(executable.plan.config)
        driver.load_program(executable.program)
    for driver, executable in zip(drivers, executables, strict=True):
        start(driver, executable)
    begin, stamps = simulators[0].cycle, []
    observed = [[] for _ in simulators]
    streams = [
        driver.tokens(lambda simulator=simulator: simulator.run(1 << 40))
        for driver, simulator in zip(drivers, simulators, strict=True)
    ]
    for tokens in zip(*streams, strict=False):
        stamps.append(max(simulator.cycle for simulator in simulators) - begin)
        token = _agreed([checked(token, executables[0]) for token in tokens], report)
        for words, simulator in zip(observed, simulators, strict=True):
            words.append(simulator.observed())
        yield token
    for driver, simulator in zip(drivers, simulators, strict=True):
        while driver.read("STATUS") & 1:
            simulator.run(1 << 40)
    _check(drivers, executables[0].plan.shard.network)
    for words, simulator in zip(observed, simulators, strict=True):
        words.append(simulator.observed())
    report.observe(executables, [np.concatenate(words).view("<f4") for words in observed])
    report.time(stamps)
    report.busy_cycles = busy_cycles(drivers[0])
    report.finish(executables, request)


def _check(drivers, network):
    """Raise the error of the chip that has failed of itself, or else of the first one that has lost another."""
    errors = {chip: error for chip, driver in enumerate(drivers) if (error := driver.error())}
    if not errors:
        return
    chip = min(errors, key=lambda chip: (errors[chip].code == ErrorCode.LINK, chip))
    reason = ""
    if errors[chip].code == ErrorCode.LINK:
        port = errors[chip].info & 15
        verb = "take what it sends" if errors[chip].info & 256 else "send"
        other, other_port = network.other_end(chip, port)
        reason = f": on the link from its port {port} to port {other_port} of chip {other}, that one does not {verb}"
    raise UserError(f"chip {chip} stopped with {errors[chip]}{reason}")


def _agreed(tokens, report):
    """The token that all chips have written, appended to the report."""
    for chip, token in enumerate(tokens):
        if token != tokens[0]:
            raise UserError(f"the chips disagree: token {tokens[0]} from chip 0, {token} from chip {chip}")
    report.tokens.append(tokens[0])
    return tokens[0]


def _words(simulator):
    return np.concatenate([y.reshape(-1) for y in simulator.observed]) if simulator.observed else []
