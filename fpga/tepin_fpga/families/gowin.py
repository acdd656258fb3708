# SPDX-License-Identifier: Apache-2.0
"""Gowin's GW2A as a `Family`: the oscillator is the system's clock, without a PLL."""

from dataclasses import dataclass
from fractions import Fraction

from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance

from tepin_fpga.families.family import Family, check_counts, read_report
from tepin_fpga.tools import GOWIN_PACK, NEXTPNR_GOWIN, YOSYS, run_tool

__all__ = ["GOWIN"]


@dataclass(frozen=True)
class Device:
    """A device.

    Members
    -------
    part, family : str
        What nextpnr-himbaechel and gowin_pack call it.
    luts, flip_flops, dsps, block_rams : int
        LUT4, flip-flops, multipliers of 18 x 18, memories of 18 kbit.
    """

    part: str
    family: str
    luts: int
    flip_flops: int
    dsps: int
    block_rams: int


@dataclass(frozen=True)
class Oscillator:
    """The only clock that there is."""

    output_hz: Fraction


class _Gowin(Family):
    devices = {"GW2AR-18C": Device("GW2AR-LV18QN88C8/I7", "GW2A-18C", 20736, 15552, 48, 46)}
    tools = (YOSYS, NEXTPNR_GOWIN, GOWIN_PACK)
    logs = ("yosys.log", "nextpnr.log", "gowin_pack.log")
    constraints = "design.cst"
    bitstream = "fs"
    synthesis = "synth_gowin -family gw2a -noiopads"
    dsp_cells = ("MULT18X18",)
    block_ram_cells = ("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B")
    resources = {
        "LUT4": ("LUT4",),
        "FF": ("DFF",),
        "DSP": ("MULT18X18",),
        "block RAM": ("BSRAM",),
    }

    def limits_hz(self, board):
        return {}

    def solve(self, board, clock_hz):
        if clock_hz != board.oscillator_hz:
            raise ValueError(
                f"The clock is that of the oscillator, {board.oscillator_hz / 1e6:g} MHz, not {clock_hz / 1e6:g} MHz"
            )
        return Oscillator(Fraction(clock_hz))

    def add_clocks(self, m, board, settings, ports):
        m.domains.sync = ClockDomain(reset_less=True)
        return {board.oscillator: ClockSignal()}, Const(0, 1)

    def pad(self, port, direction, *, output=None, enable=None, input=None):
        if direction == "i":
            return Instance("IBUF", io_I=port, o_O=input)
        if direction == "o":
            return Instance("OBUF", i_I=output, io_O=port)
        return Instance("IOBUF", i_I=output, i_OEN=~enable, o_O=input, io_IO=port)

    def block_rams(self, width, depth):
        return min(-(-width // wide) * -(-depth // ((1 << 14) // wide)) for wide in (1, 2, 4, 8))

    def check_fits(self, board, cells):
        device = self.devices[board.device]
        counts = {"LUT": 0, "ALU": 0, "DFF": 0}
        for kind, count in cells.items():
            for prefix in counts:
                counts[prefix] += count * kind.startswith(prefix)
        check_counts(
            [
                ("LUT4", counts["LUT"] + counts["ALU"], device.luts),
                ("flip-flops", counts["DFF"], device.flip_flops),
                ("DSPs", cells.get("MULT18X18", 0), device.dsps),
                ("block RAMs", sum(cells.get(kind, 0) for kind in self.block_ram_cells), device.block_rams),
            ]
        )

    def route(self, directory, *, board, seed, written=None, say=None):
        device = self.devices[board.device]
        (directory / self.constraints).write_text(_constraints(board.pins))
        arguments = ["--device", device.part, "--vopt", f"family={device.family}"]
        arguments += ["--vopt", f"cst={self.constraints}", "--seed", str(seed), "--timing-allow-fail"]
        arguments += ["--freq", f"{board.clock_hz / 1e6:g}", "--report", "report.json"]
        arguments += ["--json", "design.json", "--write", "routed.json"]
        if say:
            say("place and route")
        run_tool(NEXTPNR_GOWIN, arguments, directory=directory, log=self.logs[1], say=say)
        return read_report(directory)

    def pack(self, directory, bitstream, *, board, say=None):
        if say:
            say("bitstream")
        arguments = ["-d", self.devices[board.device].family, "-o", bitstream, "routed.json"]
        run_tool(GOWIN_PACK, arguments, directory=directory, log=self.logs[2])


def _constraints(ports):
    """Text of the constraint file (CST)."""
    lines = []
    for port, pins in ports.items():
        for bit, ball in enumerate(pins.balls):
            name = port if len(pins.balls) == 1 else f"{port}[{bit}]"
            lines.append(f'IO_LOC "{name}" {ball};')
            settings = " ".join(f"{key}={value}" for key, value in pins.attributes.items())
            lines.append(f'IO_PORT "{name}" {settings};')
    return "\n".join(lines) + "\n"


GOWIN = _Gowin()
"""The family."""
