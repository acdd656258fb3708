# SPDX-License-Identifier: Apache-2.0
"""The SDRAM controller with the model of its part, as one design, and what its testbenches have in common."""

import logging
from dataclasses import replace

import cocotb
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotb.triggers import Edge, RisingEdge
from cocotbext.axi import AxiBus, AxiMaster

from tepin.dma.axi import AXI4Signature
from tepin.memory.sdram import SdramController
from tepin.memory.sdram_parts import PARTS
from tepin.memory.sdram_pins import SdramPins
from tepin_testbench.models import sdram as model
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import start

CLOCK_HZ = 100_000_000
POWER_UP = 300

# Few rows, so that the model is quick to make, and refreshes that come round often enough to be seen.
SMALL_16 = replace(PARTS["ulx3s"], row_bits=6, refreshes=64, t_ref=500_000)
SMALL_32 = replace(PARTS["colorlight"], row_bits=6, refreshes=32, t_ref=500_000, t_rc=95)
SHAPES = {
    "narrow": {"part": SMALL_16},
    "wide": {"part": SMALL_32, "cas_latency": 2, "read_delay": 1},
}


class SdramSystem(wiring.Component):
    """Controller and part, whose data come `read_delay` cycles later than they would.

    Members
    -------
    s_axi : In(AXI4Signature), ready : Out(1)
        The controller's.
    violations : Out
        What the model has objected to since the last reset.
    stricter : In
        The model's.
    """

    def __init__(self, *, part, cas_latency=3, clock_hz=CLOCK_HZ, **settings):
        self.controller = SdramController(
            part=part, clock_hz=clock_hz, cas_latency=cas_latency, power_up=POWER_UP, **settings
        )
        axi = AXI4Signature(addr_width=32, data_width=part.data_width, id_width=1)
        super().__init__(
            {
                "s_axi": In(axi),
                "ready": Out(1),
                "violations": Out(len(model.VIOLATIONS)),
                "stricter": In(model.STRICTER_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller = controller = self.controller
        violations = Signal(len(model.VIOLATIONS))
        part_pins = SdramPins(controller.part).create()
        for name, member in SdramPins(controller.part).members.items():
            if member.flow == Out:
                m.d.comb += getattr(part_pins, name).eq(getattr(controller.pins, name))
        words = part_pins.dq_i
        for stage in range(controller.read_delay):
            later = Signal.like(words, name=f"words{stage}")
            m.d.sync += later.eq(words)
            words = later
        m.d.comb += controller.pins.dq_i.eq(words)
        m.submodules.model = model.sdram_model(
            part_pins,
            controller.part,
            controller.timing,
            error=Signal(name="error"),
            violations=violations,
            stricter=self.stricter,
        )
        m.d.sync += self.violations.eq(self.violations | violations)
        wiring.connect(m, wiring.flipped(self.s_axi), controller.axi)
        m.d.comb += self.ready.eq(controller.ready)
        return m


def run(test_module, *, shape="narrow", test_filter=None, settings=None, **values):
    """Runs the cocotb tests of a module on a controller and its part."""
    arguments = {**SHAPES[shape], **(settings or {})}
    system = SdramSystem(**arguments)
    part = arguments["part"]
    run_cocotb(
        system,
        top="sdram",
        test_module=test_module,
        test_filter=test_filter,
        extra_sources=[model.SOURCE],
        parameters={
            "shape": shape,
            "bytes": part.bytes,
            "row_bytes": part.data_width // 8 << part.column_bits,
            "beat": part.data_width // 8,
            **values,
        },
    )


class Bench:
    """A master of cocotbext-axi at the controller, and a watch on the model."""

    def __init__(self, dut):
        self.dut = dut
        self.beat = parameters()["beat"]
        self.bytes = parameters()["bytes"]

    async def start(self, *, master=True, watch=True):
        await start(self.dut)
        if watch:
            cocotb.start_soon(self._watch())
        if master:
            logging.getLogger("cocotb.sdram.s_axi").setLevel(logging.WARNING)
            self.master = AxiMaster(AxiBus.from_prefix(self.dut, "s_axi"), self.dut.clk, self.dut.rst)

    def channels(self):
        """The five channels of the master, for pauses."""
        reads, writes = self.master.read_if, self.master.write_if
        return reads.ar_channel, reads.r_channel, writes.aw_channel, writes.w_channel, writes.b_channel

    async def initialised(self):
        while self.dut.ready.value == 0:
            await RisingEdge(self.dut.clk)

    def violated(self):
        """Names of what the model has objected to."""
        bits = int(self.dut.violations.value)
        return [name for number, name in enumerate(model.VIOLATIONS) if bits >> number & 1]

    async def _watch(self):
        """Fails the test in the cycle after a violation."""
        await RisingEdge(self.dut.clk)
        while self.dut.violations.value == 0:
            await Edge(self.dut.violations)
        raise AssertionError(f"the model objects: {', '.join(self.violated())}")
