# SPDX-License-Identifier: Apache-2.0
"""Proofs by induction about the matmul engine; each is about something, and finds the bugs that are put in.

* `HandOver`: no weight is overwritten while it is in use, every pass meets the weights of its own tile, and weights and
  passes never wait for each other;
* `Certainty`: the rows of a tile that says that it is certain come without a pause;
* `Banks`: a column tile enters only if it has a bank, and nothing else waits for one;
* `Accumulating`: no sum is lost, counted twice, or added to another row or bank;
* `Reading...`: what is read ahead has a place when it comes, every place comes back;
* `Dispatching`: every part gets its job of each command, and no command waits while there is a slot;
* `Draining`: whatever else waits, the oldest column tile is drained: a number falls whenever the environment is ready;
* `Writing`: the queue of writes never refuses an item, every place comes back.
"""

import pytest

from tepin_testbench.formal import Refuted, hold, prove, reach
from verification.formal.matmul.accumulating import Accumulating
from verification.formal.matmul.banks import Banks
from verification.formal.matmul.certainty import Certainty
from verification.formal.matmul.dispatching import Dispatching
from verification.formal.matmul.draining import Draining
from verification.formal.matmul.handover import HandOver
from verification.formal.matmul.reading import ReadingActivations, ReadingTiles, ReadingWords
from verification.formal.matmul.writing import Writing

CLAIMS = [
    *(Dispatching, HandOver, Certainty, Banks, Accumulating, Draining),
    *(ReadingActivations, ReadingWords, ReadingTiles, Writing),
]


def each(name):
    """Parameters: every class of claims with each entry of its attribute `name`."""
    return [
        pytest.param(claims, entry, id=f"{claims.__name__}-{entry}")
        for claims in CLAIMS
        for entry in getattr(claims, name)
    ]


@pytest.mark.parametrize("claims", CLAIMS)
def test_claims_hold(claims):
    prove(claims(), depth=claims.DEPTH)


@pytest.mark.parametrize("claims, output", each("COVERED"))
def test_they_are_about_something(claims, output):
    reach(claims(), output, depth=claims.COVERED[output])


@pytest.mark.parametrize("claims, bug", each("BUGS"))
def test_bugs_are_found(claims, bug):
    with pytest.raises(Refuted):
        hold(claims(bug=bug), depth=claims.SEARCH)
