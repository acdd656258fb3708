# SPDX-License-Identifier: Apache-2.0
"""What an access of a memory macro costs: a model, since no package holds macros.

Six-transistor cells in the most nearly square arrangement of rows and columns. An access charges one word line and all bit
lines of the array by the swing of a read; a write takes the bit lines of what it writes from rail to rail. What decoders,
sense amplifiers, latches and drivers add is a charge for each address bit and each data bit.
"""

from dataclasses import dataclass

__all__ = ["MemoryModel"]


@dataclass(frozen=True)
class MemoryModel:
    """Picojoules of accesses.

    Capacitances in picofarads, those of a process of 180 nm: a bit of drain and 3 um of wire along a bit line, two gates and
    3 um of wire along a word line. To be replaced where macros are known.
    """

    voltage: float
    bit_line: float = 0.0018
    """For each row."""
    word_line: float = 0.0040
    """For each column."""
    swing: float = 0.3
    """Of a bit line that is read, as a part of the voltage."""
    data: float = 0.15
    """Sense amplifier or driver, latch and pin of a bit of the word."""
    address: float = 0.5
    """Latch, predecoder and their wires, of a bit of the address."""

    def shape(self, memory):
        """Rows and columns: a word takes its width of them, several words may share a row."""
        sharing = 1
        while memory.depth > 2 * sharing and memory.depth // sharing > memory.width * sharing * 2:
            sharing *= 2
        return -(-memory.depth // sharing), memory.width * sharing

    def _common(self, memory):
        _, columns = self.shape(memory)
        bits = max(1, (memory.depth - 1).bit_length())
        return (columns * self.word_line + bits * self.address) * self.voltage**2

    def read(self, memory, accesses=1):
        """Words are read."""
        rows, columns = self.shape(memory)
        lines = columns * rows * self.bit_line * self.swing
        return accesses * (self._common(memory) + (lines + memory.width * self.data) * self.voltage**2)

    def write(self, memory, accesses=1, words=1.0):
        """Words are written: so many accesses, and how many whole words all parts that they write come to."""
        rows, columns = self.shape(memory)
        line = rows * self.bit_line * self.voltage**2
        written = words * memory.width  # All other columns see the swing of a read.
        lines = line * (self.swing * accesses * columns + (1 - self.swing) * written)
        return accesses * self._common(memory) + lines + written * self.data * self.voltage**2
