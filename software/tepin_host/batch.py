# SPDX-License-Identifier: Apache-2.0
"""Runs the program of a batch: many lines, of which as many at a time are in the batch as the `Executable` has rows.

Each line has a `Request`, and its tokens and logits are those of that request alone, in every bit.
"""

import struct
from dataclasses import dataclass, field

import numpy as np

from tepin_host.compiler.conventions import ENDED, LAST, MOST_TOKENS, PROMPT_OFFSET, SLOT_SHIFT
from tepin_host.compiler.plan import Plan
from tepin_host.driver import ChipDriver
from tepin_host.errors import UserError
from tepin_host.runtime import Report, busy_cycles, checked
from tepin_reference.simulator import FunctionalSimulator, ProgramError

__all__ = ["BatchReport", "Steps", "batch_memory", "encode", "most_rows", "run_reference", "run_rtl"]


@dataclass
class BatchReport:
    """What a batch did.

    Members
    -------
    lines : list of Report
        Of each line; its cycles are those from the start of the batch.
    cycles : int or None
        From the start to the last token.
    busy_cycles : dict
        As in `Report`.
    """

    lines: list = field(default_factory=list)
    cycles: int | None = None
    busy_cycles: dict = field(default_factory=dict)

    @property
    def tokens(self):
        """Tokens of all lines."""
        return sum(len(report.tokens) for report in self.lines)

    @property
    def cycles_per_token(self):
        """All cycles over all tokens, or None."""
        return self.cycles / self.tokens if self.cycles and self.tokens else None


def most_rows(model, config, **settings):
    """Rows for a batch: as many as the array has, or as fit accumulators and scratchpad.

    Raises `UserError` if two do not fit.
    """
    for rows in range(max(2, min(config.rows, config.accumulator_rows)), 2, -1):
        try:
            Plan(model, config, rows=rows, **settings)
        except UserError:
            continue
        return rows
    Plan(model, config, rows=2, **settings)
    return 2


def batch_memory(executable, requests):
    """External memory at the start of a batch: the image, empty caches, the requests."""
    if executable.plan.slots == 1:
        raise UserError("the program runs one text at a time; compile the model for a batch")
    for request in requests:
        if request.cache:
            raise UserError("a batch cannot go on from a KV cache")
    data, address = encode(requests, executable.plan.model), executable.plan.memory["requests"].address
    if address + len(data) > 1 << 32:
        raise UserError(
            f"model and prompts need {address + len(data):,} bytes of memory; the chip addresses 4,294,967,296"
        )
    memory = np.zeros(address + len(data), np.uint8)
    memory[: len(executable.image)] = executable.image
    memory[address:] = np.frombuffer(data, np.uint8)
    return memory


def encode(requests, model):
    """Bytes of the requests region for a model with this `ModelConfig`; `UserError` for what it cannot do."""
    parts = [struct.pack("<I", len(requests)).ljust(PROMPT_OFFSET, b"\0")]
    for request in requests:
        data = request.encode(model)
        parts.append(data.ljust(-(-len(data) // PROMPT_OFFSET) * PROMPT_OFFSET, b"\0"))
    return b"".join(parts)


class Steps:
    """Makes out whose tokens the words of a program are that works on many texts."""

    def __init__(self, executable, requests, report):
        self.executable, self.report = executable, report
        report.lines = report.lines or [Report() for _ in requests]
        self._lines = list(range(executable.plan.slots))  # of each slot
        self._following = executable.plan.slots
        self.stamps = [[] for _ in requests]
        self.steps = [[]]  # of each step: (line, whether its token is part of its text)

    def take(self, word, cycle=None):
        """(line, token or None, whether the line has ended) of a word."""
        slot, token = word >> SLOT_SHIFT, word & MOST_TOKENS
        line = self._lines[slot]
        if line >= len(self.report.lines):
            raise UserError(f"the program wrote {word:#x}, of a slot without a line")
        if token == MOST_TOKENS:
            token = None
        else:
            self.report.lines[line].tokens.append(checked(token, self.executable))
            self.stamps[line].append(cycle)
        self.steps[-1].append((line, token is not None))
        if word & LAST:
            self.steps.append([])
        if word & ENDED:  # Free slots take the next lines in the order of the slots, as these words come.
            self._lines[slot], self._following = self._following, self._following + 1
        return line, token, bool(word & ENDED)

    def observe(self, words, tile):
        """Take over observed logits: a flat array of float32, column tile by column tile of `tile` columns."""
        logits, at = [], 0
        for step in self.steps[:-1]:
            rows, parts = len(step), []
            for _, tokens in self.executable.plan.chunks:
                for start in range(0, tokens, tile):
                    width = min(tile, tokens - start)
                    parts.append(words[at : at + rows * width].reshape(rows, width))
                    at += rows * width
            logits.extend(np.concatenate(parts, axis=1))
        self.assign(logits)

    def assign(self, logits):
        """Take over a row of logits for each word, in their order."""
        rows = [[] for _ in self.report.lines]
        chosen = [entry for step in self.steps for entry in step]
        for (line, counts), row in zip(chosen, logits, strict=True):
            if counts:
                rows[line].append(row)
        vocabulary = self.executable.plan.model.vocab_size
        for report, found in zip(self.report.lines, rows, strict=True):
            report.logits = np.array(found, "<f4").reshape(-1, vocabulary)

    def time(self):
        """Take over the cycles that came with the words."""
        for line, stamps in zip(self.report.lines, self.stamps, strict=True):
            line.time(stamps)


def run_reference(executable, requests, report, memory=None):
    """Yield (line, token or None, whether the line has ended) of the functional simulator; `report` is filled in.

    There is no token where the one that was chosen has ended the text and is not part of it. `memory` is what it works on, by
    default a new `batch_memory(executable, requests)`. Raises as `run_rtl` does.
    """
    memory = batch_memory(executable, requests) if memory is None else memory
    simulator = FunctionalSimulator(executable.plan.config, memory)
    steps = Steps(executable, requests, report)
    try:
        for word in simulator.run(executable.program):
            yield steps.take(word)
    except ProgramError as error:
        raise UserError(f"the program stopped with {error}") from error
    words = np.concatenate([np.zeros(0, "<f4"), *(y.reshape(-1) for y in simulator.observed)])
    steps.observe(words, tile=max(tokens for _, tokens in executable.plan.chunks))


def run_rtl(executable, requests, report, simulator):
    """As `run_reference`, of a simulated chip, whose memory is `batch_memory(executable, requests)`.

    Raises `UserError` if the program stops with an error, or writes what is no token.
    """
    driver = ChipDriver(simulator)
    driver.identify(executable.plan.config)
    driver.load_program(executable.program)
    window = (0, len(simulator.memory))
    driver.start(read=window, write=window)
    start, words = simulator.cycle, []
    steps = Steps(executable, requests, report)
    for word in driver.tokens(lambda: simulator.run(1 << 40)):
        report.cycles = simulator.cycle - start
        words.append(simulator.observed())
        yield steps.take(word, report.cycles)
    error = driver.error()
    if error:
        raise UserError(f"the chip stopped with {error}")
    words.append(simulator.observed())
    steps.observe(np.concatenate(words).view("<f4"), tile=executable.plan.config.columns)
    steps.time()
    report.busy_cycles = busy_cycles(driver)
