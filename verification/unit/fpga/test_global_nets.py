# SPDX-License-Identifier: Apache-2.0
"""Resets in the clock network: those that reach many flip-flops, whatever they come from, and nothing else."""

import copy

from tepin_fpga.global_nets import promote_resets
from verification.unit.fpga.test_iocells import flip_flop, lut

RESET, OTHER, LOGIC = 50, 51, 52


def netlist(users):
    """`users` flip-flops that RESET resets, one less that LOGIC does, two that OTHER does."""
    cells = {
        "source": flip_flop(DI=[40], Q=[RESET]),
        "few": flip_flop(DI=[41], Q=[OTHER]),
        "lut": lut("0000000000000010", RESET, LOGIC),
    }
    for index in range(users):
        cells[f"user_{index}"] = flip_flop(DI=[100 + index], Q=[200 + index], LSR=[RESET])
        if index:
            cells[f"logic_{index}"] = flip_flop(DI=[300 + index], Q=[400 + index], LSR=[LOGIC])
    cells["a"], cells["b"] = flip_flop(LSR=[OTHER], Q=[60]), flip_flop(LSR=[OTHER], Q=[61])
    return {"ports": {}, "cells": cells}


def test_promoted():
    module = netlist(4)
    before = copy.deepcopy(module)
    assert promote_resets(module, fewest=3) == [4, 3]
    nets = {bit for cell in before["cells"].values() for [bit] in cell["connections"].values()}
    buffers = module["cells"].keys() - before["cells"].keys()
    sources = {}
    for name in buffers:
        buffer = module["cells"].pop(name)
        assert buffer["type"] == "DCCA"
        (source,), (output,) = buffer["connections"]["CLKI"], buffer["connections"]["CLKO"]
        assert output not in nets
        sources[output] = source
    assert set(sources.values()) == {RESET, LOGIC} and len(sources) == 2
    for name, cell in module["cells"].items():
        if name.startswith(("user", "logic")):
            cell["connections"]["LSR"] = [sources[cell["connections"]["LSR"][0]]]
    assert module == before


def test_too_few():
    module = netlist(3)
    before = copy.deepcopy(module)
    assert promote_resets(module, fewest=4) == []
    assert module == before
