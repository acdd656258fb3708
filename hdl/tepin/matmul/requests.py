# SPDX-License-Identifier: Apache-2.0
"""The order of a weight stream: which rows of bytes make up a matrix.

Bytes of a K x N matrix for an array of C columns, in the order in which they are used: for each *column tile* of width
n = min(C, columns left): for each group of 32 rows (int4 only) n parameter bytes `z | (s - 1) << 4`; the codes of each row
k, one byte per column (int8) or two codes per byte, low nibble first (int4, a row is a whole number of bytes); after
all K rows n float32 channel scales, unless the job has none.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from ..isa import WeightSource, WeightType
from ..stream import StreamFifo
from .gearbox import gearbox_request

__all__ = ["GROUP_ROWS", "RequestGenerator", "RowKind", "WeightJob", "row_meta", "row_request"]

GROUP_ROWS = 32
"""Rows of int4 codes that share parameters."""


class RowKind(enum.Enum, shape=2):
    """What the bytes of a row are."""

    CODES = 0  # weights of one k
    PARAMETERS = 1  # z and s of an int4 group
    SCALES = 2  # float32 channel scales, `columns / 4` at a time


class WeightJob(data.Struct):
    """One matrix: `k` x `n` weights, from `source`. k and n are at least 1."""

    source: WeightSource
    weights: WeightType
    scales: 1
    k: 17
    n: 32


def row_meta(columns, *, tiles=False):
    """What is known of a row.

    Members: `kind`; `weights`, the job's weight type; `width`, columns of the present column tile; `end`, for codes: last row
    of a weight tile, for scales: last of a column tile. With `tiles`, also `whole`: the row belongs to a weight tile that is
    read ahead as a whole; before a `WeightReader` has decided that, the tile that it begins may be.
    """
    members = {"kind": RowKind, "weights": WeightType, "width": range(columns + 1), "end": 1}
    return data.StructLayout(members | ({"whole": 1} if tiles else {}))


def row_request(columns, *, tiles=False):
    """A request to the gearbox with `row_meta`; `source` is a `WeightSource`, `last` ends the job."""
    return gearbox_request(row_bytes=columns, sources=2, meta=row_meta(columns, tiles=tiles))


class RequestGenerator(wiring.Component):
    """Turns jobs into the requests of their rows, one per cycle, from job to job, too. Latency 2 cycles.

    Scales are asked for in pieces of `columns / 4`, the last one of a column tile with what is left.

    Parameters
    ----------
    rows : int
        Rows of the array: every `rows` rows of codes, and the last one of a column tile, end a weight tile.
    columns : int
        Columns of the array, a multiple of 4.
    tiles : bool
        Mark the first row of each weight tile of `rows` x `columns` int8 weights as `whole`.

    Members
    -------
    i : In stream of `WeightJob`
    o : Out stream of `row_request(columns, tiles=tiles)`
    """

    def __init__(self, *, rows, columns, tiles=False):
        if rows < 1:
            raise ValueError(f"rows must be at least 1, not {rows}")
        if columns < 4 or columns % 4:
            raise ValueError(f"columns must be a multiple of 4, not {columns}")
        self.rows = rows
        self.columns = columns
        self.tiles = tiles
        super().__init__(
            {
                "i": In(stream.Signature(WeightJob)),
                "o": Out(stream.Signature(row_request(columns, tiles=tiles))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        piece = self.columns // 4
        job = Signal(WeightJob)
        active = Signal()
        kind = Signal(RowKind)
        k_left = Signal(17)
        n_left = Signal(32)
        scales_left = Signal(range(self.columns + 1))
        row = Signal(range(self.rows))
        group_row = Signal(range(GROUP_ROWS))

        m.submodules.requests = requests = StreamFifo(shape=self.o.payload.shape(), depth=2)
        wiring.connect(m, requests.o, wiring.flipped(self.o))
        request = requests.i.payload
        # Registers, worked out a step ahead.
        last_k = Signal()
        last_tile = Signal()
        width = Signal(range(self.columns + 1))
        tile_done = Signal()
        step = Signal()
        m.d.comb += [
            step.eq(requests.i.valid & requests.i.ready),
            requests.i.valid.eq(active),
            self.i.ready.eq(~active | (step & request.last)),
            request.source.eq(job.source),
            request.last.eq(tile_done & last_tile),
            request.meta.kind.eq(kind),
            request.meta.weights.eq(job.weights),
            request.meta.width.eq(width),
        ]
        if self.tiles:
            m.d.comb += request.meta.whole.eq(
                (kind == RowKind.CODES)
                & (job.weights == WeightType.INT8)
                & (width == self.columns)
                & (row == 0)
                & (k_left >= self.rows)
            )
        with m.Switch(kind):
            with m.Case(RowKind.PARAMETERS):
                m.d.comb += request.size.eq(width)
            with m.Case(RowKind.CODES):
                packed = job.weights == WeightType.INT4
                m.d.comb += [
                    request.size.eq(Mux(packed, (width + 1) >> 1, width)),
                    request.meta.end.eq(last_k | (row == self.rows - 1)),
                    tile_done.eq(last_k & ~job.scales),
                ]
            with m.Case(RowKind.SCALES):
                m.d.comb += [
                    request.meta.end.eq(scales_left <= piece),
                    request.size.eq(Mux(request.meta.end, scales_left, piece) << 2),
                    tile_done.eq(request.meta.end),
                ]

        with m.If(step):
            with m.Switch(kind):
                with m.Case(RowKind.PARAMETERS):
                    m.d.sync += kind.eq(RowKind.CODES)
                with m.Case(RowKind.CODES):
                    m.d.sync += [
                        k_left.eq(k_left - 1),
                        last_k.eq(k_left == 2),
                        row.eq(Mux(request.meta.end, 0, row + 1)),
                        group_row.eq(group_row + 1),
                        scales_left.eq(width),
                    ]
                    with m.If(last_k):
                        m.d.sync += kind.eq(RowKind.SCALES)
                    with m.Elif((job.weights == WeightType.INT4) & (group_row == GROUP_ROWS - 1)):
                        m.d.sync += kind.eq(RowKind.PARAMETERS)
                with m.Case(RowKind.SCALES):
                    m.d.sync += scales_left.eq(scales_left - piece)
            with m.If(tile_done):
                m.d.sync += [
                    n_left.eq(n_left - self.columns),
                    last_tile.eq(n_left <= 2 * self.columns),
                    width.eq(Mux(n_left <= 2 * self.columns, n_left - self.columns, self.columns)),
                ]
                self._start_tile(m, job, kind, k_left, last_k, group_row)
            with m.If(request.last):
                m.d.sync += active.eq(0)
        with m.If(self.i.valid & self.i.ready):
            n = self.i.payload.n
            m.d.sync += [
                job.eq(self.i.payload),
                active.eq(1),
                n_left.eq(n),
                last_tile.eq(n <= self.columns),
                width.eq(Mux(n <= self.columns, n, self.columns)),
            ]
            self._start_tile(m, self.i.payload, kind, k_left, last_k, group_row)
        return m

    @staticmethod
    def _start_tile(m, job, kind, k_left, last_k, group_row):
        m.d.sync += [
            kind.eq(Mux(job.weights == WeightType.INT4, RowKind.PARAMETERS, RowKind.CODES)),
            k_left.eq(job.k),
            last_k.eq(job.k == 1),
            group_row.eq(0),
        ]
