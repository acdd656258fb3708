# SPDX-License-Identifier: Apache-2.0
"""The iCE40 UltraPlus as a `Family`.

Its PLL takes the oscillator's pad and no gate follows it: the system is held in reset until the PLL has locked.
"""

import json
from dataclasses import dataclass
from fractions import Fraction

from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib.cdc import FFSynchronizer

from tepin_fpga.families.family import Family, check_counts, read_report
from tepin_fpga.tools import ICEPACK, NEXTPNR_ICE40, YOSYS, run_tool

__all__ = ["ICE40", "Ice40Pll", "solve_ice40_pll"]

_PFD_HZ = 10_000_000, 133_000_000
_VCO_HZ = 533_000_000, 1_066_000_000
_FILTERS_HZ = 17e6, 26e6, 44e6, 66e6, 101e6
"""Of the phase detector: below the first of these, FILTER_RANGE is 1, below the second 2, and so on."""


@dataclass(frozen=True)
class Device:
    """A device.

    Members
    -------
    option : str
        Argument of nextpnr-ice40.
    cells : int
        A LUT4, a carry and a flip-flop each.
    dsps, block_rams, sprams : int
        Multipliers of 16 x 16, memories of 4 kbit, of 256 kbit.
    """

    option: str
    cells: int
    dsps: int
    block_rams: int
    sprams: int


@dataclass(frozen=True)
class Ice40Pll:
    """Settings of an SB_PLL40: DIVR, DIVF, DIVQ; the output is input / (r + 1) * (f + 1) / 2**q."""

    input_hz: int
    r: int
    f: int
    q: int

    @property
    def output_hz(self):
        """Frequency of the output, a `Fraction`."""
        return Fraction(self.input_hz * (self.f + 1), (self.r + 1) << self.q)

    @property
    def filter(self):
        """FILTER_RANGE."""
        return 1 + sum(self.input_hz / (self.r + 1) >= limit for limit in _FILTERS_HZ)


def solve_ice40_pll(input_hz, output_hz):
    """The settings whose output is nearest to `output_hz`; `ValueError` if none is within 2 %."""
    found = []
    for r in range(16):
        pfd = Fraction(input_hz, r + 1)
        if not _PFD_HZ[0] <= pfd <= _PFD_HZ[1]:
            continue
        for q in range(1, 7):
            f = round(Fraction(output_hz << q) / pfd) - 1
            if 0 <= f < 128 and _VCO_HZ[0] <= pfd * (f + 1) <= _VCO_HZ[1]:
                pll = Ice40Pll(input_hz, r, f, q)
                found.append((abs(pll.output_hz - output_hz), r, q, pll))
    if not found or min(found)[0] > Fraction(output_hz, 50):
        raise ValueError(f"No PLL setting makes {output_hz / 1e6:g} MHz from {input_hz / 1e6:g} MHz")
    return min(found)[-1]


class _Ice40(Family):
    devices = {"iCE40UP5K": Device("--up5k", 5280, 8, 30, 4)}
    tools = (YOSYS, NEXTPNR_ICE40, ICEPACK)
    logs = ("yosys.log", "nextpnr.log", "icepack.log")
    constraints = "design.pcf"
    bitstream = "bin"
    synthesis = "synth_ice40 -device u -dsp"
    dsp_cells = ("SB_MAC16",)
    block_ram_cells = ("SB_RAM40_4K", "SB_SPRAM256KA")
    resources = {
        "LUT4": ("ICESTORM_LC",),
        "FF": ("ICESTORM_FF",),
        "DSP": ("ICESTORM_DSP",),
        "block RAM": ("ICESTORM_RAM",),
        "SPRAM": ("ICESTORM_SPRAM",),
    }

    def limits_hz(self, board):
        return {}

    def solve(self, board, clock_hz):
        return solve_ice40_pll(board.oscillator_hz, clock_hz)

    def add_clocks(self, m, board, settings, ports):
        lock, steady = Signal(), Signal()
        m.domains.sync = ClockDomain(reset_less=True)
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(settings.r, 4),
            p_DIVF=Const(settings.f, 7),
            p_DIVQ=Const(settings.q, 3),
            p_FILTER_RANGE=Const(settings.filter, 3),
            io_PACKAGEPIN=ports[board.oscillator],
            i_RESETB=Const(1, 1),
            i_BYPASS=Const(0, 1),
            o_PLLOUTGLOBAL=ClockSignal(),
            o_LOCK=lock,
        )
        m.submodules.lock = FFSynchronizer(lock, steady)
        return {board.oscillator: None}, ~steady

    def pad(self, port, direction, *, output=None, enable=None, input=None):
        m = Module()
        types = {"i": 0b000001, "o": 0b011001, "io": 0b101001}
        signals = {}
        if "o" in direction:
            signals["i_D_OUT_0"] = output
        if direction == "io":
            signals["i_OUTPUT_ENABLE"] = enable
        if "i" in direction:
            signals["o_D_IN_0"] = input
        m.submodules.cell = Instance(
            "SB_IO", p_PIN_TYPE=Const(types[direction], 6), io_PACKAGE_PIN=port, **signals
        )
        return m

    def block_rams(self, width, depth):
        if width % 16 == 0 and depth > 512:  # these are SPRAMs, see `WordMemory`
            return width // 16 * -(-depth // (1 << 14))
        return min(-(-width // wide) * -(-depth // (4096 // wide)) for wide in (2, 4, 8, 16))

    def expected_cells(self, primitives):
        return {"SB_MAC16": primitives.dsps}

    def check_fits(self, board, cells):
        device = self.devices[board.device]
        flip_flops = sum(count for kind, count in cells.items() if kind.startswith("SB_DFF"))
        check_counts(
            [
                ("LUT4", cells.get("SB_LUT4", 0), device.cells),
                ("flip-flops", flip_flops, device.cells),
                ("DSPs", cells.get("SB_MAC16", 0), device.dsps),
                ("block RAMs", cells.get("SB_RAM40_4K", 0), device.block_rams),
                ("SPRAMs", cells.get("SB_SPRAM256KA", 0), device.sprams),
            ]
        )

    def route(self, directory, *, board, seed, written=None, say=None):
        (directory / self.constraints).write_text(
            "".join(
                f"set_io {port if len(pins.balls) == 1 else f'{port}[{bit}]'} {ball}\n"
                for port, pins in board.pins.items()
                for bit, ball in enumerate(pins.balls)
            )
        )
        arguments = [self.devices[board.device].option, "--package", board.package, "--seed", str(seed)]
        arguments += ["--json", "design.json", "--pcf", self.constraints, "--asc", "design.asc"]
        arguments += ["--report", "report.json", "--timing-allow-fail"]
        settings = self.solve(board, board.clock_hz)
        arguments += ["--freq", f"{float(settings.output_hz) / 1e6:g}"]
        if say:
            say("place and route")
        run_tool(NEXTPNR_ICE40, arguments, directory=directory, log=self.logs[1], say=say)
        report = read_report(directory)
        # They share cells with LUTs, so nextpnr does not count them.
        cells = json.loads((directory / "cells.json").read_text())["design"]["num_cells_by_type"]
        flip_flops = sum(count for kind, count in cells.items() if kind.startswith("SB_DFF"))
        report["utilization"]["ICESTORM_FF"] = {
            "used": flip_flops,
            "available": self.devices[board.device].cells,
        }
        return report

    def pack(self, directory, bitstream, *, board, say=None):
        if say:
            say("bitstream")
        run_tool(ICEPACK, ["design.asc", bitstream], directory=directory, log=self.logs[2])


ICE40 = _Ice40()
"""The family."""
