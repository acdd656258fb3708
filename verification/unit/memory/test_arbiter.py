# SPDX-License-Identifier: Apache-2.0
"""AXI masters on one slave: whose data and answers are whose, and how long an address waits."""

import re
from collections import deque

import pytest

from tepin.memory.arbiter import AddressArbiter, AxiArbiter
from tepin_testbench.pysim import simulate


def offer(ctx, stream, item):
    """Offers an item: a mapping from field to value, or None for nothing."""
    ctx.set(stream.valid, item is not None)
    if item is not None:
        ctx.set(stream.payload, item)


@pytest.mark.parametrize("masters, data_width, outstanding", [(2, 16, 4), (3, 32, 2)])
def test_bursts(rng, masters, data_width, outstanding):
    """Random bursts of all masters on a slave with random pauses: each gets its own data and answers, in its order."""
    dut = AxiArbiter(masters=masters, data_width=data_width, outstanding=outstanding, patience=3)
    count = 25
    mask = (1 << data_width) - 1
    # The slave answers a read with words made of its address, and tells what was written where.
    reads = [
        [(int(a), int(n)) for a, n in rng.integers((1 << 20, 8), size=(count, 2))] for _ in range(masters)
    ]
    writes = [
        [(int(a), int(n)) for a, n in rng.integers((1 << 20, 8), size=(count, 2))] for _ in range(masters)
    ]
    read_back = [[] for _ in range(masters)]
    answered = [[] for _ in range(masters)]
    written = []

    def word(address, beat):
        return (address * 77 + beat * 1013) & mask

    def addresses(number, channel, bursts):
        async def run(ctx):
            port = getattr(dut.s_axi[number], channel)
            for address, length in bursts:
                while rng.random() < 0.3:
                    await ctx.tick()
                offer(ctx, port, {"addr": address, "len": length, "id": number & 1})
                await ctx.tick().until(port.ready)
                offer(ctx, port, None)

        return run

    def write_data(number):
        async def run(ctx):
            port = dut.s_axi[number].w
            for address, length in writes[number]:
                for beat in range(length + 1):
                    while rng.random() < 0.2:
                        await ctx.tick()
                    offer(ctx, port, {"data": word(address, beat), "strb": 1, "last": beat == length})
                    await ctx.tick().until(port.ready)
                    offer(ctx, port, None)

        return run

    def answers(number):
        async def run(ctx):
            r, b = dut.s_axi[number].r, dut.s_axi[number].b
            words = []
            while len(read_back[number]) < count or len(answered[number]) < count:
                take_r, take_b = rng.random() < 0.7, rng.random() < 0.7
                ctx.set(r.ready, take_r)
                ctx.set(b.ready, take_b)
                _, _, r_valid, beat, b_valid, answer = await ctx.tick().sample(
                    r.valid, r.payload, b.valid, b.payload
                )
                if r_valid and take_r:
                    assert beat.id == number & 1
                    words.append(beat.data)
                    if beat.last:
                        read_back[number].append(words)
                        words = []
                if b_valid and take_b:
                    assert answer.id == number & 1
                    answered[number].append(answer.resp)

        return run

    def contract(stream):
        async def run(ctx):
            waiting = None
            while True:
                _, _, valid, ready, payload = await ctx.tick().sample(
                    stream.valid, stream.ready, stream.payload.as_value()
                )
                assert waiting is None or (valid and payload == waiting), (
                    "an item changed before it was taken"
                )
                waiting = payload if valid and not ready else None

        return run

    async def slave_reads(ctx):
        port = dut.m_axi
        pending = deque()
        beat = 0
        while True:
            ready = rng.random() < 0.5 and len(pending) < 3
            ctx.set(port.ar.ready, ready)
            giving = bool(pending) and rng.random() < 0.7
            if giving:
                address, length, number = pending[0]
                offer(
                    ctx,
                    port.r,
                    {"id": number, "data": word(address, beat), "last": beat == length, "resp": 0},
                )
            else:
                offer(ctx, port.r, None)
            while True:
                _, _, asked, burst, taken = await ctx.tick().sample(
                    port.ar.valid, port.ar.payload, port.r.ready
                )
                if asked and ready:
                    pending.append((burst.addr, burst.len, burst.id))
                    ready = False
                    ctx.set(port.ar.ready, 0)
                if not giving or taken:
                    break
            if giving:
                beat += 1
                if beat > length:
                    pending.popleft()
                    beat = 0

    async def slave_writes(ctx):
        port = dut.m_axi
        bursts, done = deque(), deque()
        data = []
        while True:
            ready = rng.random() < 0.5 and len(bursts) < 3
            take = rng.random() < 0.7
            ctx.set(port.aw.ready, ready)
            ctx.set(port.w.ready, take)
            _, _, asked, burst, valid, beat = await ctx.tick().sample(
                port.aw.valid, port.aw.payload, port.w.valid, port.w.payload
            )
            ctx.set(port.aw.ready, 0)
            ctx.set(port.w.ready, 0)
            if asked and ready:
                bursts.append((burst.addr, burst.len, burst.id))
            if valid and take:
                data.append(beat.data)
                if beat.last:
                    done.append(data)
                    data = []
            if done and bursts:
                address, length, number = bursts.popleft()
                written.append((address, done.popleft()))
                assert len(written[-1][1]) == length + 1
                offer(ctx, port.b, {"id": number, "resp": len(written) & 3})
                await ctx.tick().until(port.b.ready)
                offer(ctx, port.b, None)

    simulate(
        dut,
        *(addresses(number, "ar", reads[number]) for number in range(masters)),
        *(addresses(number, "aw", writes[number]) for number in range(masters)),
        *(write_data(number) for number in range(masters)),
        *(answers(number) for number in range(masters)),
        background=[
            slave_reads,
            slave_writes,
            *(contract(stream) for stream in (dut.m_axi.ar, dut.m_axi.aw, dut.m_axi.w)),
            *(contract(stream) for port in dut.s_axi for stream in (port.r, port.b)),
        ],
        cycles=20_000,
    )
    for number in range(masters):
        assert read_back[number] == [[word(a, beat) for beat in range(n + 1)] for a, n in reads[number]]
    expected = sorted((a, [word(a, beat) for beat in range(n + 1)]) for bursts in writes for a, n in bursts)
    assert sorted(written) == expected


@pytest.mark.parametrize("masters, patience", [(2, 1), (2, 5), (3, 4)])
def test_priority_and_patience(masters, patience):
    """When all masters want all turns the first one gets them, but for one in `patience + 1`, which goes round."""
    dut = AddressArbiter(masters=masters, shape=8, patience=patience)
    owners = []

    async def run(ctx):
        ctx.set(dut.enable, 1)
        ctx.set(dut.o.ready, 1)
        for number in range(masters):
            offer(ctx, dut.i[number], number)
        for _ in range(6 * (patience + 1) * masters):
            _, _, valid, owner = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                owners.append(owner)

    simulate(dut, run)
    turns = owners[patience :: patience + 1]
    assert turns == [turn % masters for turn in range(len(turns))]
    del owners[patience :: patience + 1]
    assert set(owners) == {0}
    assert len(turns) > 2 * masters


def test_one_address_per_cycle():
    dut = AddressArbiter(masters=2, shape=8, patience=4)
    seen = []

    async def run(ctx):
        ctx.set(dut.enable, 1)
        ctx.set(dut.o.ready, 1)
        for item in range(20):
            offer(ctx, dut.i[1], item)
            _, _, ready, valid, payload = await ctx.tick().sample(dut.i[1].ready, dut.o.valid, dut.o.payload)
            assert ready
            assert valid == (item > 0)
            seen.extend([payload] * valid)

    simulate(dut, run)
    assert seen == list(range(19))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"masters": 1}, "There must be at least 2 masters, not 1"),
        ({"outstanding": 0}, "At least 1 burst must be on its way, not 0"),
        ({"patience": 0}, "Patience must be at least 1 address, not 0"),
        ({"data_width": 24}, "Data width of AXI4 must be 8, 16, 32, 64, 128, 256, 512 or 1024, not 24"),
    ],
)
def test_init_wrong_parameter(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        AxiArbiter(**{"data_width": 16, **change})
