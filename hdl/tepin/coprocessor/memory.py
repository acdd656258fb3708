# SPDX-License-Identifier: Apache-2.0
"""The coprocessor's memory: one port, words with byte enables."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

__all__ = ["WordMemory"]

_SPRAM_WORDS, _SPRAM_BITS = 1 << 14, 16


class WordMemory(Component):
    """Reads or writes one word per cycle.

    On an iCE40 UltraPlus it is made of its large single-port memories, four of 32 KiB; elsewhere it is described, for
    synthesis to make block RAMs of. There is nothing to be relied upon in it before the first write.

    Latency of a read 1 cycle. After a cycle with a write, or without an access, `o` is noise.

    Parameters
    ----------
    width : int
        Bits of a word, a multiple of 8; of 16 for SPRAM.
    depth : int
        Words.

    Members
    -------
    address : In(range(depth))
    enable : In(1)
    write : In(width // 8)
        Bytes to write; none is a read.
    i : In(width)
    o : Out(width)
    """

    def __init__(self, *, width, depth):
        if width % 8 or width < 8:
            raise ValueError(f"Width of a WordMemory must be a multiple of 8, not {width!r}")
        if depth < 2:
            raise ValueError(f"Depth of a WordMemory must be at least 2, not {depth!r}")
        self._depth = depth
        super().__init__(
            {
                "address": In(range(depth)),
                "enable": In(1),
                "write": In(width // 8),
                "i": In(width),
                "o": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if getattr(platform, "device", "").upper().startswith("ICE40UP"):
            self._elaborate_spram(m)
            return m
        m.submodules.memory = memory = Memory(shape=len(self.i), depth=self._depth, init=[])
        write, read = memory.write_port(granularity=8), memory.read_port()
        m.d.comb += [
            write.addr.eq(self.address),
            write.data.eq(self.i),
            write.en.eq(self.write & self.enable.replicate(len(self.write))),
            read.addr.eq(self.address),
            read.en.eq(self.enable & ~self.write.any()),
            self.o.eq(read.data),
        ]
        return m

    def _elaborate_spram(self, m):
        """Banks of 16384 words, each of as many SPRAMs as a word has halves."""
        low = (_SPRAM_WORDS - 1).bit_length()
        outputs = []
        banks = -(-self._depth // _SPRAM_WORDS)
        bank, read_bank = self.address[low:], Signal(range(max(banks, 2)))
        m.d.sync += read_bank.eq(bank)
        for number in range(banks):
            selected = self.enable & (bank == number)
            halves = []
            for half in range(len(self.i) // _SPRAM_BITS):
                data = Signal(_SPRAM_BITS, name=f"data_{number}_{half}")
                first = half * 2
                m.submodules[f"spram_{number}_{half}"] = Instance(
                    "SB_SPRAM256KA",
                    i_CLOCK=ClockSignal(),
                    i_ADDRESS=Cat(self.address[:low], Const(0, low))[:low],
                    i_CHIPSELECT=selected,
                    i_WREN=self.write[first : first + 2].any(),
                    i_MASKWREN=Cat(self.write[first].replicate(2), self.write[first + 1].replicate(2)),
                    i_DATAIN=Value.cast(self.i)[half * _SPRAM_BITS : (half + 1) * _SPRAM_BITS],
                    i_STANDBY=Const(0, 1),
                    i_SLEEP=Const(0, 1),
                    i_POWEROFF=Const(1, 1),  # powers off when low
                    o_DATAOUT=data,
                )
                halves.append(data)
            outputs.append(Cat(*halves))
        with m.Switch(read_bank):
            for number, output in enumerate(outputs):
                with m.Case(number):
                    m.d.comb += self.o.eq(output)
