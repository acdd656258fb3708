# SPDX-License-Identifier: Apache-2.0
"""Two links as one design, and lines between them in Python that know lanes and bits, but no frames."""

from collections import deque

import cocotb
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from cocotb.triggers import ClockCycles, RisingEdge

from tepin.link.serial_link import LineSignature, SerialLink, StatusSignature
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import StreamSink, StreamSource, check_streams, start

SETTINGS = {"lanes": 8, "word_bits": 64}
DOWN_UNITS = 1500  # soon enough for a simulation, and later than a lane that is stuck for 1000 cycles


class LinkPair(wiring.Component):
    """Sides a and b, whose lines are ports: the bench connects them.

    Members
    -------
    i_a, i_b : In streams of words
    o_a, o_b : Out streams of words
    tx_a, tx_b, rx_a, rx_b
        As of `SerialLink`.
    status_a, status_b : Out(StatusSignature())
    reset_a, reset_b : In(1)
        Resets that side alone.
    """

    def __init__(self, **settings):
        self._links = {side: SerialLink(**settings) for side in "ab"}
        lanes, word = self._links["a"].lanes, stream.Signature(self._links["a"].word_bits)
        members = {}
        for side in "ab":
            members |= {
                f"i_{side}": In(word),
                f"o_{side}": Out(word),
                f"tx_{side}": Out(LineSignature(lanes)),
                f"rx_{side}": In(LineSignature(lanes)),
                f"status_{side}": Out(StatusSignature()),
                f"reset_{side}": In(1),
            }
        super().__init__(members)

    def elaborate(self, platform):
        from amaranth.hdl import ResetInserter

        m = Module()
        for side, link in self._links.items():
            m.submodules[side] = ResetInserter(getattr(self, f"reset_{side}"))(link)
            for name in ("i", "o", "tx", "rx", "status"):
                wiring.connect(m, wiring.flipped(getattr(self, f"{name}_{side}")), getattr(link, name))
        return m


def run(test_module, *, test_filter=None, **settings):
    """Runs the cocotb tests of a module on two links."""
    settings = {**SETTINGS, **settings}
    settings.setdefault("down_cycles", DOWN_UNITS * 8 // settings["lanes"])
    run_cocotb(
        LinkPair(**settings),
        top="link_pair",
        test_module=test_module,
        test_filter=test_filter,
        parameters=settings,
    )


class Line:
    """From one side to the other. All that happens to bits is decided by the beat.

    Attributes
    ----------
    bit_error_rate : float
    burst : int
        So many of the next beats are noise.
    flip : bool
        One bit of the next beat is wrong.
    stuck : (lane, level) or None
    pulled : bool
        There is no cable: noise without end.
    silent : bool
        No beat comes at all.
    slip : int
        Bits by which all lanes are later than they were at first; may change by one when an edge of the clock is lost.
    """

    def __init__(self, dut, source, destination, *, skew=None, order=None, inverted=None):
        self.lanes = parameters()["lanes"]
        self.bit_error_rate = 0.0
        self.burst = 0
        self.flip = False
        self.stuck = None
        self.pulled = False
        self.silent = False
        self.slip = 8
        self.errors = 0
        self._skew = skew or [0] * self.lanes
        self._order = order or list(range(self.lanes))
        self._inverted = inverted or [0] * self.lanes
        self._plain = not any(self._skew) and self._order == sorted(self._order) and not any(self._inverted)
        self._out, self._in = getattr(dut, f"tx_{source}__data"), getattr(dut, f"rx_{destination}__data")
        self._out_valid = getattr(dut, f"tx_{source}__strobe")
        self._in_valid = getattr(dut, f"rx_{destination}__strobe")
        self._clock = dut.clk
        self._history = deque([0] * 64, maxlen=64)  # levels of all lanes, the newest first
        self._rng = options.generator("line", source)
        self._gap = 0
        cocotb.start_soon(self._run())

    def _next_gap(self):
        return int(self._rng.geometric(self.bit_error_rate)) - 1

    async def _run(self):
        rate = None
        mask = (1 << self.lanes) - 1
        while True:
            await RisingEdge(self._clock)
            if self.silent or self._out_valid.value != 1:
                self._in_valid.value = 0
                continue
            beat = int(self._out.value)
            self._history.appendleft(beat & mask)
            self._history.appendleft(beat >> self.lanes)
            levels = self._straight() if self._plain else self._crossed()
            if rate != self.bit_error_rate:
                rate = self.bit_error_rate
                self._gap = self._next_gap() if rate else 0
            if rate:
                while self._gap < 2 * self.lanes:
                    levels ^= 1 << self._gap
                    self.errors += 1
                    self._gap += 1 + self._next_gap()
                self._gap -= 2 * self.lanes
            if self.flip:
                levels ^= 1
                self.flip = False
            if self.stuck:
                lane, level = self.stuck
                both = (1 | 1 << self.lanes) << lane
                levels = levels | both if level else levels & ~both
            if self.burst or self.pulled:
                self.burst = max(self.burst - 1, 0)
                levels = int(self._rng.integers(1 << 2 * self.lanes))
            self._in.value = levels
            self._in_valid.value = 1

    def _straight(self):
        return self._history[self.slip + 1] | self._history[self.slip] << self.lanes

    def _crossed(self):
        levels = 0
        for half in (0, 1):
            for lane in range(self.lanes):
                past = self._history[self.slip + 1 - half + self._skew[lane]]
                level = (past >> self._order[lane] & 1) ^ self._inverted[lane]
                levels |= level << (half * self.lanes + lane)
        return levels


class Bench:
    """Both sides with drivers on their streams, and the lines."""

    def __init__(self, dut):
        self.dut = dut
        self.clock = dut.clk

    async def start(self, *, source_pause=0.0, sink_pause=0.0, ab=None, ba=None):
        """Ends reset; `ab` and `ba` are arguments of the lines."""
        await start(self.dut)
        self.checkers = check_streams(self.dut)
        self.sources = {side: StreamSource(self.dut, f"i_{side}", pause=source_pause) for side in "ab"}
        self.sinks = {side: StreamSink(self.dut, f"o_{side}", pause=sink_pause) for side in "ab"}
        self.lines = {
            "a": Line(self.dut, "a", "b", **(ab or {})),
            "b": Line(self.dut, "b", "a", **(ba or {})),
        }

    def status(self, side, name):
        return int(getattr(self.dut, f"status_{side}__{name}").value)

    async def until(self, condition, limit=20_000):
        """Waits for a condition, at most so many cycles; returns the cycles."""
        for cycle in range(limit):
            if condition():
                return cycle
            await ClockCycles(self.clock, 1)
        raise AssertionError(f"nothing in {limit} cycles")

    async def up(self, limit=20_000):
        """Waits until both sides are up."""
        return await self.until(lambda: self.status("a", "up") and self.status("b", "up"), limit)

    def words(self, name, count):
        """Random words."""
        width = parameters()["word_bits"] // 8
        noise = options.generator("words", name).bytes(count * width)
        return [
            int.from_bytes(noise[place : place + width], "little") for place in range(0, len(noise), width)
        ]

    async def exchange(self, counts):
        """Sends words from both sides, as many as `counts` says, and checks what comes."""
        words = {side: self.words(side, count) for side, count in zip("ab", counts, strict=True)}
        for side in "ab":
            self.sources[side].send(words[side])
        for side, other in ("ab", "ba"):
            received = await self.sinks[other].receive(len(words[side]))
            assert received == words[side], f"words from {side} to {other} differ"
        await ClockCycles(self.clock, 200)
        assert self.sinks["a"].waiting() == self.sinks["b"].waiting() == 0
