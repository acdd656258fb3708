# SPDX-License-Identifier: Apache-2.0
"""Runs one model on several chips, of which each has an `Executable` for its part: as `tepin_host.runtime` does on one.

Every chip writes every token. A token counts when all have written it, and if one writes another token than the others, that
is an error.
"""

from collections import deque

import numpy as np

from tepin.isa import ErrorCode
from tepin_host.driver import ChipDriver
from tepin_host.errors import UserError
from tepin_host.runtime import busy_cycles, checked
from tepin_reference.network import run_together
from tepin_reference.simulator import FunctionalSimulator, ProgramError

__all__ = ["reference_words", "rtl_words", "run_reference", "run_rtl"]


def run_reference(executables, request, report):
    """Yield the tokens of functional simulators that run together; `report` is filled in.

    Raises
    ------
    UserError
        If a program stops with an error, or the chips disagree.
    """
    memories = [executable.memory(request) for executable in executables]
    observed = [[] for _ in executables]
    for token in reference_words(executables, memories, observed):
        report.tokens.append(checked(token, executables[0]))
        yield token
    report.observe(executables, observed)
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
    stamps, observed = [], [[] for _ in simulators]
    for token, cycles in rtl_words(executables, simulators, observed):
        stamps.append(cycles)
        report.tokens.append(checked(token, executables[0]))
        yield token
    report.observe(executables, observed)
    report.time(stamps)
    report.busy_cycles = busy_cycles(ChipDriver(simulators[0]))
    report.finish(executables, request)


def reference_words(executables, memories, observed):
    """Yield the words that all programs push, as `run_reference` does tokens; the logits of each chip go to `observed`."""
    simulators = [
        FunctionalSimulator(executable.plan.config, memory, ports=ports)
        for executable, memory, ports in zip(
            executables, memories, executables[0].plan.shard.network.ports(), strict=True
        )
    ]
    written = [deque() for _ in simulators]
    try:
        for chip, word in run_together(simulators, [executable.program for executable in executables]):
            written[chip].append(word)
            while all(written):
                yield _agreed([words.popleft() for words in written])
    except ProgramError as error:
        raise UserError(f"the program stopped with {error}") from error
    for chip, simulator in enumerate(simulators):
        observed[chip] = np.concatenate([np.zeros(0, "<f4"), *(y.reshape(-1) for y in simulator.observed)])


def rtl_words(executables, simulators, observed):
    """Yield (word, cycles) of all that the programs push, as `run_rtl` does tokens; the logits go to `observed`."""
    drivers = [ChipDriver(simulator) for simulator in simulators]
    for driver, executable in zip(drivers, executables, strict=True):
        driver.identify(executable.plan.config)
        driver.load_program(executable.program)
    for driver, simulator in zip(drivers, simulators, strict=True):
        window = (0, len(simulator.memory))
        driver.start(read=window, write=window)
    begin, parts = simulators[0].cycle, [[] for _ in simulators]
    streams = [
        driver.tokens(lambda simulator=simulator: simulator.run(1 << 40))
        for driver, simulator in zip(drivers, simulators, strict=True)
    ]
    for words in zip(*streams, strict=False):
        cycles = max(simulator.cycle for simulator in simulators) - begin
        word = _agreed(words)
        for part, simulator in zip(parts, simulators, strict=True):
            part.append(simulator.observed())
        yield word, cycles
    for driver, simulator in zip(drivers, simulators, strict=True):
        while driver.read("STATUS") & 1:
            simulator.run(1 << 40)
    _check(drivers, executables[0].plan.shard.network)
    for chip, (part, simulator) in enumerate(zip(parts, simulators, strict=True)):
        observed[chip] = np.concatenate([*part, simulator.observed()]).view("<f4")


def _check(drivers, network):
    """Raise the error of the chip that has failed of itself, or else name the link over which chips have lost each other.

    A link that is down is one about which the chips at both of its ends complain; chips farther away complain about a
    chip that waits itself.
    """
    errors = {chip: error for chip, driver in enumerate(drivers) if (error := driver.error())}
    if not errors:
        return
    lost = {
        chip: (error.info & 15, *network.other_end(chip, error.info & 15))
        for chip, error in errors.items()
        if error.code == ErrorCode.LINK
    }

    def rank(chip):
        if chip not in lost:
            return 0, chip
        port, other, other_port = lost[chip]
        return (1 if lost.get(other) == (other_port, chip, port) else 2), chip

    chip = min(errors, key=rank)
    reason = ""
    if chip in lost:
        port, other, other_port = lost[chip]
        verb = "take what it sends" if errors[chip].info & 256 else "send"
        reason = f": on the link from its port {port} to port {other_port} of chip {other}, that one does not {verb}"
    raise UserError(f"chip {chip} stopped with {errors[chip]}{reason}")


def _agreed(words):
    """The word that all chips have written."""
    for chip, word in enumerate(words):
        if word != words[0]:
            raise UserError(f"the chips disagree: token {words[0]} from chip 0, {word} from chip {chip}")
    return words[0]
