# SPDX-License-Identifier: Apache-2.0
"""A whole chip in real cells decodes a token: gates do in every cycle what the Verilog does, and data moves the energy."""

import pytest

from tepin.config import PRESETS
from tepin_host.silicon.liberty import find_library, read_library
from tepin_host.silicon.token import BLOCKS, MappedChip
from tepin_testbench.random_model import random_model, without_weights

CYCLES = 2048


@pytest.mark.slow
@pytest.mark.skipif(find_library() is None, reason="needs standard cells: scripts/setup silicon")
def test_weights_move_energy():
    chip = MappedChip(PRESETS["tiny"], read_library(find_library()))
    model = random_model(1, n_layers=1, max_seq_len=64)
    # `record` raises an error wherever gates, Verilog and functional simulator differ.
    int8, int4, zero = (
        chip.energy(*chip.record(each, latency=20, cycles=CYCLES, weights=weights))
        for each, weights in ((model, "int8"), (model, "int4"), (without_weights(model), "int8"))
    )
    assert int8.multiplications == int4.multiplications == zero.multiplications
    assert zero.parts["array"]["logic"] < 0.7 * int8.parts["array"]["logic"]
    assert zero.total < int8.total
    assert int4.cycles < int8.cycles  # half of the bytes come through the memory port
    assert int4.total < int8.total
    for energy in (int8, int4, zero):
        assert set(energy.parts) == set(BLOCKS)
        assert energy.with_clock("gated") < energy.with_clock("gates") < energy.total
        assert energy.with_clock("gated") < energy.with_clock("stopped") < energy.total
