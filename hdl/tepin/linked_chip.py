# SPDX-License-Identifier: Apache-2.0
"""A chip with a serial link at each of its ports: what other chips see are lanes."""

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.chip import Chip
from tepin.link.serial_link import LineSignature, SerialLink, StatusSignature

__all__ = ["LANES", "LinkedChip"]

LANES = 8
"""Of each link in each direction."""


class LinkedChip(Component):
    """`Chip`, and `SerialLink`s in the place of its streams of words.

    The links are not reset between programs, so words that a failed program has left in them are still there.

    Parameters
    ----------
    config : ChipConfig
        With at least one link.

    Members
    -------
    tx, rx : arrays of Out and In LineSignature
    link_status : array of Out StatusSignature
    s_axil, m_axi, irq, probe_valid, probe_data, probe_last
        Those of `Chip`.
    """

    def __init__(self, config):
        if not config.links:
            raise ValueError("a linked chip needs a configuration with links")
        self._chip = Chip(config)
        members = self._chip.signature.members
        self._through = [name for name in members if not name.startswith("link_")]
        super().__init__(
            {
                **{name: members[name] for name in self._through},
                "tx": Out(LineSignature(LANES)).array(config.links),
                "rx": In(LineSignature(LANES)).array(config.links),
                "link_status": Out(StatusSignature()).array(config.links),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.chip = chip = self._chip
        connect(m, flipped(self.s_axil), chip.s_axil)
        connect(m, chip.m_axi, flipped(self.m_axi))
        for name in self._through:
            if not name.endswith("_axi") and not name.endswith("_axil"):
                m.d.comb += getattr(self, name).eq(getattr(chip, name))
        for index in range(len(self.tx)):
            link = SerialLink(lanes=LANES)
            m.submodules[f"link_{index}"] = link
            connect(m, chip.link_o[index], link.i)
            connect(m, link.o, chip.link_i[index])
            connect(m, link.tx, flipped(self.tx[index]))
            connect(m, flipped(self.rx[index]), link.rx)
            connect(m, link.status, flipped(self.link_status[index]))
        return m
