# SPDX-License-Identifier: Apache-2.0
"""Words over lines that make errors: each arrives once, unchanged and in order."""

import cocotb
import pytest
from cocotb.triggers import ClockCycles

from tepin.link.frame import IDLE, Kind, encode_frame, encode_header
from tepin_testbench import options
from tepin_testbench.runner import parameters
from verification.testbenches.link.bench import Bench, run


def test_serial_link():
    run(__name__, test_filter="^(?!.*many_words)")


def test_two_lanes():
    run(__name__, lanes=2, test_filter="words_both_ways.*source_pause=0.0.*sink_pause=0.0|any_order|single")


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [4, 2, 1])
def test_few_lanes(lanes):
    run(__name__, lanes=lanes, test_filter="^(?!.*many_words)")


def test_pauses():
    """Beats left out, long words, short frames."""
    run(
        __name__,
        lanes=8,
        word_bits=128,
        frame_words=4,
        window=32,
        pause=5,
        test_filter="words_both_ways|bit_errors",
    )


RATES = [0.0, 1e-6, 1e-4, 1e-3]


@pytest.mark.slow
@pytest.mark.parametrize("rate", RATES)
def test_many_words(rate):
    run(__name__, test_filter=f"many_words/rate={rate}$")


def cycles(count):
    """Cycles in which a line with 8 lanes carries as much as this one does in `count`."""
    return count * 8 // parameters()["lanes"]


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(source_pause=[0.0, 0.9], sink_pause=[0.0, 0.9])
async def words_both_ways(dut, source_pause, sink_pause):
    bench = Bench(dut)
    await bench.start(source_pause=source_pause, sink_pause=sink_pause)
    await bench.exchange((400, 300))
    assert bench.status("a", "errors") == bench.status("b", "errors") == 0
    assert bench.checkers["i_a"].transfers == bench.checkers["o_b"].transfers == 400


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def lanes_in_any_order(dut):
    """Order, polarity and skew of the lanes differ in both directions, and from training to training."""
    rng = options.generator("lanes")
    bench = Bench(dut)
    lanes = parameters()["lanes"]

    def wiring():
        return {
            "order": rng.permutation(lanes).tolist(),
            "inverted": rng.integers(2, size=lanes).tolist(),
            "skew": rng.integers(8, size=lanes).tolist(),
        }

    await bench.start(ab=wiring(), ba=wiring())
    await bench.exchange((30, 30))
    assert bench.status("a", "errors") == bench.status("b", "errors") == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def too_much_skew(dut):
    """A lane that is later than the delays allow for: no link, rather than one that is wrong."""
    lanes = parameters()["lanes"]
    bench = Bench(dut)
    skew = [0] * lanes
    skew[-1] = 8
    await bench.start(ab={"skew": skew})
    await ClockCycles(dut.clk, 3000)
    assert bench.status("b", "up") == int(lanes == 1)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def one_word_at_a_time(dut):
    """Each word comes soon, whatever frames without payload are on the line."""
    bench = Bench(dut)
    await bench.start()
    await bench.up()
    await ClockCycles(dut.clk, 100)
    rng = options.generator("single")
    most = 0
    for word in bench.words("single", 30):
        bench.sources["a"].send([word])
        before = bench.checkers["i_a"].transfers
        await bench.until(lambda before=before: bench.checkers["i_a"].transfers > before)
        count = await bench.until(lambda: bench.sinks["b"].waiting())
        assert await bench.sinks["b"].receive(1) == [word]
        most = max(most, count)
        await ClockCycles(dut.clk, int(rng.integers(1, 200)))
    # The bench's line takes four cycles, and its drivers two.
    assert most <= (20 + 7 if parameters()["lanes"] == 8 else 300)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(rate=[1e-6, 1e-4, 1e-3])
async def bit_errors(dut, rate):
    bench = Bench(dut)
    await bench.start(source_pause=0.1, sink_pause=0.1)
    for line in bench.lines.values():
        line.bit_error_rate = rate
    await bench.exchange((200, 150))
    if rate > 1e-5:
        assert bench.lines["a"].errors and bench.lines["b"].errors


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def errors_are_counted(dut):
    """A wrong bit, whatever it is in, is one error here and one complaint there, and nothing else."""
    bench = Bench(dut)
    await bench.start()
    await bench.up()
    await ClockCycles(dut.clk, cycles(400))
    names = [(side, name) for side in "ab" for name in ("errors", "replays", "retrains")]
    before = {each: bench.status(*each) for each in names}
    for count in range(1, 9):
        bench.lines["a"].flip = True
        await ClockCycles(dut.clk, cycles(400))
        after = {each: bench.status(*each) - before[each] for each in names}
        expected = dict.fromkeys(names, 0) | {("b", "errors"): count, ("a", "replays"): count}
        assert after == expected
    await bench.exchange((30, 30))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def bursts(dut):
    """Noise on all lanes, from a beat to many frames, in either direction."""
    rng = options.generator("bursts")
    bench = Bench(dut)
    await bench.start()
    await bench.up()

    async def disturb():
        while True:
            await ClockCycles(dut.clk, cycles(int(rng.integers(100, 900))))
            bench.lines["ab"[int(rng.integers(2))]].burst = int(rng.choice([1, 2, 8, 300]))

    task = cocotb.start_soon(disturb())
    await bench.exchange((1200, 1000))
    task.cancel()
    assert bench.status("a", "replays") > 1


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def stuck_lane(dut):
    """A lane keeps one level for 1000 cycles: words wait, and the link need not train again."""
    bench = Bench(dut)
    await bench.start()
    await bench.up()
    done = cocotb.start_soon(bench.exchange((900, 900)))
    for level in (0, 1):
        await ClockCycles(dut.clk, cycles(300))
        bench.lines["a"].stuck = (parameters()["lanes"] - 1, level)
        await ClockCycles(dut.clk, 1000)
        bench.lines["a"].stuck = None
    await done
    assert bench.status("b", "errors") > 0
    assert bench.status("a", "retrains") == bench.status("b", "retrains") == 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def clock_slips(dut):
    """An edge too few, an edge too many: the lanes are a bit off, the link trains again, nothing is lost."""
    bench = Bench(dut)
    await bench.start()
    await bench.up()
    done = cocotb.start_soon(bench.exchange((3000, 3000)))
    for slip in (9, 8, 7):
        await ClockCycles(dut.clk, cycles(700))
        bench.lines["b"].slip = slip
        await bench.until(lambda: not bench.status("a", "up"), cycles(6000))
        await bench.up(cycles(20_000))
    await done
    assert bench.status("a", "retrains") == 3


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(silent=[False, True])
async def cable_pulled(dut, silent):
    """Without the cable the link is down in both directions, in bounded time; put back, it goes on with the next word."""
    bench = Bench(dut)
    await bench.start()
    await bench.up()
    done = cocotb.start_soon(bench.exchange((1200, 900)))
    await ClockCycles(dut.clk, cycles(1000))
    for line in bench.lines.values():
        line.silent, line.pulled = silent, True
    await bench.until(lambda: not (bench.status("a", "up") or bench.status("b", "up")), cycles(4300))
    await ClockCycles(dut.clk, cycles(2000))
    for line in bench.lines.values():
        line.silent = line.pulled = False
    await bench.up(cycles(6000))
    await done
    assert not bench.status("a", "broken") and not bench.status("b", "broken")


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def cable_of_one_direction(dut):
    """Only what a receives is gone: b learns of it, too."""
    bench = Bench(dut)
    await bench.start()
    await bench.up()
    bench.lines["b"].pulled = True
    await bench.until(lambda: not bench.status("b", "up"), cycles(10_000))
    bench.lines["b"].pulled = False
    await bench.exchange((50, 50))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_of_one_side(dut):
    """The other side says that words may be lost, and takes none from a sender that began anew."""
    bench = Bench(dut)
    await bench.start()
    await bench.exchange((40, 30))
    dut.reset_b.value = 1
    await ClockCycles(dut.clk, 3)
    dut.reset_b.value = 0
    bench.sources["b"].send(bench.words("lost", 5))
    await bench.until(lambda: bench.status("a", "broken"), cycles(10_000))
    await ClockCycles(dut.clk, cycles(3000))
    assert bench.status("a", "broken") and not bench.status("a", "up") and not bench.status("b", "up")
    assert not bench.status("b", "broken")
    assert bench.sinks["a"].waiting() == 0
    dut.reset_a.value = 1
    await ClockCycles(dut.clk, 3)
    dut.reset_a.value = 0
    # What b had accepted waits still.
    assert await bench.sinks["a"].receive(5) == bench.words("lost", 5)
    await bench.exchange((40, 30))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def window_holds(dut):
    """A sink that takes nothing: the sender accepts a window and what the receiver's output holds, and no word is lost."""
    bench = Bench(dut)
    await bench.start(sink_pause=1.0)
    words = bench.words("window", 400)
    bench.sources["a"].send(words)
    bench.lines["a"].bit_error_rate = 1e-4
    await ClockCycles(dut.clk, cycles(6000))
    assert bench.checkers["i_a"].transfers in range(128, 131)
    assert bench.status("a", "up")
    bench.sinks["b"].pause = 0.0
    assert await bench.sinks["b"].receive(400) == words


def awkward_words(count):
    """Words full of idle units, and of frames that are right but for the nonce."""
    units = []
    number = 0
    while len(units) < 4 * count:
        units += [IDLE] * 5
        units += encode_frame(encode_header(number % 256, 0, 0), b"\xad\xde" * 4)
        units += [IDLE] * 4
        units += encode_frame(encode_header(number % 256, Kind.NAK, 1))
        number += 3
    return [
        sum(unit << 16 * index for index, unit in enumerate(units[place : place + 4]))
        for place in range(0, 4 * count, 4)
    ]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def payload_like_frames(dut):
    """Whatever a receiver that has lost its place finds in payload, it takes none of it for a frame."""
    bench = Bench(dut)
    await bench.start()
    words = awkward_words(1200)
    bench.lines["a"].bit_error_rate = 1e-3
    bench.sources["a"].send(words)
    assert await bench.sinks["b"].receive(len(words)) == words


@cocotb.test(timeout_time=2, timeout_unit="sec")
@cocotb.parametrize(rate=RATES)
async def many_words(dut, rate):
    """100,000 words."""
    bench = Bench(dut)
    await bench.start()
    for line in bench.lines.values():
        line.bit_error_rate = rate
    words = bench.words("many", 100_000)
    bench.sources["a"].send(words)
    for place in range(0, len(words), 1000):
        assert await bench.sinks["b"].receive(1000) == words[place : place + 1000]
    assert bench.sinks["b"].waiting() == 0
