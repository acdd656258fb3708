# SPDX-License-Identifier: Apache-2.0
"""SDR SDRAM controller: an AXI4 slave that keeps the pins of the memory busy."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tepin.dma.axi import AXI4Signature
from tepin.memory.sdram_data import ReadPath, WritePath
from tepin.memory.sdram_parts import BURST, SdramPart
from tepin.memory.sdram_picker import CommandPicker
from tepin.memory.sdram_pins import PinCommand, SdramPins
from tepin.memory.sdram_refresh import Refresher
from tepin.memory.sdram_segments import Segmenter, segment_layout
from tepin.memory.sdram_turns import TurnArbiter
from tepin.stream import StreamFifo

__all__ = ["SdramController"]


class SdramController(wiring.Component):
    """AXI4 slave with an SDR SDRAM behind it.

    INCR bursts of 1 to 256 whole beats. Reads are answered in order, and so are writes; there is no order between the two
    but this: a read whose address comes after the answer to a write sees what was written. A write is answered when its
    last word is on its way to the pins. DECERR answers bursts that start beyond the part; SLVERR those of several beats
    that are narrow, FIXED or WRAP. Writes start when all their data have come, reads only when there is room for the data,
    so neither side of the bus can hold up the memory for the other.

    A reset leaves the contents of the part undefined, since no row is refreshed while it powers up again.

    From an address to its first beat take 11 + CAS latency + `read_delay` cycles if the row is open, and tRCD and tRP more if
    it is not; the words of queued bursts follow without gaps. From the last beat of a write to its answer take 14 cycles.

    Parameters
    ----------
    part : `SdramPart`
        Its words are the beats of the bus.
    clock_hz : int
        Frequency of the clock.
    cas_latency : int
        2 or 3, as far as the part can do that at this clock.
    read_delay : int
        Cycles by which read data come later than without delays on the board and in I/O cells; see docs/sdram.md.
    power_up : int, optional
        Cycles before the first command; what the part needs by default.
    id_width : int
    queued : int
        Addresses that are queued in each direction.
    read_depth, write_depth : int
        Beats of read data that are on their way or queued, and of write data that are queued.
    patience : int
        Cycles that reads wait for writes, or writes for reads, before the direction changes.

    Members
    -------
    axi : In(AXI4Signature(addr_width=32, data_width=part.data_width, id_width=id_width))
    pins : Out(SdramPins(part))
        Every output is a flip-flop that nothing else depends on.
    ready : Out(1)
        The part is initialised. Bursts are accepted before.
    """

    def __init__(
        self,
        *,
        part,
        clock_hz,
        cas_latency=3,
        read_delay=0,
        power_up=None,
        id_width=1,
        queued=4,
        read_depth=64,
        write_depth=512,
        patience=128,
    ):
        if not isinstance(part, SdramPart):
            raise TypeError(f"Part must be an SdramPart, not {part!r}")
        if read_delay not in range(8):
            raise ValueError(f"Read delay must be 0 to 7 cycles, not {read_delay}")
        if read_depth < 8:
            raise ValueError(f"Read depth must be at least 8 beats, not {read_depth}")
        if write_depth < 260:
            raise ValueError(f"Write depth must be at least 260 beats, not {write_depth}")
        self.part = part
        self.timing = part.timing(clock_hz, cas_latency=cas_latency, power_up=power_up)
        self.clock_hz = clock_hz
        self.read_delay = read_delay
        self._id_width = id_width
        self._queued = queued
        self._read_depth = read_depth
        self._write_depth = write_depth
        self._patience = patience
        axi = AXI4Signature(addr_width=32, data_width=part.data_width, id_width=id_width)
        super().__init__({"axi": In(axi), "pins": Out(SdramPins(part)), "ready": Out(1)})

    def elaborate(self, platform):
        m = Module()
        part, timing, axi = self.part, self.timing, self.axi

        # Addresses to segments.
        address = axi.ar.payload.shape()
        m.submodules.read_addresses = read_addresses = StreamFifo(shape=address, depth=self._queued)
        m.submodules.read_segments = read_segments = Segmenter(part=part, address=address, write=False)
        m.submodules.write_addresses = write_addresses = StreamFifo(shape=address, depth=self._queued)
        m.submodules.write_segments = write_segments = Segmenter(part=part, address=address, write=True)
        m.submodules.write_path = write_path = WritePath(
            id_width=self._id_width,
            depth=self._write_depth,
            answers=8,
            w=axi.w.payload.shape(),
            b=axi.b.payload.shape(),
        )
        m.submodules.turns = turns = TurnArbiter(
            shape=segment_layout(part, self._id_width), patience=self._patience
        )
        for queue, channel, segments in (
            (read_addresses, axi.ar, read_segments),
            (write_addresses, axi.aw, write_segments),
        ):
            m.d.comb += [
                queue.i.valid.eq(channel.valid),
                queue.i.payload.eq(channel.payload),
                channel.ready.eq(queue.i.ready),
                segments.i.payload.eq(queue.o.payload),
            ]
        begin = write_path.may_begin
        m.d.comb += [
            read_segments.i.valid.eq(read_addresses.o.valid),
            read_addresses.o.ready.eq(read_segments.i.ready),
            write_segments.i.valid.eq(write_addresses.o.valid & begin),
            write_addresses.o.ready.eq(write_segments.i.ready & begin),
            write_path.begin.eq(write_addresses.o.valid & write_addresses.o.ready),
        ]
        complete = write_path.complete
        m.d.comb += [
            turns.first.valid.eq(read_segments.o.valid),
            turns.first.payload.eq(read_segments.o.payload),
            read_segments.o.ready.eq(turns.first.ready),
            turns.second.valid.eq(write_segments.o.valid & complete),
            turns.second.payload.eq(write_segments.o.payload),
            write_segments.o.ready.eq(turns.second.ready & complete),
            write_path.release.eq(turns.second.valid & turns.second.ready & write_segments.o.payload.last),
        ]

        # Segments to commands.
        m.submodules.picker = picker = CommandPicker(part=part, timing=timing, id_width=self._id_width)
        m.submodules.refresher = refresher = Refresher(timing=timing)
        wiring.connect(m, turns.o, picker.i)
        m.d.comb += [
            refresher.traffic.eq(picker.busy),
            refresher.closable.eq(picker.closable),
            refresher.interrupted.eq(picker.interrupted),
            picker.stop.eq(refresher.stop),
            picker.upkeep.eq(refresher.command),
            self.ready.eq(refresher.ready),
        ]

        # Data. A word picked in cycle 0 is on the pins in cycle 2; the part takes it at the end of that one.
        m.submodules.read_path = read_path = ReadPath(
            data_width=part.data_width,
            id_width=self._id_width,
            latency=2 + timing.cas + self.read_delay,
            depth=self._read_depth,
            r=axi.r.payload.shape(),
        )
        m.d.comb += [
            picker.room.eq(read_path.room),
            read_path.valid.eq(picker.read_valid),
            read_path.beat.eq(picker.read_beat),
            read_path.dq_i.eq(self.pins.dq_i),
            axi.r.valid.eq(read_path.r.valid),
            axi.r.payload.eq(read_path.r.payload),
            read_path.r.ready.eq(axi.r.ready),
            write_path.valid.eq(picker.write_valid),
            write_path.beat.eq(picker.write_beat),
            write_path.take.eq(picker.take_word),
            write_path.w.valid.eq(axi.w.valid),
            write_path.w.payload.eq(axi.w.payload),
            axi.w.ready.eq(write_path.w.ready),
            axi.b.valid.eq(write_path.b.valid),
            axi.b.payload.eq(write_path.b.payload),
            write_path.b.ready.eq(axi.b.ready),
        ]
        self._drive_pins(m, picker.access, write_path.word)
        return m

    def _drive_pins(self, m, access, word):
        """One register from the picked command to every pin."""
        part, pins = self.part, self.pins
        levels = Signal(PinCommand, init=PinCommand.NOP)
        # The fields are exclusive, so the levels are an AND of those that pull a pin low.
        ras = access.activate | access.precharge | access.close | access.refresh | access.mode
        cas = access.read | access.write | access.refresh | access.mode
        we = access.write | access.precharge | access.close | access.mode
        m.d.comb += levels.as_value().eq(~Cat(we, cas, ras))
        bank_signal = Mux(access.read | access.write, access.column_bank, access.row_bank)
        column = Cat(access.column[:10], Const(0, 1), access.column[10:])
        mode = (BURST.bit_length() - 1) | self.timing.cas << 4 | 1 << 9
        # Not reset: what the part is doing when a reset comes ends as it would, and cke stays high.
        registers = {
            name: Signal(member.shape, init=member.init or 0, reset_less=True, name=f"{name}_register")
            for name, member in SdramPins(part).members.items()
            if member.flow == Out
        }
        m.d.comb += [getattr(pins, name).eq(register) for name, register in registers.items()]
        m.d.sync += [
            registers["cke"].eq(1),
            registers["cs_n"].eq(0),
            Cat(registers["we_n"], registers["cas_n"], registers["ras_n"]).eq(levels.as_value()),
            registers["ba"].eq(Mux(access.mode, 0, bank_signal)),
            registers["a"].eq(
                Mux(
                    access.activate,
                    access.row,
                    Mux(access.read | access.write, column, Mux(access.mode, mode, access.close << 10)),
                )
            ),
            registers["dqm"].eq(Mux(access.write, ~word.strb, 0)),
            registers["dq_o"].eq(word.data),
            registers["dq_oe"].eq(access.write),
        ]
