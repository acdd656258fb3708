# SPDX-License-Identifier: Apache-2.0
"""The ECP5 family: devices, what their primitives can do, and the cells that a board's top level is made of."""

from dataclasses import dataclass

from amaranth.hdl import Const, Instance

__all__ = [
    "DEVICES",
    "LIMITS_HZ",
    "Device",
    "block_rams",
    "clock_gate",
    "clock_output",
    "pad",
    "pll_instance",
]


@dataclass(frozen=True)
class Device:
    """A device.

    Members
    -------
    option : str
        Argument of nextpnr-ecp5.
    luts, dsps, block_rams : int
        LUT4, 18 x 18 multipliers, memories of 18 kbit.
    multiplier_rows, multiplier_groups : tuple of int
        Rows of the device that have multipliers; columns in which groups of four of them begin. From Project Trellis.
    """

    option: str
    luts: int
    dsps: int
    block_rams: int
    multiplier_rows: tuple
    multiplier_groups: tuple


DEVICES = {
    "LFE5U-12F": Device("--12k", 24288, 28, 56, (13,), (4, 13, 22, 33, 42, 51, 60)),
    "LFE5U-25F": Device("--25k", 24288, 28, 56, (13,), (4, 13, 22, 33, 42, 51, 60)),
    "LFE5U-45F": Device("--45k", 43848, 72, 108, (22, 46), (4, 13, 22, 31, 42, 51, 60, 69, 78)),
    "LFE5U-85F": Device(
        "--85k", 83640, 156, 208, (10, 34, 58), (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)
    ),
}
"""What the place-and-route tool offers; a 12F is a 25F to it."""

LIMITS_HZ = {6: {"DP16KD": 212_000_000}}
"""By speed grade: the fastest clock of a primitive, where that is less than what a path may reach.

The tools check delays between cells only, never how short a pulse a block RAM can live with.
"""


_BLOCK_RAM = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
_BLOCK_RAM_COST, _LUT_RAM_COST = 128, 4  # by which Yosys weighs a block RAM and 16 x 4 bits in LUTs


def block_rams(width, depth):
    """Block RAMs of a memory of `depth` words: 0 if LUTs are the cheaper place for it, as Yosys weighs them.

    What decodes the address of a memory in LUTs is not weighed in here, so for one that is just below the limit Yosys may
    choose otherwise.
    """
    blocks = min(-(-width // wide) * -(-depth // deep) for wide, deep in _BLOCK_RAM)
    luts = -(-width // 4) * -(-depth // 16)
    return blocks if blocks * _BLOCK_RAM_COST < luts * _LUT_RAM_COST else 0


def pll_instance(pll, *, clock, output, shifted, lock):
    """An EHXPLLL with the settings of a `Pll`, whose feedback is its first output."""
    low, high = Const(0, 1), Const(1, 1)
    return Instance(
        "EHXPLLL",
        a_FREQUENCY_PIN_CLKI=f"{pll.input_hz / 1e6:g}",
        a_FREQUENCY_PIN_CLKOP=f"{float(pll.output_hz) / 1e6:g}",
        a_FREQUENCY_PIN_CLKOS=f"{float(pll.output_hz) / 1e6:g}",
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_OUTDIVIDER_MUXB="DIVB",
        **{f"p_{name}": value for name, value in pll.parameters().items()},
        i_CLKI=clock,
        i_CLKFB=output,
        i_RST=low,
        i_STDBY=low,
        i_PHASESEL0=low,
        i_PHASESEL1=low,
        i_PHASEDIR=high,
        i_PHASESTEP=high,
        i_PHASELOADREG=high,
        i_PLLWAKESYNC=low,
        i_ENCLKOP=low,
        o_CLKOP=output,
        o_CLKOS=shifted,
        o_LOCK=lock,
    )


def clock_gate(clock, enable, output):
    """A clock that stands still while `enable` is low."""
    return Instance("DCCA", i_CLKI=clock, i_CE=enable, o_CLKO=output)


def pad(port, direction, *, output=None, enable=None, input=None):
    """The I/O buffer of one pin: `direction` "i", "o" or "io"; drives `output` while `enable` is high."""
    cells = {"i": "INPUT", "o": "OUTPUT", "io": "BIDIR"}
    signals = {}
    if "o" in direction:
        signals["i_I"] = output
    if direction == "io":
        signals["i_T"] = ~enable
    if "i" in direction:
        signals["o_O"] = input
    return Instance("TRELLIS_IO", p_DIR=cells[direction], io_B=port, **signals)


def clock_output(clock, output):
    """A clock on its way to a pin, through the flip-flops of the I/O cell: high while `clock` is.

    It has the delay of the other outputs, which a way through the fabric has not.
    """
    return Instance(
        "ODDRX1F", i_SCLK=clock, i_RST=Const(0, 1), i_D0=Const(1, 1), i_D1=Const(0, 1), o_Q=output
    )
