# SPDX-License-Identifier: Apache-2.0
"""The copier: memory to memory, for whoever needs just that. The chip has none: its data pass through the scratchpad."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.dma.addresses import address_queue, send_addresses
from tepin.dma.axi import AXI4Signature
from tepin.dma.beats import BeatWalker, copy_span, span_layout
from tepin.dma.bursts import BurstSplitter, burst_layout, check_bursts, later_beats
from tepin.dma.descriptor import Run
from tepin.dma.merge import BeatMerger, rotated
from tepin.dma.room import Room
from tepin.dma.windows import WindowCheck
from tepin.isa import ErrorCode
from tepin.stream import StreamFifo

__all__ = ["Copier", "CopyRun"]


class CopyRun(data.Struct):
    """Contiguous bytes to copy: `length` of them, at least 1, from `source` to `destination`, at any alignment."""

    source: 32
    destination: 32
    length: 32


class _Bursts(wiring.Component):
    """Runs to bursts within their window. With `depth` above 2 a burst comes a cycle later.

    Members
    -------
    i : In stream of `Run`
    base, limit : In(32)
    burst : Out(burst_layout)
    fine, wrong : Out(1)
        There is a burst inside the window; one that is not, which stays.
    beats : Out
        Of the burst.
    taken : In(1)
        The burst leaves in this cycle; only while `fine`.
    """

    def __init__(self, *, block_bytes, beat_bytes, code, depth):
        self._block_bytes = block_bytes
        self._beat_bytes = beat_bytes
        self._code = code
        self._depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(Run)),
                "base": In(32),
                "limit": In(32),
                "burst": Out(burst_layout(block_bytes)),
                "fine": Out(1),
                "wrong": Out(1),
                "beats": Out(range(block_bytes // beat_bytes + 1)),
                "taken": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.runs = runs = StreamFifo(shape=Run, depth=2)
        m.submodules.splitter = splitter = BurstSplitter(
            block_bytes=self._block_bytes, beat_bytes=self._beat_bytes
        )
        m.submodules.window = window = WindowCheck(block_bytes=self._block_bytes, code=self._code)
        shape = data.StructLayout(
            {"burst": burst_layout(self._block_bytes), "fine": 1, "beats": self.beats.shape()}
        )
        m.submodules.bursts = bursts = StreamFifo(shape=shape, depth=self._depth)
        connect(m, flipped(self.i), runs.i)
        connect(m, runs.o, splitter.i)
        connect(m, splitter.o, window.i)
        checked = window.o.payload
        m.d.comb += [
            window.base.eq(self.base),
            window.limit.eq(self.limit),
            bursts.i.valid.eq(window.o.valid),
            window.o.ready.eq(bursts.i.ready),
            bursts.i.payload.burst.eq(checked),
            bursts.i.payload.fine.eq(checked.code == ErrorCode.NONE),
            bursts.i.payload.beats.eq(later_beats(checked, self._beat_bytes) + Const(1, 1)),
            self.burst.eq(bursts.o.payload.burst),
            self.beats.eq(bursts.o.payload.beats),
            self.fine.eq(bursts.o.valid & bursts.o.payload.fine),
            self.wrong.eq(bursts.o.valid & ~bursts.o.payload.fine),
            bursts.o.ready.eq(self.taken),
        ]
        return m


class Copier(wiring.Component):
    """Copies runs from memory to memory over one AXI4 master.

    Runs are executed in order; the bursts of the next one leave while data of the former one are on their way. So a run sees
    what an earlier one has written only if that one is done, and the source of a run must not overlap its destination.

    INCR bursts of whole beats within aligned blocks of `burst_beats` beats. A read is requested only against reserved space
    in the buffer, so `m_axi.r.ready` and `m_axi.b.ready` are always high. A beat leaves two cycles after its last byte came,
    at a beat per cycle. So n beats take n + 2 latencies of the memory + 1 cycles from the first address to the last answer if
    the buffer covers the latency, plus 1 for each run whose source is further into its beat than its destination.

    Every burst is compared with its window before its address leaves. At the first error, or `stop`, no further burst is
    issued, and what has been issued is finished in due form: read data are dropped, and the beats of writes that have been
    announced are sent with empty strobes. Then `idle` rises, and the component may be reset without the memory noticing.

    Errors: READ_WINDOW, WRITE_WINDOW (address: the first byte outside), READ_RESPONSE, WRITE_RESPONSE, PARAMETER (a run of
    length 0; address 0, as of responses).

    Parameters
    ----------
    data_width : int
        Bits per beat, 16 to 512.
    burst_beats : int
        Beats of the longest burst: a power of two, at least 2, not more than 4 KiB.
    outstanding : int
        Most bursts in flight per direction.
    buffer_beats : int
        Beats that may have been requested and not yet written; a power of two, at least three bursts. It has to cover the
        latency of the memory.

    Members
    -------
    i : In stream of `CopyRun`
    m_axi : Out `AXI4Signature`
    done : Out(1)
        A run has been written: its last answer came.
    read_base, read_limit, write_base, write_limit : In(32)
        First and last byte that may be read and written. A base above its limit allows nothing. Constant while busy.
    stop, idle : In(1), Out(1)
    error, error_address : Out(ErrorCode), Out(32)
        The first error, until a reset.
    """

    def __init__(self, *, data_width=64, burst_beats=16, outstanding=16, buffer_beats=256):
        check_bursts("the copier", data_width=data_width, burst_beats=burst_beats, outstanding=outstanding)
        if buffer_beats & (buffer_beats - 1) or buffer_beats < 4 * burst_beats:
            raise ValueError(
                f"Beats of the buffer must be a power of two, at least {4 * burst_beats}, not {buffer_beats}"
            )
        self.data_width = data_width
        self.beat_bytes = data_width // 8
        self.burst_beats = burst_beats
        self.outstanding = outstanding
        self.buffer_beats = buffer_beats
        super().__init__(
            {
                "i": In(stream.Signature(CopyRun)),
                "m_axi": Out(AXI4Signature(addr_width=32, data_width=data_width, id_width=1)),
                "done": Out(1),
                "read_base": In(32),
                "read_limit": In(32),
                "write_base": In(32),
                "write_limit": In(32),
                "stop": In(1),
                "idle": Out(1),
                "error": Out(ErrorCode),
                "error_address": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        halt = Signal()
        block = {"block_bytes": self.burst_beats * self.beat_bytes, "beat_bytes": self.beat_bytes}
        # Reads come a cycle later, so that the place of their first beat is known when it comes.
        m.submodules.reads = reads = _Bursts(**block, code=ErrorCode.READ_WINDOW, depth=4)
        m.submodules.writes = writes = _Bursts(**block, code=ErrorCode.WRITE_WINDOW, depth=2)
        run = self.i.payload
        empty = run.length == 0
        m.d.comb += [
            reads.base.eq(self.read_base),
            reads.limit.eq(self.read_limit),
            writes.base.eq(self.write_base),
            writes.limit.eq(self.write_limit),
            # A run goes to both sides at once; none of them gets far ahead, since their queues are short.
            self.i.ready.eq(reads.i.ready & writes.i.ready & ~empty & ~halt),
        ]
        for side, memory, other in ((reads, "source", "destination"), (writes, "destination", "source")):
            m.d.comb += [
                side.i.valid.eq(self.i.valid & self.i.ready),
                side.i.payload.memory.eq(run[memory]),
                side.i.payload.local.eq(run[other]),
                side.i.payload.length.eq(run.length),
                side.i.payload.last.eq(1),
            ]

        m.submodules.merger = merger = BeatMerger(beat_bytes=self.beat_bytes)
        m.d.comb += merger.dry.eq(halt)
        read_idle = self._read(m, reads, merger, halt)
        write_idle = self._write(m, writes, merger, halt)

        # Of errors that come together, the first one here is reported.
        beat, answer = self.m_axi.r, self.m_axi.b
        problems = [
            (beat.valid & beat.payload.resp.as_value()[1], ErrorCode.READ_RESPONSE, 0),
            (answer.valid & answer.payload.resp.as_value()[1], ErrorCode.WRITE_RESPONSE, 0),
            (reads.wrong, ErrorCode.READ_WINDOW, Cat(reads.burst.start, reads.burst.block)),
            (writes.wrong, ErrorCode.WRITE_WINDOW, Cat(writes.burst.start, writes.burst.block)),
            (self.i.valid & empty, ErrorCode.PARAMETER, 0),
        ]
        with m.If(~halt):
            with m.If(self.stop):
                m.d.sync += halt.eq(1)
            for condition, code, address in reversed(problems):
                with m.If(condition):
                    m.d.sync += [halt.eq(1), self.error.eq(code), self.error_address.eq(address)]
        # What is issued in the cycle in which `halt` rises is counted a cycle later.
        halted = Signal(2)
        m.d.sync += [halted.eq(Cat(halt, halted)), self.idle.eq(halted[-1] & read_idle & write_idle)]
        return m

    def _read(self, m, bursts, merger, halt):
        """Addresses of reads, and their data to the merger; returns whether nothing is in flight."""
        beat = self.m_axi.r
        m.submodules.room = room = Room(capacity=self.buffer_beats, burst_beats=self.burst_beats)
        shift = (self.beat_bytes - 1).bit_length()
        flight = data.StructLayout({"last_of_run": 1, "shift": shift})
        m.submodules.reading = reading = StreamFifo(shape=flight, depth=self.outstanding)
        issue = self._addresses(
            m, "read_addresses", self.m_axi.ar, bursts, room.enough & reading.i.ready & ~halt
        )
        item = data.StructLayout({"data": self.data_width, "last": 1})
        came, received = Signal(), Signal(item)
        m.d.comb += [
            room.take.eq(issue),
            room.amount.eq(bursts.beats),
            room.halt.eq(halt),
            reading.i.valid.eq(issue),
            reading.i.payload.last_of_run.eq(bursts.burst.last_of_run),
            # `local` is where byte 0 of the beat goes to.
            reading.i.payload.shift.eq(bursts.burst.local[:shift]),
            reading.o.ready.eq(beat.valid & beat.payload.last),
            beat.ready.eq(1),
        ]
        m.d.sync += [
            came.eq(beat.valid & ~halt),
            received.data.eq(rotated(beat.payload.data, reading.o.payload.shift)),
            received.last.eq(beat.payload.last & reading.o.payload.last_of_run),
        ]
        # A beat that can leave at once passes the buffer by; one that cannot waits in it.
        m.submodules.buffer = buffer = StreamFifo(shape=item, depth=self.buffer_beats)
        direct = buffer.level == 0
        m.d.comb += [
            merger.i.valid.eq(Mux(direct, came, buffer.o.valid)),
            merger.i.payload.eq(Mux(direct, received.as_value(), buffer.o.payload.as_value())),
            buffer.o.ready.eq(merger.i.ready & ~direct),
            buffer.i.valid.eq(came & ~(direct & merger.i.ready)),
            buffer.i.payload.eq(received),
            room.give.eq(merger.i.valid & merger.i.ready),
        ]
        return reading.level == 0

    def _write(self, m, bursts, merger, halt):
        """Addresses and data of writes; returns whether nothing is in flight."""
        block_bytes = self.burst_beats * self.beat_bytes
        m.submodules.spans = spans = StreamFifo(shape=span_layout(block_bytes), depth=self.outstanding)
        m.submodules.writing = writing = StreamFifo(shape=1, depth=self.outstanding)
        m.submodules.walker = walker = BeatWalker(block_bytes=block_bytes, beat_bytes=self.beat_bytes)
        free = spans.i.ready & writing.i.ready & ~halt
        issue = self._addresses(m, "write_addresses", self.m_axi.aw, bursts, free)
        answer = self.m_axi.b
        place, target = walker.o.payload, merger.places.payload
        m.d.comb += [
            spans.i.valid.eq(issue),
            *copy_span(spans.i.payload, bursts.burst),
            writing.i.valid.eq(issue),
            writing.i.payload.eq(bursts.burst.last_of_run),
            writing.o.ready.eq(answer.valid),
            answer.ready.eq(1),
            self.done.eq(answer.valid & writing.o.payload & ~halt & ~answer.payload.resp.as_value()[1]),
            merger.places.valid.eq(walker.o.valid),
            walker.o.ready.eq(merger.places.ready),
            target.mask.eq(place.mask),
            # `local` is where byte 0 of the beat comes from.
            target.shift.eq(-place.local[: len(target.shift)]),
            target.last_of_run.eq(place.last_of_run),
            target.last.eq(place.last),
            self.m_axi.w.valid.eq(merger.o.valid),
            merger.o.ready.eq(self.m_axi.w.ready),
            self.m_axi.w.payload.data.eq(merger.o.payload.data),
            self.m_axi.w.payload.strb.eq(merger.o.payload.mask),
            self.m_axi.w.payload.last.eq(merger.o.payload.last),
        ]
        connect(m, spans.o, walker.i)
        return writing.level == 0

    def _addresses(self, m, name, channel, bursts, allowed):
        """Bursts to addresses while that is allowed; returns whether one is issued in this cycle."""
        m.submodules[name] = queue = address_queue(self.data_width)
        issue = Signal(name=f"{name}_issue")
        m.d.comb += [
            issue.eq(bursts.fine & allowed & queue.i.ready),
            bursts.taken.eq(issue),
            *send_addresses(queue, channel, bursts.burst, issue, self.data_width),
        ]
        return issue
