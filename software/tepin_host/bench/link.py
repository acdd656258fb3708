# SPDX-License-Identifier: Apache-2.0
"""The link between chips: how much of the line is payload, how long a word takes, and what errors cost."""

from tepin.link.frame import MAX_WORDS
from tepin_host.bench.row import CheckFailed, Row
from tepin_host.simulation.link import ERRORS, LinkSimulator, build_link_simulator

__all__ = ["link"]

_LANES = 8
_WORDS = 100_000
_SINGLE_WORDS = 2_000
_SPACING = 100  # cycles between words on a link that is idle otherwise
_START = 2_000  # cycles until both sides are up
_MOST_CYCLES = 400  # per word, in the worst case
_WORD_BITS, _HEADER_AND_CRC_BITS, _LINE_BITS = 64, 48, 2 * _LANES


def _run(library, case, directions, words, *, errors=None, **traffic):
    """A simulation with all words sent, received and right."""
    simulator = LinkSimulator(library, lanes=_LANES)
    simulator.wait(_START)
    for direction in (0, 1):
        simulator.set_line(direction, **(errors or {}))
    for direction in directions:
        simulator.send(direction, words, **traffic)
    simulator.run(_MOST_CYCLES * words)
    for direction in directions:
        result = simulator.result(direction)
        if result.wrong or result.received != words:
            raise CheckFailed(f"{case}: {result.received} of {words} words, {result.wrong} of them wrong")
    return [simulator.result(direction) for direction in directions], simulator


def _payload(results):
    """Percent of the line's bits that are payload, in the worse direction."""
    return min(100 * result.received * _WORD_BITS / (result.cycles * _LINE_BITS) for result in results)


def link(say):
    """Two sides in compiled RTL, lines of no length; every word checked. Errors strike all that is on a line, both ways."""
    library = build_link_simulator(lanes=_LANES, progress=say)
    shape = f"{_LANES} lanes, 64-bit words"
    frame_bits = MAX_WORDS * _WORD_BITS
    limit = 100 * frame_bits / (frame_bits + _HEADER_AND_CRC_BITS)
    clean = {}
    for name, directions in (("one way", (0,)), ("both ways", (0, 1))):
        case = f"{shape}, {_WORDS} words {name}"
        say(case)
        results, _ = _run(library, case, directions, _WORDS)
        clean[name] = _payload(results)
        yield Row("link", case, "payload per line bit", clean[name], "%", limit)

    case = f"{shape}, one word at a time"
    say(case)
    (result,), _ = _run(library, case, (0,), _SINGLE_WORDS, spacing=_SPACING)
    on_the_line = (_WORD_BITS + _HEADER_AND_CRC_BITS) / _LINE_BITS
    mean = result.latency_sum / result.received
    yield Row("link", case, "latency, shortest", result.latency_min, "cycles", on_the_line)
    yield Row("link", case, "latency, mean", mean, "cycles", on_the_line)
    yield Row("link", case, "latency, longest", result.latency_max, "cycles", on_the_line)

    for name, errors in ERRORS.items():
        case = f"{shape}, {_WORDS} words both ways, {name}"
        say(case)
        results, simulator = _run(library, case, (0, 1), _WORDS, errors=errors)
        payload = _payload(results)
        yield Row("link", case, "payload per line bit", payload, "%", limit)
        yield Row(
            "link", case, "of what it is without errors", 100 * payload / clean["both ways"], "%", 100.0
        )
        retrains = sum(simulator.side(side).retrains for side in (0, 1))
        yield Row("link", case, "times down, both sides", retrains, "times", None)
