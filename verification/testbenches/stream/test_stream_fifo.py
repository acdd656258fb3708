# SPDX-License-Identifier: Apache-2.0
"""StreamFifo in Verilog: items under every mixture of pauses, and a clear in the middle of the traffic."""

import cocotb
import pytest
from amaranth.hdl import signed
from amaranth.lib import data
from cocotb.triggers import ClockCycles, RisingEdge

from tepin.stream import StreamFifo
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import StreamSink, StreamSource, check_streams, start

WIDTH = 12
LAYOUT = data.StructLayout({"low": 5, "high": signed(WIDTH - 5)})


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_stream_fifo(depth):
    dut = StreamFifo(shape=LAYOUT, depth=depth)
    run_cocotb(dut, top="stream_fifo", test_module=__name__, parameters={"depth": depth})


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source_pause=[0.0, 0.6], sink_pause=[0.0, 0.6])
async def order_is_kept(dut, source_pause, sink_pause):
    """What goes in comes out, in order; while nothing pauses, at one item per cycle."""
    await start(dut)
    checkers = check_streams(dut)
    source = StreamSource(dut, "i", pause=source_pause)
    sink = StreamSink(dut, "o", pause=sink_pause)
    items = [int(item) for item in options.generator("order").integers(1 << WIDTH, size=300)]
    source.send(items)
    begin = cocotb.utils.get_sim_time("ns")
    assert await sink.receive(len(items)) == items
    cycles = (cocotb.utils.get_sim_time("ns") - begin) / 10
    assert sink.waiting() == 0
    assert checkers["i"].transfers == checkers["o"].transfers == len(items)
    if source_pause == sink_pause == 0.0:
        assert cycles <= len(items) * (2 if parameters()["depth"] == 1 else 1) + 8


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def structures_pass(dut):
    """Drivers that are told the shape take and give items of it."""
    await start(dut)
    source = StreamSource(dut, "i", shape=LAYOUT)
    sink = StreamSink(dut, "o", shape=LAYOUT)
    source.send([{"low": 31, "high": -64}, {"low": 0, "high": 63}])
    first, second = await sink.receive(2)
    assert (first.low, first.high, second.low, second.high) == (31, -64, 0, 63)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def signed_integers_pass(dut):
    await start(dut)
    source = StreamSource(dut, "i", shape=signed(WIDTH))
    sink = StreamSink(dut, "o", shape=signed(WIDTH), pause=0.5)
    items = [-1, 0, 5, -(1 << WIDTH - 1), (1 << WIDTH - 1) - 1]
    source.send(items)
    assert await sink.receive(len(items)) == items


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def level_counts_items(dut):
    """With a sink that never takes, the queue fills to its depth and refuses the next item."""
    await start(dut)
    depth = parameters()["depth"]
    source = StreamSource(dut, "i")
    sink = StreamSink(dut, "o", pause=1.0)
    source.send(range(depth + 3))
    await ClockCycles(dut.clk, 3 * depth + 8)
    assert int(dut.level.value) == depth
    assert dut.i__ready.value == 0
    sink.pause = 0.0
    assert await sink.receive(depth + 3) == list(range(depth + 3))
    await ClockCycles(dut.clk, 2)
    assert int(dut.level.value) == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def clear_drops_everything(dut):
    """After a clear the queue is empty, and the next item out is the next one that went in."""
    await start(dut)
    check_streams(dut, unless={"o": dut.clear})
    source = StreamSource(dut, "i", pause=0.3)
    sink = StreamSink(dut, "o", pause=1.0)
    depth = parameters()["depth"]
    for turn in range(20):
        source.send(turn * depth + i for i in range(turn % depth + 1))
        await source.drained()
        dut.clear.value = 1
        await RisingEdge(dut.clk)
        dut.clear.value = 0
        await ClockCycles(dut.clk, 1 + turn % 4)
        assert dut.level.value == 0 and dut.o__valid.value == 0
    sink.pause = 0.0
    source.send([99, 7])
    assert await sink.receive(2) == [99, 7]
