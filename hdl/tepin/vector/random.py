# SPDX-License-Identifier: Apache-2.0
"""Random numbers: Threefry-2x32 with 13 rounds, one step per cycle.

Threefry (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011) is a function of a key and a
counter made of additions, rotations and exclusive-ors: no multiplier and no state to keep. All lanes go through the steps
together, so one `RandomSequencer` serves them; every lane has a `RandomLane` with its own two words.
"""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RandomLane", "RandomSequencer", "RandomStep"]

_ROUNDS = 13
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA


class StepKind(enum.Enum, shape=2):
    """What happens to the pair of words."""

    IDLE = 0
    LOAD = 1  # the counter: words (counter + index, 0)
    INJECT = 2  # add key words
    ROUND = 3  # add, rotate, exclusive-or


class RandomStep(data.Struct):
    """A step; `number` is that of the key injection, 0 to 3, or selects the rotation of a round, 0 to 7.

    `injection` is the number of the next key injection, if this step is none itself.
    """

    kind: StepKind
    number: 3
    injection: 2


def _schedule():
    """(kind, number, injection) of every step: a key injection at first, and after every four rounds."""
    steps = [(StepKind.LOAD, 0, 0), (StepKind.INJECT, 0, 0)]
    for number in range(_ROUNDS):
        injection = number // 4 + 1
        steps.append((StepKind.ROUND, number % 8, injection % 4))
        if number % 4 == 3:
            steps.append((StepKind.INJECT, injection, injection))
    return steps


class RandomSequencer(wiring.Component):
    """Steps through the generation of one word per lane.

    Members
    -------
    start : In(1)
        Begin; the first step is done in the next cycle but one. Has no effect while `busy`.
    busy : Out(1)
        Steps are under way.
    step : Out
    done : Out(1)
        The words are there, in this cycle; low before the next start. Comes `latency` cycles after `start`.
    """

    start: In(1)
    busy: Out(1)
    step: Out(RandomStep)
    done: Out(1)

    @property
    def latency(self):
        """Cycles from `start` to `done`."""
        return len(_schedule()) + 2

    def elaborate(self, platform):
        m = Module()
        schedule = _schedule()
        position = Signal(range(len(schedule)))
        last = Signal()  # step, just done
        m.d.sync += [self.step.kind.eq(StepKind.IDLE), last.eq(0), self.done.eq(last)]
        with m.If(self.busy):
            with m.Switch(position):
                for index, (kind, number, injection) in enumerate(schedule):
                    with m.Case(index):
                        m.d.sync += [
                            self.step.kind.eq(kind),
                            self.step.number.eq(number),
                            self.step.injection.eq(injection),
                        ]
        with m.If(~self.busy):
            m.d.sync += [self.busy.eq(self.start), position.eq(0)]
        with m.Elif(position == len(schedule) - 1):
            m.d.sync += [self.busy.eq(0), last.eq(1)]
        with m.Else():
            m.d.sync += position.eq(position + 1)
        return m


class RandomLane(wiring.Component):
    """The two words of one lane. Costs two 32-bit adders and a rotator of eight distances.

    Members
    -------
    step : In
    key : In, two words
    counter, index : In(32)
        The first word of the counter is their sum; the second one is zero. All inputs stay until the last step.
    o : Out(32)
        First word of the result, valid when the sequencer is done.
    """

    step: In(RandomStep)
    key: In(data.ArrayLayout(32, 2))
    counter: In(32)
    index: In(32)
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        x1 = Signal(32, reset_less=True)
        step = self.step
        keys = [self.key[0], self.key[1], self.key[0] ^ self.key[1] ^ Const(_PARITY, 32)]
        injections = range(_ROUNDS // 4 + 1)
        key0 = Array(keys[number % 3] for number in injections)[step.number[:2]]
        # What the next injection adds to the second word is known a step before.
        increment = Signal(32, reset_less=True)
        seconds = [(keys[(number + 1) % 3] + number)[:32] for number in injections]
        m.d.sync += increment.eq(Array(seconds)[step.injection])

        # In every step the first word becomes a sum; only what is added differs.
        load, inject = step.kind == StepKind.LOAD, step.kind == StepKind.INJECT
        total = Signal(32)
        m.d.comb += total.eq(Mux(load, self.counter, self.o) + Mux(load, self.index, Mux(inject, key0, x1)))
        rotated = Signal(32)
        with m.Switch(step.number):
            for number, distance in enumerate(_ROTATIONS):
                with m.Case(number):
                    m.d.comb += rotated.eq(x1.rotate_left(distance))
        with m.If(step.kind != StepKind.IDLE):
            m.d.sync += self.o.eq(total)
        with m.Switch(step.kind):
            with m.Case(StepKind.LOAD):
                m.d.sync += x1.eq(0)
            with m.Case(StepKind.INJECT):
                m.d.sync += x1.eq(x1 + increment)
            with m.Case(StepKind.ROUND):
                m.d.sync += x1.eq(rotated ^ total)
        return m
