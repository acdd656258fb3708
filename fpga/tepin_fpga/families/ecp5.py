# SPDX-License-Identifier: Apache-2.0
"""The ECP5 as a `Family`: what `tepin_fpga.ecp5`, `pll` and `flow` have, behind the interface that all families share."""

from amaranth.hdl import ClockDomain, ClockSignal, Const, Signal
from amaranth.lib.cdc import FFSynchronizer

from tepin_fpga import flow
from tepin_fpga.ecp5 import DEVICES, LIMITS_HZ, block_rams, clock_gate, clock_output, pad, pll_instance
from tepin_fpga.families.family import Family
from tepin_fpga.pins import constraints
from tepin_fpga.pll import solve_pll
from tepin_fpga.report import RESOURCES, check_fits
from tepin_fpga.tools import ECPPACK, NEXTPNR_ECP5, YOSYS

__all__ = ["ECP5", "SDRAM_CLOCK", "SDRAM_PIN"]

SDRAM_CLOCK, SDRAM_PIN = "clk_sdram", "sdram__clk"
"""Net of the clock that is late by the board's phase, and the pin that it leaves through."""


class _Ecp5(Family):
    devices = DEVICES
    tools = (YOSYS, NEXTPNR_ECP5, ECPPACK)
    logs = flow.LOGS
    constraints = "design.lpf"
    bitstream = "bit"
    dsp_cells = ("MULT18X18D",)
    block_ram_cells = ("DP16KD", "PDPW16KD")
    resources = RESOURCES
    pad = staticmethod(pad)

    def limits_hz(self, board):
        return LIMITS_HZ[board.speed]

    def solve(self, board, clock_hz):
        return solve_pll(board.oscillator_hz, clock_hz, phase=board.sdram_phase)

    def add_clocks(self, m, board, settings, ports):
        """PLL, and a gate that opens when it has locked. The system's registers have their initial values from the bitstream,
        and nothing moves before the clock is steady, so that no net has to bring a reset to all of them in one cycle."""
        oscillator, lock, steady = Signal(), Signal(), Signal()
        sdram_clock = Signal(name=SDRAM_CLOCK)
        m.domains.pll = ClockDomain(reset_less=True)
        m.domains.sync = ClockDomain(reset_less=True)
        m.submodules.pll = pll_instance(
            settings, clock=oscillator, output=ClockSignal("pll"), shifted=sdram_clock, lock=lock
        )
        m.submodules.lock = FFSynchronizer(lock, steady, o_domain="pll")
        m.submodules.gate = clock_gate(ClockSignal("pll"), steady, ClockSignal())
        given = {board.oscillator: oscillator}
        if SDRAM_PIN in ports:
            given[SDRAM_PIN] = Signal()
            m.submodules.sdram_clock = clock_output(sdram_clock, given[SDRAM_PIN])
        return given, Const(0, 1)

    def block_rams(self, width, depth):
        return block_rams(width, depth)

    def check_fits(self, board, cells):
        check_fits(cells, DEVICES[board.device])

    def synthesise(self, directory, files, *, top, board, say=None):
        flow.synthesise(
            directory,
            files,
            top=top,
            device=board.device,
            register=[port for port, pins in board.pins.items() if pins.registered],
            say=say,
        )

    def route(self, directory, *, board, seed, written=None, say=None):
        return flow.route(
            directory,
            device=board.device,
            package=board.package,
            speed=board.speed,
            seed=seed,
            constraints=constraints(board.pins, {board.oscillator: board.oscillator_hz}),
            placer="static",
            written=written,
            say=say,
        )

    def pack(self, directory, bitstream, *, board, say=None):
        flow.pack(directory, bitstream, say=say)

    def pictured(self):
        return True


ECP5 = _Ecp5()
"""The family."""
