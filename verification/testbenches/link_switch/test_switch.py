# SPDX-License-Identifier: Apache-2.0
"""Switches in Verilog: every word goes where it says, once, and in the order of its pair; nobody waits for long."""

import cocotb
import pytest
from cocotb.triggers import ClockCycles

from tepin.link.switch import Switch, switch_word
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import StreamSink, StreamSource, check_streams, start

WIDTH = 64


@pytest.mark.parametrize("ports, depth", [(4, 16), (3, 4)])
def test_switch(ports, depth):
    run_cocotb(
        Switch(ports=ports, word_bits=WIDTH, depth=depth),
        top="switch",
        test_module=__name__,
        parameters={"ports": ports, "depth": depth},
    )


class Bench:
    """Drivers on all ports. A word says where it comes from and which of that pair it is."""

    def __init__(self, dut):
        self.dut, self.ports = dut, parameters()["ports"]

    async def start(self, *, source_pause=0.0, sink_pause=0.0):
        await start(self.dut)
        self.checkers = check_streams(self.dut)
        shape = switch_word(self.ports, WIDTH)
        self.sources = [
            StreamSource(self.dut, f"i__{port}", shape=shape, pause=source_pause)
            for port in range(self.ports)
        ]
        self.sinks = [
            StreamSink(self.dut, f"o__{port}", shape=shape, pause=sink_pause) for port in range(self.ports)
        ]
        self.sent = {}

    def send(self, source, targets):
        """A word from one port to each of `targets`."""
        for target in targets:
            pair = self.sent.setdefault((source, target), [])
            pair.append(source << 32 | target << 16 | len(pair))
            self.sources[source].send([{"word": pair[-1], "port": target}])

    async def receive(self):
        """Everything that has been sent, checked."""
        for target, sink in enumerate(self.sinks):
            expected = {source: words for (source, other), words in self.sent.items() if other == target}
            received = {source: [] for source in expected}
            for item in await sink.receive(sum(map(len, expected.values()))):
                received[int(item["port"])].append(int(item["word"]))
            assert received == expected, f"words to port {target}"
        await ClockCycles(self.dut.clk, 30)
        assert not any(sink.waiting() for sink in self.sinks)
        self.sent = {}


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(source_pause=[0.0, 0.5], sink_pause=[0.0, 0.5])
async def words_from_all_to_all(dut, source_pause, sink_pause):
    rng = options.generator("targets")
    bench = Bench(dut)
    await bench.start(source_pause=source_pause, sink_pause=sink_pause)
    for source in range(bench.ports):
        bench.send(source, rng.integers(bench.ports, size=250).tolist())
    await bench.receive()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_word_per_cycle_and_port(dut):
    """As long as nobody sends to the same port as another one, in whatever order."""
    bench = Bench(dut)
    await bench.start()
    for shift in range(bench.ports):
        for source in range(bench.ports):
            bench.send(source, [(source + shift) % bench.ports] * 100)
        checker = bench.checkers[f"o__{bench.ports - 1}"]
        before = checker.transfers
        await ClockCycles(dut.clk, 10)
        first = checker.transfers
        await ClockCycles(dut.clk, 80)
        assert first > before and checker.transfers == first + 80
        await bench.receive()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latency(dut):
    bench = Bench(dut)
    await bench.start()
    bench.send(1, [0])
    while not bench.checkers["i__1"].transfers:
        await ClockCycles(dut.clk, 1)
    cycles = 1
    while dut.o__0__valid.value != 1:
        await ClockCycles(dut.clk, 1)
        cycles += 1
    # The checker counts a transfer at the end of its cycle, and sees it an instant later.
    assert cycles in (4, 5), cycles
    await bench.receive()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def all_to_one_is_fair(dut):
    """Who wants the same output gets as much of it as the others."""
    bench = Bench(dut)
    await bench.start()
    for source in range(bench.ports):
        bench.send(source, [1] * 90)
    items = await bench.sinks[1].receive(30 * bench.ports)
    shares = [sum(int(item["port"]) == source for item in items) for source in range(bench.ports)]
    assert max(shares) - min(shares) <= 2, shares
    for source in range(bench.ports):
        del bench.sent[source, 1][: shares[source]]
    await bench.receive()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_output_that_takes_nothing(dut):
    """It fills its queues; inputs that send elsewhere go on."""
    bench = Bench(dut)
    await bench.start()
    bench.sinks[0].pause = 1.0
    bench.send(0, [0] * 100)
    bench.send(1, [2] * 50)
    await ClockCycles(dut.clk, 150)
    assert bench.sinks[2].waiting() == 50
    assert bench.checkers["i__0"].transfers == parameters()["depth"] + 4  # its queue, and two at each end
    bench.sinks[0].pause = 0.0
    await bench.receive()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_port_that_does_not_exist(dut):
    """Its words are dropped and reported; with a power of two there is none."""
    bench = Bench(dut)
    await bench.start()
    bench.send(2, [0, 1])
    if bench.ports == 3:
        bench.sources[2].send([{"word": 1, "port": 3}])
    bench.send(2, [0, 1])
    refused = 0
    for _ in range(40):
        await ClockCycles(dut.clk, 1)
        refused += int(dut.refused.value) >> 2 & 1
        assert int(dut.refused.value) & 3 == 0
    assert refused == (1 if bench.ports == 3 else 0)
    await bench.receive()
