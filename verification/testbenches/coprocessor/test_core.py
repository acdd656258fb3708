# SPDX-License-Identifier: Apache-2.0
"""The coprocessor's core in Verilog: jobs against numpy, cycles against the formula, and accesses that are refused."""

import logging

import cocotb
import numpy as np
import pytest
from cocotb.triggers import FallingEdge, RisingEdge
from cocotbext.axi import AxiBus, AxiMaster, AxiResp

from tepin.coprocessor.core import CoprocessorCore
from tepin.coprocessor.job import JOB, JOB_ADDRESS, Job, Shape
from tepin_reference.coprocessor import execute
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import check_streams, start


@pytest.mark.parametrize("columns, kibibytes", [(4, 8), (8, 16)])
def test_core(columns, kibibytes):
    given = {"columns": columns, "memory_bytes": kibibytes << 10}
    run_cocotb(
        CoprocessorCore(Shape(**given)), top="coprocessor_core", test_module=__name__, parameters=given
    )


class Bench:
    """The core, a bus master that has its accesses one at a time, and a copy of the memory."""

    def __init__(self, dut):
        logging.getLogger(f"cocotb.{dut._name}.s_axi").setLevel(logging.ERROR)
        check_streams(dut)
        self.dut, self.shape = dut, Shape(**parameters())
        self.rng = options.generator("jobs")
        self.master = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst, max_burst_len=1)
        self.memory = np.zeros(self.shape.memory_bytes, np.uint8)

    @classmethod
    async def start(cls, dut):
        await start(dut)
        return cls(dut)

    async def write(self, address, data):
        """Words, one access after the other."""
        columns = self.shape.columns
        for at in range(0, len(data), columns):
            done = await self.master.write(address + at, data[at : at + columns])
            assert done.resp == AxiResp.OKAY
        if address < len(self.memory):
            self.memory[address : address + len(data)] = np.frombuffer(data, np.uint8)

    async def read(self, address, count):
        columns = self.shape.columns
        pieces = [await self.master.read(address + at, columns) for at in range(0, count, columns)]
        assert all(piece.resp == AxiResp.OKAY for piece in pieces)
        return b"".join(piece.data for piece in pieces)

    async def do(self, job):
        """A job, whose cycles are returned; the copy of the memory follows."""
        await self.write(JOB_ADDRESS, job.encode())
        # This is answered when the job has ended.
        word = await self.read(JOB_ADDRESS, self.shape.columns)
        assert not self.dut.busy.value
        execute(job, self.memory, self.shape.columns)
        return int.from_bytes(word, "little")

    def random_job(self, groups, tiles):
        """Its weights, activations and sums, somewhere in memory and apart."""
        shape = self.shape
        sizes = [
            groups * shape.rows * tiles * shape.columns,
            2 * groups * shape.rows,
            4 * tiles * shape.columns,
        ]
        order = self.rng.permutation(3)
        room = shape.memory_bytes - sum(sizes)
        gaps = np.sort(self.rng.integers(0, room // shape.columns + 1, 3)) * shape.columns
        places, before = [0] * 3, 0
        for gap, index in zip(gaps, order, strict=True):
            places[index] = int(gap) + before
            before += sizes[index]
        return Job(*places, groups, tiles)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def jobs(dut):
    bench = await Bench.start(dut)
    # As large as they get: +-128 and +-32768 among them.
    content = bench.rng.choice([0, 1, 0x7F, 0x80, 0xFF, *range(256)], bench.shape.memory_bytes).astype(
        np.uint8
    )
    await bench.write(0, content.tobytes())
    for groups, tiles in ((1, 1), (2, 1), (1, 3), (33, 2), (3, 17), (256 // bench.shape.rows, 4)):
        job = bench.random_job(groups, tiles)
        assert await bench.do(job) == bench.shape.cycles(groups, tiles), job
    assert await bench.read(0, bench.shape.memory_bytes) == bench.memory.tobytes()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def nothing_to_do(dut):
    bench = await Bench.start(dut)
    await bench.write(0, bytes(range(64)))
    for groups, tiles in ((0, 1), (1, 0), (0, 0)):
        assert await bench.do(Job(0, 0, 0, groups, tiles)) == 1
    assert await bench.read(0, 64) == bytes(range(64))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def bytes_of_a_job_in_any_order(dut):
    """The last one starts it; those that came before may have come one by one."""
    bench = await Bench.start(dut)
    shape = bench.shape
    await bench.write(0, bench.rng.bytes(16 * shape.columns))
    job = Job(shape.columns, 0, 8 * shape.columns, 1, 1)
    encoded = job.encode()
    for place in (*bench.rng.permutation(JOB.size - 1), JOB.size - 1):
        assert not dut.busy.value
        await bench.master.write(JOB_ADDRESS + int(place), encoded[place : place + 1])
    execute(job, bench.memory, shape.columns)
    assert await bench.read(0, 16 * shape.columns) == bench.memory[: 16 * shape.columns].tobytes()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def nothing_is_taken_during_a_job(dut):
    bench = await Bench.start(dut)
    job = Job(0, 0, 0, 40, 2)
    await bench.write(JOB_ADDRESS, job.encode())
    if not dut.busy.value:
        await RisingEdge(dut.busy)
    reading = cocotb.start_soon(bench.read(0, bench.shape.columns))
    await FallingEdge(dut.busy)
    assert not reading.done()
    await reading


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def refusals(dut):
    bench = await Bench.start(dut)
    columns, end = bench.shape.columns, bench.shape.memory_bytes
    await bench.write(0, bytes(range(columns)))
    for address in (end, JOB_ADDRESS - columns):
        assert (await bench.master.read(address, columns)).resp == AxiResp.DECERR
        assert (await bench.master.write(address, bytes(columns))).resp == AxiResp.DECERR
    assert await bench.read(0, columns) == bytes(range(columns))
    # Single bytes leave their neighbours alone.
    await bench.write(1, b"\xaa")
    assert await bench.read(0, columns) == bench.memory[:columns].tobytes()
