# SPDX-License-Identifier: Apache-2.0
"""Netlists for OpenSTA: no assignment to a concatenation is left, and every bit gets the same value."""

import pytest

from tepin_host.silicon.assigns import without_concatenations

HEAD = ["module m (a, b, y);\n", "  input [3:0] a;\n", "  input \\b[7] ;\n", "  output [7:0] y;\n"]


def assigned(line):
    lines = list(without_concatenations([*HEAD, line]))
    assert lines[: len(HEAD)] == HEAD
    return [line.strip() for line in lines[len(HEAD) :]]


def test_each_part_gets_its_bits():
    assert assigned("  assign { y[7:6], y[4], y[2:0] } = { a[1:0], \\b[7] , 3'h5 };\n") == [
        "assign y[7:6] = { a[1], a[0] };",
        "assign y[4] = \\b[7] ;",
        "assign y[2:0] = { 1'b1, 1'b0, 1'b1 };",
    ]


def test_whole_vectors():
    assert assigned("  assign { y, n } = { a, 4'h0, a[3] };\n") == [
        "assign y = { a[3], a[2], a[1], a[0], 1'b0, 1'b0, 1'b0, 1'b0 };",
        "assign n = a[3];",
    ]


def test_others_stay():
    assert assigned("  assign y = { a, a };\n") == ["assign y = { a, a };"]


def test_wrong_widths_are_found():
    with pytest.raises(ValueError, match="more bits on its right"):
        assigned("  assign { y[1:0] } = { a[2:0] };\n")
