# SPDX-License-Identifier: Apache-2.0
"""Two links in compiled code, where ten million words are a matter of a minute: figures, and endurance."""

import pytest

from tepin_host.simulation.link import ERRORS, PAYLOADS, LinkSimulator, build_link_simulator
from tepin_testbench import options

UP = 2_000


@pytest.fixture(scope="module")
def library():
    return build_link_simulator()


def exchange(library, words, *, errors=None, limit=400, **traffic):
    """Words in both directions on lines of a random kind; returns the results."""
    rng = options.generator("lines", *sorted(errors or {}))
    simulator = LinkSimulator(library, seed=options.seed())
    for direction in (0, 1):
        simulator.set_line(
            direction,
            source=rng.permutation(8).tolist(),
            inverted=rng.integers(2, size=8).tolist(),
            skew=rng.integers(7, size=8).tolist(),
            delay=int(rng.integers(8)),
            **(errors or {}),
        )
        simulator.send(direction, words, **traffic)
    simulator.run(limit * words)
    for direction in (0, 1):
        result = simulator.result(direction)
        assert (result.sent, result.received, result.wrong) == (words, words, 0), result
    simulator.wait(2_000)
    assert [simulator.result(direction).received for direction in (0, 1)] == [words, words], (
        "words are repeated"
    )
    return simulator


def test_figures(library):
    """What the documentation promises, on lines of no length."""
    for directions in ((0,), (0, 1)):
        simulator = LinkSimulator(library, seed=options.seed())
        simulator.wait(UP)
        for direction in directions:
            simulator.send(direction, 20_000)
        simulator.run(200_000)
        for direction in directions:
            result = simulator.result(direction)
            assert result.received == 20_000 and not result.wrong
            assert 64 * result.received / (16 * result.cycles) > 0.95
    simulator = LinkSimulator(library, seed=options.seed())
    simulator.wait(UP)
    simulator.send(0, 2_000, spacing=100)
    simulator.run(1_000_000)
    result = simulator.result(0)
    assert result.received == 2_000 and result.latency_max <= 20


@pytest.mark.parametrize("name", ERRORS)
def test_errors(library, name):
    words = 5_000 if name == "BER 1e-3" else 60_000
    simulator = exchange(library, words, errors=ERRORS[name], source_pause=0.3, sink_pause=0.3)
    assert sum(simulator.side(side).errors for side in (0, 1)) > 0, "nothing has happened"


@pytest.mark.parametrize("name, least", [("BER 1e-6", 0.92), ("BER 1e-5", 0.85), ("BER 1e-4", 0.5)])
def test_goodput(library, name, least):
    """Of what the line could carry, in both directions at once: no direction is held up by what the other one sends."""
    simulator = exchange(library, 60_000, errors=ERRORS[name])
    for direction in (0, 1):
        result = simulator.result(direction)
        assert 64 * result.received / (16 * result.cycles) > least


@pytest.mark.parametrize("payload", PAYLOADS[1:])
def test_awkward_payload(library, payload):
    exchange(library, 5_000, errors=ERRORS["BER 1e-3"], payload=payload)


def test_lanes_that_never_were_right(library):
    """A lane that is stuck from the beginning: the link stays down and nothing comes out."""
    simulator = LinkSimulator(library, seed=options.seed())
    simulator.set_line(0, stuck_interval=1, stuck_beats=1 << 30)
    simulator.send(0, 10)
    simulator.send(1, 10)
    simulator.wait(30_000)
    assert not simulator.side(0).up and not simulator.side(1).up
    assert simulator.result(0).received == simulator.result(1).received == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ERRORS)
def test_ten_million_words(library, name):
    """Five million in each direction."""
    exchange(library, 5_000_000, errors=ERRORS[name])


@pytest.mark.slow
@pytest.mark.parametrize("payload", PAYLOADS[1:])
def test_a_million_awkward_words(library, payload):
    exchange(library, 1_000_000, errors=ERRORS["BER 1e-3"], payload=payload)
