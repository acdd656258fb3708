# SPDX-License-Identifier: Apache-2.0
"""Gates computed 64 cycles at a time: what is counted, what it costs, and that gates which do something else are found."""

import numpy as np
import pytest

from tepin.clock import CLOCK_GATE
from tepin_host.silicon.activity import Activity, steps
from tepin_host.silicon.energy import Costs
from tepin_host.silicon.netlist import flatten
from tepin_host.silicon.recorder import sources
from tepin_host.silicon.token import _stretches


def recording(rng, cycles):
    """Counter and enable in each cycle: lists of three bits."""
    count, rows = 0, []
    for enable in rng.integers(0, 2, cycles).tolist():
        rows.append([enable, count & 1, count >> 1])
        count = (count + enable) % 4
    return rows


def words(rows, order):
    """As a `Recorder` has them."""
    return np.array([[sum(row[place] << bit for bit, place in enumerate(order))] for row in rows], np.uint32)


def places(flat):
    """Which column of `recording` each recorded net is, and the nets."""
    found = sources(flat)
    names = {("go", None): 0, ("inner.state", 0): 1, ("inner.state", 1): 2}
    return [names[place] for place in found.values()], np.array(list(found))


def changes(column):
    return sum(before != after for before, after in zip(column, column[1:], strict=False))


@pytest.mark.parametrize("cycles", [2, 64, 65, 200, 5000])
def test_counts(library, design, rng, cycles):
    flat = flatten(design, library)
    order, nets = places(flat)
    rows = recording(rng, cycles)
    counts = Activity(flat, library, nets).count(words(rows, order))
    assert counts.cycles == cycles - 1
    enable, low, high = (list(column) for column in zip(*rows, strict=True))
    (outside,) = [net for net, block in zip(*outputs(flat, "NAND"), strict=True) if flat.blocks[block] == ""]
    expected = [1 - (h & e) for h, e in zip(high, enable, strict=True)]
    assert counts.toggles[outside] == changes(expected)
    assert [counts.toggles[net] for net in nets] == [changes([row[place] for row in rows]) for place in order]
    edges = changes(list(zip(low, high, strict=True)))
    assert (counts.changes, counts.engines) == ({"inner.state": edges}, {"inner": edges})


def outputs(flat, kind):
    return flat.cells[kind].pins["Y"], flat.cells[kind].blocks


@pytest.mark.parametrize("cycle", [1, 63, 64, 150])
def test_wrong_register_is_found(library, design, rng, cycle):
    flat = flatten(design, library)
    order, nets = places(flat)
    recorded = words(recording(rng, 200), order)
    recorded[cycle] ^= 1 << order.index(2)
    with pytest.raises(ValueError, match=r"gates and Verilog differ .* in bit 1 of inner.state"):
        Activity(flat, library, nets).count(recorded)


def test_loop(library, design):
    design.modules["counter"]["cells"]["carry"]["connections"]["B"] = [8]
    with pytest.raises(ValueError, match="loop"):
        list(steps(flatten(design, library), library))


def test_energy(library, design):
    """By hand: the counter counts in each of the three cycles: 0, 1, 2, 3."""
    flat = flatten(design, library)
    order, nets = places(flat)
    counts = Activity(flat, library, nets).count(words([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], order))
    energy = Costs(flat, library, {}).energy(counts, period=10.0)
    inside, outside = flat.blocks.index("inner"), flat.blocks.index("")
    # Half of C V^2 and V = 2: 2 pJ for each pF. Inside of a NAND (0.2 pF/0.1 pF of load + 0.1 + slew 0.1 * 0.2) / 2 a change.
    nand = lambda load: 2 * load + (0.1 + 2 * load + 0.02) / 2  # noqa: E731
    assert energy.logic[outside] == pytest.approx(nand(0.0))  # its output: 1 1 0 0
    low, high = 3 * 2 * (0.02 + 0.01), 1 * 2 * (0.02 + 0.01)  # an XOR and a NAND hang on both bits
    carry = 3 * (nand(0.01) + nand(0.02))  # no_carry has 0.01 pF, carry 0.02
    sums = 3 * 2 * 0.02 + 2 * 2 * 0.02  # D of both flip-flops: 1 0 1 0, and 0 1 1 0
    assert energy.logic[inside] == pytest.approx(low + high + carry + sums)
    edge = 1.0 + 0.05 * 4
    assert energy.clock[inside] == pytest.approx(3 * 2 * edge)
    assert energy.gated[inside] == energy.stopped[inside] == energy.clock[inside]  # changes in every cycle
    assert energy.leakage.sum() == pytest.approx((3 * 0.5 + 2 * 1 + 2 * 2) * 30 * 1e-6)
    wired = Costs(flat, library, {}, wire=0.01).energy(counts, period=10.0)
    assert wired.logic.sum() > energy.logic.sum()


def test_idle(library, design):
    """Nothing changes: nothing but the clock costs energy, and that need not run."""
    flat = flatten(design, library)
    order, nets = places(flat)
    counts = Activity(flat, library, nets).count(words([[0, 1, 0]] * 10, order))
    energy = Costs(flat, library, {}).energy(counts, period=10.0)
    assert energy.logic.sum() == energy.gated.sum() == energy.stopped.sum() == 0
    assert energy.clock.sum() == pytest.approx(9 * 2 * 1.2)


def test_area(library, design):
    flat = flatten(design, library)
    area = dict(zip(flat.blocks, Costs(flat, library, {}).area, strict=True))
    assert area == {"": 3, "inner": 2 * 10 + 2 * 5 + 2 * 3}


@pytest.fixture
def gated(design):
    """The same, with a gate in the clock of the counter."""
    top = design.modules["top"]
    top["cells"]["clock_gate"] = {
        "type": CLOCK_GATE,
        "connections": {"clk": [2], "enable": [3], "gated": [9]},
    }
    top["cells"]["inner"]["connections"]["clk"] = [9]
    return design


def test_clock_gate(library, gated, rng):
    """Flip-flops behind a gate cost what the edges cost that it lets through, and the gate as much as one at all of them."""
    flat = flatten(gated, library)
    order, nets = places(flat)
    rows = recording(rng, 200)
    counts = Activity(flat, library, nets).count(words(rows, order))
    assert list(counts.enabled.values()) == [sum(go for go, *_ in rows[:-1])]
    energy = Costs(flat, library, {}).energy(counts, period=10.0)
    inside, edge = flat.blocks.index("inner"), 1.0 + 0.05 * 4
    assert energy.clock[inside] == pytest.approx(199 * 2 * edge)
    assert energy.gates[inside] == pytest.approx((2 * next(iter(counts.enabled.values())) + 199) * edge)


def test_behind_a_closed_gate_nothing_changes(library, gated):
    gated.modules["top"]["cells"]["clock_gate"]["connections"]["enable"] = ["0"]
    flat = flatten(gated, library)
    order, nets = places(flat)
    activity = Activity(flat, library, nets)
    assert activity.count(words([[1, 1, 0]] * 9, order)).changes == {"inner.state": 0}
    with pytest.raises(ValueError, match="gates and Verilog differ"):
        activity.count(words([[1, 1, 0], [1, 0, 1]], order))


def test_stretches_are_spread_over_the_token():
    recorded = np.arange(10_001)
    parts = _stretches(recorded, 1000)
    assert sum(len(part) - 1 for part in parts) == 1000 and len(parts) == 4
    assert parts[0][0] == 0 and parts[-1][-1] == 10_000
    assert all(np.diff(part).tolist() == [1] * 250 for part in parts)
    assert _stretches(recorded, None)[0] is recorded and len(_stretches(recorded, 20_000)) == 1
