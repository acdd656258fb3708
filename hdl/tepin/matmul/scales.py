# SPDX-License-Identifier: Apache-2.0
"""Where the scales of weights and activations wait for the sums that they belong to."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .activations import scale_lines, scale_write
from .dequantiser import scale_row

__all__ = ["ActivationScales", "ChannelScales"]


class ChannelScales(wiring.Component):
    """Channel scales of two column tiles: those that are drained and those that come next.

    Latency of reading 1 cycle. Cost: 64 x `columns` bits of distributed memory.

    Parameters
    ----------
    columns : int
        Columns of the array, a multiple of 4.

    Members
    -------
    i : In stream of `scale_row(columns)`
    available : Out, all scales of the oldest tile are here
    release : In, the oldest tile is done with
    restart : In, the next read is that of column 0
    advance : In, the next read is that of the next column
    o : Out, the scale of the column in turn, 1 cycle later
    """

    def __init__(self, *, columns):
        self.columns = columns
        super().__init__(
            {
                "i": In(stream.Signature(scale_row(columns))),
                "available": Out(1),
                "release": In(1),
                "restart": In(1),
                "advance": In(1),
                "o": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        piece = self.columns // 4
        m.submodules.memory = memory = Memory(shape=32 * piece, depth=8, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        write_row, write_tile = Signal(2), Signal()
        read_row, read_tile, lane = Signal(2), Signal(), Signal(range(max(2, piece)))
        tiles = Signal(range(3))
        complete = Signal()
        m.d.comb += [
            self.i.ready.eq(tiles != 2),
            self.available.eq(tiles != 0),
            write.en.eq(self.i.valid & self.i.ready),
            write.addr.eq(Cat(write_row, write_tile)),
            write.data.eq(self.i.payload.scales.as_value()),
            complete.eq(write.en & self.i.payload.last),
            read.addr.eq(Cat(read_row, read_tile)),
        ]
        with m.If(write.en):
            m.d.sync += write_row.eq(write_row + 1)
        with m.If(complete):
            m.d.sync += [write_row.eq(0), write_tile.eq(~write_tile)]
        with m.If(complete & ~self.release):
            m.d.sync += tiles.eq(tiles + 1)
        with m.Elif(self.release & ~complete):
            m.d.sync += tiles.eq(tiles - 1)

        m.d.sync += self.o.eq(Array(read.data.word_select(i, 32) for i in range(piece))[lane])
        with m.If(self.restart):
            m.d.sync += [lane.eq(0), read_row.eq(0)]
        with m.Elif(self.advance):
            m.d.sync += lane.eq(Mux(lane == piece - 1, 0, lane + 1))
            with m.If(lane == piece - 1):
                m.d.sync += read_row.eq(read_row + 1)
        with m.If(self.release):
            m.d.sync += read_tile.eq(~read_tile)
        return m


class ActivationScales(wiring.Component):
    """Scales of the activation rows of four jobs.

    Latency of reading 1 cycle. Cost: four times the lines of one job, in distributed memory.

    Parameters
    ----------
    accumulator_rows : int
        Most scales of a job.
    line_bytes : int
        Bytes of the lines in which they come.

    Members
    -------
    i : In stream of `scale_write(...)`, always ready
    slot, row : In, the scale to read
    o : Out, 1 cycle later
    """

    def __init__(self, *, accumulator_rows, line_bytes):
        self.accumulator_rows = accumulator_rows
        self.line_bytes = line_bytes
        super().__init__(
            {
                "i": In(stream.Signature(scale_write(accumulator_rows, line_bytes), always_ready=True)),
                "slot": In(2),
                "row": In(range(accumulator_rows)),
                "o": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        per_line = self.line_bytes // 4
        in_line = per_line.bit_length() - 1
        line_bits = (scale_lines(self.accumulator_rows, self.line_bytes) - 1).bit_length()
        m.submodules.memory = memory = Memory(shape=8 * self.line_bytes, depth=4 << line_bits, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            write.en.eq(self.i.valid),
            write.addr.eq(Cat(self.i.payload.line, self.i.payload.slot)),
            write.data.eq(self.i.payload.scales.as_value()),
            read.addr.eq(Cat(self.row[in_line : in_line + line_bits], self.slot)),
        ]
        m.d.sync += self.o.eq(
            Array(read.data.word_select(i, 32) for i in range(per_line))[self.row[:in_line]]
        )
        return m
