# SPDX-License-Identifier: Apache-2.0
"""A bank of the scratchpad: memories side by side, so that a line may begin at any word."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

__all__ = ["Bank", "line_place", "log2", "rotate"]


def log2(value):
    """Of a power of two."""
    return value.bit_length() - 1


def rotate(line, words, left):
    """Rotate a line by a number of words of an equal share of it each: word 0 to place `words` if `left`, or back."""
    unit = len(line) >> len(words)
    for bit, select in enumerate(words):
        turn = unit << bit
        line = Mux(select, line.rotate_left(turn) if left else line.rotate_right(turn), line)
    return line


def _bytes(word):
    return [word.word_select(index, 8) for index in range(len(word) // 8)]


def line_place(*, size, line_bytes):
    """Where a line begins in a bank of `size` bytes.

    Members: `row`, of the memories, that of its first word; `following`, the row behind that, or the first one; `offset`, the
    memory with its first word; `wraps`, bit i: memory i comes before that one, so that its word is in the row `following`.
    """
    count = line_bytes // 4
    row = log2(size // line_bytes)
    return data.StructLayout({"row": row, "following": row, "offset": log2(count), "wraps": count})


class Bank(Component):
    """One bank: a line in and a line out per cycle, each at any word address.

    The bank is `line_bytes / 4` memories of 32-bit words. Word w is in memory `w % count`, row `w // count`, so the words
    of a line that begins in the middle of a row are in different memories all the same. What passes the end of the
    bank continues at its beginning.

    Latency of a read: 4 cycles, with registers in front of the memories, behind them and behind the rotation by whole words.
    A read in the same cycle as a write to the same word returns the old word in simulation and either of them in hardware.

    Cost: `line_bytes / 4` memories with byte enables, three registers and a rotator of `8 * line_bytes` bits. With `parity`
    memories of 36-bit words, the width that block RAMs have anyway, and a tree of XORs on both sides.

    Parameters
    ----------
    size : int
        Bytes, a power of two, at least two lines.
    line_bytes : int
        Bytes per line, a power of two, at least 4.
    parity : bool
        Each byte has a bit more, which makes the number of ones even: bytes are what is written at a time.

    Members
    -------
    read_valid : In(1)
        Somebody reads. Only with `parity`, for which it matters.
    parity_error : Out(1)
        Any byte of the line that was addressed four cycles before has a wrong parity bit. Only with `parity`.
    read_place : In(line_place(...))
        The line to read.
    read_data : Out(8 * line_bytes)
        The line that was addressed four cycles before.
    write_place : In(line_place(...))
        The line to write.
    write_data, write_mask : In
        What is written: those bytes of the line whose bits in the mask are set. Both come rotated, so that each word
        lies where its memory is.
    """

    def __init__(self, *, size, line_bytes, parity=False):
        self._size = size
        self._line_bytes = line_bytes
        self._parity = parity
        place = line_place(size=size, line_bytes=line_bytes)
        super().__init__(
            {
                **({"read_valid": In(1), "parity_error": Out(1)} if parity else {}),
                "read_place": In(place),
                "read_data": Out(8 * line_bytes),
                "write_place": In(place),
                "write_data": In(8 * line_bytes),
                "write_mask": In(line_bytes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = self._line_bytes // 4
        offset_bits = log2(count)
        # Ports are selected before, memories after these registers.
        place = line_place(size=self._size, line_bytes=self._line_bytes)
        read_place, write_place = (
            data.View(place, Signal(place.size, name=name, reset_less=True))
            for name in ("read_at", "write_at")
        )
        write_data = Signal(8 * self._line_bytes, name="written", reset_less=True)
        write_mask = Signal(self._line_bytes, name="write_bytes")
        m.d.sync += [
            read_place.as_value().eq(self.read_place),
            write_place.as_value().eq(self.write_place),
            write_data.eq(self.write_data),
            write_mask.eq(self.write_mask),
        ]
        offset, stored_offset = Signal(offset_bits, reset_less=True), Signal(offset_bits, reset_less=True)
        stored, rotated = (
            Signal(8 * self._line_bytes, name=name, reset_less=True) for name in ("stored", "rotated")
        )
        m.d.sync += [offset.eq(read_place.offset), stored_offset.eq(offset)]
        m.d.sync += rotated.eq(rotate(stored, stored_offset, left=False))
        m.d.comb += self.read_data.eq(rotated)
        bits = 9 if self._parity else 8
        wrong = []
        for index in range(count):
            # Nobody relies on what a read returns while the word is written, so synthesis need not take care of it.
            depth = self._size // self._line_bytes
            words = Memory(shape=4 * bits, depth=depth, init=[], attrs={"no_rw_check": 1})
            m.submodules[f"words_{index}"] = words
            write_port = words.write_port(granularity=bits)
            read_port = words.read_port()
            written = write_data.word_select(index, 32)
            if self._parity:
                written = Cat(Cat(byte, byte.xor()) for byte in _bytes(written))
                check = Signal(36, name=f"check_{index}", reset_less=True)
                m.d.sync += check.eq(read_port.data)
                wrong += [check.word_select(byte, 9).xor() for byte in range(4)]
            m.d.comb += [
                read_port.addr.eq(self._row(read_place, index)),
                write_port.en.eq(write_mask.word_select(index, 4)),
                write_port.addr.eq(self._row(write_place, index)),
                write_port.data.eq(written),
            ]
            data_bits = Cat(read_port.data.word_select(byte, bits)[:8] for byte in range(4))
            m.d.sync += stored.word_select(index, 32).eq(data_bits)
        if self._parity:
            valid = Signal(3)  # beside place, memory, and register behind it
            m.d.sync += [
                valid.eq(Cat(self.read_valid, valid)),
                self.parity_error.eq(valid[2] & Cat(wrong).any()),
            ]
        return m

    @staticmethod
    def _row(place, index):
        """Row of memory `index` that belongs to the line at `place`."""
        return Mux(place.wraps[index], place.following, place.row)
