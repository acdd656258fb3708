# SPDX-License-Identifier: Apache-2.0
"""Proofs: no weight is overwritten while it is in use, and every pass meets the weights of its own tile."""

import pytest

from tepin_testbench.formal import Refuted, hold, prove, reach
from verification.formal.matmul.handover import BUGS, COVERED, HandOver

ROWS = 2


def test_passes_meet_their_weights():
    prove(HandOver(rows=ROWS), depth=9)


@pytest.mark.parametrize("output", COVERED)
def test_it_is_about_something(output):
    reach(HandOver(rows=ROWS), output, depth=COVERED[output])


@pytest.mark.parametrize("bug", BUGS)
def test_bugs_are_found(bug):
    with pytest.raises(Refuted):
        hold(HandOver(rows=ROWS, bug=bug), depth=14)
