# SPDX-License-Identifier: Apache-2.0
"""A small library of cells, and a design mapped to it, for tests that need no real ones."""

from types import SimpleNamespace

import pytest

from tepin_host.silicon.liberty import read_library

LIBRARY = """\
/* Round numbers. */
library(small) {
  time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW"; capacitive_load_unit (1, pf);
  nom_voltage : 2.0; nom_temperature : 25; nom_process : 1;
  power_lut_template(energy) {
    variable_1 : total_output_net_capacitance; variable_2 : input_transition_time;
    index_1 ("0.0, 0.1"); index_2 ("0.0, 1.0");
  }
  cell (NAND) {
    area : 3; cell_leakage_power : 0.5;
    pin(A) { direction : input; capacitance : 0.01; }
    pin(B) { direction : input; rise_capacitance : 0.01; fall_capacitance : 0.03; }
    pin(Y) {
      direction : output; function : "!(A B)";
      internal_power() {
        related_pin : "A";
        rise_power(energy) { values ("0.1, 0.1", \\
                                     "0.3, 0.3"); }
        fall_power(energy) { values ("0.0, 0.2", "0.0, 0.2"); }
      }
    }
  }
  cell (XOR) {
    area : 5; cell_leakage_power : 1;
    pin(A) { direction : input; capacitance : 0.02; }
    pin(B) { direction : input; capacitance : 0.02; }
    pin(Y) { direction : output; function : "A*!B + !A*B"; }
  }
  cell (DFF) {
    area : 10; cell_leakage_power : 2;
    ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; }
    pin(CK) { direction : input; clock : true; capacitance : 0.05;
      internal_power() { rise_power(scalar) { values ("0.4"); } fall_power(scalar) { values ("0.6"); } } }
    pin(D) { direction : input; capacitance : 0.02; }
    pin(Q) { direction : output; function : "IQ"; }
  }
}
"""

DEFAULTS = {"attributes": {}, "hide_name": 0}


def port(direction, *bits):
    return {"direction": direction, "bits": list(bits)}


def cell(kind, **connections):
    return {"type": kind, "connections": {pin: [bit] for pin, bit in connections.items()}}


def mapped():
    """A counter of two bits in a module of its own, which hands its enable through, and a gate outside."""
    counter = {
        "ports": {
            "clk": port("input", 2),
            "enable": port("input", 3),
            "count": port("output", 4, 5),
            "same": port("output", 3),
        },
        "netnames": {"state": {"bits": [4, 5]}, "$1": {"bits": [6], "hide_name": 1}},
        "cells": {
            "low": cell("DFF", CK=2, D=6, Q=4),
            "high": cell("DFF", CK=2, D=7, Q=5),
            "sum": cell("XOR", A=4, B=3, Y=6),
            "next": cell("XOR", A=5, B=8, Y=7),
            "no_carry": cell("NAND", A=4, B=3, Y=9),
            "carry": cell("NAND", A=9, B="1", Y=8),
        },
    }
    top = {
        "ports": {"clk": port("input", 2), "go": port("input", 3), "o": port("output", 7)},
        "netnames": {"copy": {"bits": [6]}},
        "cells": {
            "inner": {
                "type": "counter",
                "connections": {"clk": [2], "enable": [3], "count": [4, 5], "same": [6]},
            },
            "gate": cell("NAND", A=5, B=6, Y=7),
        },
    }
    return SimpleNamespace(top="top", modules={"counter": counter, "top": top}, memories={})


@pytest.fixture
def library(tmp_path):
    path = tmp_path / "small.lib"
    path.write_text(LIBRARY)
    return read_library(path)


@pytest.fixture
def design():
    return mapped()
