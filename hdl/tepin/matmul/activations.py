# SPDX-License-Identifier: Apache-2.0
"""Activations: from the scratchpad to passes of the array, in the order in which weight tiles come."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..isa import ActivationType
from ..memory.ports import ReadPort
from ..stream import StreamFifo
from .array import array_pass

__all__ = ["ActivationJob", "ActivationReader", "pass_tag", "scale_lines", "scale_write"]


class ActivationJob(data.Struct):
    """Activations of one matmul: `m` rows of `k`, once for each column tile of `n` columns; and their scales."""

    activations: ActivationType
    has_scales: 1
    slot: 2  # where the scales go
    m: 11
    k: 17
    n: 32
    address: 32
    stride: 32
    scale_address: 32


def pass_tag(accumulator_rows):
    """What the accumulator does with a pass.

    Members: `row`, the accumulator; `bank`, alternates from column tile to column tile; `overwrite`, rather than add; `high`,
    times 256; `final`, the last pass of its row in a column tile; `open`, the first pass of a column tile; `close`, the
    last one.
    """
    return data.StructLayout(
        {
            "row": range(accumulator_rows),
            "bank": 1,
            "overwrite": 1,
            "high": 1,
            "final": 1,
            "open": 1,
            "close": 1,
        }
    )


def scale_lines(accumulator_rows, line_bytes):
    """Scratchpad lines that hold the scales of one job."""
    return -(-4 * accumulator_rows // line_bytes)


def scale_write(accumulator_rows, line_bytes):
    """A line of activation scales. Members: `slot`, that of the job; `line`, which one; `scales`, float32 encodings."""
    return data.StructLayout(
        {
            "slot": 2,
            "line": range(scale_lines(accumulator_rows, line_bytes)),
            "scales": data.ArrayLayout(32, line_bytes // 4),
        }
    )


class ActivationReader(wiring.Component):
    """Reads the activations of each job and makes passes of them: per column tile, per `rows` of k, per row of m.

    An int16 activation a is 256 * hi + lo with hi and lo in -128..127, and takes two passes if `activation_width` is 8, hi
    first; any other takes one. That form exists for -32768..32639; beyond, hi wraps. Activations past k are 0, whatever
    the scratchpad holds there.

    One read per row of m and weight tile; reading runs `depth` reads ahead of the array. With one pass per read a pass leaves
    in every cycle, from job to job, too, apart from one per line of scales, which the queue hides if there are two. The
    scales of a job are read before its activations.

    Parameters
    ----------
    rows : int
        Rows of the array, even.
    columns : int
        Columns of the array.
    activation_width : int
        8 or 16.
    accumulator_rows : int
        Largest m.
    line_bytes : int
        Bytes of a scratchpad line, at least 2 x `rows`.
    depth : int
        Reads in flight or waiting for the array: a power of two.

    Members
    -------
    i : In stream of `ActivationJob`
    scratchpad : Out `ReadPort`
    o : Out stream of `array_pass(...)` with `pass_tag(accumulator_rows)`
    o_scales : Out stream of `scale_write(...)`, always ready
    fault, fault_address, fault_slot : Out
        An address was out of range; high for one cycle.
    """

    def __init__(self, *, rows, columns, activation_width, accumulator_rows, line_bytes, depth=16):
        if rows < 2 or rows % 2:
            raise ValueError(f"rows must be even and at least 2, not {rows}")
        if activation_width not in (8, 16):
            raise ValueError(f"activation_width must be 8 or 16, not {activation_width}")
        if accumulator_rows < 1:
            raise ValueError(f"accumulator_rows must be at least 1, not {accumulator_rows}")
        if line_bytes < max(4, 2 * rows) or line_bytes & (line_bytes - 1):
            raise ValueError(
                f"line_bytes must be a power of two and at least 2 x rows ({max(4, 2 * rows)}), not {line_bytes}"
            )
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two, at least 2, not {depth!r}")
        self.rows = rows
        self.columns = columns
        self.activation_width = activation_width
        self.accumulator_rows = accumulator_rows
        self.line_bytes = line_bytes
        self.depth = depth
        passes = array_pass(rows=rows, activation_width=activation_width, tag=pass_tag(accumulator_rows))
        super().__init__(
            {
                "i": In(stream.Signature(ActivationJob)),
                "scratchpad": Out(ReadPort(line_bytes=line_bytes)),
                "o": Out(stream.Signature(passes)),
                "o_scales": Out(
                    stream.Signature(scale_write(accumulator_rows, line_bytes), always_ready=True)
                ),
                "fault": Out(1),
                "fault_address": Out(32),
                "fault_slot": Out(2),
            }
        )

    @property
    def _read(self):
        """What is known of a read when it is requested."""
        return data.StructLayout(
            {
                "first": 1,
                "tag": pass_tag(self.accumulator_rows),
                "int8": 1,
                "count": range(self.rows + 1),
                "halfword": 1,  # the row starts two bytes into the response
            }
        )

    @property
    def _request_layout(self):
        """A request to the scratchpad, and what becomes of the answer."""
        scale_read = data.StructLayout({"slot": 2, "line": self.o_scales.payload.line.shape()})
        return data.StructLayout({"address": 32, "is_scale": 1, "scale_read": scale_read, "read": self._read})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = StreamFifo(
            shape=data.StructLayout({"bytes": 16 * self.rows, "read": self._read}), depth=self.depth
        )
        m.submodules.requests = requests = StreamFifo(shape=self._request_layout, depth=2)
        self._request(m, queue, requests.i)
        asked = requests.o.payload
        m.d.comb += [
            self.scratchpad.request.valid.eq(requests.o.valid),
            self.scratchpad.request.payload.eq(asked.address),
            requests.o.ready.eq(self.scratchpad.request.ready),
        ]

        # What was asked for, kept until the response comes.
        answered = data.View(self._request_layout, self._delay(m, "asked", asked.as_value()))
        reads, scale_reads = answered.read, answered.scale_read
        read_valids = self.scratchpad.response_valid & ~answered.is_scale
        scale_valids = self.scratchpad.response_valid & answered.is_scale
        m.d.comb += [
            self.fault.eq(self.scratchpad.response_valid & self.scratchpad.fault),
            self.fault_address.eq(answered.address),
            self.fault_slot.eq(answered.scale_read.slot),
        ]

        response = self.scratchpad.response
        lanes = response[: 16 * self.rows]
        if self.rows % 4:
            # Only then are there rows that start between words; they are int8 and half as long.
            lanes = Mux(reads.halfword, response[16 : 16 + 8 * self.rows], lanes)
        m.d.comb += [
            queue.i.valid.eq(read_valids),
            queue.i.payload.bytes.eq(lanes),
            queue.i.payload.read.eq(reads),
            self.o_scales.valid.eq(scale_valids),
            self.o_scales.payload.slot.eq(scale_reads.slot),
            self.o_scales.payload.line.eq(scale_reads.line),
            self.o_scales.payload.scales.as_value().eq(response),
        ]
        self._emit(m, queue.o)
        return m

    def _request(self, m, queue, requests):
        """Walks through the jobs; one read per cycle while they are granted and there is room for the answers."""
        job = Signal(ActivationJob)
        read_valid = Signal()
        request = requests.payload
        read, scale_read, address = request.read, request.scale_read, request.address

        lines = scale_lines(self.accumulator_rows, self.line_bytes)
        scales_address = Signal(32)
        scales_left = Signal(32)
        line = Signal(range(lines))

        row = Signal(range(self.accumulator_rows))
        bank = Signal()
        n_left = Signal(32)
        k_left = Signal(17)
        tile_address = Signal(32)  # of this weight tile's part of row 0
        row_address = Signal(32)

        int8 = job.activations == ActivationType.INT8
        # Worked out a step ahead.
        last_row = Signal()
        first_k, last_k = Signal(), Signal()
        last_n = Signal()
        final_row = Signal.like(row)
        only_k = Signal()  # all of k is one weight tile
        next_tile = Signal(32)
        m.d.comb += [
            next_tile.eq(tile_address + Mux(int8, self.rows, 2 * self.rows)),
            read.first.eq(row == 0),
            read.tag.row.eq(row),
            read.tag.bank.eq(bank),
            read.tag.overwrite.eq(first_k),
            read.tag.open.eq(read.tag.overwrite & read.first),
            read.tag.final.eq(last_k),
            read.tag.close.eq(last_k & last_row),
            read.int8.eq(int8),
            read.count.eq(Mux(last_k, k_left, self.rows)),
            read.halfword.eq(row_address[1]),
            scale_read.slot.eq(job.slot),
            scale_read.line.eq(line),
        ]

        reserved = Signal(range(self.depth + 1))
        taken = Signal()
        m.d.comb += [taken.eq(queue.o.valid & queue.o.ready), requests.valid.eq(read_valid)]
        with m.If(read_valid & ~taken):
            m.d.sync += reserved.eq(reserved + 1)
        with m.Elif(taken & ~read_valid):
            m.d.sync += reserved.eq(reserved - 1)

        # A job begins when there is none, or with the last read of the one before it.
        begin, start = Signal(), self.i.payload
        m.d.comb += self.i.ready.eq(begin)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += begin.eq(1)
                with m.If(self.i.valid):
                    m.next = "ROWS"
                    with m.If(start.has_scales):
                        m.next = "SCALES"
            with m.State("SCALES"):
                m.d.comb += [requests.valid.eq(1), request.is_scale.eq(1), address.eq(scales_address)]
                with m.If(requests.ready):
                    m.d.sync += [
                        scales_address.eq(scales_address + self.line_bytes),
                        scales_left.eq(scales_left - self.line_bytes // 4),
                        line.eq(line + 1),
                    ]
                    with m.If(scales_left <= self.line_bytes // 4):
                        m.next = "ROWS"
            with m.State("ROWS"):
                m.d.comb += [address.eq(row_address), read_valid.eq(~reserved[-1] & requests.ready)]
                with m.If(read_valid):
                    m.d.sync += last_row.eq((row + 1)[: len(row)] == final_row)
                    m.d.sync += [row.eq(row + 1), row_address.eq(row_address + (job.stride & 0xFFFF_FFFC))]
                    with m.If(last_row):
                        m.d.sync += [
                            row.eq(0),
                            last_row.eq(final_row == 0),
                            k_left.eq(k_left - self.rows),
                            first_k.eq(0),
                            last_k.eq(k_left <= 2 * self.rows),
                            tile_address.eq(next_tile),
                            row_address.eq(next_tile),
                        ]
                        with m.If(last_k):
                            m.d.sync += [
                                k_left.eq(job.k),
                                first_k.eq(1),
                                last_k.eq(only_k),
                                n_left.eq(n_left - self.columns),
                                last_n.eq(n_left <= 2 * self.columns),
                                tile_address.eq(job.address & 0xFFFF_FFFC),
                                row_address.eq(job.address & 0xFFFF_FFFC),
                                bank.eq(~bank),
                            ]
                            with m.If(last_n):
                                m.d.comb += begin.eq(1)
                                m.next = "IDLE"
                                with m.If(self.i.valid):
                                    m.next = "ROWS"
                                    with m.If(start.has_scales):
                                        m.next = "SCALES"
        with m.If(begin):
            m.d.sync += [
                job.eq(start),
                scales_address.eq(start.scale_address),
                scales_left.eq(start.m),
                line.eq(0),
                n_left.eq(start.n),
                k_left.eq(start.k),
                # Addresses are multiples of 4 by contract; their low bits mean nothing.
                tile_address.eq(start.address & 0xFFFF_FFFC),
                row_address.eq(start.address & 0xFFFF_FFFC),
                row.eq(0),
                final_row.eq(start.m - 1),
                last_row.eq(start.m == 1),
                first_k.eq(1),
                last_k.eq(start.k <= self.rows),
                only_k.eq(start.k <= self.rows),
                last_n.eq(start.n <= self.columns),
            ]

    @staticmethod
    def _delay(m, name, value):
        for age in range(1, ReadPort.LATENCY + 1):
            older = Signal(value.shape(), name=f"{name}_{age}", reset_less=True)
            m.d.sync += older.eq(value)
            value = older
        return value

    def _emit(self, m, queued):
        """Passes of the oldest read."""
        lanes, read = queued.payload.bytes, queued.payload.read
        activations = []
        second = Signal()
        two_passes = Const(0, 1) if self.activation_width == 16 else ~read.int8
        for row in range(self.rows):
            byte, halfword = lanes.word_select(row, 8), lanes.word_select(row, 16)
            if self.activation_width == 16:
                value = Mux(read.int8, byte.as_signed(), halfword.as_signed())
            else:
                low, high = halfword[:8], (halfword[8:] + halfword[7])[:8]
                value = Mux(read.int8, byte, Mux(second, low, high))
            activations.append(Mux(row < read.count, value, 0)[: self.activation_width])
        m.d.comb += [
            self.o.valid.eq(queued.valid),
            self.o.payload.activations.as_value().eq(Cat(activations)),
            self.o.payload.first.eq(read.first & ~second),
            self.o.payload.tag.eq(read.tag),
            self.o.payload.tag.overwrite.eq(read.tag.overwrite & ~second),
            self.o.payload.tag.high.eq(two_passes & ~second),
            self.o.payload.tag.open.eq(read.tag.open & ~second),
            self.o.payload.tag.final.eq(read.tag.final & (second | ~two_passes)),
            self.o.payload.tag.close.eq(read.tag.close & (second | ~two_passes)),
            queued.ready.eq(self.o.ready & (second | ~two_passes)),
        ]
        if self.activation_width == 8:
            with m.If(self.o.valid & self.o.ready):
                m.d.sync += second.eq(two_passes & ~second)
