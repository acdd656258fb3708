# SPDX-License-Identifier: Apache-2.0
"""The link engine in Verilog against the functional simulator: every word it sends, every byte it writes."""

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from tepin.config import LINK_BYTES
from tepin.isa import Engine, EngineOp, ErrorCode, LinkFlags, QueueHeader
from tepin.link.engine import LinkEngine
from tepin_host.assembler import Assembler
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from verification.testbenches.link_engine.bench import PAD, Bench, Expected, queue_words

CONFIGS = {"2 links": {"links": 2, "line_bytes": 8}, "5 links": {"links": 5, "line_bytes": 32}}


@pytest.mark.parametrize("name", CONFIGS)
def test_link_engine(name):
    config = CONFIGS[name]
    run_cocotb(
        LinkEngine(**config, scratchpad_bytes=PAD),
        top="link_engine",
        test_module=__name__,
        parameters={"config": config},
    )


@pytest.mark.parametrize("links", [0, 16])
def test_init_wrong_links(links):
    with pytest.raises(ValueError, match=f"links must be 1 to 15, not {links}"):
        LinkEngine(links=links, line_bytes=8, scratchpad_bytes=PAD)


def test_init_wrong_line_bytes():
    with pytest.raises(ValueError, match="line_bytes must be at least 8, not 4"):
        LinkEngine(links=1, line_bytes=4, scratchpad_bytes=PAD)


def random_length(rng):
    return 4 * int(rng.choice([0, 1, 2, 3, 4, 5, rng.integers(40)]))


def random_program(rng, links, count):
    """(assembler, words that come from each port). What is sent is never received into, unless by the command before."""
    a, words = Assembler(), [0] * links
    place, received = PAD // 2, None
    for index in range(count):
        waits = {"wait": int(rng.integers(0, 3)), "signal": index % 15 + 1}
        if rng.random() < 0.1:
            a.nop(Engine.LINK, **waits)
            received = (place, 0)
            continue
        send = receive = None
        follows = received is not None and rng.random() < 0.5
        if follows:
            send = (int(rng.integers(links)), *received)
        elif rng.random() < 0.8:
            send = (int(rng.integers(links)), 4 * int(rng.integers(PAD // 16)), random_length(rng))
        received = None
        if rng.random() < 0.8:
            port, length = int(rng.integers(links)), random_length(rng)
            receive = (port, place, length)
            received = (place, length)
            words[port] += -(-length // LINK_BYTES)
            place += length + 4 * int(rng.integers(3))
        a.exchange(send=send, receive=receive, follows=follows, **waits)
    return a, words


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.3, 0.8], round=[0, 1])
async def random_exchanges(dut, pause, round):
    """Commands of every kind behind each other, and words on every port behind those that belong to them."""
    config, count = parameters()["config"], 60
    rng = options.generator("random exchanges", pause, round)
    a, words = random_program(rng, config["links"], count)
    queue = queue_words(a.assemble())
    a.end()
    incoming = [rng.bytes(LINK_BYTES * (number + 3)) for number in words]
    memory = bytearray(rng.bytes(PAD))
    expected = Expected(a.assemble(), bytes(memory), incoming)
    assert expected.left == [3] * config["links"]
    bench = await Bench.start(dut, memory, config, pause=pause)
    for source, data in zip(bench.sources, incoming, strict=True):
        source.send(np.frombuffer(data, "<u8").tolist())
    bench.commands.send(queue)
    await bench.idle(signals=count)
    assert bench.signals == [index % 15 + 1 for index in range(count)]
    assert bytes(memory) == expected.memory
    await ClockCycles(dut.clk, 50)
    for port, sent in enumerate(expected.sent):
        assert await bench.sinks[port].receive(len(sent)) == sent
        assert bench.checkers[f"o__{port}"].transfers == len(sent)
        assert bench.checkers[f"i__{port}"].transfers == words[port]


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def what_is_signalled_is_there(dut):
    """When a command signals, it has written all that it receives, and all that it sends has left."""
    config = parameters()["config"]
    rng = options.generator("signals")
    memory, a = bytearray(PAD), Assembler()
    for index in range(8):
        a.exchange(send=(0, 0, 72), receive=(1, 1024 + 64 * index, 60), signal=1)
    bench = await Bench.start(dut, memory, config, pause=0.4)

    def check(index):
        end = 1024 + 64 * index + 60
        assert memory[end - 4 : end] != bytes(4)
        assert bench.checkers["o__0"].transfers >= 9 * (index + 1)

    bench.on_signal = check
    bench.commands.send(queue_words(a.assemble()))
    bench.sources[1].send(int(word) | 1 for word in rng.integers(0, 1 << 63, 64))
    await bench.idle(signals=8)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def rates(dut):
    """A word per cycle in both directions at once, also of what is sent on; and how long the first word takes."""
    config, count = parameters()["config"], 400
    memory, a = bytearray(PAD), Assembler()
    length = LINK_BYTES * count
    a.exchange(send=(0, 0, length), receive=(1, 8192, length))
    a.exchange(send=(0, 8192, length), receive=(1, 16384, length), follows=True, signal=1)
    bench = await Bench.start(dut, memory, config)
    first = {}

    async def watch(name):
        while not bench.checkers[name].transfers:
            await RisingEdge(dut.clk)
        first[name] = bench.cycle

    cocotb.start_soon(watch("o__0"))
    cocotb.start_soon(watch("i__1"))
    bench.sources[1].send(range(2 * count))
    bench.commands.send(queue_words(a.assemble()))
    await bench.idle(signals=1)
    print(
        f"{2 * count} words each way in {bench.cycle} cycles, first out {first['o__0']}, first in {first['i__1']}"
    )
    assert bench.cycle <= 2 * count + 60
    assert await bench.sinks[0].receive(2 * count) == [0] * count + list(range(count))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def hop(dut):
    """Cycles from a word's arrival to its departure, where it is sent on."""
    config = parameters()["config"]
    memory, a = bytearray(PAD), Assembler()
    a.exchange(receive=(1, 8192, 256))
    a.exchange(send=(0, 8192, 256), follows=True, signal=1)
    bench = await Bench.start(dut, memory, config)
    bench.commands.send(queue_words(a.assemble()))
    await ClockCycles(dut.clk, 60)
    bench.sources[1].send(range(32))
    moved = []
    while len(moved) < 2:
        await RisingEdge(dut.clk)
        if bench.checkers[("i__1", "o__0")[len(moved)]].transfers:
            moved.append(bench.cycle)
    print(f"a word is sent on after {moved[1] - moved[0]} cycles")
    assert moved[1] - moved[0] <= 14
    await bench.idle(signals=1)


def flags(**members):
    return LinkFlags.const(members).as_bits()


FAILURES = {
    "send port": ({"send": (15, 0, 4)}, ErrorCode.PARAMETER, flags(sends=1, send_port=15)),
    "receive port": ({"receive": (5, 0, 4)}, ErrorCode.PARAMETER, flags(receives=1, receive_port=5)),
    "send length": ({"send": (0, 0, 6)}, ErrorCode.PARAMETER, 6),
    "receive length": ({"receive": (0, 0, 1)}, ErrorCode.PARAMETER, 1),
    "long": ({"receive": (0, 0, 1 << 24)}, ErrorCode.PARAMETER, 1 << 24),
    "send address": ({"send": (0, 2, 4)}, ErrorCode.SCRATCHPAD, 2),
    "receive address": ({"receive": (0, 13, 4)}, ErrorCode.SCRATCHPAD, 13),
    "send end": ({"send": (0, PAD - 4, 8)}, ErrorCode.SCRATCHPAD, PAD - 4),
    "receive end": ({"receive": (0, PAD, 4)}, ErrorCode.SCRATCHPAD, PAD),
    "far": ({"receive": (0, -4, 8)}, ErrorCode.SCRATCHPAD, 0xFFFFFFFC),
    "large": ({"send": (0, 4, (1 << 24) - 4)}, ErrorCode.SCRATCHPAD, 4),
}


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(name=list(FAILURES))
async def failures(dut, name):
    """A wrong field stops the engine with the reason; the commands before it end, those behind it do not begin."""
    arguments, code, info = FAILURES[name]
    config, memory, a = parameters()["config"], bytearray(PAD), Assembler()
    a.exchange(send=(0, 0, 8), signal=1)
    a.exchange(send=(1, PAD - 8, 8), receive=(1, PAD, 0), signal=2)  # the last bytes; nothing, behind them
    at = len(a.assemble())
    a.exchange(**arguments, signal=3)
    a.exchange(send=(0, 0, 8), signal=4)
    bench = await Bench.start(dut, memory, config, pause=0.2)
    bench.commands.send(queue_words(a.assemble()))
    assert await bench.error() == (code, at, info)
    await ClockCycles(dut.clk, 100)
    assert bench.signals == [1, 2]
    assert [bench.checkers[f"o__{port}"].transfers for port in range(2)] == [1, 1]
    assert bytes(memory) == bytes(PAD)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def wrong_length(dut):
    """A command whose length contradicts its flags."""
    bench = await Bench.start(dut, bytearray(PAD), parameters()["config"])
    header = {"op": EngineOp.RUN, "length": 2, "pc": 77}
    bench.commands.send([QueueHeader.const(header).as_bits(), flags(sends=1), 0])
    assert await bench.error() == (ErrorCode.ILLEGAL_INSTRUCTION, 77, 0)


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(sends=[False, True], receives=[False, True])
async def lost(dut, sends, receives):
    """When the watchdog gives up, a command that waits for a link names it; one that waits for nothing is silent."""
    bench = await Bench.start(dut, bytearray(PAD), parameters()["config"])
    a = Assembler()
    a.exchange(send=(0, 0, 64), signal=1)
    a.exchange(send=(0, 0, 64) if sends else None, receive=(1, 64, 16) if receives else None, signal=2)
    if sends:
        bench.sources[1].send([1, 2])  # what is received is there
    elif receives:
        bench.sources[1].send([1])
    bench.commands.send(queue_words(a.assemble()))
    while len(bench.signals) < 1:
        await RisingEdge(dut.clk)
    if sends:
        bench.sinks[0].pause = 1.0
    await ClockCycles(dut.clk, 100)
    assert not bench.errors
    dut.timeout.value = 1
    await RisingEdge(dut.clk)
    dut.timeout.value = 0
    await ClockCycles(dut.clk, 2)
    info = 256 if sends else 1
    assert bench.errors == ([(ErrorCode.LINK, 4, info)] if sends or receives else [])
