# SPDX-License-Identifier: Apache-2.0
"""The host link in Verilog: every request, every refusal, and whatever a line can do to them."""

import zlib

import cocotb
from cocotb.triggers import ClockCycles

from tepin.io.protocol import FLAG, IDENTITY, IRQ, PAYLOAD_BYTES, VERSION, Request, Status, encode_frame
from tepin_testbench import options
from tepin_testbench.runner import parameters, run_cocotb
from verification.testbenches.host_link.bench import (
    CYCLES,
    FIRST_FREE,
    MEMORY_BYTES,
    REFUSED,
    STATUS,
    TOKEN,
    Bench,
    LinkBench,
)

LINK = {
    "config_hash": 0x7E7D7E7D,  # bytes that have to be escaped
    "clock_hz": 100_000_000,
    "memory_bytes": MEMORY_BYTES,
    "data_width": 16,
    "receive_bytes": 512,
}


def test_host_link():
    run_cocotb(LinkBench(**LINK), top="host_link", test_module=__name__, parameters=LINK)


def random_bytes(rng, count):
    """Random, with many bytes that have to be escaped."""
    return bytes(int(rng.choice([rng.integers(256), FLAG, 0x7D])) for _ in range(count))


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def identity(dut):
    bench = await Bench.start(dut)
    payload = await bench.open(200)
    given = parameters()
    names = ("config_hash", "clock_hz", "memory_bytes", "receive_bytes")
    assert IDENTITY.unpack(payload) == (VERSION, *(given[name] for name in names), 0)
    dut.self_test.value = 0x1234567E
    assert IDENTITY.unpack(await bench.open(3)) == (*IDENTITY.unpack(payload)[:-1], 0x1234567E)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.4])
async def registers(dut, pause):
    """Many words to one register, in order; consecutive registers in one answer."""
    rng = options.generator("registers", pause)
    bench = await Bench.start(dut, pause=pause)
    await bench.open()
    expected = []
    for count in (1, 2, 64):
        offset = FIRST_FREE + 4 * int(rng.integers(32))
        words = [int(word) for word in rng.integers(1 << 32, size=count)]
        await bench.write_registers(offset, words)
        expected += [("write", offset, word) for word in words]
    assert bench.registers.log == expected
    for count in (1, 64):
        bench.registers.words |= {FIRST_FREE + 4 * i: int(rng.integers(1 << 32)) for i in range(64)}
        payload = await bench.okay(Request.READ_REGISTERS, address=FIRST_FREE, count=4 * count)
        words = [bench.registers.words[FIRST_FREE + 4 * i] for i in range(count)]
        assert payload == b"".join(word.to_bytes(4, "little") for word in words)
    assert len(bench.registers.log) == len(expected) + 1 + 64
    assert bench.memory.log == []


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.4])
async def memory(dut, pause):
    """Any byte address, any length, across 4 KiB boundaries; nothing else is touched."""
    rng = options.generator("memory", pause)
    bench = await Bench.start(dut, pause=pause)
    await bench.open()
    image = bytearray(random_bytes(rng, MEMORY_BYTES))
    bench.memory.write(0, bytes(image))
    lengths = [1, 2, 17] if pause else [5, 256]
    for length in lengths:
        for address in (int(rng.integers(MEMORY_BYTES - 256)), 4096 - length // 2):
            data = random_bytes(rng, length)
            await bench.write_memory(address, data)
            image[address : address + length] = data
            begin = int(rng.integers(MEMORY_BYTES - 256))
            assert await bench.read_memory(begin, length) == image[begin : begin + length]
    assert bench.memory.read(0, MEMORY_BYTES) == image
    assert len(bench.memory.log) == 2 * sum(lengths)
    assert bench.registers.log == []


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def checksums(dut):
    rng = options.generator("checksums")
    bench = await Bench.start(dut)
    await bench.open()
    image = rng.bytes(MEMORY_BYTES)
    bench.memory.write(0, image)
    for address, count in ((0, 1), (4095, 3), (123, 256), (1001, 300)):
        payload = await bench.okay(Request.CHECKSUM, address=address, count=count)
        assert int.from_bytes(payload, "little") == zlib.crc32(image[address : address + count])


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pause=[0.0, 0.4])
async def tokens(dut, pause):
    """As many as asked for, as many as there are; then STATUS with the interrupt, and the cycles."""
    bench = await Bench.start(dut, pause=pause)
    await bench.open()
    model = bench.registers
    assert await bench.take_tokens() == ([], 0, 1000)
    for there, most in ((1, 62), (5, 62), (5, 3), (64, 62), (3, 0), (2, 2)):
        model.tokens.extend(range(100, 100 + there))
        model.status = 1
        await ClockCycles(dut.clk, 4)
        taken, status, _ = await bench.take_tokens(most=most)
        assert taken == list(range(100, 100 + min(there, most)))
        more = there > most
        assert status == 1 | more << 3 | (IRQ if more else 0)
        model.tokens.clear()
    model.irq, model.status = True, 2
    await ClockCycles(dut.clk, 4)
    assert (await bench.take_tokens(cycles=10**9))[:2] == ([], 2 | IRQ)
    assert model.cycles == 8000


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def waiting_for_tokens(dut):
    """Until the interrupt, or the time is up, or the host says anything."""
    bench = await Bench.start(dut)
    await bench.open()

    async def poll(cycles, after=None):
        """Cycles until the answer, its tokens."""
        bench.sequence = (bench.sequence + 1) % 256
        begin = cocotb.utils.get_sim_time("ns")
        bench.send_request(Request.TAKE_TOKENS, count=8, address=cycles)
        if after:
            await ClockCycles(dut.clk, after[0])
            after[1]()
        _, payload = await bench.answer(timeout=10**6)
        return (cocotb.utils.get_sim_time("ns") - begin) / 10, payload[:-8]

    work = (await poll(0))[0]
    assert work < 1000
    for cycles in (500, 2000):
        took, payload = await poll(cycles)
        assert cycles <= took <= cycles + work + 100 and payload == b""
    took, payload = await poll(10**6, (2000, lambda: bench.registers.tokens.append(9)))
    assert 2000 <= took < 2000 + 2 * work and payload == b"\x09\0\0\x80"
    took, payload = await poll(10**6, (2000, lambda: bench.send(b"x")))
    assert 2000 <= took < 2000 + 2 * work and payload == b""
    assert await bench.read_register(FIRST_FREE) == 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def what_the_bus_refuses(dut):
    """What came before is done, what was read is answered, the rest is not done."""
    bench = await Bench.start(dut, pause=0.2)
    await bench.open()
    words = b"".join(bytes([n, 0, 0, 0]) for n in range(4))
    request = {"address": REFUSED, "count": 16, "payload": words}
    assert await bench.request(Request.WRITE_REGISTERS, **request) == (Status.SLVERR, b"")
    answer = await bench.request(Request.READ_REGISTERS, address=REFUSED - 8, count=16)
    assert answer == (Status.SLVERR, bytes(8))
    assert bench.registers.log == [("read", REFUSED - 8, 0), ("read", REFUSED - 4, 0)]
    end = MEMORY_BYTES
    answer = await bench.request(Request.WRITE_MEMORY, address=end - 3, count=5, payload=b"abcde")
    assert answer == (Status.SLVERR, b"")
    assert bench.memory.log == [(end - 3, ord("a")), (end - 2, ord("b")), (end - 1, ord("c"))]
    assert await bench.read_memory(end - 3, 3) == b"abc"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def what_makes_no_sense(dut):
    """Answered with MALFORMED, without an access to anything."""
    bench = await Bench.start(dut)
    await bench.open()
    word, most = b"1234", bytes(PAYLOAD_BYTES)
    malformed = [
        (0, 0, 0, b""),
        (255, 4, FIRST_FREE, b""),
        (Request.TAKE_TOKENS + 1, 4, FIRST_FREE, b""),
        (Request.READ_REGISTERS, 0, FIRST_FREE, b""),
        (Request.READ_REGISTERS, 260, FIRST_FREE, b""),
        (Request.READ_REGISTERS, 6, FIRST_FREE, b""),
        (Request.READ_REGISTERS, 4, FIRST_FREE + 2, b""),
        (Request.READ_REGISTERS, 4, FIRST_FREE + (1 << 16), b""),
        (Request.READ_REGISTERS, 4, FIRST_FREE, word),
        (Request.WRITE_REGISTERS, 0, FIRST_FREE, b""),
        (Request.WRITE_REGISTERS, 8, FIRST_FREE, word),
        (Request.WRITE_REGISTERS, 4, FIRST_FREE, word + word),
        (Request.WRITE_REGISTERS, 5, FIRST_FREE, word + b"5"),
        (Request.WRITE_REGISTERS, 4, FIRST_FREE + 1, word),
        (Request.READ_MEMORY, 0, 0, b""),
        (Request.READ_MEMORY, 257, 0, b""),
        (Request.READ_MEMORY, 1, 0, b"1"),
        (Request.WRITE_MEMORY, 0, 0, b""),
        (Request.WRITE_MEMORY, 257, 0, most),
        (Request.WRITE_MEMORY, 255, 0, most),
        (Request.CHECKSUM, 0, 0, b""),
        (Request.CHECKSUM, 4, 0, word),
        (Request.TAKE_TOKENS, 252, 0, b""),
        (Request.TAKE_TOKENS, 2, 0, b""),
    ]
    for code, count, address, payload in malformed:
        answer = await bench.request(code, count=count, address=address, payload=payload, attempts=1)
        assert answer == (Status.MALFORMED, b""), (code, count, address, payload)
    assert bench.registers.log == [] and bench.memory.log == []
    assert await bench.read_memory(0, 1) == b"\0"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def repetitions(dut):
    """The answer again, whatever came between, and no second execution."""
    bench = await Bench.start(dut, pause=0.1)
    await bench.open(254)
    model = bench.registers
    broken = encode_frame(bytes(200))[1:-2] + b"\0" + bytes([FLAG])
    for turn in range(2):  # Over the end of the sequence numbers.
        model.tokens.extend([10 * turn, 10 * turn + 1])
        tokens = await bench.okay(Request.TAKE_TOKENS, count=64)
        assert len(tokens) == 16
        model.tokens.append(99)
        before = len(model.log)
        for _ in range(2):
            bench.send(broken)
            bench.send_request(Request.TAKE_TOKENS, count=64)
            assert await bench.answer() == (Status.OKAY, tokens)
        assert len(model.log) == before and list(model.tokens) == [99]
        model.tokens.clear()
        # Writes, and what is refused.
        await bench.write_memory(turn, b"x")
        bench.send_request(Request.WRITE_MEMORY, count=1, address=turn, payload=b"x")
        assert await bench.answer() == (Status.OKAY, b"")
        assert len(bench.memory.log) == turn + 1
        answer = await bench.request(Request.READ_REGISTERS, count=8, address=REFUSED - 4)
        bench.send_request(Request.READ_REGISTERS, count=8, address=REFUSED - 4)
        assert await bench.answer() == answer == (Status.SLVERR, bytes(4))
        assert len(model.log) == before + 1
        model.log.clear()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def out_of_sequence(dut):
    """Neither the next nor the last: no effect, no answer. Before IDENTIFY none is in sequence."""
    bench = await Bench.start(dut)
    for sequence in (0, 1, 255):
        bench.send_request(Request.READ_REGISTERS, count=4, address=FIRST_FREE, sequence=sequence)
        assert await bench.answer(sequence, timeout=600) is None
    await bench.open(7)
    for sequence in (6, 9, 7 + 128, 10):
        bench.send_request(Request.READ_REGISTERS, count=4, address=FIRST_FREE, sequence=sequence)
        assert await bench.answer(sequence, timeout=600) is None
    assert bench.registers.log == []
    assert await bench.read_register(FIRST_FREE) == 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def next_frame_works_whatever_came_before(dut):
    """Random bytes, frames that are cut, too long, empty, damaged anywhere; a good one directly behind them."""
    rng = options.generator("garbage")
    bench = await Bench.start(dut)
    bench.timeout = 20_000  # The receive FIFO may be full of it.
    await bench.open()
    bench.registers.words[FIRST_FREE] = 0x7E7D7E7D
    good = encode_frame(bytes([1, Request.WRITE_REGISTERS, 4, 0, 0, 1, 0, 0, 1, 2, 3, 4]))
    wrong = bytes([good[-2] ^ 1, FLAG])
    garbage = [
        b"",
        bytes([FLAG] * 5),
        bytes([0x7D]),
        bytes([FLAG, 0x7D, FLAG]),
        rng.bytes(int(rng.integers(1, 700))),
        bytes(600),
        encode_frame(bytes(300)),
        encode_frame(b""),
        encode_frame(b"\x02"),
        encode_frame(bytes(7)),
        *(good[:cut] for cut in range(1, len(good) - 1)),
        good[:-2] + wrong,
    ]
    for piece in garbage:
        bench.send(piece)
        await bench.source.drained()
        assert await bench.read_register(FIRST_FREE) == 0x7E7D7E7D
        assert bench.attempts == bench.sequence + 1, "a request had to be repeated"
    assert all(kind == "read" for kind, _, _ in bench.registers.log)
    assert bench.memory.log == []


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def requests_on_the_way_are_held(dut):
    """As many bytes as the device holds may be sent without an answer; all are executed, in order."""
    bench = await Bench.start(dut)
    await bench.open(0)
    room = parameters()["receive_bytes"]
    frames = []
    while True:
        body = bytes([len(frames) + 1, Request.WRITE_REGISTERS, 4, 0, 0, 1, 0, 0, len(frames), 0, 0, 0])
        if len(b"".join(frames)) + len(encode_frame(body)) > room:
            break
        frames.append(encode_frame(body))
    bench.sink.pause = 1.0  # No answer gets out.
    bench.send(b"".join(frames))
    await bench.source.drained()
    bench.sink.pause = 0.0
    for sequence in range(1, len(frames) + 1):
        assert await bench.answer(sequence) == (Status.OKAY, b"")
    assert bench.registers.log == [("write", FIRST_FREE, n) for n in range(len(frames))]


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def noise(dut):
    """Bits flip, bytes vanish and appear, in both directions: every operation is done once, in order, with the right data."""
    rng = options.generator("noise")
    bench = await Bench.start(dut, pause=0.05, noise=0.02)
    bench.timeout = 800
    await bench.open()
    model = bench.registers
    expected, writes, pushed, got, image = [], [], 0, [], bytearray(MEMORY_BYTES)
    for _ in range(25):
        kind = rng.integers(5)
        if kind == 0:
            words = [int(word) for word in rng.integers(1 << 32, size=rng.integers(1, 9))]
            await bench.write_registers(FIRST_FREE, words)
            expected += [("write", FIRST_FREE, word) for word in words]
        elif kind == 1:
            value = int(rng.integers(1 << 32))
            model.words[FIRST_FREE + 4] = value
            assert await bench.read_register(FIRST_FREE + 4) == value
            expected.append(("read", FIRST_FREE + 4, value))
        elif kind == 2:
            address, data = int(rng.integers(MEMORY_BYTES - 24)), random_bytes(rng, int(rng.integers(1, 24)))
            await bench.write_memory(address, data)
            image[address : address + len(data)] = data
            writes += [(address + index, byte) for index, byte in enumerate(data)]
        elif kind == 3:
            address, count = int(rng.integers(MEMORY_BYTES - 24)), int(rng.integers(1, 24))
            assert await bench.read_memory(address, count) == image[address : address + count]
        else:
            count = int(rng.integers(4))
            model.tokens.extend(range(pushed, pushed + count))
            pushed += count
            got += (await bench.take_tokens(most=2))[0]
    while pushed > len(got):
        got += (await bench.take_tokens())[0]
    assert got == list(range(pushed))
    assert bench.memory.log == writes and bench.memory.read(0, MEMORY_BYTES) == image
    fixed = (TOKEN, STATUS, CYCLES)
    assert [entry for entry in model.log if entry[1] not in fixed] == expected
    assert bench.attempts > 30 and bench.parser.damaged > 2, "there was hardly any noise"


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def reset_ends_the_session(dut):
    bench = await Bench.start(dut)
    await bench.open(5)
    assert await bench.read_register(FIRST_FREE) == 0
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    for sequence in (bench.sequence, bench.sequence + 1, 0, 1):
        bench.send_request(Request.READ_REGISTERS, count=4, address=FIRST_FREE, sequence=sequence)
        assert await bench.answer(sequence, timeout=600) is None
    await bench.open(5)
    assert await bench.read_register(FIRST_FREE) == 0
