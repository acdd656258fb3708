# SPDX-License-Identifier: Apache-2.0
"""Unit tests in Amaranth's own simulator: quick to start, no compiler needed, one thousand cycles a second or so."""

from pathlib import Path

from amaranth.lib.memory import Memory
from amaranth.sim import Simulator

from tepin_testbench import options

__all__ = ["recorded_memories", "simulate"]

_PERIOD = 1e-8


def simulate(dut, *testbenches, background=(), cycles=10_000, clocked=True):
    """Runs testbenches side by side on `dut` until all of them have ended.

    Parameters
    ----------
    dut : elaboratable
        The design; its domain `sync` has a 100 MHz clock.
    testbenches : async functions
        Each is called with a simulator context. All have to end.
    background : sequence of async functions
        Monitors and drivers that run for as long as the testbenches do.
    cycles : int
        Limit on the length of the simulation.
    clocked : bool
        False for a design without a clock.

    Raises
    ------
    AssertionError
        The testbenches did not end within `cycles`.

    With `--waves FILE` the waveforms are written, as VCD whatever the name of the file.
    """
    running = set(range(len(testbenches)))

    def ending(index, testbench):
        async def run(ctx):
            await testbench(ctx)
            running.discard(index)

        return run

    simulator = Simulator(dut)
    if clocked:
        simulator.add_clock(_PERIOD)
    for index, testbench in enumerate(testbenches):
        simulator.add_testbench(ending(index, testbench))
    for testbench in background:
        simulator.add_testbench(testbench, background=True)
    if options.waves():
        with simulator.write_vcd(str(Path(options.waves()).with_suffix(".vcd"))):
            _run(simulator, running, cycles)
    else:
        _run(simulator, running, cycles)


def recorded_memories(monkeypatch, module):
    """A list of every `Memory` that `module` makes from now on, in that order: a test may read and change what they hold.

    Parameters
    ----------
    monkeypatch : pytest's fixture
    module : module
        Which has `Memory` of `amaranth.lib.memory` among its names.
    """
    memories = []

    class Recorded(Memory):
        def __init__(self, **parameters):
            super().__init__(**parameters)
            memories.append(self)

    monkeypatch.setattr(module, "Memory", Recorded)
    return memories


def _run(simulator, running, cycles):
    """Advances in pieces, since a simulation with background testbenches or clocks never ends by itself."""
    piece = 100
    for cycle in range(0, cycles, piece):
        simulator.run_until(min(cycle + piece, cycles) * _PERIOD)
        if not running:
            return
    raise AssertionError(f"{len(running)} testbenches did not end within {cycles} cycles")
