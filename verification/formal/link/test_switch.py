# SPDX-License-Identifier: Apache-2.0
"""Proofs: a switch loses no word. Credits by induction, for runs of any length; the order of words for the first cycles."""

import pytest

from tepin_testbench.formal import Refuted, hold, prove, reach
from verification.formal.link.switch import Credits, Order

CYCLES = 12


def test_a_word_that_leaves_an_input_has_room():
    prove(Credits(), depth=1)


@pytest.mark.parametrize("output", ["full", "waits"])
def test_credits_run_out(output):
    reach(Credits(), output, depth=9)


def test_a_missing_place_is_found():
    with pytest.raises(Refuted):
        prove(Credits(bug=True), depth=9)


def test_words_keep_their_order():
    hold(Order(), depth=CYCLES)


@pytest.mark.parametrize("output", ["delivered", "between"])
def test_words_get_through(output):
    reach(Order(), output, depth=CYCLES)


def test_a_wrong_source_is_found():
    with pytest.raises(Refuted):
        hold(Order(bug=True), depth=CYCLES)
