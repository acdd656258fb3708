# SPDX-License-Identifier: Apache-2.0
"""Several chips' RTL, linked: every logit and every byte of every chip's memory as in functional simulation.

One compiled chip serves all tests: with two ports, so rings of any length, and three chips that are fully connected.
"""

from dataclasses import replace

import numpy as np
import pytest

from tepin.control.registers import register
from tepin_host import chips
from tepin_host.compiler import Request, compile_chips, compile_model
from tepin_host.driver import ChipDriver
from tepin_host.errors import UserError
from tepin_host.runtime import Report, run_reference
from tepin_host.simulation import ChipSimulator, join
from tepin_reference.network import run_together
from tepin_reference.simulator import FunctionalSimulator
from tepin_testbench.random_model import random_model
from verification.testbenches.chip.runs import TINY

LINKED = replace(TINY, links=2)
WATCHDOG = 20_000


@pytest.fixture(scope="module")
def model(seed):
    return random_model(seed, n_layers=1, n_heads=4, n_kv_heads=4)


def start(executables, request, *, latency=20, capacity=128, stall=0):
    """Simulated chips, wired as the executables say."""
    simulators = []
    for executable in executables:
        simulators.append(ChipSimulator(LINKED, executable.memory(request), latency=20))
        if stall:
            simulators[-1].stall(stall, seed=len(simulators))
        ChipDriver(simulators[-1]).write("WATCHDOG", WATCHDOG)
    join(simulators, executables[0].plan.shard.network, latency=latency, capacity=capacity)
    return simulators


def assert_as_expected(model, count, request, topology="ring", wires=None, **formats):
    """Run on the RTL and on functional simulators, and on one chip; returns the RTL's report."""
    executables = compile_chips(model, LINKED, chips=count, topology=topology, **formats)
    simulators = start(executables, request, **(wires or {}))
    report = Report()
    tokens = list(chips.run_rtl(executables, request, report, simulators))
    machines = [
        FunctionalSimulator(LINKED, executable.memory(request), ports=ports)
        for executable, ports in zip(executables, executables[0].plan.shard.network.ports(), strict=True)
    ]
    written = list(run_together(machines, [executable.program for executable in executables]))
    for chip, (simulator, machine) in enumerate(zip(simulators, machines, strict=True)):
        assert [token for writer, token in written if writer == chip] == tokens
        np.testing.assert_array_equal(simulator.memory, machine.memory)
    alone = Report()
    list(run_reference(compile_model(model, TINY, **formats), request, alone))
    assert (tokens, report.logits_sha256) == (alone.tokens, alone.logits_sha256)
    return report


@pytest.mark.parametrize(
    "weights, count, topology", [("int8", 2, "ring"), ("int4", 4, "ring"), ("int8", 3, "full")]
)
def test_logits_and_memories_match(model, weights, count, topology, seed):
    request = Request([1, 63], 4, seed=seed, temperature=1.0, stop=())
    report = assert_as_expected(model, count, request, topology, weights=weights)
    print(f"{count} chips, {topology}: {report.cycles_per_token:.0f} cycles per token")


def test_more_chips_than_heads(seed):
    model = random_model(seed, n_layers=1, dim=36, hidden_dim=11, n_heads=2, n_kv_heads=2, vocab_size=29)
    assert_as_expected(model, 5, Request([1, 28], 3, stop=()), activations="int8")


@pytest.mark.parametrize(
    "wires", [{"latency": 2, "capacity": 1}, {"latency": 150, "capacity": 3}, {"stall": 60}], ids=str
)
def test_links_and_memories_do_not_change_bits(model, wires):
    """Links that hold a single word, or take long; memories that each pause at other times."""
    assert_as_expected(model, 3, Request([5, 6], 2, stop=()), wires=wires)


def test_same_cycles_every_time(model):
    request, executables = Request([1], 2, stop=()), compile_chips(model, LINKED, chips=2)
    reports = []
    for _ in range(2):
        reports.append(Report())
        list(chips.run_rtl(executables, request, reports[-1], start(executables, request)))
    assert reports[0].cycles_per_token == reports[1].cycles_per_token
    assert reports[0].busy_cycles == reports[1].busy_cycles


def fails(model, do, count=3):
    """Let something happen after the second token; returns the tokens, the message and the cycles until all have stopped."""
    request, executables = Request([1], 50, stop=()), compile_chips(model, LINKED, chips=count)
    simulators, tokens = start(executables, request), []
    with pytest.raises(UserError) as error:
        for token in chips.run_rtl(executables, request, Report(), simulators):
            tokens.append(token)
            if len(tokens) == 2:
                do(simulators)
                begin = simulators[0].cycle
    cycles = simulators[0].cycle - begin
    alone = Report()
    list(run_reference(compile_model(model, TINY), request, alone))
    assert tokens == alone.tokens[: len(tokens)], "a wrong token has left"
    assert 2 <= len(tokens) < 10
    for simulator in simulators:
        assert not ChipDriver(simulator).read("STATUS") & 1
    return str(error.value), cycles


def test_link_that_stays_down(model):
    """Chip 1's words to chip 0 do not arrive any more: chip 0 names the link, and everybody stops."""
    message, cycles = fails(model, lambda simulators: simulators[1].cut(0))
    assert message.startswith("chip 0 stopped with LINK at word ")
    assert message.endswith(": on the link from its port 1 to port 0 of chip 1, that one does not send")
    assert cycles < 4 * WATCHDOG


def test_chip_that_dies(model):
    """A chip is stopped: that is what is told, and the others stop as well."""

    def stop(simulators):
        simulators[2].write(register("CONTROL").offset, 2)

    message, cycles = fails(model, stop)
    assert message.startswith("chip 2 stopped with STOPPED at word ")
    assert cycles < 4 * WATCHDOG


def test_wrong_latency(model):
    executables = compile_chips(model, LINKED, chips=2)
    with pytest.raises(ValueError, match="the latency of a link must be at least 2 cycles, not 1"):
        start(executables, Request([1], 1), latency=1)
