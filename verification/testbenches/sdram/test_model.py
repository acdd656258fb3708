# SPDX-License-Identifier: Apache-2.0
"""The model of the SDRAM itself: each rule broken by the smallest amount, and kept by none."""

import cocotb
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotb.triggers import RisingEdge

from tepin.memory.sdram_parts import SdramPart, SdramTiming
from tepin.memory.sdram_pins import PinCommand, SdramPins
from tepin_testbench.models import sdram as model
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import start

# No two times are the same, so that one cannot stand in for another.
PART = SdramPart(
    data_width=16, bank_bits=2, row_bits=5, column_bits=8, t_rcd=0, t_rp=0, t_ras=0, t_rc=0, t_rfc=0, t_rrd=0, t_wr=0,
    refreshes=4, cas_hz={},
)  # fmt: skip
TIMING = SdramTiming(
    rcd=3, rp=4, ras=7, rc=13, rfc=9, rrd=2, wr=5, mrd=6, cas=2, refresh_interval=0, refresh_window=1000, ras_max=200,
    postponed=8, power_up=20,
)  # fmt: skip
ALL = 1 << 10


class Part(wiring.Component):
    """The model with its pins as ports."""

    pins: In(SdramPins(PART))
    violations: Out(len(model.VIOLATIONS))

    def elaborate(self, platform):
        m = Module()
        m.submodules.model = model.sdram_model(
            self.pins, PART, TIMING, error=Signal(name="error"), violations=self.violations
        )
        return m


def run(test_filter, **parameters):
    run_cocotb(
        Part(), top="part", test_module=__name__, test_filter=test_filter, parameters=parameters,
        extra_sources=[model.SOURCE],
    )  # fmt: skip


def test_model():
    run("gaps|words|protocol|long_times")


@pytest.mark.parametrize("wrong", ["nothing", "power-up", "precharge", "refresh", "mode"])
def test_beginning(wrong):
    """Each in a simulation of its own: a part begins once."""
    run("beginning", wrong=wrong)


class Driver:
    """Sends commands, one per cycle, and remembers what the model says."""

    def __init__(self, dut):
        self.dut = dut
        self.seen = set()
        self.words = []  # what can be sampled at each edge

    async def cycle(
        self, command=PinCommand.NOP, *, bank=0, address=0, write=None, mask=0, drive=None, cke=1
    ):
        dut = self.dut
        levels = command.value
        dut.pins__cke.value = cke
        dut.pins__cs_n.value = 0
        dut.pins__ras_n.value = levels >> 2
        dut.pins__cas_n.value = levels >> 1 & 1
        dut.pins__we_n.value = levels & 1
        dut.pins__ba.value = bank
        dut.pins__a.value = address
        dut.pins__dqm.value = mask
        dut.pins__dq_o.value = write or 0
        dut.pins__dq_oe.value = int(write is not None if drive is None else drive)
        await RisingEdge(dut.clk)
        self.words.append(int(dut.pins__dq_i.value))
        bits = int(dut.violations.value)
        self.seen |= {name for number, name in enumerate(model.VIOLATIONS) if bits >> number & 1}

    async def wait(self, cycles):
        for _ in range(cycles):
            await self.cycle()

    async def activate(self, bank=0, row=1):
        await self.cycle(PinCommand.ACTIVATE, bank=bank, address=row)

    async def precharge(self, bank=0, address=0):
        await self.cycle(PinCommand.PRECHARGE, bank=bank, address=address)

    async def read(self, bank=0, column=0, **more):
        await self.cycle(PinCommand.READ, bank=bank, address=column, **more)

    async def store(self, bank=0, column=0, word=0, **more):
        await self.cycle(PinCommand.WRITE, bank=bank, address=column, write=word, **more)

    async def initialise(self):
        """From whatever state to one with all banks closed, long ago."""
        await start(self.dut)
        await self.wait(30)
        await self.precharge(address=ALL)
        await self.wait(10)
        for _ in range(PART.refreshes):
            await self.cycle(PinCommand.REFRESH)
            await self.wait(10)
        await self.cycle(PinCommand.MODE, address=1 | 2 << 4 | 1 << 9)
        await self.wait(10)
        self.seen.clear()

    async def judged(self):
        """Names of the violations so far."""
        await self.wait(2)
        seen, self.seen = sorted(self.seen), set()
        return seen


async def gap(driver, name, cycles):
    """Two commands that `name` keeps apart, with `cycles` from one to the other."""
    rest = cycles - 1
    if name == "T_RP":
        await driver.activate()
        await driver.wait(20)
        await driver.precharge()
        await driver.wait(rest)
        await driver.activate()
    elif name == "T_RAS":
        await driver.activate()
        await driver.wait(rest)
        await driver.precharge()
    elif name == "T_RC":
        await driver.activate()
        await driver.wait(7)
        await driver.precharge()
        await driver.wait(rest - 8)
        await driver.activate()
    elif name == "T_RRD":
        await driver.activate(bank=0)
        await driver.wait(rest)
        await driver.activate(bank=3)
    elif name == "T_RCD":
        await driver.activate()
        await driver.wait(rest)
        await driver.read()
    elif name in ("T_WR", "T_RTP"):
        await driver.activate(bank=2)
        await driver.wait(10)
        await (driver.store if name == "T_WR" else driver.read)(bank=2)
        await driver.wait(rest)
        await driver.precharge(bank=2)
    elif name in ("T_RFC", "T_MRD"):
        if name == "T_RFC":
            await driver.cycle(PinCommand.REFRESH)
        else:
            await driver.cycle(PinCommand.MODE, address=1 | 2 << 4 | 1 << 9)
        await driver.wait(rest)
        await driver.activate()
    elif name == "T_TURN":
        await driver.activate()
        await driver.wait(10)
        await driver.read()
        await driver.wait(rest)
        await driver.store()
    await driver.wait(20)


GAPS = {
    "T_RCD": TIMING.rcd, "T_RP": TIMING.rp, "T_RAS": TIMING.ras, "T_RC": TIMING.rc, "T_RFC": TIMING.rfc, "T_RRD": TIMING.rrd,
    "T_WR": TIMING.wr, "T_MRD": TIMING.mrd, "T_RTP": TIMING.rtp, "T_TURN": TIMING.rtw,
}  # fmt: skip


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(name=list(GAPS))
async def gaps(dut, name):
    """The shortest gap is fine; one cycle less is not."""
    driver = Driver(dut)
    for missing in (0, 1):
        await driver.initialise()
        await gap(driver, name, GAPS[name] - missing)
        assert await driver.judged() == [name] * missing


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def words(dut):
    """Words come when they should, written bytes stay, a burst of two wraps and is cut short by the next command."""
    driver = Driver(dut)
    await driver.initialise()
    await driver.activate(bank=1, row=9)
    await driver.wait(5)
    for column, word in enumerate((0x1111, 0x2222, 0x3333, 0x4444)):
        await driver.store(bank=1, column=column, word=word)
    await driver.store(bank=1, column=2, word=0xABCD, mask=0b01)
    first = len(driver.words)
    await driver.read(bank=1, column=3)
    await driver.wait(1)
    await driver.read(bank=1, column=1)
    await driver.read(bank=1, column=0)
    await driver.wait(10)
    # Two edges after each READ.
    assert driver.words[first + 2 : first + 7] == [0x4444, 0xAB33, 0x2222, 0x1111, 0x2222]
    assert await driver.judged() == []


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def protocol(dut):
    """Commands that do not fit the state of the part."""
    driver = Driver(dut)
    mode = 1 | 2 << 4 | 1 << 9

    async def expect(name):
        await driver.wait(20)
        assert await driver.judged() == [name]
        await driver.initialise()

    await driver.initialise()
    await driver.read(bank=3)
    await expect("CLOSED")
    await driver.store(bank=3)
    await expect("CLOSED")
    await driver.activate()
    await driver.wait(20)
    await driver.activate(row=2)
    await expect("OPEN")
    await driver.activate()
    await driver.wait(20)
    await driver.cycle(PinCommand.REFRESH)
    await expect("OPEN")
    await driver.cycle(PinCommand.MODE, address=mode + (1 << 4))
    await driver.wait(20)
    assert await driver.judged() == []  # a CAS latency of 3 is fine
    await driver.initialise()
    await driver.cycle(PinCommand.MODE, address=mode - (1 << 4))
    await expect("T_CAS")
    await driver.cycle(PinCommand.MODE, address=mode - (1 << 9))
    await expect("MODE")
    await driver.activate()
    await driver.wait(5)
    await driver.read(column=ALL)
    await expect("MODE")
    await driver.cycle(cke=0)
    await expect("MODE")
    await driver.activate()
    await driver.wait(5)
    await driver.read()
    await driver.wait(1)
    await driver.cycle(drive=1)
    await expect("T_TURN")
    await driver.activate()
    await driver.wait(5)
    await driver.store(drive=0)
    await expect("DRIVE")
    await driver.activate()
    await driver.wait(5)
    await driver.read(mask=1)
    await expect("MASK")


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def long_times(dut):
    """Rows that stay open, and rows that are not refreshed."""
    driver = Driver(dut)
    await driver.initialise()
    await driver.activate()
    await driver.wait(TIMING.ras_max - 3)
    assert await driver.judged() == []
    await driver.wait(3)
    assert await driver.judged() == ["T_RAS_MAX"]
    await driver.precharge()
    await driver.wait(10)
    for _ in range(5):  # each row in its turn
        await driver.cycle(PinCommand.REFRESH)
        await driver.wait(TIMING.refresh_window // PART.refreshes - 3)
    assert await driver.judged() == []
    await driver.wait(20)
    assert await driver.judged() == ["T_REFRESH"]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def beginning(dut):
    """The power-up sequence, with and without mistakes."""
    wrong = parameters()["wrong"]
    driver = Driver(dut)
    await start(dut)
    await driver.wait(TIMING.power_up - (10 if wrong == "power-up" else 0))
    if wrong != "precharge":
        await driver.precharge(address=ALL)
        await driver.wait(10)
    for _ in range(1 if wrong == "refresh" else 2):
        await driver.cycle(PinCommand.REFRESH)
        await driver.wait(10)
    if wrong != "mode":
        await driver.cycle(PinCommand.MODE, address=1 | 2 << 4 | 1 << 9)
        await driver.wait(10)
    await driver.activate()
    await driver.wait(10)
    assert await driver.judged() == {"nothing": [], "power-up": ["T_POWER_UP"]}.get(wrong, ["INIT"])
