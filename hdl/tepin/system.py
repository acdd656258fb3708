# SPDX-License-Identifier: Apache-2.0
"""A whole computer around the chip, from its memory's pins to its serial line: what a board is built from.

rx, tx -- SerialHost -- registers -- SelfTest -- s_axil -- Chip
              |                                             |
            memory ---------- AxiArbiter ---------------- m_axi
                                  |
                            SdramController -- sdram
"""

from amaranth.hdl import Cat, Module
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.boot import SelfTest, SelfTestState
from tepin.chip import Chip
from tepin.config import ChipConfig
from tepin.io.protocol import BAUD
from tepin.io.serial_host import SerialHost
from tepin.memory.arbiter import AxiArbiter
from tepin.memory.sdram import SdramController
from tepin.memory.sdram_parts import SdramPart
from tepin.memory.sdram_pins import SdramPins

__all__ = ["System"]


class System(Component):
    """Chip, SDRAM controller, host link and self test in one clock domain, `sync`. Nothing in it depends on the board.

    The chip's bursts come before the host's. The self test, if there is a program for it, runs once after power-up; until it
    has ended the host's accesses to registers wait.

    LEDs, from the lowest: self test running, passed, failed; memory initialised; part of the self test (4 bits), which stays
    for the last one.

    Parameters
    ----------
    config : ChipConfig
    part : SdramPart
        As wide as the chip's memory port.
    clock_hz : int
        Frequency of `sync`.
    baud : int
        Of the serial line.
    boot_program : sequence of int
        Program memory at power-up, which is run then: a self test. None by default.
    cas_latency, read_delay, power_up
        As of `SdramController`.

    Members
    -------
    sdram : Out(SdramPins(part))
    rx : In(1)
        Serial line from the host, asynchronous.
    tx : Out(1)
        Serial line to the host.
    leds : Out(8)
    """

    def __init__(
        self,
        config,
        *,
        part,
        clock_hz,
        baud=BAUD,
        boot_program=(),
        cas_latency=3,
        read_delay=0,
        power_up=None,
    ):
        if not isinstance(config, ChipConfig):
            raise TypeError(f"config must be a ChipConfig, not {config!r}")
        if not isinstance(part, SdramPart):
            raise TypeError(f"part must be an SdramPart, not {part!r}")
        if part.data_width != config.port_width:
            raise ValueError(
                f"The chip's memory port has {config.port_width} bits, the SDRAM {part.data_width}; they must be the same"
            )
        self._config = config
        self._boot_program = tuple(boot_program)
        self._chip = Chip(config, program=boot_program)
        self._controller = SdramController(
            part=part, clock_hz=clock_hz, cas_latency=cas_latency, read_delay=read_delay, power_up=power_up
        )
        self._host = SerialHost(
            clock_hz=clock_hz,
            baud=baud,
            config_hash=config.hash,
            memory_bytes=part.bytes,
            data_width=part.data_width,
        )
        self._self_test = SelfTest(memory_bytes=part.bytes, present=bool(boot_program))
        super().__init__(
            {"sdram": Out(SdramPins(part)), "rx": In(1, init=1), "tx": Out(1, init=1), "leds": Out(8)}
        )

    @property
    def config(self):
        """The chip's configuration."""
        return self._config

    @property
    def boot_program(self):
        """The program memory at power-up."""
        return self._boot_program

    @property
    def part(self):
        """The memory."""
        return self._controller.part

    @property
    def timing(self):
        """The memory's `SdramTiming`."""
        return self._controller.timing

    @property
    def clock_hz(self):
        """Frequency of the clock."""
        return self._controller.clock_hz

    @property
    def baud(self):
        """Bits per second of the serial line."""
        return self._host.baud

    def elaborate(self, platform):
        m = Module()
        m.submodules.chip = chip = self._chip
        m.submodules.controller = controller = self._controller
        m.submodules.host = host = self._host
        m.submodules.boot = self_test = self._self_test
        m.submodules.arbiter = arbiter = AxiArbiter(masters=2, addr_width=32, data_width=self.part.data_width)

        connect(m, host.registers, self_test.s_axil)
        connect(m, self_test.m_axil, chip.s_axil)
        connect(m, chip.m_axi, arbiter.s_axi[0])
        connect(m, host.memory, arbiter.s_axi[1])
        connect(m, arbiter.m_axi, controller.axi)
        connect(m, controller.pins, flipped(self.sdram))
        state = self_test.status.state
        m.d.comb += [
            host.rx.eq(self.rx),
            self.tx.eq(host.tx),
            host.irq.eq(chip.irq),
            host.self_test.eq(self_test.status),
            self_test.ready.eq(controller.ready),
        ]
        m.d.sync += self.leds.eq(
            Cat(
                state == SelfTestState.RUNNING,
                state == SelfTestState.PASSED,
                state == SelfTestState.FAILED,
                controller.ready,
                self_test.status.part[:4],
            )
        )
        return m
