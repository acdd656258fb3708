# SPDX-License-Identifier: Apache-2.0
"""The stream checker and the probing sink find each way of breaking the contract, and do not cry wolf."""

import re

import cocotb
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import enum, stream
from amaranth.lib.wiring import Component, In, Out
from cocotb.triggers import ClockCycles

from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import StreamSink, check_streams, start


class Fault(enum.Enum, shape=2):
    """What is wrong with the stream."""

    NONE = 0
    VALID_FALLS = 1
    PAYLOAD_CHANGES = 2
    VALID_FOLLOWS_READY = 3


MESSAGES = {
    Fault.VALID_FALLS: "valid fell before the item was taken",
    Fault.PAYLOAD_CHANGES: r"the payload went from 0(\d{5}10) to 1\1 before it was taken",
    Fault.VALID_FOLLOWS_READY: r"valid went from ([01]) to (?!\1)[01] when only ready changed",
}


class Counter(Component):
    """Counts on a stream, and breaks the contract in a chosen way at every fourth count."""

    o: Out(stream.Signature(8))
    fault: In(Fault)

    def elaborate(self, platform):
        m = Module()
        count = Signal(8)
        stalled = Signal()
        faulty = Signal()
        m.d.comb += [
            faulty.eq(count[:2] == 2),
            self.o.valid.eq(1),
            self.o.payload.eq(count),
        ]
        m.d.sync += stalled.eq(self.o.valid & ~self.o.ready)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += count.eq(count + 1)
        with m.Switch(self.fault):
            with m.Case(Fault.VALID_FALLS):
                m.d.comb += self.o.valid.eq(~(faulty & stalled))
            with m.Case(Fault.PAYLOAD_CHANGES):
                m.d.comb += self.o.payload[7].eq(faulty & stalled)
            with m.Case(Fault.VALID_FOLLOWS_READY):
                m.d.comb += self.o.valid.eq(~faulty | self.o.ready)
        return m


def test_sound_stream():
    run_cocotb(Counter(), top="counter", test_module=__name__, parameters={"fault": Fault.NONE.value})


@pytest.mark.parametrize("fault", list(MESSAGES), ids=lambda fault: fault.name.lower())
def test_broken_stream(fault, capfd):
    with pytest.raises(AssertionError, match=r"^cocotb on \w+, counter: counts"):
        run_cocotb(Counter(), top="counter", test_module=__name__, parameters={"fault": fault.value})
    assert re.search(f"stream o at [0-9]+ ns: {MESSAGES[fault]}", capfd.readouterr().out)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counts(dut):
    await start(dut)
    dut.fault.value = parameters()["fault"]
    checkers = check_streams(dut)
    assert list(checkers) == ["o"]
    sink = StreamSink(dut, "o", pause=0.7)
    assert await sink.receive(100) == list(range(100))
    # The item after the last may be under way already.
    assert checkers["o"].transfers in (100, 101)
    sink.pause = 0.0
    before = checkers["o"].transfers
    await ClockCycles(dut.clk, 50)
    assert checkers["o"].transfers >= before + 49
