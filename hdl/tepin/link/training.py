# SPDX-License-Identifier: Apache-2.0
"""Training: the pattern that tells lanes apart, and the search for it on lanes in any order, polarity and skew.

Each lane repeats 16 bits of its own, two per beat:

    0 1 1 1 1 1 1 0   a a' b b' c c'   f f'

Nothing else in it has six equal bits in a row. cba is the number of the lane and a' is not a, and so on; f says that
the sender has locked on to what it receives. Inverted, no pattern is that of any lane.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

__all__ = ["Aligner", "LANES", "PATTERN_BEATS", "PatternGenerator", "Trainer", "pattern_bits"]

LANES = (1, 2, 4, 8)
"""How many lanes there may be."""

PATTERN_BEATS = 8
"""Beats after which the pattern repeats."""

MAX_DELAY = 7
"""Bits by which the earliest lane may come before the latest one."""

_MARKER = (0, 1, 1, 1, 1, 1, 1, 0)
_LOOKS = 64  # beats that a lane gets


def pattern_bits(lane, locked):
    """The 16 bits of a lane, first one first."""
    bits = list(_MARKER)
    for bit in (lane & 1, lane >> 1 & 1, lane >> 2 & 1, int(locked)):
        bits += [bit, 1 - bit]
    return bits


class PatternGenerator(Component):
    """The pattern of all lanes, beat by beat.

    Parameters
    ----------
    lanes : int

    Members
    -------
    beat : In(3)
        Which of the eight beats.
    locked : In(1)
    data : Out(2 * lanes)
        First bits of all lanes, then second bits.
    """

    def __init__(self, *, lanes):
        self._lanes = lanes
        super().__init__({"beat": In(3), "locked": In(1), "data": Out(2 * lanes)})

    def elaborate(self, platform):
        m = Module()
        tables = [[pattern_bits(lane, locked) for locked in (0, 1)] for lane in range(self._lanes)]
        with m.Switch(self.beat):
            for beat in range(PATTERN_BEATS):
                with m.Case(beat):
                    for half in (0, 1):
                        for lane, (unlocked, locked) in enumerate(tables):
                            low, high = unlocked[2 * beat + half], locked[2 * beat + half]
                            value = Const(low, 1) if low == high else self.locked ^ low
                            m.d.comb += self.data[half * self._lanes + lane].eq(value)
        return m


class Trainer(Component):
    """Finds order, polarity and skew of the lanes.

    One detector goes from lane to lane. On each it waits until it has seen the pattern twice in a row, which tells
    where the lane belongs and when, modulo 16 bits, its pattern ends. A first round over all lanes finds the latest
    of them; a second one sets each lane's delay to what it is early by. Then every lane must have been found once and
    no delay exceed `MAX_DELAY`, or it all begins again. This takes 8 to 16 beats per lane and round, and more if
    there are errors.

    Cost: one detector of 17 bits for all lanes, and 7 or 8 bits of settings per lane.

    Parameters
    ----------
    lanes : int

    Members
    -------
    restart : In(1)
        Training begins anew.
    data : In(2 * lanes), valid : In(1)
        Beats as they come from the pins: first bits of all lanes, then second bits.
    locked : Out(1)
        The settings are right.
    peer_locked : Out(1)
        The pattern has been seen with that bit set, since `locked`.
    source : Out(...) * lanes
        On which pins the lane is.
    inverted : Out(1) * lanes
    delay : Out(range(8)) * lanes
        Bits by which the lane has to be delayed.
    unit_end : Out(1)
        That is the beat that completes a unit, at the output of the `Aligner`.
    """

    def __init__(self, *, lanes):
        self._lanes = lanes
        super().__init__(
            {
                "restart": In(1),
                "data": In(2 * lanes),
                "valid": In(1),
                "locked": Out(1),
                "peer_locked": Out(1),
                "source": Out(range(max(lanes, 2))).array(lanes),
                "inverted": Out(1).array(lanes),
                "delay": Out(range(MAX_DELAY + 1)).array(lanes),
                "unit_end": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self._lanes
        lane = Signal(range(max(lanes, 2)))  # pins that are being looked at
        beat = Signal(range(PATTERN_BEATS))  # time, modulo the pattern

        # The last 17 bits of that lane, the newest one lowest, beside the beat of the newest.
        pair = Signal(2)
        window = Signal(17)
        pairs = [Cat(self.data[lanes + index], self.data[index]) for index in range(lanes)]
        with m.If(self.valid):
            m.d.sync += [beat.eq(beat + 1), pair.eq(_select(pairs, lane)), window.eq(Cat(pair, window))]

        # A pattern ends with the newest bit, or with the one before.
        found, late, detail = Signal(), Signal(), Signal(5)
        for offset in (1, 0):
            bits = [window[offset + 15 - index] for index in range(16)]
            inverted = bits[0]
            marker = Cat(bit ^ inverted ^ want for bit, want in zip(bits[:8], _MARKER, strict=True)) == 0
            complements = Cat(bits[8 + 2 * index] ^ bits[9 + 2 * index] for index in range(4)).all()
            identity = Cat(bits[8 + 2 * index] ^ inverted for index in range(4))
            with m.If(marker & complements):
                m.d.comb += [found.eq(1), late.eq(offset == 0), detail.eq(Cat(identity, inverted))]
        place = Cat(late, beat)  # when it ended, in bits
        number, locked_there, inverted = detail[:3], detail[3], detail[4]
        exists = Const(1) if lanes == 8 else number < lanes

        # The same pattern at the same place in the last period.
        seen, age = Signal(), Signal(range(PATTERN_BEATS))
        seen_place, seen_detail = Signal(4), Signal(5)
        confirmed = Signal()
        m.d.comb += confirmed.eq(
            self.valid
            & found
            & exists
            & seen
            & (seen_place == place)
            & (Cat(seen_detail[:3], seen_detail[4]) == Cat(number, inverted))
        )
        looks = Signal(range(_LOOKS))
        next_lane = Signal()
        with m.If(self.valid):
            m.d.sync += [looks.eq(looks + 1), age.eq(age + 1)]
            with m.If(found):
                m.d.sync += [seen.eq(1), seen_place.eq(place), seen_detail.eq(detail), age.eq(0)]
            with m.Elif(age == PATTERN_BEATS - 1):
                m.d.sync += seen.eq(0)

        # Rounds: the first one finds `latest`, the second one uses it.
        second = Signal()
        failed = Signal()
        lanes_found = Signal(lanes)
        latest = Signal(4)
        later_by, delay = Signal(4), Signal(4)
        latest_so_far = Signal(4)
        give_up = Signal()
        m.d.comb += [
            later_by.eq(place - latest),
            delay.eq(latest - place),
            latest_so_far.eq(Mux((lane == 0) | ~later_by[-1], place, latest)),
            give_up.eq(self.valid & looks.all()),
            next_lane.eq(~self.locked & (confirmed | give_up)),
        ]
        last = lane == lanes - 1
        with m.If(self.restart):
            m.d.sync += [
                lane.eq(0), second.eq(0), failed.eq(0), lanes_found.eq(0), looks.eq(0), seen.eq(0),
                self.locked.eq(0), self.peer_locked.eq(0),
            ]  # fmt: skip
        with m.Elif(self.locked):
            with m.If(confirmed & locked_there):
                m.d.sync += self.peer_locked.eq(1)
        with m.Elif(next_lane):
            m.d.sync += [lane.eq(Mux(last, 0, lane + 1)), looks.eq(0), seen.eq(0)]
            with m.If(confirmed):
                with m.If(~second):
                    m.d.sync += latest.eq(latest_so_far)
                with m.If(second):
                    with m.Switch(number):
                        for index in range(lanes):
                            with m.Case(index):
                                m.d.sync += [
                                    self.source[index].eq(lane),
                                    self.inverted[index].eq(inverted),
                                    self.delay[index].eq(delay),
                                    lanes_found[index].eq(1),
                                ]
            bad = failed | ~confirmed | (second & (delay > MAX_DELAY))
            m.d.sync += failed.eq(bad)
            with m.If(last):
                m.d.sync += failed.eq(0)
                with m.If(bad | second):
                    m.d.sync += second.eq(0)
                with m.Else():
                    # Pairs begin with the first bit of a beat, so what ends one ends with the second.
                    m.d.sync += [second.eq(1), latest.eq(latest_so_far | 1), lanes_found.eq(0)]
                with m.If(second & ~bad):
                    everyone = lanes_found | Cat(number == index for index in range(lanes))
                    m.d.sync += self.locked.eq(everyone.all())

        unit_beats = PATTERN_BEATS // lanes
        if unit_beats == 1:
            m.d.comb += self.unit_end.eq(1)
        else:
            # `beat` is that of the beat at the pins, two later than when the detector sees it; the Aligner takes a cycle.
            step = (unit_beats - 1).bit_length()
            m.d.sync += self.unit_end.eq((beat + 2 - latest[1:])[:step] == 0)
        return m


class Aligner(Component):
    """Puts lanes right: order, polarity, skew.

    Latency: 1 cycle, and a beat for two bits of delay. Cost: per lane, 2 multiplexers over the lanes,
    6 two-way ones and 9 flip-flops.

    Parameters
    ----------
    lanes : int

    Members
    -------
    data : In(2 * lanes), valid : In(1)
        Beats as they come.
    source, inverted, delay : In
        From the `Trainer`.
    o : Out(2 * lanes), o_valid : Out(1)
        Beats as they were sent.
    """

    def __init__(self, *, lanes):
        self._lanes = lanes
        super().__init__(
            {
                "data": In(2 * lanes),
                "valid": In(1),
                "source": In(range(max(lanes, 2))).array(lanes),
                "inverted": In(1).array(lanes),
                "delay": In(range(MAX_DELAY + 1)).array(lanes),
                "o": Out(2 * lanes),
                "o_valid": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self._lanes
        m.d.sync += self.o_valid.eq(self.valid)
        # The newer bit of each lane lowest.
        pairs = [Cat(self.data[lanes + index], self.data[index]) for index in range(lanes)]
        for lane in range(lanes):
            delayed = _select(pairs, self.source[lane]) ^ self.inverted[lane].replicate(2)
            # Four bits later or not, then two, then one.
            for bit in (2, 1, 0):
                earlier = Signal(1 << bit, name=f"earlier{lane}_{bit}")
                bits = Cat(delayed, earlier)
                with m.If(self.valid):
                    m.d.sync += earlier.eq(bits)
                delayed = Mux(self.delay[lane][bit], bits[1 << bit :], delayed)
            with m.If(self.valid):
                m.d.sync += Cat(self.o[lanes + lane], self.o[lane]).eq(delayed)
        return m


def _select(values, index):
    """One of several values, a power of two of them, by a tree of two-way multiplexers: an FPGA has those beside its LUTs."""
    bit = 0
    while len(values) > 1:
        values = [Mux(index[bit], high, low) for low, high in zip(values[::2], values[1::2], strict=True)]
        bit += 1
    return values[0]
