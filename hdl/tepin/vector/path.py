# SPDX-License-Identifier: Apache-2.0
"""What travels beside the data: for every beat in the lanes, which lanes it uses and whether its row ends."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tepin.vector.walk import beat_layout

__all__ = ["BeatDelay", "BeatPath"]


class BeatDelay(wiring.Component):
    """Delays beats by a fixed number of cycles, at least 1."""

    def __init__(self, *, lanes, latency):
        self._lanes = lanes
        self._latency = latency
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(beat_layout(lanes)),
                "o_valid": Out(1),
                "o": Out(beat_layout(lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        valid, beat = self.i_valid, self.i
        for cycle in range(self._latency):
            valid_before, beat_before = valid, beat
            valid = Signal(name=f"valid_{cycle}")
            beat = Signal(beat_layout(self._lanes), name=f"beat_{cycle}")
            m.d.sync += [valid.eq(valid_before), beat.eq(beat_before)]
        m.d.comb += [self.o_valid.eq(valid), self.o.eq(beat)]
        return m


class BeatPath(wiring.Component):
    """Delays beats by as many cycles as the function of the present command takes.

    A row of registers with a fixed end; a beat enters as far from the end as its function is long. So the registers also
    tell which beats are a given number of cycles from their result.

    Parameters
    ----------
    lanes : int
    longest : int
        Largest latency.
    tap : int
        Cycles, below `longest`.

    Members
    -------
    latency : In
        Of the present command; changes only while there are no beats under way.
    i_valid, i : In
        A beat.
    tap_valid, tap_last : Out
        A beat is `tap` cycles from its result; and it ends its row.
    o_valid, o : Out
        A beat `latency` + 1 cycles after it came: the result is in the output register of the lanes.
    """

    def __init__(self, *, lanes, longest, tap):
        self._lanes = lanes
        self._longest = longest
        self._tap = tap
        super().__init__(
            {
                "latency": In(range(longest + 1)),
                "i_valid": In(1),
                "i": In(beat_layout(lanes)),
                "tap_valid": Out(1),
                "tap_last": Out(1),
                "o_valid": Out(1),
                "o": Out(beat_layout(lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Registers by the number of cycles that are left.
        beats = [Signal(beat_layout(self._lanes), name=f"beat_{left}") for left in range(self._longest)]
        valids = [Signal(name=f"valid_{left}") for left in range(self._longest)]
        stages = [(self.o_valid, self.o), *zip(valids, beats, strict=True)]
        for left, (valid, beat) in enumerate(stages):
            enters = self.latency == left
            if left < self._longest:
                valid_before, beat_before = stages[left + 1]
                m.d.sync += valid.eq((self.i_valid & enters) | valid_before)
                m.d.sync += beat.eq(Mux(enters, self.i.as_value(), beat_before.as_value()))
            else:
                m.d.sync += [valid.eq(self.i_valid & enters), beat.eq(self.i)]
        m.d.comb += [self.tap_valid.eq(valids[self._tap]), self.tap_last.eq(beats[self._tap].last)]
        return m
