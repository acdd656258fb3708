# SPDX-License-Identifier: Apache-2.0
"""The coprocessor's core: a memory on a bus, and an array that multiplies what lies in it."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from tepin.coprocessor.job import ACTIVATION_WIDTH, JOB, JOB_ADDRESS, SUM_BYTES, Job, Shape
from tepin.coprocessor.memory import WordMemory
from tepin.dma.axi import AXI4Signature, Response
from tepin.matmul.array import SystolicArray

__all__ = ["CoprocessorCore"]

_CYCLE_BITS = 24
_JOB_BIT = JOB_ADDRESS.bit_length() - 1


class CoprocessorCore(Component):
    """Does jobs, see `tepin.coprocessor.job`, one at a time.

    The one port of the memory sets the pace: for each pass of `rows` x `columns` products as many words of weights as
    there are rows go to the array, then one of activations. So neither has to wait for the other, and the array's streams
    are never held up. When the last sums of a tile have come out they are written, four words, and the next tile begins.
    A job takes

        tiles * (groups * (rows + 1) + rows + 11) + 1

    cycles from the answer to its last byte on. Addresses in it are those of words, whatever their lowest bits are, and wrap
    at the end of the memory. With no groups or no tiles it does nothing. Sums are those of the products modulo 2**32.

    Parameters
    ----------
    shape : Shape

    Members
    -------
    s_axi : In(AXI4Signature(addr_width=32, data_width=8 * columns, id_width=1))
        Bursts of one beat, one at a time, as `BusAccess` makes them. The memory begins at 0; what is neither memory nor
        the job is refused with DECERR. While a job is under way nothing is taken.
    busy : Out(1)
        A job is under way.
    """

    def __init__(self, shape):
        if not isinstance(shape, Shape):
            raise TypeError(f"Shape of a coprocessor must be a Shape, not {shape!r}")
        self._shape = shape
        bus = AXI4Signature(addr_width=32, data_width=8 * shape.columns, id_width=1)
        super().__init__({"s_axi": In(bus), "busy": Out(1)})

    @property
    def shape(self):
        """Of array and memory."""
        return self._shape

    def elaborate(self, platform):
        m = Module()
        shape = self._shape
        m.submodules.memory = memory = WordMemory(width=8 * shape.columns, depth=1 << shape.address_bits)
        m.submodules.array = array = SystolicArray(
            rows=shape.rows,
            columns=shape.columns,
            activation_width=ACTIVATION_WIDTH,
            tag=data.StructLayout({"first": 1, "last": 1}),
        )
        # Used up by the job: addresses move on, tiles are counted down.
        job = {name: Signal(shape.address_bits, name=name) for name in Job.__dataclass_fields__}
        cycles = Signal(_CYCLE_BITS)  # of the last job
        with m.If(self.busy):
            m.d.sync += cycles.eq(cycles + 1)
        sums, complete = self._elaborate_sums(m, array)
        with m.FSM():
            self._elaborate_bus(m, memory, job, cycles)
            self._elaborate_job(m, memory, array, job, sums, complete)
        return m

    def _elaborate_bus(self, m, memory, job, cycles):
        """Accesses from outside. The last byte of a job starts it."""
        bus, columns = self.s_axi, self._shape.columns
        lane_bits = columns.bit_length() - 1
        end = lane_bits + self._shape.address_bits
        address = Signal(32)
        to_job, there = Signal(), Signal()
        m.d.comb += [
            address.eq(Mux(bus.ar.valid, bus.ar.payload.addr, bus.aw.payload.addr)),
            to_job.eq(address[_JOB_BIT]),
            there.eq(address[end:] == 0),
        ]
        read_job, begins = Signal(), Signal()
        response = Signal(Response)
        m.d.comb += [
            bus.b.payload.resp.eq(response),
            bus.r.payload.resp.eq(response),
            bus.r.payload.last.eq(1),
        ]
        with m.State("IDLE"):
            m.d.comb += memory.address.eq(address[lane_bits:end])
            m.d.comb += memory.i.eq(bus.w.payload.data)
            m.d.sync += [
                read_job.eq(to_job),
                response.eq(Mux(there | to_job, Response.OKAY, Response.DECERR)),
            ]
            with m.If(bus.ar.valid):
                m.d.comb += [bus.ar.ready.eq(1), memory.enable.eq(1)]
                m.d.sync += bus.r.payload.id.eq(bus.ar.payload.id)
                m.next = "READ"
            with m.Elif(bus.aw.valid & bus.w.valid):
                m.d.comb += [
                    bus.aw.ready.eq(1),
                    bus.w.ready.eq(1),
                    memory.enable.eq(there),
                    memory.write.eq(bus.w.payload.strb),
                ]
                m.d.sync += bus.b.payload.id.eq(bus.aw.payload.id)
                m.next = "WRITTEN"
                m.d.sync += begins.eq(0)
                with m.If(to_job):
                    m.d.sync += begins.eq(self._write_job(m, job, address[lane_bits:], bus.w.payload))
        with m.State("READ"):
            # Held here, since the memory may forget.
            m.d.sync += bus.r.payload.data.eq(Mux(read_job, cycles, memory.o))
            m.next = "ANSWER"
        with m.State("ANSWER"):
            m.d.comb += bus.r.valid.eq(1)
            with m.If(bus.r.ready):
                m.next = "IDLE"
        with m.State("WRITTEN"):
            m.d.comb += bus.b.valid.eq(1)
            with m.If(bus.b.ready):
                m.next = "IDLE"
                with m.If(begins):
                    m.d.sync += [self.busy.eq(1), cycles.eq(0)]
                    m.next = "BEGIN"

    def _write_job(self, m, job, word, payload):
        """Statements that write bytes of the job; returns whether the last one is among them."""
        columns = self._shape.columns
        unit = columns.bit_length() - 1  # bytes of addresses below a word
        shifts = {"weights": unit, "activations": unit, "sums": unit, "groups": 0, "tiles": 0}
        written = Signal(JOB.size)
        for byte in range(JOB.size):
            lane = byte % columns
            m.d.comb += written[byte].eq((word[:5] == byte // columns) & payload.strb[lane])
        for index, (name, field) in enumerate(job.items()):
            for byte in range(4):
                place = index * 4 + byte
                lane = payload.data.word_select(place % columns, 8)
                first = 8 * byte - shifts[name]
                part = lane[max(0, -first) :][: max(0, len(field) - max(0, first))]
                if len(part):
                    with m.If(written[place]):
                        m.d.sync += field[max(0, first) : max(0, first) + len(part)].eq(part)
        return written[-1]

    def _elaborate_job(self, m, memory, array, job, sums, complete):
        """Feeds the array tile by tile, and writes its sums."""
        rows, width = self._shape.rows, len(memory.i)
        row = Signal(range(rows + 1))  # of weights; the last one means activations
        group = Signal.like(job["groups"])
        feeding = Signal()
        index = Signal(range(SUM_BYTES))
        with m.State("BEGIN"):
            m.next = "FEED"
            with m.If((job["groups"] == 0) | (job["tiles"] == 0)):
                m.d.sync += self.busy.eq(0)
                m.next = "IDLE"
        with m.State("FEED"):
            m.d.comb += [feeding.eq(1), memory.enable.eq(1)]
            with m.If(row == rows):
                m.d.comb += memory.address.eq(job["activations"] + group)
                m.d.sync += [row.eq(0), group.eq(group + 1)]
                with m.If(group == (job["groups"] - 1)[: len(group)]):
                    m.d.sync += group.eq(0)
                    m.next = "DRAIN"
            with m.Else():
                m.d.comb += memory.address.eq(job["weights"])
                m.d.sync += [row.eq(row + 1), job["weights"].eq(job["weights"] + 1)]
        with m.State("DRAIN"):
            with m.If(complete):
                m.next = "STORE"
        with m.State("STORE"):
            m.d.comb += [
                memory.enable.eq(1),
                memory.write.eq(~0),
                memory.address.eq(job["sums"]),
                memory.i.eq(sums.word_select(index, width)),
            ]
            m.d.sync += [job["sums"].eq(job["sums"] + 1), index.eq(index + 1)]
            with m.If(index == SUM_BYTES - 1):
                m.d.sync += job["tiles"].eq(job["tiles"] - 1)
                m.next = "BEGIN"

        # What was read a cycle ago.
        weights, last_row, activations, first, last = (Signal(name=f"fed_{name}") for name in _FED)
        m.d.sync += [
            weights.eq(feeding & (row != rows)),
            last_row.eq(row == rows - 1),
            activations.eq(feeding & (row == rows)),
            first.eq(group == 0),
            last.eq(group == (job["groups"] - 1)[: len(group)]),
        ]
        m.d.comb += [
            array.i_weights.valid.eq(weights),
            array.i_weights.payload.weights.eq(memory.o),
            array.i_weights.payload.last.eq(last_row),
            array.i.valid.eq(activations),
            array.i.payload.activations.eq(memory.o),
            array.i.payload.first.eq(1),
            array.i.payload.tag.first.eq(first),
            array.i.payload.tag.last.eq(last),
        ]

    def _elaborate_sums(self, m, array):
        """Adds up the passes of a tile; returns all sums, and a signal that they are complete."""
        complete = Signal()
        tag, accumulators = array.o.payload.tag, []
        for column in range(self._shape.columns):
            accumulator = Signal(8 * SUM_BYTES, name=f"accumulator_{column}", reset_less=True)
            accumulators.append(accumulator)
            with m.If(array.o.valid):
                m.d.sync += accumulator.eq(Mux(tag.first, 0, accumulator) + array.o.payload.sums[column])
        m.d.sync += complete.eq(array.o.valid & tag.last)
        return Cat(*accumulators), complete


_FED = ("weights", "last_row", "activations", "first", "last")
