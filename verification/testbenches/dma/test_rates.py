# SPDX-License-Identifier: Apache-2.0
"""How many cycles the DMA engine takes, against its limits; the table in docs/dma.md is printed by these tests."""

import cocotb
import pytest
from cocotb.triggers import ClockCycles

from tepin.isa import Engine
from tepin_testbench import options
from tepin_testbench.runner import parameters
from verification.testbenches.dma.axi_memory import MEMORY_BYTES
from verification.testbenches.dma.bench import Bench
from verification.testbenches.dma.configurations import run
from verification.testbenches.dma.model import Descriptor, random_bytes

COMMAND_BYTES = 2048
LATENCIES = (1, 20, 100)


def test_rates():
    run("wide", __name__, commands=4)


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["middle", "wide"])
def test_rates_of_32_kib(shape):
    run(shape, __name__, commands=16)


async def prepared(dut, latency):
    bench = Bench(dut)
    await bench.start()
    bench.memory.content[:] = random_bytes(options.generator("rates", parameters()["shape"]), MEMORY_BYTES)
    bench.memory.latency = latency
    return bench


def send(bench, engine, local):
    """Queues the commands; returns the beats that they take."""
    count = parameters()["commands"]
    for part in range(count):
        bench.send(
            Descriptor(
                engine=engine, memory=COMMAND_BYTES * part, local=local, length=COMMAND_BYTES, signal=1
            )
        )
    return count * COMMAND_BYTES // bench.beat


def covers(bench, latency, capacity, turnaround=24):
    """Is there room for all that must be in flight at this latency, and for `turnaround` cycles in the engine?"""
    return min(bench.outstanding * bench.burst_bytes, capacity) >= (latency + turnaround) * bench.beat


def report(dut, what, latency, cycles, limit):
    text = f"{parameters()['data_width']} bit, latency {latency}, {what}: {cycles} cycles, limit {limit}"
    dut._log.info(text)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(latency=LATENCIES)
async def weights(dut, latency):
    """Several commands; from the first to the last beat the port is never idle."""
    bench = await prepared(dut, latency)
    beats = send(bench, Engine.WEIGHTS, 0)
    await bench.signalled(Engine.WEIGHTS, parameters()["commands"])
    cycles = bench.memory.last_beat - bench.memory.first_beat + 1
    report(dut, f"{beats} beats of weights, first to last beat", latency, cycles, beats)
    if covers(bench, latency, parameters()["weight_fifo_bytes"]):
        assert cycles == beats


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(latency=LATENCIES, shift=[0, 3])
async def loads(dut, latency, shift):
    """From the first address to the signal of the last command. A shifted run takes one more cycle."""
    bench = await prepared(dut, latency)
    beats = send(bench, Engine.LOADS, shift)
    count = parameters()["commands"]
    await bench.signalled(Engine.LOADS, count)
    cycles = bench.signals[Engine.LOADS][-1][0] - bench.memory.first_address
    report(
        dut, f"{beats} beats of loads, {shift} bytes off, address to signal", latency, cycles, beats + latency
    )
    if covers(bench, latency, 256 * bench.beat):
        assert cycles <= beats + latency + 12 + (count if shift else 0)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(latency=LATENCIES, shift=[0, 3])
async def stores(dut, latency, shift):
    """From the first address to the last answer. A shifted run takes one more cycle."""
    bench = await prepared(dut, latency)
    beats = send(bench, Engine.STORES, shift)
    count = parameters()["commands"]
    await bench.signalled(Engine.STORES, count)
    cycles = bench.memory.last_answer - bench.memory.first_address
    report(
        dut,
        f"{beats} beats of stores, {shift} bytes off, address to answer",
        latency,
        cycles,
        beats + latency,
    )
    # A burst counts from its address on, while its data are still read from the scratchpad.
    if covers(bench, latency, 1 << 30, turnaround=29):
        assert cycles <= beats + latency + 26 + (count if shift else 0)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def small_runs(dut):
    """A gather and a scatter of 8-byte runs."""
    bench = await prepared(dut, 4)
    count = 100
    limit = count * max(1, 8 // bench.beat)
    common = {"length": 8, "dimensions": 1, "count": count, "local_stride": 8, "signal": 1}
    for engine in (Engine.LOADS, Engine.STORES):
        begin = bench.pace.cycle
        bench.send(Descriptor(engine=engine, memory=4, memory_stride=100, **common))
        await bench.signalled(engine, 1)
        cycles = bench.pace.cycle - begin
        report(dut, f"{count} runs of 8 bytes, {engine.name.lower()}", 4, cycles, limit)
        assert cycles <= (3 if engine == Engine.STORES else 2) * limit
    bench.signals[Engine.LOADS].clear()
    for number in range(count):
        bench.scratchpad[4096 + 4 * number : 4100 + 4 * number] = (number * 7 % count).to_bytes(4, "little")
    begin = bench.pace.cycle
    bench.send(
        Descriptor(
            engine=Engine.LOADS, memory=4, memory_stride=100, index=4096, indices=[1] * count, **common
        )
    )
    await bench.signalled(Engine.LOADS, 1)
    cycles = bench.pace.cycle - begin
    report(dut, f"{count} indexed runs of 8 bytes, loads", 4, cycles, limit)
    assert cycles <= 2 * limit


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def loads_overtake_weights(dut):
    """A load in the middle of a weight stream waits for what is in flight, not for the weight queue."""
    bench = await prepared(dut, 20)
    for part in range(4):
        bench.send(Descriptor(engine=Engine.WEIGHTS, memory=4096 * part, length=4096, signal=1))
    await ClockCycles(dut.clk, 100)
    begin = bench.pace.cycle
    bench.send(Descriptor(engine=Engine.LOADS, memory=0x10000, length=64, signal=2))
    await bench.signalled(Engine.LOADS, 1)
    cycles = bench.pace.cycle - begin
    report(dut, "64 bytes loaded in the middle of weights", 20, cycles, 20)
    in_flight = bench.outstanding * bench.burst_bytes // bench.beat
    assert cycles <= in_flight + 60
