# SPDX-License-Identifier: Apache-2.0
"""Runs an `Executable`: on the simulated chip, or on the functional simulator.

Both yield the tokens as they come and leave a `Report`. They agree in every bit of every logit, which the hash in the
report shows.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from tepin_host.driver import ChipDriver
from tepin_host.errors import UserError
from tepin_reference.simulator import FunctionalSimulator, ProgramError

__all__ = ["Report", "run_reference", "run_rtl"]


@dataclass
class Report:
    """What a run did. Cycle figures are None where there is no time.

    Members
    -------
    tokens : list of int
    logits : float32 [tokens, vocabulary]
        From which each token was chosen.
    first_token_cycles : int or None
        From the start to the first token.
    cycles_per_token : float or None
        Between the first and the last token; from the start if there is only one.
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
    bytes_per_token: float | None = None
    port_utilisation: float | None = None
    array_utilisation: float | None = None
    busy_cycles: dict = field(default_factory=dict)

    @property
    def logits_sha256(self):
        """Hash of the logits as little-endian float32."""
        return hashlib.sha256(self.logits.astype("<f4").tobytes()).hexdigest()

    def _finish(self, executable, request, words):
        """Fill in what follows from the tokens and the observed logits (float32 words in order)."""
        vocabulary = executable.plan.model.vocab_size
        self.logits = np.asarray(words, "<f4")[: len(self.tokens) * vocabulary].reshape(
            len(self.tokens), vocabulary
        )
        plan, first = executable.plan, len(request.prompt) - 1
        positions = range(first + (len(self.tokens) > 1), first + len(self.tokens))
        if positions:
            self.bytes_per_token = sum(map(plan.useful_bytes, positions)) / len(positions)
        if positions and self.cycles_per_token:
            config = plan.config
            self.port_utilisation = 100 * self.bytes_per_token / (self.cycles_per_token * config.port_bytes)
            products = sum(map(plan.multiplications, positions)) / len(positions)
            self.array_utilisation = 100 * products / (self.cycles_per_token * config.rows * config.columns)


def _checked(token, executable):
    vocabulary = executable.plan.model.vocab_size
    if token >= vocabulary:
        raise UserError(f"the program wrote token {token}, the vocabulary has {vocabulary}")
    return token


def run_reference(executable, request, report):
    """Yield the tokens of the functional simulator; `report` is filled in. Raises as `run_rtl` does."""
    simulator = FunctionalSimulator(executable.plan.config, executable.memory(request))
    try:
        for token in simulator.run(executable.program):
            report.tokens.append(_checked(token, executable))
            yield token
    except ProgramError as error:
        raise UserError(f"the program stopped with {error}") from error
    words = np.concatenate([y.reshape(-1) for y in simulator.observed]) if simulator.observed else []
    report._finish(executable, request, words)


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
    driver.load_program(executable.program)
    driver.start(read=(0, executable.memory_bytes), write=(0, executable.memory_bytes))
    start = simulator.cycle
    stamps, words = [], []
    for token in driver.tokens(lambda: simulator.run(1 << 40)):
        stamps.append(simulator.cycle - start)
        words.append(simulator.observed())
        report.tokens.append(_checked(token, executable))
        yield token
    words.append(simulator.observed())
    error = driver.error()
    if error:
        raise UserError(f"the chip stopped with {error}")
    if stamps:
        report.first_token_cycles = stamps[0]
        report.cycles_per_token = (
            (stamps[-1] - stamps[0]) / (len(stamps) - 1) if len(stamps) > 1 else float(stamps[0])
        )
    counters = driver.counters()
    report.busy_cycles = {"total": counters["cycles"]} | {
        name.removesuffix("_busy"): cycles for name, cycles in counters.items() if name.endswith("_busy")
    }
    report._finish(executable, request, np.concatenate(words).view("<f4"))
