# SPDX-License-Identifier: Apache-2.0
"""Program memory and the stream of program words that the sequencer reads."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.stream import StreamFifo

__all__ = ["Fetch", "ProgramWord"]


class ProgramWord(data.Struct):
    """A word and where it comes from. `outside`: there is no such word, the program ran past the end of its memory."""

    word: 32
    pc: 16
    outside: 1


class Fetch(Component):
    """Reads the program in order, from where it is told to, one word per cycle.

    After a redirection the first word is offered in the third cycle (two cycles are lost). The host reads and writes
    the memory while `run` is low.

    Cost: one memory of `words` x 32 bits with one read and one write port, and two registers of a word, since a
    block RAM is slow.

    Parameters
    ----------
    words : int
        Size of the program memory: a power of two, at most 32768.
    program : sequence of int
        Its first words at power-up; zeros, which are no instructions, follow. A reset does not bring them back.

    Members
    -------
    run : In(1)
        While it is low nothing is offered.
    redirect_valid, redirect : In(1), In(15)
        Continue with this word. What was on offer is withdrawn, which is the one case in which `o.valid` falls without a
        transfer.
    o : Out stream of ProgramWord
    host_address : In(15)
        Word that the host accesses; must be below `words`.
    host_write, host_data : In(1), In(32)
        Write `host_data`.
    host_word : Out(32)
        The word at the `host_address` of the last cycle but one.
    """

    def __init__(self, words, program=()):
        if not isinstance(words, int) or words < 2 or words & (words - 1) or words > 32768:
            raise ValueError(f"words must be a power of two, at most 32768, not {words!r}")
        if len(program) > words:
            raise ValueError(f"program must have at most {words} words, not {len(program)}")
        self._words = words
        self._program = tuple(program)
        super().__init__(
            {
                "run": In(1),
                "redirect_valid": In(1),
                "redirect": In(15),
                "o": Out(stream.Signature(ProgramWord)),
                "host_address": In(15),
                "host_write": In(1),
                "host_data": In(32),
                "host_word": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=32, depth=self._words, init=self._program, attrs={"no_rw_check": 1}
        )
        write_port = memory.write_port()
        read_port = memory.read_port()
        following = Signal(16)
        valid, pc = Signal(), Signal(16)  # of the word at the read port
        advance = Signal()
        width = len(read_port.addr)
        m.submodules.queue = queue = StreamFifo(shape=ProgramWord, depth=2)
        connect(m, queue.o, flipped(self.o))
        m.d.comb += [
            write_port.addr.eq(self.host_address[:width]),
            write_port.data.eq(self.host_data),
            write_port.en.eq(self.host_write & ~self.run),
            advance.eq(~valid | queue.i.ready),
            read_port.addr.eq(Mux(self.run, following[:width], self.host_address[:width])),
            read_port.en.eq(~self.run | advance),
            queue.clear.eq(~self.run | self.redirect_valid),
            queue.i.valid.eq(valid),
            queue.i.payload.word.eq(read_port.data),
            queue.i.payload.pc.eq(pc),
            queue.i.payload.outside.eq(pc >= self._words),
        ]
        m.d.sync += self.host_word.eq(read_port.data)
        with m.If(~self.run):
            m.d.sync += valid.eq(0)
        with m.Elif(self.redirect_valid):
            m.d.sync += [valid.eq(0), following.eq(self.redirect)]
        with m.Elif(advance):
            m.d.sync += [valid.eq(1), pc.eq(following), following.eq(following + 1)]
        return m
