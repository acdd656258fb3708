# SPDX-License-Identifier: Apache-2.0
"""Flip-flops in I/O cells: the netlist does at its pins what it did before, and says so if that is impossible."""

import copy

import pytest

from tepin_fpga.iocells import CannotRegister, register_pins

CLK, D, CE, LSR, Q, PIN, INVERTED, OTHER = range(2, 10)
INVERTER = "0000000000000001"  # of input A, with the others at 0


def flip_flop(**changes):
    """A TRELLIS_FF from D to Q, with everything that Yosys would write."""
    parameters = {"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET", "SRMODE": "LSR_OVER_CE"}
    connections = {"CLK": [CLK], "DI": [D], "CE": ["1"], "LSR": ["0"], "Q": [Q]}
    for name, value in changes.items():
        (parameters if name in parameters else connections)[name] = value
    directions = {name: "output" if name == "Q" else "input" for name in connections}
    return {
        "type": "TRELLIS_FF",
        "parameters": parameters,
        "attributes": {},
        "port_directions": directions,
        "connections": connections,
    }


def pad(**connections):
    directions = {"B": "inout", "I": "input", "T": "input", "O": "output"}
    connections = {"B": [PIN]} | connections
    return {
        "type": "TRELLIS_IO",
        "parameters": {"DIR": "BIDIR"},
        "attributes": {},
        "port_directions": {name: directions[name] for name in connections},
        "connections": connections,
    }


def lut(init, source, output):
    return {
        "type": "LUT4",
        "parameters": {"INIT": init},
        "attributes": {},
        "port_directions": dict.fromkeys("ABCD", "input") | {"Z": "output"},
        "connections": {"A": [source], "B": ["0"], "C": ["0"], "D": ["0"], "Z": [output]},
    }


def module(**cells):
    return {"ports": {"pin": {"direction": "inout", "bits": [PIN]}}, "cells": cells}


def in_cell(netlist):
    """Names of the flip-flops that are to go into I/O cells."""
    return [name for name, cell in netlist["cells"].items() if "syn_useioff" in cell["attributes"]]


class Simulation:
    """Cycles of a netlist of LUTs and flip-flops."""

    def __init__(self, netlist):
        self.cells = netlist["cells"].values()
        self.nets = {"0": 0, "1": 1}
        for cell in self.cells:
            if cell["type"] == "TRELLIS_FF":
                self.nets[cell["connections"]["Q"][0]] = int(cell["parameters"]["REGSET"] == "SET")

    def settle(self, **inputs):
        self.nets |= {globals()[name]: value for name, value in inputs.items()}
        for _ in self.cells:
            for cell in self.cells:
                if cell["type"] == "LUT4":
                    row = sum(self.net(cell, port) << bit for bit, port in enumerate("ABCD"))
                    self.nets[cell["connections"]["Z"][0]] = int(cell["parameters"]["INIT"], 2) >> row & 1

    def net(self, cell, port):
        return self.nets.get(cell["connections"][port][0], 0)

    def edge(self):
        after = {}
        for cell in self.cells:
            if cell["type"] == "TRELLIS_FF":
                after[cell["connections"]["Q"][0]] = self.next_value(cell)
        self.nets |= after

    def next_value(self, cell):
        mux, connections = cell["parameters"], cell["connections"]
        enable = mux["CEMUX"] == "1 " or self.net(cell, "CE") ^ (mux["CEMUX"] == "INV")
        reset = "LSR" in connections and self.net(cell, "LSR") ^ (mux["LSRMUX"] == "INV")
        if mux["SRMODE"] == "CE_OVER_LSR":
            reset = reset and enable
        return (
            int(mux["REGSET"] == "SET") if reset else self.net(cell, "DI") if enable else self.net(cell, "Q")
        )


CONNECTED = {"CE": [CE], "LSR": [LSR]}


@pytest.mark.parametrize("mode", ["LSR_OVER_CE", "CE_OVER_LSR"])
@pytest.mark.parametrize("regset", ["SET", "RESET"])
@pytest.mark.parametrize("enable, reset", [("CE", "LSR"), ("INV", "INV"), ("1 ", "LSR")])
@pytest.mark.parametrize("inverted", [False, True])
def test_pin_does_what_it_did(rng, mode, regset, enable, reset, inverted):
    cells = {"ff": flip_flop(CEMUX=enable, LSRMUX=reset, REGSET=regset, SRMODE=mode, **CONNECTED)}
    cells["pad"] = pad(T=[Q])
    if inverted:
        cells |= {"lut": lut(INVERTER, Q, INVERTED), "pad": pad(T=[INVERTED])}
    netlist = module(**cells)
    before = Simulation(copy.deepcopy(netlist))
    pin_before = netlist["cells"]["pad"]["connections"]["T"][0]
    assert register_pins(netlist, ["pin"]) == {"input": 0, "output": 0, "enable": 1}
    after = Simulation(netlist)
    pin_after = netlist["cells"]["pad"]["connections"]["T"][0]
    (moved,) = in_cell(netlist)
    assert netlist["cells"][moved]["connections"]["Q"] == [pin_after]
    assert "CE" not in netlist["cells"][moved]["connections"]
    for cycle in range(60):
        inputs = {name: int(rng.integers(2)) for name in ("D", "CE", "LSR")}
        for simulation in (before, after):
            simulation.settle(**inputs)
        assert before.nets[pin_before] == after.nets[pin_after], cycle
        for simulation in (before, after):
            simulation.edge()


def test_plain_flip_flop_is_moved_itself():
    netlist = module(ff=flip_flop(), pad=pad(I=[Q], T=["0"]))
    assert register_pins(netlist, ["pin"]) == {"input": 0, "output": 1, "enable": 0}
    assert list(netlist["cells"]) == ["ff", "pad"]
    assert netlist["cells"]["ff"]["attributes"]["ioff_dir"] == "output"


def test_shared_flip_flop_stays_and_each_pin_gets_one():
    netlist = module(ff=flip_flop(), pad=pad(I=[Q]), other=pad(B=[OTHER], I=[Q]))
    netlist["ports"]["pin"]["bits"].append(OTHER)
    assert register_pins(netlist, ["pin"])["output"] == 2
    assert len(in_cell(netlist)) == 2 and "ff" not in in_cell(netlist)
    drivers = [netlist["cells"][name]["connections"]["I"] for name in ("pad", "other")]
    assert drivers[0] != drivers[1]


def test_input():
    netlist = module(ff=flip_flop(), pad=pad(O=[D]))
    assert register_pins(netlist, ["pin"]) == {"input": 1, "output": 0, "enable": 0}
    assert netlist["cells"]["ff"]["attributes"]["ioff_dir"] == "input"


def test_other_ports_and_open_connections_are_left_alone():
    netlist = module(ff=flip_flop(), pad=pad(I=[Q], O=["x"], T=[]), other=pad(B=[OTHER], I=[D]))
    assert sum(register_pins(netlist, ["pin"]).values()) == 1


@pytest.mark.parametrize(
    "cells, message",
    [
        ({"pad": pad(I=[D])}, "Pin pin does not come from a flip-flop"),
        (
            {"ff": flip_flop(), "lut": lut("1000000000000000", Q, INVERTED), "pad": pad(I=[INVERTED])},
            "Pin pin does not come from a flip-flop",
        ),
        (
            {"ff": flip_flop(SRMODE="ASYNC", LSR=[LSR]), "pad": pad(I=[Q])},
            "Pin pin comes from a flip-flop with an asynchronous reset",
        ),
        (
            {"ff": flip_flop(), "lut": lut(INVERTER, D, INVERTED), "pad": pad(O=[D])},
            "Pin pin does not go to one flip-flop alone, and cannot have it in its I/O cell",
        ),
        (
            {"lut": lut(INVERTER, D, INVERTED), "pad": pad(O=[D])},
            "Pin pin does not go to one flip-flop alone, and cannot have it in its I/O cell",
        ),
    ],
)
def test_pin_without_flip_flop(cells, message):
    with pytest.raises(CannotRegister) as error:
        register_pins(module(**cells), ["pin"])
    assert str(error.value) == message
