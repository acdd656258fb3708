# SPDX-License-Identifier: Apache-2.0
"""The prover proves what is true, refutes what is false, and says so when it can do neither."""

import re
from pathlib import Path

import pytest
from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from tepin_testbench.formal import Refuted, hold, prove, reach


class Counter(Component):
    """Counts by two up to a limit, from `init` on."""

    enable: In(1)
    three: Out(1)
    eight: Out(1)

    def __init__(self, claim, *, assume=None, init=0):
        self._claim, self._assume, self._init = claim, assume, init
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        count = Signal(5, init=self._init)
        with m.If(self.enable & (count < 16)):
            m.d.sync += count.eq(count + 2)
        m.d.comb += [
            self.three.eq(count == 3),
            self.eight.eq(count == 8),
            Assert(self._claim(count)),
        ]
        if self._assume:
            m.d.comb += Assume(self._assume(self))
        return m


def test_true_by_induction():
    prove(Counter(lambda count: ~count[0] & (count <= 16)), depth=3)


class Late(Component):
    """Two registers that are never equal, and the claim that they were not some cycles ago."""

    enable: In(1)

    def elaborate(self, platform):
        m = Module()
        x, y, equal = Signal(), Signal(init=1), Signal(4)
        with m.If(self.enable):
            m.d.sync += [x.eq(~x), y.eq(~y)]
        m.d.sync += equal.eq(equal << 1 | (x == y))
        m.d.comb += Assert(~equal[-1])
        return m


def test_true_but_not_by_induction_over_so_few_cycles():
    with pytest.raises(RuntimeError, match="no proof by induction over 3 cycles"):
        prove(Late(), depth=3)


def test_false_after_some_cycles():
    with pytest.raises(Refuted, match="enable"):
        prove(Counter(lambda count: count != 8), depth=6)


def test_false_beyond_the_cycles_that_count():
    hold(Counter(lambda count: count != 8), depth=4)
    with pytest.raises(Refuted, match=r"test_formal.py:\d+ can fail"):
        hold(Counter(lambda count: count != 8), depth=5)


class Several(Component):
    """Claims about different registers, of which one is false."""

    value: In(4)

    def __init__(self, wrong):
        self._wrong = wrong
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        one, sum_ = Signal(4), Signal(4)
        m.d.sync += [one.eq(self.value >> 1), sum_.eq(sum_ + one[:3])]
        m.d.comb += [
            Assert(one < (1 if self._wrong == "first" else 8)),
            Assert((one ^ sum_) != (9 if self._wrong == "second" else 32)),
            Assert(sum_ != (5 if self._wrong == "third" else 32)),
        ]
        return m


@pytest.mark.parametrize("wrong", ["first", "second", "third"])
def test_the_false_one_is_named(wrong):
    with pytest.raises(Refuted) as refuted:
        hold(Several(wrong), depth=6)
    place = int(re.match(r"test_formal.py:(\d+) can fail", str(refuted.value))[1])
    assert f'self._wrong == "{wrong}"' in Path(__file__).read_text().splitlines()[place - 1]


def test_assumptions_count():
    prove(Counter(lambda count: count == 0, assume=lambda dut: ~dut.enable), depth=2)


def test_registers_begin_with_their_initial_values():
    with pytest.raises(Refuted):
        prove(Counter(lambda count: ~count[0], init=1), depth=1)


def test_reach():
    reach(Counter(lambda count: 1), "eight", depth=6)
    with pytest.raises(RuntimeError, match="three is never high in the first 6 cycles"):
        reach(Counter(lambda count: 1), "three", depth=6)
    with pytest.raises(RuntimeError, match="eight is never high in the first 4 cycles"):
        reach(Counter(lambda count: 1), "eight", depth=4)


class Part(Component):
    """Two claims: that a number is not the first of two others, and that it is not the second."""

    number: In(4)

    def __init__(self, first, second):
        self._first, self._second = first, second
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.comb += Assert(self.number != self._first)
        m.d.comb += Assert(self.number != self._second)
        return m


class Parts(Component):
    """Two parts with four claims, of which one fails."""

    number: In(4)

    def __init__(self, number):
        self._number = number
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.one, m.submodules.other = parts = Part(9, 12), Part(14, 11)
        m.d.comb += [part.number.eq(self.number) for part in parts]
        m.d.comb += Assume(self.number == self._number)
        return m


@pytest.mark.parametrize("number, claim", [(9, "first"), (12, "second"), (14, "first"), (11, "second")])
def test_the_claim_that_fails_is_named(number, claim):
    with pytest.raises(Refuted) as refuted:
        hold(Parts(number), depth=1)
    place = re.match(r"test_formal\.py:(\d+) can fail", str(refuted.value))
    source = Path(__file__).read_text().splitlines()[int(place[1]) - 1]
    assert f"self._{claim}" in source
    assert f"number  {number:x}" in str(refuted.value)
