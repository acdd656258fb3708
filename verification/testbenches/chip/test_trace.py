# SPDX-License-Identifier: Apache-2.0
"""A traced chip on an SDRAM behind the RTL of its controller: every command, with its fields, as the functional simulator
executes it, and every beat; and the same bits as ever."""

from dataclasses import replace

import pytest

from tepin.isa import Engine
from tepin_host.compiler import Request, compile_model
from tepin_host.simulation import ChipSimulator, build_simulator
from tepin_host.simulation.sdram import SdramMemory
from tepin_reference.simulator import FunctionalSimulator
from tepin_testbench.random_model import random_model
from verification.testbenches.chip.runs import TINY, assert_same, reference, rtl_on

CONFIG = replace(TINY, port_width=16)
REQUEST = Request([1, 9], 4, stop=())


class Recorder(FunctionalSimulator):
    """Notes the commands that it executes, in the order of the program."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.commands = []

    def _execute_command(self, instruction, flags):
        fields = {
            name: (self.registers[operand.register] + operand.immediate) & 0xFFFFFFFF
            for name, operand in instruction.fields.items()
        }
        self.commands.append(
            (instruction.engine, instruction.flags, fields, instruction.wait, instruction.signal)
        )
        return super()._execute_command(instruction, flags)


@pytest.fixture(scope="module")
def run(seed):
    """(executable, run, trace, simulator, memory)"""
    executable, sdram = compile_model(random_model(seed), CONFIG), SdramMemory()
    library = build_simulator(CONFIG, trace=True, sdram=sdram)
    simulator = ChipSimulator(CONFIG, executable.memory(REQUEST), library=library, sdram=sdram)
    return executable, rtl_on(simulator, executable, REQUEST), simulator.trace(), simulator, sdram


@pytest.mark.slow
def test_bits_and_refreshes(run):
    executable, result, _, simulator, sdram = run
    assert_same(result, reference(executable, REQUEST))
    cycles = simulator.cycle - sdram.timing.power_up
    assert abs(sdram.refreshes_due(cycles) - simulator.refreshes) <= sdram.postponed + 2


@pytest.mark.slow
def test_commands(run):
    executable, _, trace, _, _ = run
    expected = Recorder(CONFIG, executable.memory(REQUEST))
    list(expected.run(executable.program))
    found = [(each.engine, each.flags, each.fields, each.wait, each.signal) for each in trace.commands]
    # What the last token has fetched ahead is dropped.
    weights = [entry for entry in expected.commands if entry[0] == Engine.WEIGHTS]
    dropped = len(weights) - sum(entry[0] == Engine.WEIGHTS for entry in found)
    kept = iter(weights[: len(weights) - dropped])
    wanted = [entry for entry in expected.commands if entry[0] != Engine.WEIGHTS or next(kept, None)]
    assert found == wanted and dropped < len(weights) / 4
    for command in trace.commands:
        assert 0 <= command.issued < command.read < command.started <= command.ended
        assert command.started - command.read >= command.waited and (command.wait or not command.waited)


@pytest.mark.slow
def test_beats_and_tokens(run):
    executable, result, trace, _, _ = run
    cycles = result.report.token_cycles
    assert len(trace.tokens) == len(result.tokens) == REQUEST.tokens
    assert all(
        abs(after - before - time) <= 2
        for before, after, time in zip(trace.tokens, trace.tokens[1:], cycles, strict=False)
    )
    size = dict.fromkeys(trace.engines, 0)
    for command in trace.commands:
        if "length" in command.fields:
            size[command.engine] += (
                command.fields["length"] * command.fields.get("count", 1) * command.fields.get("count2", 1)
            )
    beats = {
        name: int(trace.windows[name].sum()) * CONFIG.port_bytes for name in ("weights", "loads", "stores")
    }
    assert size[Engine.LOADS] <= beats["loads"] < 1.1 * size[Engine.LOADS]
    assert size[Engine.STORES] <= beats["stores"] < 1.1 * size[Engine.STORES]
    assert size[Engine.WEIGHTS] <= beats["weights"]
    assert 0 < trace.first_address < trace.last_response
