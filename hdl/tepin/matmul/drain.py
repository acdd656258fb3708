# SPDX-License-Identifier: Apache-2.0
"""The drain: from exact sums to scaled float32 results in the scratchpad."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..float.convert import IntToFloat
from ..float.multiply import FloatMultiply
from ..isa import OutputType
from ..memory.ports import WritePort
from ..stream import StreamFifo
from .accumulator import ACCUMULATOR_WIDTH
from .activations import scale_write
from .delay import Delay
from .dequantiser import scale_row
from .row_writer import RowWriter
from .scales import ActivationScales, ChannelScales
from .write_combiner import WriteCombiner, WriteItem

__all__ = ["Drain", "DrainJob", "ProbeItem"]

_ONE = 0x3F800000
_MAGNITUDE = 0x7FFFFFFF


class DrainJob(data.Struct):
    """What becomes of the sums of one matmul; with `nop`, nothing, but it is reported as done in its turn."""

    nop: 1
    slot: 2
    scales: 1
    output: OutputType
    maximum: 1
    observe: 1
    m: 11
    n: 32
    address: 32
    stride: 32
    maximum_address: 32


class ProbeItem(data.Struct):
    """A drained element of an observed job: its 32 bits, and whether it is the job's last."""

    data: 32
    last: 1


class _Kind(enum.Enum, shape=2):
    ELEMENT = 0
    MAXIMUM = 1
    END = 2


class _Beside(data.Struct):
    """What travels beside an element."""

    kind: _Kind
    fresh: 1  # first element of its row
    int32: 1
    observe: 1
    last: 1
    merge: 1
    slot: 2
    address: 32


class Drain(wiring.Component):
    """Converts, scales and stores the sums of one column tile after the other: y = (f32(sum) * s_w[n]) * s_a[m].

    Elements leave in the order [tile][m][n], one per cycle while writes are granted, with one more cycle per tile and three
    per job. The
    largest magnitude of each row (NaN is larger than everything) is stored behind the last element of the job.
    Without channel scales s_w is 1.0, which changes no bit. With `OutputType.INT32` the low 32 bits of the sum are
    stored as they are.

    Latency from a closed tile to its first write about 25 cycles. Cost: two float32 multipliers, one converter, delay
    lines in distributed memory.

    With `drain_width` above 1, rows are drained as soon as they are finished, not only when their tile is closed; and a
    job of int32 results that are not observed is *wide* if its address and stride are multiples of 4 x `drain_width`: its
    elements pass all this by, `drain_width` at a time, each such piece as one write. Its first write comes 6 cycles after
    the row is finished. A job waits for the one before it to be done if only one of them is wide. Cost: a queue of 8 writes.

    Parameters
    ----------
    columns, accumulator_rows, line_bytes, drain_width : int
        As in :class:`tepin.matmul.engine.MatmulEngine`.

    Members
    -------
    i_jobs : In stream of `DrainJob`
    i_channel_scales : In stream of `scale_row(columns)`
    i_activation_scales : In stream of `scale_write(...)`, always ready
    closed, finished : In
        High for one cycle when a column tile, or a row of one, is complete in the accumulators. The latter, and
        `row_sums`, only with `drain_width` above 1.
    released : Out, high for one cycle when an accumulator bank is free again
    read, sums, row_sums : Out, In, In
        `Accumulator.read`, `Accumulator.o` and `Accumulator.o_row`.
    o : Out `WritePort`
    probe : Out stream of `ProbeItem`, always ready
    done, done_slot : Out
        A job's last write was accepted. High for one cycle.
    fault, fault_address, fault_slot : Out
        A write was out of range. High for one cycle.
    """

    def __init__(self, *, columns, accumulator_rows, line_bytes, drain_width=1):
        self.columns = columns
        self.drain_width = drain_width
        self.accumulator_rows = accumulator_rows
        self.line_bytes = line_bytes
        read = data.StructLayout({"bank": 1, "row": range(accumulator_rows), "column": range(columns)})
        scales = scale_write(accumulator_rows, line_bytes)
        super().__init__(
            {
                "i_jobs": In(stream.Signature(DrainJob)),
                "i_channel_scales": In(stream.Signature(scale_row(columns))),
                "i_activation_scales": In(stream.Signature(scales, always_ready=True)),
                "closed": In(1),
                "released": Out(1),
                "read": Out(read),
                "sums": In(ACCUMULATOR_WIDTH),
                "o": Out(WritePort(line_bytes=line_bytes)),
                "probe": Out(stream.Signature(ProbeItem, always_ready=True)),
                "done": Out(1),
                "done_slot": Out(2),
                "fault": Out(1),
                "fault_address": Out(32),
                "fault_slot": Out(2),
                **({"finished": In(1), "row_sums": In(32 * drain_width)} if drain_width > 1 else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.channel_scales = channel_scales = ChannelScales(columns=self.columns)
        m.submodules.activation_scales = activation_scales = ActivationScales(
            accumulator_rows=self.accumulator_rows, line_bytes=self.line_bytes
        )
        m.submodules.to_float = to_float = IntToFloat(ACCUMULATOR_WIDTH)
        m.submodules.scale_channel = scale_channel = FloatMultiply()
        m.submodules.scale_row = scale_row_ = FloatMultiply()
        wiring.connect(m, wiring.flipped(self.i_channel_scales), channel_scales.i)
        wiring.connect(m, wiring.flipped(self.i_activation_scales), activation_scales.i)

        # Cycle 0 reads; the sum is there in cycle 3, the scales in cycle 1.
        converted = 3 + to_float.latency
        scaled = converted + scale_channel.latency
        result = scaled + scale_row_.latency
        m.submodules.writes = writes = StreamFifo(shape=WriteItem, depth=1 << (result + 7).bit_length())

        rows = None
        if self.drain_width > 1:
            m.submodules.rows = rows = RowWriter(drain_width=self.drain_width, line_bytes=self.line_bytes)
            m.d.comb += rows.sums.eq(self.row_sums)
        issue, row, beside, use_scales = self._issue(m, channel_scales, activation_scales, writes, rows)

        def delayed(name, value, cycles):
            m.submodules[name] = delay = Delay(shape=value.shape(), cycles=cycles)
            m.d.comb += delay.i.eq(value)
            return delay.o

        scaling = Signal()
        m.d.sync += scaling.eq(use_scales)
        channel_scale = Mux(scaling, channel_scales.o, _ONE)
        m.d.comb += [
            to_float.i.eq(self.sums),
            scale_channel.i.a.eq(to_float.o),
            scale_channel.i.b.eq(delayed("channel_delay", channel_scale, converted - 1)),
            scale_row_.i.a.eq(scale_channel.o),
            scale_row_.i.b.eq(delayed("activation_delay", activation_scales.o, scaled - 1)),
        ]
        raw = delayed("raw_delay", self.sums[:32], result - 3)
        following = delayed("beside_delay", beside, result - 1)
        following_row = delayed("row_delay", row, result - 1)
        valids = Signal(result)
        m.d.sync += valids.eq(Cat(issue, valids))

        # To the maximum, the write queue and the probe.
        valid = valids[-1]
        item = Signal(_Beside)
        item_row = Signal.like(row)
        value = Signal(32)
        m.d.sync += [item.eq(following), item_row.eq(following_row)]
        m.d.comb += value.eq(Mux(item.int32, raw, scale_row_.o))
        is_element = Signal()
        m.d.comb += is_element.eq(valid & (item.kind == _Kind.ELEMENT))
        largest = self._maximum(m, is_element, item_row, value, following=(following.fresh, following_row))
        m.d.comb += [
            writes.i.valid.eq(valid),
            writes.i.payload.end.eq(item.kind == _Kind.END),
            writes.i.payload.merge.eq(item.merge),
            writes.i.payload.address.eq(item.address),
            writes.i.payload.data.eq(Mux(item.kind == _Kind.MAXIMUM, largest, value)),
            writes.i.payload.note.eq(item.slot),
            self.probe.valid.eq(is_element & item.observe),
            self.probe.payload.data.eq(value),
            self.probe.payload.last.eq(item.last),
        ]

        m.submodules.combiner = combiner = WriteCombiner(line_bytes=self.line_bytes)
        wiring.connect(m, writes.o, combiner.i)
        if rows is None:
            wiring.connect(m, combiner.o, wiring.flipped(self.o))
            m.d.comb += [
                self.done.eq(combiner.done),
                self.done_slot.eq(combiner.done_note),
                self.fault.eq(combiner.fault),
                self.fault_address.eq(combiner.fault_address),
                self.fault_slot.eq(combiner.fault_note),
            ]
        else:
            self._join(m, combiner, rows)
        return m

    def _join(self, m, combiner, rows):
        """One write port for both; only one of them has anything to write at a time."""
        request, wide, was_wide = self.o.request, Signal(), Signal()
        m.d.sync += was_wide.eq(wide)
        m.d.comb += [
            wide.eq(rows.o.request.valid),
            request.valid.eq(rows.o.request.valid | combiner.o.request.valid),
            request.payload.eq(Mux(wide, rows.o.request.payload, combiner.o.request.payload)),
            rows.o.request.ready.eq(request.ready),
            combiner.o.request.ready.eq(request.ready & ~wide),
            rows.o.fault.eq(self.o.fault & was_wide),
            combiner.o.fault.eq(self.o.fault & ~was_wide),
            self.done.eq(rows.done | combiner.done),
            self.done_slot.eq(Mux(rows.done, rows.done_note, combiner.done_note)),
            self.fault.eq(self.o.fault),
            self.fault_address.eq(Mux(was_wide, rows.fault_address, combiner.fault_address)),
            self.fault_slot.eq(Mux(was_wide, rows.fault_note, combiner.fault_note)),
        ]

    def _maximum(self, m, is_element, row, value, following):
        """Largest magnitude of each row so far; as an integer, that of the canonical NaN is above that of infinity.

        What is known of the row of the item `following` (whether it begins there, and the row) is looked up a cycle ahead;
        if that is the row of the present item, it is what this one makes of it, which is not in the memory yet.
        """
        m.submodules.maxima = maxima = Memory(shape=31, depth=max(2, self.accumulator_rows), init=[])
        write, read = maxima.write_port(), maxima.read_port(domain="comb")
        fresh, following_row = following
        before, largest = Signal(31), Signal(31)
        m.d.comb += [
            largest.eq(Mux(is_element & (value[:31] > before), value[:31], before)),
            read.addr.eq(following_row),
            write.addr.eq(row),
            write.en.eq(is_element),
            write.data.eq(largest),
        ]
        m.d.sync += before.eq(Mux(fresh, 0, Mux(following_row == row, largest, read.data)))
        return before

    def _issue(self, m, channel_scales, activation_scales, writes, rows):
        """Walks through tiles, rows and columns; one element per cycle while there is room for it at the end.

        Of a wide job `drain_width` elements, which go to `rows`.
        """
        job = Signal(DrainJob)
        row = Signal(range(self.accumulator_rows))
        column = Signal(range(self.columns))
        bank = Signal()
        n_left = Signal(32)
        tile_address = Signal(32)  # y[0][first column of the tile]
        row_address = Signal(32)
        address = Signal(32)
        first_tile = Signal()
        merge = Signal()

        tile_there = Signal()  # a tile, or a row, is complete and has not been drained
        reserved = Signal(range(writes.depth + 1))
        issue = Signal()
        beside = Signal(_Beside)
        taken = writes.o.valid & writes.o.ready
        wide = Signal() if rows else Const(0, 1)  # the job is
        step = Mux(wide, self.drain_width, 1)
        room = Mux(wide, rows.room, ~reserved[-1]) if rows else ~reserved[-1]
        narrow = issue & ~wide
        with m.If(narrow & ~taken):
            m.d.sync += reserved.eq(reserved + 1)
        with m.Elif(taken & ~narrow):
            m.d.sync += reserved.eq(reserved - 1)
        complete, consumed = (self.finished, Signal()) if rows else (self.closed, self.released)
        closed_tiles = Signal(range(2 * self.accumulator_rows + 1 if rows else 3))
        with m.If(complete & ~consumed):
            m.d.sync += closed_tiles.eq(closed_tiles + 1)
        with m.Elif(consumed & ~complete):
            m.d.sync += closed_tiles.eq(closed_tiles - 1)

        # Worked out a step ahead: whether there is a row, a column, a tile after this one, and the last column of it.
        last_tile = Signal()
        last_row = Signal()
        last_column = Signal()
        final_column = Signal(range(self.columns))
        width = Signal(range(self.columns + 1))  # of the tile
        final_row = Signal.like(row)
        next_row = Signal(32)
        next_tile = Signal(32)
        m.d.comb += [
            last_row.eq(row == final_row),
            next_row.eq(row_address + job.stride),
            next_tile.eq(tile_address + 4 * self.columns),
            self.read.bank.eq(bank),
            self.read.row.eq(row),
            self.read.column.eq(column),
            activation_scales.slot.eq(job.slot),
            activation_scales.row.eq(row),
            channel_scales.release.eq(self.released & job.scales),
            beside.fresh.eq(first_tile & (column == 0)),
            beside.int32.eq(job.output == OutputType.INT32),
            beside.observe.eq(job.observe),
            beside.last.eq(last_tile & last_row & last_column),
            beside.merge.eq(merge & address[2 : self.line_bytes.bit_length() - 1].any()),
            beside.slot.eq(job.slot),
            beside.address.eq(address),
        ]
        start_wide, may_start = self._choose_way(m, wide) if rows else (Const(0, 1), 1)
        with m.FSM():
            with m.State("IDLE"):
                start = self.i_jobs.payload
                m.d.comb += self.i_jobs.ready.eq(may_start)
                m.d.sync += [
                    job.eq(start),
                    n_left.eq(start.n),
                    tile_address.eq(start.address),
                    row_address.eq(start.address),
                    address.eq(start.address),
                    first_tile.eq(1),
                    merge.eq(0),
                    final_row.eq(start.m - 1),
                ]
                self._start_tile(
                    m, start.n <= self.columns, start.n[:8], start_wide, last_tile, final_column, last_column,
                    width,
                )  # fmt: skip
                if not rows:
                    m.d.sync += tile_there.eq(0)
                with m.If(self.i_jobs.valid & self.i_jobs.ready):
                    m.next = "ELEMENTS"
                    with m.If(start.nop):
                        m.next = "END"
            with m.State("ELEMENTS"):
                there = (closed_tiles != 0) & (channel_scales.available | ~job.scales)
                if rows:
                    m.d.comb += [tile_there.eq(there), consumed.eq(issue & last_column)]
                else:
                    m.d.sync += tile_there.eq(~self.released & there)
                m.d.comb += [
                    beside.kind.eq(_Kind.ELEMENT),
                    issue.eq(room & tile_there),
                    channel_scales.advance.eq(issue),
                    channel_scales.restart.eq(issue & last_column),
                    self.released.eq(issue & last_row & last_column),
                ]
                with m.If(issue):
                    m.d.sync += [column.eq(column + step), address.eq(address + 4 * step), merge.eq(1)]
                    m.d.sync += last_column.eq((column + step)[: len(column)] == final_column)
                    with m.If(last_column):
                        m.d.sync += last_column.eq(final_column == 0)
                        m.d.sync += [column.eq(0), row.eq(row + 1), merge.eq(0)]
                        m.d.sync += [row_address.eq(next_row), address.eq(next_row)]
                        with m.If(last_row):
                            m.d.sync += [row.eq(0), bank.eq(~bank), first_tile.eq(0)]
                            m.d.sync += n_left.eq(n_left - self.columns)
                            self._start_tile(
                                m,
                                n_left <= 2 * self.columns,
                                n_left[:8] - self.columns,
                                wide,
                                last_tile,
                                final_column,
                                last_column,
                                width,
                            )
                            m.d.sync += [sig.eq(next_tile) for sig in (tile_address, row_address, address)]
                            with m.If(last_tile):
                                m.next = "END"
                                with m.If(job.maximum):
                                    m.d.sync += address.eq(job.maximum_address)
                                    m.next = "MAXIMA"
            with m.State("MAXIMA"):
                m.d.comb += [beside.kind.eq(_Kind.MAXIMUM), issue.eq(room)]
                with m.If(issue):
                    m.d.sync += [row.eq(row + 1), address.eq(address + 4), merge.eq(1)]
                    with m.If(last_row):
                        m.d.sync += row.eq(0)
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [beside.kind.eq(_Kind.END), beside.merge.eq(0), issue.eq(room)]
                with m.If(issue):
                    m.next = "IDLE"
        if rows:
            item = rows.i.payload
            words = Cat((column + index)[: len(column) + 1] < width for index in range(self.drain_width))
            m.d.comb += [
                rows.i.valid.eq(issue & wide),
                item.end.eq(beside.kind == _Kind.END),
                item.address.eq(address),
                item.words.eq(words),
                item.note.eq(job.slot),
            ]
        return narrow, row, beside, job.scales

    def _choose_way(self, m, wide):
        """Whether the next job is wide, and whether it may begin: it goes the way of the one before it, or that is done."""
        start = self.i_jobs.payload
        pending = Signal(range((1 << len(start.slot)) + 1))  # jobs that have begun and are not done
        start_wide, may_start = Signal(), Signal()
        begins = self.i_jobs.valid & self.i_jobs.ready
        aligned = ~(start.address | start.stride)[: (4 * self.drain_width).bit_length() - 1].any()
        m.d.comb += [
            start_wide.eq(
                Mux(start.nop, wide, (start.output == OutputType.INT32) & ~start.observe & aligned)
            ),
            may_start.eq((pending == 0) | (start_wide == wide)),
        ]
        with m.If(begins):
            m.d.sync += wide.eq(start_wide)
        with m.If(begins & ~self.done):
            m.d.sync += pending.eq(pending + 1)
        with m.Elif(self.done & ~begins):
            m.d.sync += pending.eq(pending - 1)
        return start_wide, may_start

    def _start_tile(self, m, last, n_left, wide, last_tile, final_column, last_column, width):
        """Set what is known of the tile that begins: whether it is the `last`, which then has `n_left` columns."""
        final = Mux(last, n_left - 1, self.columns - 1)[: len(final_column)]
        m.d.sync += last_tile.eq(last)
        if self.drain_width == 1:
            m.d.sync += [final_column.eq(final), last_column.eq(last & (final == 0))]
            return
        # Of a wide job, the column at which the last piece begins.
        every = (1 << len(final_column)) - 1
        final = final & Mux(wide, every & ~(self.drain_width - 1), every)
        m.d.sync += [
            final_column.eq(final),
            last_column.eq(final == 0),
            width.eq(Mux(last, n_left, self.columns)),
        ]
