# SPDX-License-Identifier: Apache-2.0
"""Runs an `Executable`: on the simulated chip, on a real one, or on the functional simulator.

All yield the tokens as they come and leave a `Report`. The simulations agree in every bit of every logit, which the hash in
the report shows; a real chip keeps its logits to itself.
"""

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from tepin_host.driver import ChipDriver
from tepin_host.errors import UserError
from tepin_reference.matmul import sums
from tepin_reference.simulator import FunctionalSimulator, ProgramError

__all__ = [
    "Report",
    "busy_cycles",
    "checked",
    "load_device",
    "run_device",
    "run_reference",
    "run_rtl",
    "start",
]


@dataclass
class Report:
    """What a run did. Cycle figures are None where there is no time.

    Members
    -------
    tokens : list of int
    logits : float32 [tokens, vocabulary] or None
        From which each token was chosen, if that was observed.
    first_token_cycles : int or None
        From the start to the first token.
    cycles_per_token : float or None
        Between the first and the last token; from the start if there is only one.
    token_cycles : list of int
        Each of the times of which that is the mean.
    bytes_per_token : float
        Useful bytes (unpadded tensors, keys and values read and written) over the same tokens.
    port_utilisation, array_utilisation : float or None
        Percent of the memory port's bytes, of the array's multiplications.
    busy_cycles : dict
        Of each engine, over the whole run; "total" are the cycles of the run.
    """

    tokens: list = field(default_factory=list)
    logits: np.ndarray | None = None
    first_token_cycles: int | None = None
    cycles_per_token: float | None = None
    token_cycles: list = field(default_factory=list)
    bytes_per_token: float | None = None
    port_utilisation: float | None = None
    array_utilisation: float | None = None
    busy_cycles: dict = field(default_factory=dict)

    @property
    def logits_sha256(self):
        """Hash of the logits as little-endian float32, or None."""
        if self.logits is None:
            return None
        return hashlib.sha256(self.logits.astype("<f4").tobytes()).hexdigest()

    def observe(self, executables, parts):
        """Take over observed logits: of each chip, float32 words in order."""
        count, columns = len(self.tokens), []
        for executable, words in zip(executables, parts, strict=True):
            width = executable.plan.shard.tokens.count
            columns.append(np.asarray(words, "<f4")[: count * width].reshape(count, width))
        self.logits = np.concatenate(columns, axis=1)

    def time(self, stamps):
        """Take over the cycles from the start to each token."""
        if stamps:
            self.first_token_cycles = stamps[0]
            self.token_cycles = [after - before for before, after in pairwise(stamps)] or stamps
            self.cycles_per_token = sum(self.token_cycles) / len(self.token_cycles)

    def finish(self, executables, request):
        """Fill in what follows from tokens and cycles; bytes and products are those of all chips."""
        plans, first = [executable.plan for executable in executables], len(request.prompt) - 1
        positions = range(first + (len(self.tokens) > 1), first + len(self.tokens))
        if not positions:
            return
        mean = lambda count: sum(count(at) for at in positions) / len(positions)  # noqa: E731
        self.bytes_per_token = sum(mean(plan.useful_bytes) for plan in plans)
        if self.cycles_per_token:
            config, cycles = plans[0].config, len(plans) * self.cycles_per_token
            self.port_utilisation = 100 * self.bytes_per_token / (cycles * config.port_bytes)
            products = sum(mean(plan.multiplications) for plan in plans)
            self.array_utilisation = 100 * products / (cycles * config.rows * config.columns)


def checked(token, executable):
    """The token, if the vocabulary has it; `UserError` otherwise."""
    vocabulary = executable.plan.model.vocab_size
    if token >= vocabulary:
        raise UserError(f"the program wrote token {token}, the vocabulary has {vocabulary}")
    return token


def run_reference(executable, request, report, memory=None, *, products=sums):
    """Yield the tokens of the functional simulator; `report` is filled in. Raises as `run_rtl` does.

    `memory` is what it works on, by default a new `executable.memory(request)`; `products` what multiplies, as of
    `FunctionalSimulator`.
    """
    memory = executable.memory(request) if memory is None else memory
    simulator = FunctionalSimulator(executable.plan.config, memory, products=products)
    try:
        for token in simulator.run(executable.program):
            report.tokens.append(checked(token, executable))
            yield token
    except ProgramError as error:
        raise UserError(f"the program stopped with {error}") from error
    words = np.concatenate([y.reshape(-1) for y in simulator.observed]) if simulator.observed else []
    report.observe([executable], [words])
    report.finish([executable], request)


def run_rtl(executable, request, report, simulator):
    """Yield the tokens of a simulated chip; `report` is filled in.

    Parameters
    ----------
    simulator : ChipSimulator
        Whose memory is `executable.memory(request)`.

    Raises
    ------
    UserError
        If the program stops with an error, of which the message has code and program counter, or writes what is no token.
    """
    driver = ChipDriver(simulator)
    driver.identify(executable.plan.config)
    _start(driver, executable)
    start = simulator.cycle
    words = []
    for token in _tokens(
        driver,
        executable,
        report,
        wait=lambda: simulator.run(1 << 40),
        elapsed=lambda: simulator.cycle - start,
    ):
        words.append(simulator.observed())
        yield token
    words.append(simulator.observed())
    report.observe([executable], [np.concatenate(words).view("<f4")])
    _conclude(driver, executable, request, report)


def load_device(executable, request, chip, progress=None):
    """Stop whatever a real chip does, and fill its memory for `run_device`.

    Parameters
    ----------
    chip : SerialChip
    progress : callable(fraction), optional

    Raises
    ------
    UserError
        If the chip is of another configuration, its memory is too small, or the line fails.
    """
    driver = ChipDriver(chip)
    driver.identify(executable.plan.config)
    if executable.memory_bytes > chip.identity.memory_bytes:
        raise UserError(
            f"the model takes {executable.memory_bytes:,} bytes of memory, the board has {chip.identity.memory_bytes:,}"
        )
    driver.halt()
    # The KV cache behind the image needs no initial value.
    chip.load(0, executable.memory(request)[: executable.loaded_bytes(request)], progress)


def run_device(executable, request, report, chip):
    """Yield the tokens of a chip on a board, real or simulated; `report` is filled in, for a real one but for the logits.

    The cycles are those of the chip's counter, read with the tokens: a token that comes while the line is busy with the one
    before it is stamped late by that much.

    Parameters
    ----------
    chip : SerialChip
        After `load_device`.

    Raises
    ------
    UserError
        As `run_rtl`; and if the line fails.
    """
    driver = ChipDriver(chip)
    chip.begin()
    _start(driver, executable)
    yield from _tokens(driver, executable, report, wait=chip.wait, elapsed=lambda: chip.cycles)
    if hasattr(chip, "observed"):  # a simulated board shows what a real one keeps to itself
        report.observe([executable], [chip.observed().view("<f4")])
    _conclude(driver, executable, request, report)


def _start(driver, executable):
    driver.load_program(executable.program)
    start(driver, executable)


def start(driver, executable):
    """Start the program that has been loaded, with all of its memory open to it."""
    driver.start(read=(0, executable.memory_bytes), write=(0, executable.memory_bytes))


def _tokens(driver, executable, report, *, wait, elapsed):
    """Tokens up to the end of the program; `elapsed()` are the cycles from its start to the token just taken."""
    stamps = []
    for token in driver.tokens(wait):
        stamps.append(elapsed())
        report.tokens.append(checked(token, executable))
        yield token
    error = driver.error()
    if error:
        raise UserError(f"the chip stopped with {error}")
    report.time(stamps)


def _conclude(driver, executable, request, report):
    report.busy_cycles = busy_cycles(driver)
    report.finish([executable], request)


def busy_cycles(driver):
    """`Report.busy_cycles` of the last program."""
    counters = driver.counters()
    return {"total": counters["cycles"]} | {
        name.removesuffix("_busy"): cycles for name, cycles in counters.items() if name.endswith("_busy")
    }
