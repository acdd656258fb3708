# SPDX-License-Identifier: Apache-2.0
"""Command picker of the SDRAM controller: opens rows ahead, and reads and writes words, one command per cycle."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tepin.memory.sdram_bank import BankState
from tepin.memory.sdram_refresh import Upkeep
from tepin.memory.sdram_segments import segment_layout
from tepin.stream import StreamFifo

__all__ = ["CommandPicker", "access_layout", "beat_layout"]


def beat_layout(id_width):
    """A word of a burst: whose it is, with which answer, and whether it is the last one."""
    return data.StructLayout({"id": id_width, "resp": 2, "last": 1})


def access_layout(part):
    """One command, for the pins.

    At most one of the one-bit fields is high. `activate` and `precharge` are for the bank `row_bank`, `read` and `write` for
    `column_bank`.
    """
    return data.StructLayout(
        {
            "activate": 1,
            "precharge": 1,
            "read": 1,
            "write": 1,
            "close": 1,
            "refresh": 1,
            "mode": 1,
            "row_bank": part.bank_bits,
            "row": part.row_bits,
            "column_bank": part.bank_bits,
            "column": part.column_bits,
        }
    )


class CommandPicker(wiring.Component):
    """Turns segments into commands, in order, with rows opened one segment ahead.

    Segments pass three stages. LOOK compares the row with that which is open in its bank. OPEN holds the segment until its
    row is open, with PRECHARGE and ACTIVATE if it is not. ACCESS issues READ and WRITE commands: a READ for every two
    words, one of its own for an odd word at either end, a WRITE for every word. So while ACCESS streams the words of a
    segment, OPEN prepares the next one: behind reads in the cycles between their commands, behind writes in the place of
    a word.

    A row is closed only when ACCESS has no segment of that bank. Segments with another answer than OKAY take part in all
    this, but issue no command.

    Parameters
    ----------
    part, timing : `SdramPart`, `SdramTiming`
    id_width : int

    Members
    -------
    i : In stream of `segment_layout(part, id_width)`
    stop : In(1), upkeep : In(Upkeep)
        From the refresher: issue no commands; a command to issue in this cycle.
    room : In(1)
        There is room for two more read words, whatever was requested in the last cycle.
    read_valid, read_beat : Out
        A word was requested in this cycle; it comes back in order.
    write_valid, write_beat : Out
        A word is written in this cycle.
    access : Out(access_layout(part))
        The command, one cycle after it was picked.
    take_word : Out(1)
        Together with `access`: the next word of write data is used up, whether it is written or not.
    busy, interrupted, closable : Out(1)
        For the refresher.
    """

    def __init__(self, *, part, timing, id_width):
        self._part = part
        self._timing = timing
        self._segment = segment_layout(part, id_width)
        super().__init__(
            {
                "i": In(stream.Signature(self._segment)),
                "stop": In(1),
                "upkeep": In(Upkeep),
                "room": In(1),
                "read_valid": Out(1),
                "read_beat": Out(beat_layout(id_width)),
                "write_valid": Out(1),
                "write_beat": Out(beat_layout(id_width)),
                "access": Out(access_layout(part)),
                "take_word": Out(1),
                "busy": Out(1),
                "interrupted": Out(1),
                "closable": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        part, timing = self._part, self._timing

        banks = [BankState(timing=timing, row_bits=part.row_bits) for _ in range(1 << part.bank_bits)]
        for number, bank in enumerate(banks):
            m.submodules[f"bank{number}"] = bank
        is_open = Array(bank.is_open for bank in banks)
        open_row = Array(bank.open_row for bank in banks)
        settled = Array(bank.settled for bank in banks)
        closable = Array(bank.closable for bank in banks)

        # The stages, and whether their segments move on.
        # LOOK is the head of a queue, whose other place keeps its readiness out of the long paths here.
        m.submodules.queue = queue = StreamFifo(shape=self._segment, depth=2)
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        look_valid, look = queue.o.valid, queue.o.payload
        open_valid, access_valid = Signal(), Signal()
        ahead, now = Signal(self._segment), Signal(self._segment)
        same_row = Signal()  # the row of `ahead` is that of its bank
        hit = Signal()
        finish = Signal()  # ACCESS is free in the next cycle
        leave_open = Signal()
        m.d.comb += [
            hit.eq(ahead.resp.as_value()[1] | (is_open[ahead.bank] & same_row)),
            leave_open.eq(open_valid & hit & (~access_valid | finish)),
            queue.o.ready.eq(~open_valid | leave_open),
            self.busy.eq(look_valid | open_valid | access_valid),
        ]

        with m.If(queue.o.ready):
            m.d.sync += [
                open_valid.eq(look_valid),
                ahead.eq(look),
                same_row.eq(open_row[look.bank] == look.row),
            ]

        # OPEN
        row_quiet = Signal(range(timing.rrd))
        row_allowed = Signal(init=1)  # by tRRD
        clash = Signal()
        closes, opens = Signal(), Signal()
        row_wanted = Signal()
        m.d.comb += [
            clash.eq(access_valid & (now.bank == ahead.bank)),
            closes.eq(is_open[ahead.bank] & closable[ahead.bank] & ~clash),
            opens.eq(~is_open[ahead.bank] & settled[ahead.bank] & row_allowed),
            row_wanted.eq(open_valid & ~hit & ~self.stop & (closes | opens)),
        ]

        # ACCESS
        error = now.resp.as_value()[1]
        plain = Signal()  # READ is what to issue
        pair = Signal()  # the next READ is of two words
        final = Signal()  # the next command ends the segment
        second = Signal()  # the second word of a pair is on its way
        second_beat = Signal(self.read_beat.shape())
        turning = Signal(range(timing.rtw))
        turned = Signal(init=1)  # the bus may be written
        word_possible = Signal()
        issue = Signal()
        row_command = Signal()
        m.d.comb += [
            word_possible.eq(
                access_valid
                & ~second
                & ~self.stop
                & (error | settled[now.bank])
                & Mux(now.write, turned, self.room)
            ),
            row_command.eq(row_wanted & ~(word_possible & pair)),
            issue.eq(word_possible & ~row_command),
            finish.eq(issue & final),
            self.interrupted.eq(access_valid & ~error),
        ]
        with m.If(leave_open):
            even_read = ~ahead.write & ~ahead.resp.as_value()[1] & ~ahead.column[0]
            m.d.sync += [
                access_valid.eq(1),
                now.eq(ahead),
                plain.eq(~ahead.write & ~ahead.resp.as_value()[1]),
                pair.eq(even_read & (ahead.left != 0)),
                final.eq((ahead.left == 0) | (even_read & (ahead.left == 1))),
            ]
        with m.Elif(finish):
            m.d.sync += access_valid.eq(0)
        with m.Elif(issue):
            m.d.sync += [
                now.column.eq(now.column + 1 + pair),
                now.left.eq(now.left - 1 - pair),
                # Of what is left then, 1 or 2 words fewer. Reads are at an even word after any command.
                pair.eq(plain & (now.left != Mux(pair, 2, 1))),
                final.eq((now.left == Mux(pair, 2, 1)) | (plain & (now.left == Mux(pair, 3, 2)))),
            ]
        m.d.sync += second.eq(issue & pair)
        with m.If(issue):
            m.d.sync += [
                second_beat.id.eq(now.id),
                second_beat.resp.eq(now.resp),
                second_beat.last.eq(now.last & final),
            ]
        m.d.comb += [
            self.read_valid.eq((issue & ~now.write) | second),
            self.write_valid.eq(issue & now.write),
            self.write_beat.id.eq(now.id),
            self.write_beat.resp.eq(now.resp),
            self.write_beat.last.eq(now.last & final),
            self.read_beat.eq(self.write_beat),
            self.read_beat.last.eq(now.last & final & ~pair),
        ]
        with m.If(second):
            m.d.comb += self.read_beat.eq(second_beat)

        # What the banks and the timers hear of it.
        reopen = self.upkeep == Upkeep.REOPEN
        activate = (row_command & opens) | reopen
        precharge = row_command & closes
        read = issue & ~now.write & ~error
        write = issue & now.write & ~error
        row_bank = Mux(reopen, now.bank, ahead.bank)
        row = Mux(reopen, now.row, ahead.row)
        close = self.upkeep == Upkeep.CLOSE
        for number, bank in enumerate(banks):
            m.d.comb += [
                bank.activate.eq(activate & (row_bank == number)),
                bank.precharge.eq((precharge & (ahead.bank == number)) | close),
                bank.read.eq(read & (now.bank == number)),
                bank.write.eq(write & (now.bank == number)),
                bank.row.eq(row),
            ]
        quiet = banks[0].closable
        for bank in banks[1:]:
            quiet = quiet & bank.closable
        m.d.comb += self.closable.eq(quiet)
        with m.If(activate):
            m.d.sync += [row_quiet.eq(timing.rrd - 1), row_allowed.eq(timing.rrd == 1)]
            m.d.sync += same_row.eq(same_row | ~reopen)
        with m.Elif(~row_allowed):
            m.d.sync += [row_quiet.eq(row_quiet - 1), row_allowed.eq(row_quiet == 1)]
        with m.If(read):
            m.d.sync += [turning.eq(timing.rtw - 2), turned.eq(0)]
        with m.Elif(turning != 0):
            m.d.sync += turning.eq(turning - 1)
        with m.Else():
            m.d.sync += turned.eq(1)

        m.d.sync += [
            self.access.activate.eq(activate),
            self.access.precharge.eq(precharge),
            self.access.read.eq(read),
            self.access.write.eq(write),
            self.access.close.eq(close),
            self.access.refresh.eq(self.upkeep == Upkeep.REFRESH),
            self.access.mode.eq(self.upkeep == Upkeep.MODE),
            self.access.row_bank.eq(row_bank),
            self.access.row.eq(row),
            self.access.column_bank.eq(now.bank),
            self.access.column.eq(now.column),
            self.take_word.eq(issue & now.write),
        ]
        return m
