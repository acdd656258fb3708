# SPDX-License-Identifier: Apache-2.0
"""Runs kernels: on the functional simulator, and on the RTL with a stopwatch."""

from tepin_host.driver import ChipDriver
from tepin_host.errors import UserError
from tepin_host.simulation import ChipSimulator
from tepin_reference.simulator import FunctionalSimulator, ProgramError

__all__ = ["run_functional", "run_timed"]

_MOST_CYCLES = 1 << 40


def run_functional(kernel, config):
    """Outputs by name, from the functional simulator: every bit as the RTL computes it.

    Raises `UserError` if the program stops with an error or the arrays do not fit.
    """
    program = kernel.program(config)
    memory = program.memory()
    try:
        for _ in FunctionalSimulator(config, memory).run(program.words):
            pass
    except ProgramError as error:
        raise UserError(f"the kernel stopped with {error}") from error
    return program.results(memory)


def run_timed(kernel, config, *, library=None, latency=100):
    """Outputs by name from the simulated RTL, and the cycles that the kernel takes without loads and stores.

    Parameters
    ----------
    library, latency
        As for `ChipSimulator`.

    Returns
    -------
    dict, float
        The cycles are those by which two more repetitions make a program longer, halved. A kernel that changes its inputs
        is repeated on what it left there; the outputs are those of one repetition.
    """
    cycles = []
    for repeats in (3, 1):
        program = kernel.program(config, repeats=repeats)
        simulator = ChipSimulator(config, program.memory(), latency=latency, library=library)
        driver = ChipDriver(simulator)
        driver.identify(config)
        driver.load_program(program.words)
        everything = (0, len(simulator.memory))
        driver.start(read=everything, write=everything)
        start = simulator.cycle
        for _ in driver.tokens(lambda simulator=simulator: simulator.run(_MOST_CYCLES)):
            pass
        if error := driver.error():
            raise UserError(f"the kernel stopped with {error}")
        cycles.append(simulator.cycle - start)
    return program.results(simulator.memory), (cycles[0] - cycles[1]) / 2
