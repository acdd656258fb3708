# SPDX-License-Identifier: Apache-2.0
"""A bare AXI master that keeps the SDRAM controller as busy as it can, and is quick to simulate."""

from collections import deque

import cocotb
from cocotb.triggers import RisingEdge

__all__ = ["Traffic"]


class Traffic:
    """Keeps queues of bursts and counts the beats that have been answered. It is always ready for answers.

    Attributes
    ----------
    reads, writes : deque of (address, beats)
        Bursts to come. A test fills them at any time.
    read_beats, written_beats : int
        Beats that have come back, and those of answered bursts.
    words : deque of (data, strobes)
        Beats to write; zeros when there are none.
    read_words : list
        Data of the beats that have come back.
    """

    def __init__(self, dut, beat):
        self.dut = dut
        self.beat = beat
        self.reads, self.writes = deque(), deque()
        self.read_beats = self.written_beats = 0
        self.words, self.read_words = deque(), []
        self._write_data = deque()  # beats of each burst whose address has been taken
        self._unanswered = deque()
        for channel in ("ar", "aw"):
            getattr(dut, f"s_axi_{channel}size").value = beat.bit_length() - 1
            getattr(dut, f"s_axi_{channel}burst").value = 1
        dut.s_axi_rready.value = 1
        dut.s_axi_bready.value = 1
        cocotb.start_soon(self._addresses("ar", self.reads))
        cocotb.start_soon(self._addresses("aw", self.writes))
        cocotb.start_soon(self._data())
        cocotb.start_soon(self._count())

    async def _addresses(self, channel, queue):
        dut = self.dut
        valid, ready = getattr(dut, f"s_axi_{channel}valid"), getattr(dut, f"s_axi_{channel}ready")
        address, length = getattr(dut, f"s_axi_{channel}addr"), getattr(dut, f"s_axi_{channel}len")
        while True:
            while not queue:
                valid.value = 0
                await RisingEdge(dut.clk)
            start, beats = queue.popleft()
            address.value = start
            length.value = beats - 1
            valid.value = 1
            await RisingEdge(dut.clk)
            while ready.value == 0:
                await RisingEdge(dut.clk)
            if channel == "aw":
                self._write_data.append(beats)
                self._unanswered.append(beats)

    async def _data(self):
        dut = self.dut
        every = (1 << self.beat) - 1
        while True:
            while not self._write_data:
                dut.s_axi_wvalid.value = 0
                await RisingEdge(dut.clk)
            for left in reversed(range(self._write_data.popleft())):
                data, strobes = self.words.popleft() if self.words else (0, every)
                dut.s_axi_wdata.value = data
                dut.s_axi_wstrb.value = strobes
                dut.s_axi_wvalid.value = 1
                dut.s_axi_wlast.value = int(left == 0)
                await RisingEdge(dut.clk)
                while dut.s_axi_wready.value == 0:
                    await RisingEdge(dut.clk)

    async def _count(self):
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            if dut.s_axi_rvalid.value == 1:
                self.read_beats += 1
                self.read_words.append(int(dut.s_axi_rdata.value))
            if dut.s_axi_bvalid.value == 1:
                self.written_beats += self._unanswered.popleft()
