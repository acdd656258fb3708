# SPDX-License-Identifier: Apache-2.0
"""Boolean functions out of Liberty files."""

import itertools

import numpy as np
import pytest

from tepin_host.silicon.functions import function_of

EXAMPLES = {
    "A": lambda a: a,
    "!A": lambda a: not a,
    "A'": lambda a: not a,
    "(!(A B))": lambda a, b: not (a and b),
    "(A+B)*C": lambda a, b, c: (a or b) and c,
    "A + B C": lambda a, b, c: a or (b and c),
    "A B + !C": lambda a, b, c: (a and b) or not c,
    "A B'": lambda a, b: a and not b,
    "(A B)'": lambda a, b: not (a and b),
    "A ^ B & C": lambda a, b, c: (a != b) and c,
    "A | B ^ C": lambda a, b, c: a or (b != c),
    "((A^B)^C)": lambda a, b, c: a ^ b ^ c,
    "(((A B)+(B C))+(C A))": lambda a, b, c: a + b + c >= 2,
    "(!((S A) + (!S B)))": lambda a, b, s: not (a if s else b),
}


@pytest.mark.parametrize("text", EXAMPLES)
def test_function(text):
    function, pins = function_of(text)
    assert pins == sorted(set(text) & set("ABCS"))
    rows = list(itertools.product((False, True), repeat=len(pins)))
    columns = [np.array([row[index] for row in rows], np.uint64) for index in range(len(pins))]
    result = np.broadcast_to(function(*columns), len(rows)) & np.uint64(1)
    assert result.tolist() == [bool(EXAMPLES[text](*row)) for row in rows]


def test_constants():
    for text, value in (("0", 0), ("1", 2**64 - 1)):
        function, pins = function_of(text)
        assert (function(), pins) == (value, [])


@pytest.mark.parametrize("text", ["", "A +", "(A", "A)", "A @ B", "+ A", "A !"])
def test_not_a_function(text):
    with pytest.raises(ValueError, match="cannot read the function"):
        function_of(text)
