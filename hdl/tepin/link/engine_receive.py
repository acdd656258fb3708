# SPDX-License-Identifier: Apache-2.0
"""The receiving half of the link engine: ports to scratchpad."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tepin.link.engine_send import COUNT_BITS, WORD_BITS, Progress
from tepin.memory.ports import WritePort
from tepin.stream import StreamFifo

__all__ = ["ReceiveJob", "Receiver"]


class ReceiveJob(data.Struct):
    """A message to receive; every command has one, and a `count` of 0 is no message."""

    port: 4
    address: 32
    count: COUNT_BITS


class Receiver(wiring.Component):
    """Receives messages, one after the other, and takes no word that does not belong to them.

    One word per cycle, written two cycles after it has moved; three cycles between messages.

    Parameters
    ----------
    links, line_bytes : int

    Members
    -------
    jobs : In stream of ReceiveJob
    i : array of In stream of words
    write : Out(WritePort)
        Faults are not looked at.
    progress : Out(Progress)
        The command that is being received, and how many of its words have been written.
    done : Out(1)
        The last word of a message has been written.
    """

    def __init__(self, *, links, line_bytes):
        self._links = links
        super().__init__(
            {
                "jobs": In(stream.Signature(ReceiveJob)),
                "i": In(stream.Signature(WORD_BITS)).array(links),
                "write": Out(WritePort(line_bytes=line_bytes)),
                "progress": Out(Progress),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job = Signal(ReceiveJob)
        active, taking, last = Signal(), Signal(), Signal()
        m.submodules.writes = writes = StreamFifo(
            shape=data.StructLayout({"address": 32, "word": WORD_BITS, "half": 1, "last": 1}), depth=2
        )
        # A message is under way until it has been written, so that `progress` tells of one at a time.
        m.d.comb += [
            taking.eq(job.count != 0),
            last.eq(job.count <= 2),
            self.jobs.ready.eq(~active),
            writes.i.payload.address.eq(job.address),
            writes.i.payload.half.eq(job.count == 1),
            writes.i.payload.last.eq(last),
        ]
        with m.Switch(job.port):
            for index, port in enumerate(self.i):
                with m.Case(index):
                    m.d.comb += [
                        writes.i.valid.eq(taking & port.valid),
                        writes.i.payload.word.eq(port.payload),
                        port.ready.eq(taking & writes.i.ready),
                    ]
        with m.If(writes.i.valid & writes.i.ready):
            m.d.sync += [
                job.address.eq(job.address + WORD_BITS // 8),
                job.count.eq(Mux(last, 0, job.count - 2)),
            ]

        request = self.write.request
        half = WORD_BITS // 16
        m.d.comb += [
            request.valid.eq(writes.o.valid),
            writes.o.ready.eq(request.ready),
            request.payload.address.eq(writes.o.payload.address),
            request.payload.data.eq(writes.o.payload.word),
            request.payload.mask.eq(Mux(writes.o.payload.half, (1 << half) - 1, (1 << 2 * half) - 1)),
            self.done.eq(request.valid & request.ready & writes.o.payload.last),
        ]
        with m.If(request.valid & request.ready):
            m.d.sync += self.progress.words.eq(self.progress.words + 1)
        with m.If(self.done):
            m.d.sync += [
                self.progress.number.eq(self.progress.number + 1),
                self.progress.words.eq(0),
                active.eq(0),
            ]
        with m.If(self.jobs.valid & self.jobs.ready):
            m.d.sync += job.eq(self.jobs.payload)
            with m.If(self.jobs.payload.count != 0):
                m.d.sync += active.eq(1)
            with m.Else():
                m.d.sync += self.progress.number.eq(self.progress.number + 1)
        return m
