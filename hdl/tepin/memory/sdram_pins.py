# SPDX-License-Identifier: Apache-2.0
"""The pins of an SDR SDRAM, and the commands that appear on them."""

from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["PinCommand", "SdramPins"]


class PinCommand(enum.Enum, shape=3):
    """Levels of ras_n, cas_n and we_n, from bit 2 to bit 0, while cs_n is low."""

    MODE = 0b000
    REFRESH = 0b001
    PRECHARGE = 0b010
    ACTIVATE = 0b011
    WRITE = 0b100
    READ = 0b101
    NOP = 0b111


class SdramPins(wiring.Signature):
    """Pins of the part `part`, seen from the controller; the clock is the board's business.

    Members
    -------
    cke, cs_n, ras_n, cas_n, we_n : Out(1)
    ba : Out(part.bank_bits)
    a : Out(part.address_width)
    dqm : Out(part.data_width // 8)
    dq_o, dq_i : Out, In of part.data_width
    dq_oe : Out(1)
        Drive dq_o onto the pins.
    """

    def __init__(self, part):
        self.part = part
        super().__init__(
            {
                "cke": Out(1),
                "cs_n": Out(1, init=1),
                "ras_n": Out(1, init=1),
                "cas_n": Out(1, init=1),
                "we_n": Out(1, init=1),
                "ba": Out(part.bank_bits),
                "a": Out(part.address_width),
                "dqm": Out(part.data_width // 8, init=(1 << part.data_width // 8) - 1),
                "dq_o": Out(part.data_width),
                "dq_oe": Out(1),
                "dq_i": In(part.data_width),
            }
        )
