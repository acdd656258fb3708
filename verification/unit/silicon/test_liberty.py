# SPDX-License-Identifier: Apache-2.0
"""What is read out of Liberty files."""

import numpy as np
import pytest

from tepin_host.errors import UserError
from tepin_host.silicon.liberty import Table, find_library, read_library
from verification.unit.silicon.conftest import LIBRARY


def test_cells(library):
    assert (library.name, library.voltage, set(library.cells)) == ("small", 2.0, {"NAND", "XOR", "DFF"})
    nand, flip_flop = library.cells["NAND"], library.cells["DFF"]
    assert (nand.area, nand.leakage, nand.functions) == (3, 0.5, {"Y": "!(A B)"})
    assert nand.capacitance == pytest.approx({"A": 0.01, "B": 0.02})
    assert (flip_flop.next_state, flip_flop.clock) == ("D", "CK")
    assert [table(0.0, 0.1) for table in flip_flop.input_energy["CK"]] == [1.0]


def test_both_edges_add_up(library):
    (table,) = library.cells["NAND"].output_energy["Y"]
    assert table(0.05, 0.5) == pytest.approx(0.2 + 0.1)


def test_table_between_and_beyond():
    table = Table(
        np.array([0.0, 1.0]), np.array([0.0, 1.0, 3.0]), np.array([[0.0, 1.0, 3.0], [10.0, 11.0, 13.0]])
    )
    loads, slews = np.array([0.0, 0.5, 1.0, 9.0, -1.0]), np.array([0.0, 2.0, 3.0, 9.0, 0.5])
    assert table(loads, slews) == pytest.approx([0.0, 7.0, 13.0, 13.0, 0.5])


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("library(small)", "bookcase(small)", "is not a Liberty file"),
        ('"1nW"', '"1uW"', "leakage_power_unit is 1uW, expected 1nW"),
        ("(1, pf)", "(1, ff)", "capacitive_load_unit must be 1 pf"),
    ],
)
def test_refused(tmp_path, old, new, message):
    path = tmp_path / "other.lib"
    path.write_text(LIBRARY.replace(old, new))
    with pytest.raises(UserError, match=message):
        read_library(path)


@pytest.mark.skipif(find_library() is None, reason="needs standard cells: scripts/setup silicon")
def test_real_library():
    library = read_library(find_library())
    assert library.voltage == 1.8
    flip_flop = library.cells["DFFPOSX1"]
    assert (flip_flop.next_state, flip_flop.clock) == ("D", "CLK")
    assert 0.05 < flip_flop.input_energy["CLK"][0](0.0, 0.1) < 0.3
