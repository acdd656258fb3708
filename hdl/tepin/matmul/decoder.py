# SPDX-License-Identifier: Apache-2.0
"""The weight decoder: a stand-alone component from weight stream to weight rows."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..isa import WeightSource
from ..memory.ports import ReadPort
from .dequantiser import Dequantiser, scale_row, weight_row
from .gearbox import RowGearbox
from .requests import RequestGenerator, WeightJob, row_meta
from .weight_reader import WeightAddress, WeightReader

__all__ = ["WeightDecoder"]


class WeightDecoder(wiring.Component):
    """Turns weight streams into rows of int8 weights and channel scales, one matrix after the other.

    A row per cycle: int8 rows take in up to `columns` bytes, int4 rows half as many; every 32 rows of int4 cost one more
    cycle for their parameters, every column tile up to 4 for its scales. The bytes of a job start at byte 0 of a
    word, and what it leaves of its last word is thrown away. No word is taken before its job needs it.

    Latency from job and first word to first row 6 cycles; jobs follow each other without a pause.

    Parameters
    ----------
    rows, columns : int
        Shape of the array: the last row of each weight tile is marked.
    word_bytes : int
        Bytes per word of the weight stream, a power of two, at least `columns`.
    line_bytes : int
        Bytes of a scratchpad line, at least `word_bytes`.
    tiles : bool
        Read whole int8 weight tiles ahead, see :class:`tepin.matmul.weight_reader.WeightReader`, and say in their first rows
        whether the others are `certain`.

    Members
    -------
    i_jobs : In stream of `WeightJob`
    i_addresses : In stream of `WeightAddress`
        One for each job with `WeightSource.SCRATCHPAD`; may come before or after the job.
    i : In stream of words, for jobs with `WeightSource.FIFO`
    scratchpad : Out `ReadPort`
    o : Out stream of `weight_row(columns, tiles=tiles)`
    o_scales : Out stream of `scale_row(columns)`
        Independent of `o`, but for being held up by each other sooner or later.
    fault, fault_address, fault_slot : Out
        A word was out of the scratchpad's range; high for one cycle.
    """

    def __init__(self, *, rows, columns, word_bytes, line_bytes, tiles=False):
        self.rows = rows
        self.columns = columns
        self.word_bytes = word_bytes
        self.tiles = tiles
        self._generator = RequestGenerator(rows=rows, columns=columns, tiles=tiles)
        self._reader = WeightReader(
            columns=columns, word_bytes=word_bytes, line_bytes=line_bytes, tile_rows=rows if tiles else 0
        )
        self._gearbox = RowGearbox(
            word_bytes=word_bytes, row_bytes=columns, sources=2, meta=row_meta(columns, tiles=tiles)
        )
        self._dequantiser = Dequantiser(columns=columns, tiles=tiles)
        super().__init__(
            {
                "i_jobs": In(stream.Signature(WeightJob)),
                "i_addresses": In(stream.Signature(WeightAddress)),
                "i": In(stream.Signature(8 * word_bytes)),
                "scratchpad": Out(ReadPort(line_bytes=line_bytes)),
                "o": Out(stream.Signature(weight_row(columns, tiles=tiles))),
                "o_scales": Out(stream.Signature(scale_row(columns))),
                "fault": Out(1),
                "fault_address": Out(32),
                "fault_slot": Out(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.generator = generator = self._generator
        m.submodules.reader = reader = self._reader
        m.submodules.gearbox = gearbox = self._gearbox
        m.submodules.dequantiser = dequantiser = self._dequantiser

        connect, flipped = wiring.connect, wiring.flipped
        connect(m, flipped(self.i_jobs), generator.i)
        connect(m, flipped(self.i_addresses), reader.i_addresses)
        connect(m, generator.o, reader.i)
        connect(m, reader.scratchpad, flipped(self.scratchpad))
        connect(m, reader.o, gearbox.i_requests)
        connect(m, flipped(self.i), gearbox.i[WeightSource.FIFO.value])
        connect(m, reader.o_words, gearbox.i[WeightSource.SCRATCHPAD.value])
        connect(m, gearbox.o, dequantiser.i)
        connect(m, dequantiser.o, flipped(self.o))
        connect(m, dequantiser.o_scales, flipped(self.o_scales))
        if self.tiles:
            m.d.comb += [dequantiser.certain.eq(reader.certain), reader.passed.eq(dequantiser.passed)]
        m.d.comb += [
            self.fault.eq(reader.fault),
            self.fault_address.eq(reader.fault_address),
            self.fault_slot.eq(reader.fault_slot),
        ]
        return m
