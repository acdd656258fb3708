# SPDX-License-Identifier: Apache-2.0
"""The scratchpad against an array of bytes: random traffic on all ports at once."""

import numpy as np
import pytest

from tepin.memory import bank
from tepin.memory.ports import ReadPort
from tepin.memory.scratchpad import Scratchpad, Turns
from tepin_testbench.pysim import recorded_memories, simulate


def line_at(address, line_bytes, bank_bytes):
    """Addresses of the bytes of a line: it wraps at the end of its bank."""
    address &= ~3
    first = address - address % bank_bytes
    return first + (address - first + np.arange(line_bytes)) % bank_bytes


@pytest.mark.parametrize(
    "size,banks,line_bytes,readers,writers",
    [(256, 1, 4, 1, 1), (1024, 2, 8, 2, 3), (1024, 4, 16, 5, 3), (2048, 8, 64, 3, 2)],
)
@pytest.mark.parametrize("density", [0.3, 1.0])
def test_random_traffic(size, banks, line_bytes, readers, writers, density, rng):
    dut = Scratchpad(size=size, banks=banks, line_bytes=line_bytes, readers=readers, writers=writers)
    bank_bytes = size // banks
    contents = np.zeros(size, dtype=np.uint8)
    cycles = 600

    def random_address():
        if rng.random() < 0.05:
            return int(rng.choice([size, size + 4, 1 << 31, (1 << 32) - 4, size * 3]))
        return int(rng.integers(size))

    def random_bits(width):
        return int.from_bytes(rng.bytes((width + 7) // 8), "little") % (1 << width)

    async def traffic(ctx):
        expected = [[] for _ in range(readers)]  # (cycle, line or None for a fault)
        write_faults = [False] * writers
        waiting = {}
        for cycle in range(cycles):
            for ports in (dut.readers, dut.writers):
                for port in ports:
                    if id(port) not in waiting and rng.random() < density:
                        waiting[id(port)] = 0
                        ctx.set(port.request.valid, 1)
                        if port in list(dut.readers):
                            ctx.set(port.request.payload, random_address())
                        else:
                            ctx.set(port.request.payload.address, random_address())
                            ctx.set(port.request.payload.data, random_bits(8 * line_bytes))
                            ctx.set(port.request.payload.mask, random_bits(line_bytes))
            # Responses of this cycle.
            for number, port in enumerate(dut.readers):
                due = bool(expected[number]) and expected[number][0][0] == cycle
                assert ctx.get(port.response_valid) == due
                if due:
                    _, line = expected[number].pop(0)
                    assert ctx.get(port.fault) == (line is None)
                    if line is not None:
                        got = ctx.get(port.response).to_bytes(line_bytes, "little")
                        got = np.frombuffer(got, dtype=np.uint8)
                        assert (got == line).all()
            for number, port in enumerate(dut.writers):
                assert ctx.get(port.fault) == write_faults[number]
            # What this cycle accepts. Reads see what was written before.
            before = contents.copy()
            for number, port in enumerate(dut.readers):
                if ctx.get(port.request.valid) and ctx.get(port.request.ready):
                    address = ctx.get(port.request.payload)
                    line = None
                    if address < size:
                        line = before[line_at(address, line_bytes, bank_bytes)]
                    expected[number].append((cycle + ReadPort.LATENCY, line))
            touched = []
            for number, port in enumerate(dut.writers):
                write_faults[number] = False
                if ctx.get(port.request.valid) and ctx.get(port.request.ready):
                    address = ctx.get(port.request.payload.address)
                    write_faults[number] = address >= size
                    if address < size:
                        mask = ctx.get(port.request.payload.mask)
                        data = ctx.get(port.request.payload.data).to_bytes(line_bytes, "little")
                        for place, byte in enumerate(line_at(address, line_bytes, bank_bytes)):
                            if mask >> place & 1:
                                contents[byte] = data[place]
                        touched.append(address // bank_bytes)
            assert len(set(touched)) == len(touched), "two writes to one bank in one cycle"
            for ports, count in ((dut.readers, readers), (dut.writers, writers)):
                for port in ports:
                    if id(port) in waiting:
                        if ctx.get(port.request.ready):
                            assert waiting.pop(id(port)) <= count + 1, "starved"
                        else:
                            waiting[id(port)] += 1
            done = [
                port
                for ports in (dut.readers, dut.writers)
                for port in ports
                if ctx.get(port.request.valid) and ctx.get(port.request.ready)
            ]
            await ctx.tick()
            for port in done:
                ctx.set(port.request.valid, 0)

    simulate(dut, traffic)


def test_ports_in_different_banks_do_not_wait():
    """A port that changes the bank waits for two cycles, and for nobody from then on."""
    dut = Scratchpad(size=1024, banks=4, line_bytes=16, readers=4, writers=4)

    async def testbench(ctx):
        for number in range(4):
            ctx.set(dut.readers[number].request.valid, 1)
            ctx.set(dut.writers[number].request.valid, 1)
        for step in range(4):
            for number in range(4):
                ctx.set(dut.readers[number].request.payload, 256 * ((number + step) % 4) + 4)
                ctx.set(dut.writers[number].request.payload.address, 256 * ((number - step) % 4) + 12)
            for cycle in range(6):
                for port in (*dut.readers, *dut.writers):
                    assert ctx.get(port.request.ready) or cycle < 2
                await ctx.tick()

    simulate(dut, testbench)


def test_write_is_visible_to_the_next_read():
    dut = Scratchpad(size=1024, banks=4, line_bytes=8, readers=1, writers=1)
    reader, writer = dut.readers[0], dut.writers[0]

    async def testbench(ctx):
        ctx.set(writer.request.valid, 1)
        ctx.set(writer.request.payload.address, 20)
        ctx.set(writer.request.payload.data, 0x1122334455667788)
        ctx.set(writer.request.payload.mask, 0x7F)
        await ctx.tick()
        ctx.set(writer.request.valid, 0)
        ctx.set(reader.request.valid, 1)
        ctx.set(reader.request.payload, 23)  # bits 1:0 mean nothing
        await ctx.tick()
        ctx.set(reader.request.payload, 24)
        await ctx.tick()
        ctx.set(reader.request.valid, 0)
        responses = []
        while len(responses) < 2:
            if ctx.get(reader.response_valid):
                responses.append(ctx.get(reader.response))
            await ctx.tick()
        assert responses == [0x0022334455667788, 0x00223344]

    simulate(dut, testbench)


class Words:
    """What was written to a scratchpad, and what is read from it, line by line."""

    def __init__(self, dut, ctx):
        self.dut, self.ctx = dut, ctx

    async def write(self, line, value):
        ctx, port = self.ctx, self.dut.writers[-1]
        request = {
            "address": line * self.dut.line_bytes,
            "data": value,
            "mask": (1 << self.dut.line_bytes) - 1,
        }
        ctx.set(port.request.payload, request)
        ctx.set(port.request.valid, 1)
        await ctx.tick().until(port.request.ready)
        ctx.set(port.request.valid, 0)

    async def read(self, line):
        ctx, port = self.ctx, self.dut.readers[-1]
        ctx.set(port.request.payload, line * self.dut.line_bytes)
        ctx.set(port.request.valid, 1)
        await ctx.tick().until(port.request.ready)
        ctx.set(port.request.valid, 0)
        (value,) = await ctx.tick().sample(port.response).until(port.response_valid)
        return value


@pytest.mark.parametrize("size, banks, line_bytes, writers", [(256, 1, 4, 1), (1024, 4, 16, 3)])
@pytest.mark.parametrize("parity", [False, True])
def test_clear(size, banks, line_bytes, writers, parity, rng):
    """Everything is zero, after as many cycles as are promised, and the banks belong to the first ports again."""
    dut = Scratchpad(size=size, banks=banks, line_bytes=line_bytes, readers=2, writers=writers, parity=parity)
    lines = size // line_bytes

    async def testbench(ctx):
        words = Words(dut, ctx)
        for _ in range(2):
            for line in range(lines):
                await words.write(line, (1 << 8 * line_bytes) - 1)
            for line in rng.integers(lines, size=5):
                assert await words.read(int(line)) == (1 << 8 * line_bytes) - 1
            # What the first writer shows meanwhile goes nowhere.
            ctx.set(dut.writers[0].request.payload, {"address": 20, "data": -1, "mask": -1})
            ctx.set(dut.clear, 1)
            cycles = 0
            while not ctx.get(dut.cleared):
                await ctx.tick()
                cycles += 1
            assert cycles == lines // banks + 1
            await ctx.tick().repeat(int(rng.integers(1, 4)))
            ctx.set(dut.clear, 0)
            await ctx.tick().repeat(2)
            assert not ctx.get(dut.cleared)
            for line in range(lines):
                assert await words.read(line) == 0
            for port in (dut.readers[0], dut.writers[0]):
                ctx.set(port.request.payload if port is dut.readers[0] else port.request.payload.address, 0)
            if writers > 1:
                assert ctx.get(dut.writers[0].request.ready)
            if parity:
                assert not ctx.get(dut.parity_errors)

    simulate(dut, testbench)


def test_parity_finds_every_flipped_bit(monkeypatch, rng):
    """A bit in the memory is flipped, of data or parity: each read of its line counts, no other, and an idle port never."""
    memories = recorded_memories(monkeypatch, bank)
    size, line_bytes = 256, 8
    dut = Scratchpad(size=size, banks=2, line_bytes=line_bytes, readers=2, writers=1, parity=True)
    lines = size // line_bytes
    counted = 0

    async def count(ctx):
        nonlocal counted
        async for _, _, errors in ctx.tick().sample(dut.parity_errors):
            counted += errors

    async def testbench(ctx):
        words = Words(dut, ctx)
        values = [int.from_bytes(rng.bytes(line_bytes), "little") for _ in range(lines)]
        assert len(memories) == 4
        for line in range(0, lines, 2):  # the others are still as they were at power-up
            await words.write(line, values[line])
        for bit in range(36):
            index, row = int(rng.integers(4)), int(rng.integers(lines // 2))
            before = ctx.get(memories[index].data[row])
            ctx.set(memories[index].data[row], before ^ 1 << bit)
            line = index // 2 * (lines // 2) + row
            for read in (line, int(rng.integers(lines)), line, (line + 1) % lines):
                was = counted
                await words.read(read)
                await ctx.tick().repeat(12)
                assert counted - was == (read == line), (bit, read, line)
            ctx.set(memories[index].data[row], before)

    simulate(dut, testbench, background=[count])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_turns_are_shared(count):
    """If all of them ask all the time, no cycle is lost, and each gets its share."""
    dut = Turns(count)

    async def testbench(ctx):
        ctx.set(dut.valid, (1 << count) - 1)
        turns = []
        for _ in range(12 * count):
            turns.append(ctx.get(dut.ready))
            await ctx.tick()
        assert {turns.count(1 << number) for number in range(count)} <= {11, 12, 13}

    simulate(dut, testbench)


@pytest.mark.parametrize("count, resources", [(1, 2), (3, 1), (4, 2), (8, 4)])
def test_turns_go_around(count, resources, rng):
    """Who may go, in every cycle, against owners as numbers; and nobody waits for more than `count` others."""
    dut = Turns(count, resources=resources)

    async def testbench(ctx):
        owners = [0] * resources
        asked = [set() for _ in owners]  # in the last cycle, in vain
        wanted = [None] * count
        passed_by = [0] * count
        for _ in range(500):
            for number in range(count):
                if wanted[number] is None and rng.random() < 0.6:
                    wanted[number] = int(rng.integers(resources))
                ctx.set(dut.valid[number], wanted[number] is not None)
                ctx.set(dut.resource[number], wanted[number] or 0)
            ready = ctx.get(dut.ready)
            for resource, owner in enumerate(owners):
                users = {number for number in range(count) if wanted[number] == resource}
                assert {number for number in users if ready >> number & 1} == users & {owner}
                around = [number % count for number in range(owner + 1, owner + count)]
                owners[resource] = next((number for number in around if number in asked[resource]), owner)
                asked[resource] = users - {owner}
                for number in asked[resource]:
                    passed_by[number] += owner in users
                    assert passed_by[number] <= count
                if owner in users:
                    wanted[owner], passed_by[owner] = None, 0
            await ctx.tick()

    simulate(dut, testbench)


def test_init_wrong_count():
    with pytest.raises(ValueError, match="^count must be an integer of at least 1, not 0$"):
        Turns(0)


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"size": 1000}, "size must be a power of two, not 1000"),
        ({"banks": 3}, "banks must be a power of two, not 3"),
        ({"line_bytes": 2}, "line_bytes must be at least 4, not 2"),
        ({"readers": 0}, "readers must be an integer of at least 1, not 0"),
        ({"writers": "x"}, "writers must be an integer of at least 1, not 'x'"),
        ({"size": 64}, "size must hold two lines in each bank, not 64 bytes"),
    ],
)
def test_init_wrong_parameters(changes, message):
    parameters = {"size": 1024, "banks": 4, "line_bytes": 16, "readers": 1, "writers": 1} | changes
    with pytest.raises(ValueError, match=message):
        Scratchpad(**parameters)
