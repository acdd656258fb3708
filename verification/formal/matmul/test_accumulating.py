# SPDX-License-Identifier: Apache-2.0
"""Proofs: no sum is lost, counted twice, or added to another row or bank; what is read is what was added up."""

import pytest

from tepin_testbench.formal import Refuted, hold, prove, reach
from verification.formal.matmul.accumulating import BUGS, COVERED, Accumulating


def test_sums_are_those_of_the_passes():
    prove(Accumulating(), depth=7)


@pytest.mark.parametrize("output", COVERED)
def test_it_is_about_something(output):
    reach(Accumulating(), output, depth=COVERED[output])


@pytest.mark.parametrize("bug", BUGS)
def test_bugs_are_found(bug):
    with pytest.raises(Refuted):
        hold(Accumulating(bug=bug), depth=10)
