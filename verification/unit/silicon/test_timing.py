# SPDX-License-Identifier: Apache-2.0
"""A systolic array in real cells, and what OpenSTA says of it: its timing, and the power that we compute for it, too."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tepin.config import PRESETS
from tepin_host.export import export
from tepin_host.silicon.activity import Counts, engine_of
from tepin_host.silicon.energy import SLEW, Costs
from tepin_host.silicon.liberty import find_library, read_library
from tepin_host.silicon.netlist import flatten
from tepin_host.silicon.synthesis import PERIOD, synthesise
from tepin_host.silicon.timing import critical_path, opensta

pytestmark = [
    pytest.mark.skipif(find_library() is None, reason="needs standard cells: scripts/setup silicon"),
    pytest.mark.skipif(shutil.which("sta") is None, reason="needs OpenSTA: scripts/setup silicon"),
]

CONFIG = replace(PRESETS["tiny"], columns=4, activation_width=8)
RATE = 0.1
CYCLES = 1000


@pytest.fixture(scope="module")
def library():
    return read_library(find_library())


@pytest.fixture(scope="module")
def mapped(library):
    return synthesise(CONFIG, "array", library)


def test_critical_path(library, mapped):
    path = critical_path(mapped, library)
    assert 1.0 < path.nanoseconds < 2 * PERIOD
    assert path.cells and path.cells[0].startswith("DFF")


def test_exported_constraints(library, mapped):
    """OpenSTA takes the SDC file of `tepin verilog`: paths from inputs and to outputs count, too."""
    constraints = export(CONFIG, "array")["tepin_array.sdc"]
    said = opensta(
        f"read_liberty {library.path}\nread_verilog {mapped.netlist}\nlink_design {mapped.top}\n{constraints}\n"
        "report_checks -path_delay max -from [all_inputs]\nreport_checks -path_delay max -to [all_outputs]\n"
    )
    assert said.count("slack") == 2
    assert "input external delay" in said and "output external delay" in said


def test_power_agrees(library, mapped, tmp_path):
    """Every net changes in every tenth cycle. This OpenSTA adds up both edges inside of a cell for each change of a net."""
    said = opensta(
        f"read_liberty {library.path}\nread_verilog {mapped.netlist}\nlink_design {mapped.top}\n"
        f"create_clock -name clk -period {PERIOD} [get_ports clk]\nset_input_transition {SLEW} [all_inputs]\n"
        f"set_power_activity -global -activity {RATE} -duty 0.5\n"
        f"set_power_activity -input -activity {RATE} -duty 0.5\nreport_power -digits 6\n"
    )
    (row,) = re.findall(r"^Total +(\S+) +(\S+) +(\S+)", said, re.MULTILINE)
    internal, switching, leakage = (1000 * float(number) for number in row)  # mW
    flat = flatten(mapped, library)
    costs = Costs(flat, library, {})
    registers = {path for path, _ in flat.registers.values()}
    toggles = np.full(flat.nets, RATE * CYCLES)
    engines = {engine_of(path): 0 for path in registers}
    energy = costs.energy(Counts(CYCLES, toggles, {}, {}, dict.fromkeys(registers, 0), engines), PERIOD)
    to_milliwatts = 1 / (CYCLES * PERIOD)
    driven = costs.owner >= 0
    ours = (costs.switching * toggles)[driven].sum() * to_milliwatts
    assert ours == pytest.approx(switching, rel=0.02)
    assert energy.leakage.sum() * to_milliwatts == pytest.approx(leakage, rel=0.01)
    # To OpenSTA, the load of the clock is outside of the design.
    flip_flop = library.cells["DFFPOSX1"]
    load = flip_flop.capacitance["CLK"] * library.voltage**2 * len(flat.registers) / PERIOD
    inside = (energy.logic + energy.clock).sum() * to_milliwatts - ours - load
    assert 2 * inside == pytest.approx(internal, rel=0.1)
