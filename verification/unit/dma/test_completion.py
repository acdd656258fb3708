# SPDX-License-Identifier: Apache-2.0
"""Completion, IndexReader and the parameters of the DMA engine."""

import re

import pytest

from tepin.dma.axi import AXI4LiteSignature, AXI4Signature
from tepin.dma.completion import Completion
from tepin.dma.engine import DmaEngine
from tepin.dma.index import IndexReader
from tepin.memory.ports import ReadPort
from tepin_testbench.pysim import simulate


def test_signals_in_order(rng):
    """Random commands of 0 to 3 runs: each signals after its runs and those before it, never earlier, in order."""
    dut = Completion(runs=8, depth=4)
    signals, needed, issued_total, done_total = [], [], 0, 0

    async def testbench(ctx):
        nonlocal issued_total, done_total
        commands = [(int(rng.integers(4)), number % 15 + 1) for number in range(120)]
        position, left = 0, commands[0][0]
        for _ in range(3000):
            ready = ctx.get(dut.room)
            issue = enter = False
            if position < len(commands) and ready and rng.random() < 0.6:
                if left == 0 and commands[position][0] == 0:
                    enter = True
                elif left and issued_total - done_total < 8:
                    issue = True
                    enter = left == 1
            ctx.set(dut.accepted, enter)
            ctx.set(dut.issued, issue)
            ctx.set(dut.enter, enter)
            ctx.set(dut.number, commands[position][1] if enter else 0)
            finish = done_total < issued_total and rng.random() < 0.5
            ctx.set(dut.done, finish)
            _, _, valid, number, busy = await ctx.tick().sample(dut.signal_valid, dut.signal, dut.busy)
            if valid:
                assert done_total >= needed[len(signals)]
                signals.append(number)
            assert busy or len(signals) == len(needed)
            issued_total += issue
            done_total += finish
            left -= issue
            if enter:
                needed.append(issued_total)
                position += 1
                left = commands[position][0] if position < len(commands) else 0
        assert signals == [number for _, number in commands]
        assert not ctx.get(dut.busy)

    simulate(dut, testbench)


def test_index_reader(rng):
    """Three clients at once: each gets index * stride in its own order; faults bring the address."""
    dut = IndexReader(line_bytes=16, clients=3)
    memory = [int(value) for value in rng.integers(1 << 32, size=64)]
    requests = [
        [(4 * int(rng.integers(70)), int(rng.integers(1 << 32))) for _ in range(40)] for _ in range(3)
    ]
    answers = [[], [], []]

    def client(number):
        async def run(ctx):
            port = dut.clients[number]
            for address, stride in requests[number]:
                while rng.random() < 0.5:
                    await ctx.tick()
                ctx.set(port.request.payload, {"address": address, "stride": stride})
                ctx.set(port.request.valid, 1)
                await ctx.tick().until(port.request.ready)
                ctx.set(port.request.valid, 0)
            while len(answers[number]) < len(requests[number]):
                await ctx.tick()

        return run

    def monitor(number):
        async def run(ctx):
            port = dut.clients[number]
            on_their_way = 0
            while True:
                _, _, asked, accepted, valid, offset, fault, busy = await ctx.tick().sample(
                    port.request.valid,
                    port.request.ready,
                    port.offset_valid,
                    port.offset,
                    port.fault,
                    port.busy,
                )
                assert busy == (on_their_way > 0)
                on_their_way += (asked and accepted) - valid
                if valid:
                    answers[number].append((offset, fault))

        return run

    async def scratchpad(ctx):
        pipeline = [None] * (ReadPort.LATENCY - 1)
        held = None
        while True:
            ready = rng.random() < 0.6
            ctx.set(dut.read.request.ready, ready)
            _, _, valid, address = await ctx.tick().sample(dut.read.request.valid, dut.read.request.payload)
            assert held is None or (valid and address == held), "a request changed before it was accepted"
            held = address if valid and not ready else None
            pipeline.append(address if valid and ready else None)
            address = pipeline.pop(0)
            ctx.set(dut.read.response_valid, address is not None)
            if address is not None:
                inside = address // 4 < len(memory)
                ctx.set(dut.read.response, memory[address // 4] if inside else 0)
                ctx.set(dut.read.fault, not inside)

    simulate(dut, *map(client, range(3)), background=[*map(monitor, range(3)), scratchpad])
    for wanted, got in zip(requests, answers, strict=True):
        assert got == [
            (memory[address // 4] * stride % (1 << 32), 0) if address // 4 < len(memory) else (address, 1)
            for address, stride in wanted
        ]


GOOD = {
    "data_width": 64,
    "line_bytes": 16,
    "fifo_word_bytes": 16,
    "weight_fifo_bytes": 2048,
    "outstanding": 16,
}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"data_width": 24}, "Data width of the DMA must be 16, 32, 64, 128, 256 or 512, not 24"),
        ({"address_width": 40}, "Address width of the DMA must be 32, not 40"),
        ({"line_bytes": 4}, "Bytes of a scratchpad line must be a power of two, at least 8, not 4"),
        ({"fifo_word_bytes": 12}, "Bytes of a weight FIFO word must be a power of two, at least 8, not 12"),
        ({"weight_fifo_bytes": 32}, "Bytes of the weight FIFO must be a power of two, at least 64, not 32"),
        ({"outstanding": 0}, "Outstanding bursts of the DMA must be 1 to 64, not 0"),
        ({"burst_beats": 512}, "Beats of a burst must be a power of two, 2 to 256, not 512"),
        ({"load_buffer_beats": 8}, "Beats of the load buffer must be a power of two, at least 16, not 8"),
    ],
)
def test_init_wrong_parameter(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        DmaEngine(**{**GOOD, **change})


def test_load_buffer_covers_what_is_in_flight():
    """Unless told otherwise, the buffer holds all bursts in flight, up to 256 beats."""
    assert DmaEngine(**GOOD).load_buffer_beats == 256
    assert DmaEngine(**{**GOOD, "outstanding": 3}).load_buffer_beats == 64


def test_init_wrong_axi():
    with pytest.raises(ValueError, match="^Data width of AXI4-Lite must be 32 or 64, not 16$"):
        AXI4LiteSignature(addr_width=8, data_width=16)
    with pytest.raises(ValueError, match="^Address width of AXI4 must be 12 to 64, not 8$"):
        AXI4Signature(addr_width=8, data_width=32, id_width=1)
    with pytest.raises(TypeError, match="^ID width of AXI4 must be an integer, not '1'$"):
        AXI4Signature(addr_width=32, data_width=32, id_width="1")
