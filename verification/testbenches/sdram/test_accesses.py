# SPDX-License-Identifier: Apache-2.0
"""Reads and writes through the SDRAM controller: an independent master on one side, a part that objects on the other."""

import cocotb
import pytest
from cocotb.triggers import ClockCycles, Combine
from cocotbext.axi import AxiBurstType, AxiResp

from tepin_testbench import options
from tepin_testbench.runner import parameters
from tepin_testbench.stream import check_streams
from verification.testbenches.sdram.bench import Bench, run
from verification.testbenches.sdram.traffic import Traffic


@pytest.mark.parametrize("shape", ["narrow", pytest.param("wide", marks=pytest.mark.slow)])
def test_accesses(shape):
    run(__name__, shape=shape)


def pause(rng, probability):
    """A pause generator of cocotbext-axi."""
    while True:
        yield from (rng.random(256) < probability).tolist()


def place(rng, row_bytes, area):
    """An address of a run: anywhere, or shortly before the end of a row."""
    if rng.random() < 0.5:
        return int(rng.integers(area.start, area.stop))
    rows = range(area.start // row_bytes + 1, area.stop // row_bytes)
    return rows[int(rng.integers(len(rows)))] * row_bytes - int(rng.integers(1, 40))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def random_traffic(dut):
    """Four clients write and read back areas of their own, in all banks, from no pauses at all to heavy ones."""
    rng = options.generator("traffic", parameters()["shape"])
    bench = Bench(dut)
    await bench.start()
    check_streams(dut)
    row_bytes, most = parameters()["row_bytes"], 300 * bench.beat
    content = bytearray(bench.bytes)

    async def client(number, count):
        size = bench.bytes // 4
        area = range(number * size, (number + 1) * size - most)
        for _ in range(count):
            address = place(rng, row_bytes, area)
            length = int(rng.integers(1, most if rng.random() < 0.3 else 40))
            if rng.random() < 0.5:
                data = rng.bytes(length)
                content[address : address + length] = data
                written[number].append(range(address, address + length))
                await bench.master.write(address, data)
            elif written[number]:
                old = written[number][int(rng.integers(len(written[number])))]
                answer = await bench.master.read(old.start, len(old))
                assert answer.resp == AxiResp.OKAY
                assert answer.data == content[old.start : old.stop]

    written = [[], [], [], []]
    for probability in (0.0, 0.3, 0.8):
        for channel in bench.channels():
            channel.set_pause_generator(
                pause(rng, probability * rng.random() if probability < 0.5 else probability)
            )
        await Combine(*(cocotb.start_soon(client(number, 25)) for number in range(4)))


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_length_and_column(dut):
    """Bursts of all lengths up to five at all places around the end of a row, and the longest ones."""
    rng = options.generator("lengths", parameters()["shape"])
    bench = Bench(dut)
    await bench.start()
    row = parameters()["row_bytes"]
    for start in range(-6, 3):
        for beats in (1, 2, 3, 4, 5, 255, 256):
            address = 5 * row + start * bench.beat
            data = rng.bytes(beats * bench.beat)
            await bench.master.write(address, data)
            assert (await bench.master.read(address, len(data))).data == data


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def errors(dut):
    """Bursts beyond the part and of other kinds are answered, in order, and change nothing."""
    rng = options.generator("errors", parameters()["shape"])
    bench = Bench(dut)
    await bench.start()
    last = bench.bytes - 64
    data = rng.bytes(64)
    await bench.master.write(last, data)
    lengths = [1, 7, 64, 300]
    answers = [
        *(
            bench.master.init_read(bench.bytes + 1024 * number, length)
            for number, length in enumerate(lengths)
        ),
        bench.master.init_read(last, 64),
        bench.master.init_read(1 << 31, 16),
    ]
    for answer in answers:
        await answer.wait()
    responses = [answer.data.resp for answer in answers]
    assert responses == [AxiResp.DECERR] * 4 + [AxiResp.OKAY, AxiResp.DECERR]
    assert answers[4].data.data == data
    for address in (bench.bytes, (1 << 32) - 1024):
        assert (await bench.master.write(address, rng.bytes(100))).resp == AxiResp.DECERR
    assert (await bench.master.write(0, bytes(16), burst=AxiBurstType.FIXED)).resp == AxiResp.SLVERR
    assert (await bench.master.read(0, 16, burst=AxiBurstType.WRAP)).resp == AxiResp.SLVERR
    assert (await bench.master.write(last, bytes(8), size=0)).resp == AxiResp.SLVERR
    assert (await bench.master.read(last, 8, size=0)).resp == AxiResp.SLVERR
    # One narrow beat is no different from a wide one.
    await bench.master.write(last + 1, b"x", size=0)
    expected = data[:1] + b"x" + data[2:]
    assert (await bench.master.read(last, 64)).data == expected


@cocotb.test(timeout_time=3, timeout_unit="ms")
async def contents_last(dut):
    """Idle, stalled and busy for about the refresh window each: nothing gets lost, no refresh is late."""
    rng = options.generator("lasting", parameters()["shape"])
    bench = Bench(dut)
    await bench.start()
    data = rng.bytes(4 * parameters()["row_bytes"])
    await bench.master.write(0, data)
    await ClockCycles(dut.clk, 55_000)
    # The master accepts no data in the midst of bursts.
    reads = bench.master.read_if.r_channel
    pending = bench.master.init_read(0, len(data))
    await ClockCycles(dut.clk, 100)
    reads.pause = True
    await ClockCycles(dut.clk, 55_000)
    reads.pause = False
    await pending.wait()
    assert pending.data.data == data
    writing = 0
    while writing < 30_000:
        assert (await bench.master.read(0, len(data))).data == data
        await bench.master.write(0, data)
        writing += 2 * len(data) // bench.beat


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def answers_to_writes_come_first(dut):
    """A read that is asked for after the answer to a write sees it, while another stream of reads keeps the memory busy."""
    rng = options.generator("order", parameters()["shape"])
    bench = Bench(dut)
    await bench.start()
    stream = [bench.master.init_read(1024 * number, 1024) for number in range(30)]
    for _ in range(20):
        address = int(rng.integers(bench.bytes - 64))
        data = rng.bytes(int(rng.integers(1, 20)))
        await bench.master.write(address, data)
        answer = await bench.master.read(address, len(data))
        assert answer.data == data
    for answer in stream:
        await answer.wait()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def any_strobes(dut):
    """Bytes are written where the strobes of a beat say, whatever those of its neighbours."""
    rng = options.generator("strobes", parameters()["shape"])
    bench = Bench(dut)
    await bench.start(master=False)
    traffic = Traffic(dut, bench.beat)
    content = {}
    bursts = []
    for number in range(12):
        start = number * parameters()["row_bytes"] - 8 * bench.beat if number else 0
        bursts.append((start, int(rng.integers(1, 40))))
    for strobed in (False, True):  # first all bytes, so that their contents are known
        traffic.writes.extend(bursts)
        for start, beats in bursts:
            for beat in range(beats):
                word = rng.bytes(bench.beat)
                strobes = int(rng.integers(1 << bench.beat)) if strobed else (1 << bench.beat) - 1
                traffic.words.append((int.from_bytes(word, "little"), strobes))
                for byte in range(bench.beat):
                    if strobes >> byte & 1:
                        content[start + beat * bench.beat + byte] = word[byte]
    total = sum(beats for _, beats in bursts)
    while traffic.written_beats < 2 * total:
        await ClockCycles(dut.clk, 10)
    traffic.reads.extend(bursts)
    while traffic.read_beats < total:
        await ClockCycles(dut.clk, 10)
    expected = [
        sum(content[start + beat * bench.beat + byte] << 8 * byte for byte in range(bench.beat))
        for start, beats in bursts
        for beat in range(beats)
    ]
    assert traffic.read_words == expected
