# SPDX-License-Identifier: Apache-2.0
"""UART: receiver and transmitter against a line with wrong rates, spikes and missing stop bits."""

from itertools import chain

import pytest

from tepin.io.uart import UartReceiver, UartTransmitter, baud_error
from tepin_testbench.pysim import simulate
from verification.unit.io.line import collect, levels, listen, play, read_waveform

# 100 MHz and 3 Mbaud; the least that is allowed; an odd ratio.
RATES = [(100_000_000, 3_000_000), (4, 1), (107, 10)]


def received(bits, *, clock_hz, baud, factor=1.0, idle=3, ready=lambda: True, spikes=()):
    """Bytes that a receiver makes of a sequence of levels that come `factor` times slower than it thinks."""
    dut = UartReceiver(clock_hz=clock_hz, baud=baud)
    cycles_per_bit = clock_hz / baud * factor
    length = int((len(bits) + 12) * cycles_per_bit) + 20
    result = []

    async def sender(ctx):
        await ctx.tick().repeat(idle)
        await play(ctx, dut.rx, bits, cycles_per_bit, spikes=spikes)

    async def taker(ctx):
        result.extend(await collect(ctx, dut.o, length, ready))

    simulate(dut, sender, taker, cycles=length + 200)
    return result


@pytest.mark.parametrize("clock_hz, baud", RATES)
def test_receives_bytes_back_to_back(clock_hz, baud, rng):
    data = [0, 255, 0x55, 0xAA, *rng.integers(256, size=12).tolist()]
    bits = list(chain.from_iterable(map(levels, data)))
    assert received(bits, clock_hz=clock_hz, baud=baud) == data


@pytest.mark.parametrize("factor", [0.96, 0.98, 1.02, 1.04])
@pytest.mark.parametrize("clock_hz, baud", [(100_000_000, 3_000_000), (107, 10)])
def test_receives_from_a_sender_with_another_rate(clock_hz, baud, factor, rng):
    """4 % where a bit has 33 cycles; 2 % where it has 10."""
    if clock_hz == 107 and abs(factor - 1) > 0.02:
        factor = 1 + (factor - 1) / 2
    data = [0, 255, *rng.integers(256, size=14).tolist()]
    bits = list(chain.from_iterable(map(levels, data)))
    assert received(bits, clock_hz=clock_hz, baud=baud, factor=factor) == data


def test_rate_that_is_too_wrong_is_noticed():
    """The other way round: the tolerance that is tested is not everything."""
    data = [0x55] * 8
    bits = list(chain.from_iterable(map(levels, data)))
    assert received(bits, clock_hz=100, baud=3, factor=1.2) != data


def test_spikes_of_one_cycle_are_not_seen(rng):
    data = rng.integers(256, size=20).tolist()
    bits = [1, 1, *chain.from_iterable([*levels(byte), 1, 1] for byte in data)]
    cycles = int(len(bits) * 100 / 3)
    # A spike that stretches or shortens a bit by a cycle does not matter; two within three cycles would.
    spikes = {int(cycle) + 9 * index for index, cycle in enumerate(sorted(rng.integers(cycles, size=150)))}
    assert received(bits, clock_hz=100, baud=3, spikes=spikes) == data


def test_low_for_less_than_half_a_bit_is_no_byte():
    assert received([1], clock_hz=100, baud=3, spikes=range(5, 20)) == []
    assert received([1, 1, *levels(0x31)], clock_hz=100, baud=3, spikes=range(5, 20)) == [0x31]


@pytest.mark.parametrize("low_bits", [1, 2, 11, 100])
def test_byte_without_stop_bit_is_dropped_and_the_next_is_not(low_bits):
    """A break, too, is nothing but a byte that is dropped."""
    bits = [*levels(0x12), *levels(0xF0, stop=0), *[0] * (low_bits - 1), 1, *levels(0x34), *levels(0x56)]
    assert received(bits, clock_hz=100, baud=3) == [0x12, 0x34, 0x56]


def test_byte_that_is_not_taken_stays_and_later_ones_are_lost():
    bits = list(chain.from_iterable(map(levels, [1, 2, 3, 4])))
    taking = iter([*[False] * 1030, *[True] * 10_000])
    assert received(bits, clock_hz=100, baud=3, ready=lambda: next(taking)) == [1, 4]


def transmitted(data, *, clock_hz, baud, pause=0, cycles):
    """Levels of the line, cycle by cycle, while bytes are sent with pauses."""
    dut = UartTransmitter(clock_hz=clock_hz, baud=baud)
    waveform = []

    async def feeder(ctx):
        for byte in data:
            await ctx.tick().repeat(pause) if pause else None
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, byte)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def listener(ctx):
        waveform.extend(await listen(ctx, dut.tx, cycles))

    simulate(dut, feeder, listener, cycles=cycles + 200)
    return waveform


@pytest.mark.parametrize("pause", [0, 77])
@pytest.mark.parametrize("clock_hz, baud", RATES)
def test_transmits_bytes(clock_hz, baud, pause, rng):
    data = [0, 255, 0x55, *rng.integers(256, size=7).tolist()]
    cycles_per_bit = clock_hz / baud
    cycles = int(len(data) * (10 * cycles_per_bit + 4 + pause)) + 30
    waveform = transmitted(data, clock_hz=clock_hz, baud=baud, pause=pause, cycles=cycles)
    assert read_waveform(waveform, cycles_per_bit) == data
    assert waveform[0] == waveform[-1] == 1


def test_transmits_without_gaps():
    """Ten bits and two cycles a byte."""
    count = 8
    waveform = transmitted([0xFF] * count, clock_hz=100, baud=3, cycles=3000)
    starts = [cycle for cycle in range(1, 3000) if waveform[cycle - 1] and not waveform[cycle]]
    assert len(starts) == count
    assert max(b - a for a, b in zip(starts, starts[1:], strict=False)) <= 10 * 100 / 3 + 2


def test_transmitter_and_receiver_understand_each_other(rng):
    """Over a wire, at the rate of a board."""
    data = rng.integers(256, size=6).tolist()
    waveform = transmitted(data, clock_hz=100_000_000, baud=3_000_000, cycles=2200)
    assert received(waveform, clock_hz=100_000_000, baud=3_000_000, factor=3 / 100) == data


@pytest.mark.parametrize("baud", [9600, 115200, 921600, 1_000_000, 3_000_000, 25_000_000])
@pytest.mark.parametrize("clock_hz", [25_000_000, 27_000_000, 100_000_000, 112_500_000])
def test_baud_error_is_small(clock_hz, baud):
    if clock_hz < 4 * baud:
        with pytest.raises(ValueError, match="at most a quarter of the clock"):
            baud_error(clock_hz=clock_hz, baud=baud)
    else:
        assert abs(baud_error(clock_hz=clock_hz, baud=baud)) <= 2**-11


@pytest.mark.parametrize("kind", [UartReceiver, UartTransmitter])
def test_init_wrong_clock_hz(kind):
    with pytest.raises(
        TypeError, match=r"^Clock of a UART in Hz must be an integer, not 1e8$".replace("1e8", "100000000.0")
    ):
        kind(clock_hz=1e8, baud=1)
    with pytest.raises(ValueError, match=r"^Clock of a UART in Hz must be positive, not 0$"):
        kind(clock_hz=0, baud=1)


@pytest.mark.parametrize("kind", [UartReceiver, UartTransmitter])
def test_init_wrong_baud(kind):
    with pytest.raises(TypeError, match=r"^Baud rate of a UART must be an integer, not '9600'$"):
        kind(clock_hz=100, baud="9600")
    with pytest.raises(ValueError, match=r"^Baud rate of a UART must be positive, not -1$"):
        kind(clock_hz=100, baud=-1)
    message = r"^Baud rate of a UART must be at most a quarter of the clock, 100 Hz, not 26$"
    with pytest.raises(ValueError, match=message):
        kind(clock_hz=100, baud=26)
