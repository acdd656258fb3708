# SPDX-License-Identifier: Apache-2.0
"""Several chips with serial links, whose lanes make errors: not a bit of any logit is different for it."""

from dataclasses import replace

import pytest

from tepin.config import PRESETS
from tepin.linked_chip import LinkedChip
from tepin_host import chips
from tepin_host.compiler import Request, compile_chips, compile_model
from tepin_host.driver import ChipDriver
from tepin_host.errors import UserError
from tepin_host.models.shapes import STORIES_15M
from tepin_host.models.shapes import random_model as shape_of
from tepin_host.runtime import Report, run_reference
from tepin_host.simulation import ChipSimulator, build_simulator, wire
from tepin_testbench.random_model import random_model
from verification.testbenches.chip.runs import TINY

LINKED = replace(TINY, links=2)
REQUEST = Request([1, 63], 4, stop=())


@pytest.fixture(scope="module")
def model(seed):
    return random_model(seed, n_layers=1, n_heads=4, n_kv_heads=4)


@pytest.fixture(scope="module")
def library():
    return build_simulator(LINKED, serial=True)


def start(executables, library, rate, seed, request=REQUEST):
    simulators = [
        ChipSimulator(LINKED, executable.memory(request), latency=20, library=library)
        for executable in executables
    ]
    wire(simulators, executables[0].plan.shard.network, bit_error_rate=rate, seed=seed)
    return simulators


@pytest.mark.slow  # compiles a chip of its own
@pytest.mark.parametrize("count, rate", [(2, 0.0), (3, 1e-5), (4, 1e-4), (3, 1e-3)])
def test_errors_on_the_lanes_change_no_bit(model, library, count, rate, seed):
    executables = compile_chips(model, LINKED, chips=count)
    simulators = start(executables, library, rate, seed)
    report, alone = Report(), Report()
    list(chips.run_rtl(executables, REQUEST, report, simulators))
    list(run_reference(compile_model(model, TINY), REQUEST, alone))
    assert (report.tokens, report.logits_sha256) == (alone.tokens, alone.logits_sha256)
    status = [simulator.link_status(port) for simulator in simulators for port in range(2)]
    flipped, errors = (sum(link[name] for link in status) for name in ("flipped", "errors"))
    print(f"{count} chips, {rate:g}: {flipped} bits flipped, {report.cycles_per_token:.0f} cycles per token")
    assert (errors > 0) == (flipped > 0) == (rate > 0)


@pytest.mark.slow
def test_errors_on_the_lanes_of_a_model_of_15_million_parameters(library, seed):
    """A chip for each head of stories15M's shape; two tokens of 32,000."""
    model = shape_of("15M", STORIES_15M)
    request = Request([1], 2, stop=())
    executables = compile_chips(model, LINKED, chips=6, chunk=256)
    simulators = start(executables, library, 1e-5, seed, request)
    report, alone = Report(), Report()
    list(chips.run_rtl(executables, request, report, simulators))
    one = replace(PRESETS["sim"], scratchpad_bytes=1 << 18)
    list(run_reference(compile_model(model, one), request, alone))
    assert (report.tokens, report.logits_sha256) == (alone.tokens, alone.logits_sha256)
    errors = sum(simulator.link_status(port)["errors"] for simulator in simulators for port in range(2))
    print(f"{report.cycles_per_token:,.0f} cycles per token, {errors} frames lost")
    assert errors > 100


@pytest.mark.slow
def test_lanes_without_a_clock(model, library, seed):
    """A cable that is pulled for good: the chips stop, and the first of them names the link."""
    executables = compile_chips(model, LINKED, chips=3)
    simulators = start(executables, library, 0.0, seed)
    for simulator in simulators:
        ChipDriver(simulator).write("WATCHDOG", 20_000)
    tokens = []
    with pytest.raises(
        UserError, match="^chip 0 stopped with LINK .* port 1 to port 0 of chip 1, that one does not send"
    ):
        for token in chips.run_rtl(executables, REQUEST, Report(), simulators):
            tokens.append(token)
            simulators[1].cut(0)
    alone = Report()
    list(run_reference(compile_model(model, TINY), REQUEST, alone))
    assert tokens and tokens == alone.tokens[: len(tokens)] != alone.tokens


def test_init_wrong_config():
    with pytest.raises(ValueError, match="a linked chip needs a configuration with links"):
        LinkedChip(TINY)
