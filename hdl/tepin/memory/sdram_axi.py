# SPDX-License-Identifier: Apache-2.0
"""The SDRAM controller with its AXI4 port called as the specification does, for designs of other people."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect, flipped

from tepin.memory.sdram import SdramController

__all__ = ["AXI4Sdram"]


class AXI4Sdram(wiring.Component):
    """`SdramController`, whose port `axi` is called `s_axi`.

    Parameters are those of `SdramController`.
    """

    def __init__(self, **parameters):
        self._controller = SdramController(**parameters)
        members = self._controller.signature.members
        super().__init__({"s_axi": members["axi"], "pins": members["pins"], "ready": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller = controller = self._controller
        connect(m, flipped(self.s_axi), controller.axi)
        connect(m, controller.pins, flipped(self.pins))
        m.d.comb += self.ready.eq(controller.ready)
        return m
