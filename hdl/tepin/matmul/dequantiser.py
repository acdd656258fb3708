# SPDX-License-Identifier: Apache-2.0
"""From rows of bytes to int8 weights and float32 channel scales."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..isa import WeightType
from ..stream import StreamFifo
from .requests import RowKind, row_meta

__all__ = ["Dequantiser", "scale_row", "weight_row"]


def weight_row(columns, *, tiles=False):
    """Weights of one k.

    Members: `weights`, `columns` x int8; `last`, the last row of a weight tile. With `tiles`, also `certain`: if this is the
    first row of a tile, all others follow, one per cycle if they are taken.
    """
    members = {"weights": data.ArrayLayout(signed(8), columns), "last": 1}
    return data.StructLayout(members | ({"certain": 1} if tiles else {}))


def scale_row(columns):
    """Channel scales. Members: `scales`, `columns / 4` float32 encodings; `last`, the last ones of a column tile."""
    return data.StructLayout({"scales": data.ArrayLayout(32, columns // 4), "last": 1})


class Dequantiser(wiring.Component):
    """Decodes the rows of a weight stream: int8 codes pass, int4 codes become saturate8((q - z) * s).

    Columns beyond the width of a column tile get weight 0. Scales beyond those asked for mean nothing.

    Latency 3 cycles for weights, 1 for scales; one row per cycle. Parameter rows leave nothing behind. Cost: per column four
    10-bit adders and five registers of about 8 bits.

    Parameters
    ----------
    columns : int
        Columns of the array, a multiple of 4.
    tiles : bool
        Rows say whether they are `certain`.

    Members
    -------
    i : In stream of `bytes` and `meta`, as `RowGearbox` makes it with `row_meta(columns, tiles=tiles)`
    o : Out stream of `weight_row(columns, tiles=tiles)`
    o_scales : Out stream of `scale_row(columns)`
    certain, passed : In, Out
        `WeightReader.certain` and `passed`; only with `tiles`.
    """

    def __init__(self, *, columns, tiles=False):
        self.columns = columns
        self.tiles = tiles
        rows = data.StructLayout({"bytes": 8 * columns, "meta": row_meta(columns, tiles=tiles)})
        super().__init__(
            {
                "i": In(stream.Signature(rows)),
                "o": Out(stream.Signature(weight_row(columns, tiles=tiles))),
                "o_scales": Out(stream.Signature(scale_row(columns))),
                **({"certain": In(1), "passed": Out(1)} if tiles else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.weights = weights = StreamFifo(shape=self.o.payload.shape(), depth=2)
        m.submodules.scales = scales = StreamFifo(shape=scale_row(self.columns), depth=2)
        wiring.connect(m, weights.o, wiring.flipped(self.o))
        wiring.connect(m, scales.o, wiring.flipped(self.o_scales))

        row = self.i.payload
        parameters = [
            Signal(8, name=f"parameters_{column}", reset_less=True) for column in range(self.columns)
        ]
        is_codes = row.meta.kind == RowKind.CODES
        is_scales = row.meta.kind == RowKind.SCALES

        # First stage: codes less their zero points. `s` is needed one cycle later, and only the rows of the next group
        # change it: when they come in, this stage has moved on.
        valid = Signal()
        last = Signal()
        int4 = Signal()
        values = [
            Signal(signed(8), name=f"value_{column}", reset_less=True) for column in range(self.columns)
        ]
        free = Signal()
        summed = Signal()  # the second stage
        summed_free = Signal()
        m.d.comb += [
            summed_free.eq(~summed | weights.i.ready),
            free.eq(~valid | summed_free),
            self.i.ready.eq(Mux(is_scales, scales.i.ready, free)),
            scales.i.valid.eq(self.i.valid & is_scales),
            scales.i.payload.eq(Cat(row.bytes, row.meta.end)),
        ]
        # What a row that holds no weights leaves here is not valid.
        with m.If(free):
            m.d.sync += [
                valid.eq(self.i.valid & is_codes),
                last.eq(row.meta.end),
                int4.eq(row.meta.weights == WeightType.INT4),
            ]
            for column, value in enumerate(values):
                code = row.bytes.word_select(column, 8)
                less_zero_point = row.bytes.word_select(column, 4) - parameters[column][:4]
                decoded = Mux(row.meta.weights == WeightType.INT4, less_zero_point, code.as_signed())
                m.d.sync += value.eq(Mux(column < row.meta.width, decoded, 0))
        with m.If(self.i.valid & free & (row.meta.kind == RowKind.PARAMETERS)):
            m.d.sync += [parameter.eq(row.bytes.word_select(i, 8)) for i, parameter in enumerate(parameters)]

        # Second stage: times s, in two parts. Written as additions, since a synthesiser would spend a DSP block on a product.
        # Third stage: their sum, saturated.
        summed_last = Signal()
        with m.If(summed_free):
            m.d.sync += [summed.eq(valid), summed_last.eq(last)]
        m.d.comb += [weights.i.valid.eq(summed), weights.i.payload.last.eq(summed_last)]
        if self.tiles:
            certain = Signal()
            summed_certain = Signal()
            with m.If(free):
                m.d.sync += certain.eq(row.meta.whole & self.certain)
            with m.If(summed_free):
                m.d.sync += summed_certain.eq(certain)
            m.d.comb += [
                weights.i.payload.certain.eq(summed_certain),
                self.passed.eq(self.i.valid & self.i.ready & row.meta.whole & row.meta.end),
            ]
        for column, value in enumerate(values):
            low = Signal(signed(8), name=f"low_{column}", reset_less=True)
            high = Signal(signed(10), name=f"high_{column}", reset_less=True)
            difference, step = value[:5].as_signed(), parameters[column][4:]
            partial = [Mux(step[place], difference << place, 0) for place in range(4)]
            with m.If(summed_free):
                # An int8 weight passes as the lower part.
                m.d.sync += [
                    low.eq(Mux(int4, (difference + partial[0]) + partial[1], value)),
                    high.eq(Mux(int4, partial[2] + partial[3], 0)),
                ]
            product = low + high
            saturated = Mux(product > 127, 127, Mux(product < -128, -128, product))
            m.d.comb += weights.i.payload.weights[column].eq(saturated)
        return m
