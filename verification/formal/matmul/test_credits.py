# SPDX-License-Identifier: Apache-2.0
"""Proofs: the queue of writes never refuses an item, and every item's place comes back."""

import pytest

from tepin_testbench.formal import Refuted, hold, prove, reach
from verification.formal.matmul.writing import BUGS, COVERED, Writing


def test_every_item_has_a_place():
    prove(Writing(), depth=4)


@pytest.mark.parametrize("output", COVERED)
def test_it_is_about_something(output):
    reach(Writing(), output, depth=COVERED[output])


@pytest.mark.parametrize("bug", BUGS)
def test_bugs_are_found(bug):
    with pytest.raises(Refuted):
        hold(Writing(bug=bug), depth=24)
