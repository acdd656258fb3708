# SPDX-License-Identifier: Apache-2.0
"""Proofs: a link loses no word, doubles none, changes none and swaps none, and it finds its place again.

By induction over one cycle, so for runs of any length, for the window and the frames of the chip and for small ones. Bugs and
traces are looked for with small ones, from reset.
"""

import pytest

from tepin.link import sender, session
from tepin_testbench.formal import Refuted, prove, reach
from verification.formal.link import in_step, progress, sessions
from verification.formal.link.channel import BUGS, COVERED, Channel
from verification.formal.link.in_step import InStep
from verification.formal.link.pair import CHIP
from verification.formal.link.progress import Progress
from verification.formal.link.recovery import ANSWER_UNITS, CREDIT_UNITS, LONG_RUN, Complaint, Credit, Idles
from verification.formal.link.sessions import LIMIT, Sessions

SMALL = {"window": 4, "frame_words": 4}
LONG = {"window"}  # what it takes a trace of many cycles to see


@pytest.mark.parametrize("size", [SMALL, {"window": 128, "frame_words": 32}], ids=["small", "chip"])
def test_every_word_once_and_in_order(size):
    prove(Channel(**size), depth=1)


@pytest.mark.parametrize("output", COVERED)
def test_it_is_about_something(output):
    reach(Channel(**SMALL), output, depth=COVERED[output])


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=[pytest.mark.slow] if bug in LONG else []) for bug in BUGS]
)
def test_bugs_are_found(bug):
    with pytest.raises(Refuted):
        prove(Channel(**SMALL, bug=bug), depth=25)


def test_idle_units_end_every_search():
    prove(Idles(), depth=1)


def test_one_idle_unit_less_would_not_do():
    reach(Idles(), "late", depth=LONG_RUN + 10)


def test_complaints_are_sent():
    prove(Complaint(), depth=1)
    reach(Complaint(), "long", depth=8)


def test_complaints_may_take_so_long():
    with pytest.raises(RuntimeError, match="no proof"):
        prove(Complaint(limit=ANSWER_UNITS - 1), depth=1)


def test_credit_is_told():
    prove(Credit(), depth=1)
    reach(Credit(), "long", depth=16)


def test_credit_may_take_longer_than_a_frame():
    with pytest.raises(RuntimeError, match="no proof"):
        prove(Credit(limit=CREDIT_UNITS - ANSWER_UNITS), depth=1)


def test_timer_that_is_too_slow_is_found(monkeypatch):
    monkeypatch.setattr(sender, "_REPEAT", 512)
    with pytest.raises(RuntimeError, match="no proof"):
        prove(Credit(), depth=1)


def test_words_move():
    prove(Progress(**CHIP), depth=1)


@pytest.mark.parametrize("output", progress.COVERED)
def test_words_move_after_complaints(output):
    reach(Progress(**SMALL, patience=16), output, depth=progress.COVERED[output])


@pytest.mark.parametrize("bug", progress.BUGS)
def test_bugs_may_stop_words(bug):
    with pytest.raises(RuntimeError, match="no proof"):
        prove(Progress(**CHIP | progress.BUGS[bug]), depth=1)


@pytest.mark.parametrize(
    "size", [SMALL | {"patience": 160}, pytest.param(CHIP, marks=pytest.mark.slow)], ids=["small", "chip"]
)
def test_receivers_get_in_step(size):
    prove(InStep(**size), depth=1)


@pytest.mark.parametrize("output", in_step.COVERED)
def test_receivers_that_were_lost_get_in_step(output):
    reach(InStep(**SMALL, patience=16), output, depth=in_step.COVERED[output])


def test_receivers_that_nobody_hears_stay_lost():
    with pytest.raises(RuntimeError, match="no proof"):
        prove(InStep(**SMALL, patience=160, bug="deaf"), depth=1)


def test_senders_that_answer_with_one_idle_unit_less_are_found(monkeypatch):
    monkeypatch.setattr(sender, "HUNT_IDLES", 3)
    with pytest.raises(RuntimeError, match="no proof"):
        prove(InStep(**SMALL, patience=160), depth=1)


@pytest.fixture
def short_times(monkeypatch):
    monkeypatch.setattr(session, "_LOCKED_CYCLES", sessions.LOCKED_CYCLES)


@pytest.mark.slow
def test_sessions_come_together(short_times):
    prove(Sessions(), depth=LIMIT + 1)


@pytest.mark.parametrize("output", sessions.COVERED)
def test_sessions_that_were_apart_come_together(short_times, output):
    reach(Sessions(), output, depth=sessions.COVERED[output])


@pytest.mark.slow
def test_sessions_that_hear_something_all_the_time_stay_apart(short_times):
    with pytest.raises(RuntimeError, match="no proof"):
        prove(Sessions(bug="lively"), depth=LIMIT + 1)
