# SPDX-License-Identifier: Apache-2.0
"""Data paths of the SDRAM controller: read words to beats, beats to written words."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tepin.memory.sdram_picker import beat_layout
from tepin.stream import StreamFifo

__all__ = ["ReadPath", "WritePath"]


class ReadPath(wiring.Component):
    """Captures read words `latency` cycles after they were requested, and queues them.

    Parameters
    ----------
    data_width, id_width : int
    latency : int
        Cycles from `valid` to that in which the word is at `dq_i`.
    depth : int
        Beats that are on their way or queued at most. Covers the latency, at least, or the stream has gaps.

    Members
    -------
    valid, beat : In
        A word was requested.
    room : Out(1)
        Two more words may be requested, whatever was in the last cycle.
    dq_i : In(data_width)
    r : Out stream, payload of AXI's read data channel
    """

    def __init__(self, *, data_width, id_width, latency, depth, r):
        self._latency = latency
        self._depth = depth
        self._r = r
        super().__init__(
            {
                "valid": In(1),
                "beat": In(beat_layout(id_width)),
                "room": Out(1),
                "dq_i": In(data_width),
                "r": Out(stream.Signature(r)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        captured = Signal.like(self.dq_i)
        m.d.sync += captured.eq(self.dq_i)

        valid, beat = self.valid, self.beat
        for stage in range(self._latency + 1):
            next_valid = Signal(name=f"valid{stage}")
            next_beat = Signal(self.beat.shape(), name=f"beat{stage}")
            m.d.sync += [next_valid.eq(valid), next_beat.eq(beat)]
            valid, beat = next_valid, next_beat

        m.submodules.queue = queue = StreamFifo(shape=self._r, depth=self._depth)
        m.d.comb += [
            queue.i.valid.eq(valid),
            queue.i.payload.id.eq(beat.id),
            queue.i.payload.data.eq(captured),
            queue.i.payload.resp.eq(beat.resp),
            queue.i.payload.last.eq(beat.last),
            self.r.valid.eq(queue.o.valid),
            self.r.payload.eq(queue.o.payload),
            queue.o.ready.eq(self.r.ready),
        ]
        used = Signal(range(self._depth + 1))
        m.d.sync += used.eq(used + self.valid - (self.r.valid & self.r.ready))
        # A register, so it does not know of the (up to) two words that were requested in the last cycle.
        m.d.sync += self.room.eq(used <= self._depth - 4)
        return m


class WritePath(wiring.Component):
    """Collects write data, tells which bursts are complete, and answers those that are done.

    Parameters
    ----------
    id_width : int
    depth : int
        Beats: at least 260, so that the longest burst is complete at some time.
    answers : int
        Bursts that are begun and not answered, at most.
    w, b : shape-like
        Payloads of these channels of `AXI4Signature`.

    Members
    -------
    w : In stream, b : Out stream
    begin : In(1)
        A burst is begun: its answer will need a place.
    may_begin : Out(1)
    complete : Out(1)
        All data of the oldest burst that is not released have come.
    release : In(1)
        It is released.
    valid, beat : In
        A word is written: the last one of a burst causes its answer.
    take : In(1)
        The next word is used up: `word` until then.
    word : Out(w)
    """

    def __init__(self, *, id_width, depth, answers, w, b):
        self._depth = depth
        self._answers = answers
        self._w, self._b = w, b
        super().__init__(
            {
                "w": In(stream.Signature(w)),
                "b": Out(stream.Signature(b)),
                "begin": In(1),
                "may_begin": Out(1),
                "complete": Out(1),
                "release": In(1),
                "valid": In(1),
                "beat": In(beat_layout(id_width)),
                "take": In(1),
                "word": Out(data.StructLayout({"data": w["data"].width, "strb": w["strb"].width})),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = StreamFifo(shape=self.word.shape(), depth=self._depth)
        m.d.comb += [
            words.i.valid.eq(self.w.valid),
            words.i.payload.data.eq(self.w.payload.data),
            words.i.payload.strb.eq(self.w.payload.strb),
            self.w.ready.eq(words.i.ready),
            self.word.eq(words.o.payload),
            words.o.ready.eq(self.take),
        ]
        bursts = Signal(range(self._depth + 1))
        arrived = self.w.valid & self.w.ready & self.w.payload.last
        m.d.sync += bursts.eq(bursts + arrived - self.release)
        m.d.comb += self.complete.eq(bursts != 0)

        m.submodules.answers = answers = StreamFifo(shape=self._b, depth=self._answers)
        places = Signal(range(self._answers + 1), init=self._answers)
        m.d.sync += [
            answers.i.valid.eq(self.valid & self.beat.last),
            answers.i.payload.id.eq(self.beat.id),
            answers.i.payload.resp.eq(self.beat.resp),
            places.eq(places - self.begin + (self.b.valid & self.b.ready)),
        ]
        m.d.comb += [
            self.may_begin.eq(places != 0),
            self.b.valid.eq(answers.o.valid),
            self.b.payload.eq(answers.o.payload),
            answers.o.ready.eq(self.b.ready),
        ]
        return m
