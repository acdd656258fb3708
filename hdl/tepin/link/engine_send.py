# SPDX-License-Identifier: Apache-2.0
"""The sending half of the link engine: scratchpad to ports."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tepin.memory.ports import ReadPort
from tepin.stream import StreamFifo
from tepin.vector.buffer import ReservedFifo

__all__ = ["COUNT_BITS", "WORD_BITS", "Progress", "SendJob", "Sender"]

WORD_BITS = 64
"""Bits of a word on a link."""

COUNT_BITS = 22
"""Of the length of a message in 32-bit words."""

_DEPTH = 16  # words that are on their way from the scratchpad, so that it is read in every cycle


class SendJob(data.Struct):
    """A message to send. `number` is that of its command, modulo 8; a `count` of 0 is no message."""

    number: 3
    follows: 1
    port: 4
    address: 32
    count: COUNT_BITS


class Progress(data.Struct):
    """How far receiving is: the number of the command that is being received, and how many of its words are there."""

    number: 3
    words: COUNT_BITS - 1


class Sender(wiring.Component):
    """Sends messages, one after the other.

    A message that follows waits until the command before its own has been received, or as much of it as is to be
    sent. One word per cycle, the first one 9 cycles after its job; a cycle between jobs.

    Parameters
    ----------
    links, line_bytes : int

    Members
    -------
    jobs : In stream of SendJob
    progress : In(Progress)
    read : Out(ReadPort)
        Faults are not looked at.
    o : array of Out stream of words
        The upper half of a last word that is not whole is zero.
    done : Out(1)
        The last word of a message has left.
    """

    def __init__(self, *, links, line_bytes):
        self._links = links
        super().__init__(
            {
                "jobs": In(stream.Signature(SendJob)),
                "progress": In(Progress),
                "read": Out(ReadPort(line_bytes=line_bytes)),
                "o": Out(stream.Signature(WORD_BITS)).array(links),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job = Signal(SendJob)
        sent = Signal(COUNT_BITS - 1)
        active, allowed, last = Signal(), Signal(), Signal()

        # Commands that are to be received before this one: 1 if the one before is next. A sender may be behind, too.
        ahead = Signal(3)
        m.d.comb += [
            ahead.eq(job.number - self.progress.number),
            allowed.eq(
                ~job.follows | (ahead == 0) | ahead[2] | ((ahead == 1) & (sent < self.progress.words))
            ),
            last.eq(job.count <= 2),
            active.eq(job.count != 0),
            self.jobs.ready.eq(~active),
        ]

        # What is known of a word when it is requested waits for it here.
        m.submodules.requests = requests = StreamFifo(shape=32, depth=2)
        m.submodules.expected = expected = StreamFifo(
            shape=data.StructLayout({"port": 4, "half": 1, "last": 1}), depth=_DEPTH
        )
        request = Signal()
        m.d.comb += [
            request.eq(active & allowed & expected.i.ready & requests.i.ready),
            requests.i.valid.eq(request),
            requests.i.payload.eq(job.address),
            expected.i.valid.eq(request),
            expected.i.payload.port.eq(job.port),
            expected.i.payload.half.eq(job.count == 1),
            expected.i.payload.last.eq(last),
            self.read.request.valid.eq(requests.o.valid),
            self.read.request.payload.eq(requests.o.payload),
            requests.o.ready.eq(self.read.request.ready),
        ]
        with m.If(self.jobs.valid & self.jobs.ready):
            m.d.sync += [job.eq(self.jobs.payload), sent.eq(0)]
        with m.Elif(request):
            m.d.sync += [
                job.address.eq(job.address + WORD_BITS // 8),
                job.count.eq(Mux(last, 0, job.count - 2)),
                sent.eq(sent + 1),
            ]

        m.submodules.words = words = ReservedFifo(shape=WORD_BITS, depth=_DEPTH)
        here, taken = Signal(), Signal()
        about, word = expected.o.payload, words.o.payload
        m.d.comb += [
            words.i_valid.eq(self.read.response_valid),
            words.i.eq(self.read.response[:WORD_BITS]),
            here.eq(words.o.valid & expected.o.valid),
            words.o.ready.eq(taken),
            expected.o.ready.eq(taken),
            self.done.eq(taken & about.last),
        ]
        for index, port in enumerate(self.o):
            m.d.comb += [
                port.valid.eq(here & (about.port == index)),
                port.payload.eq(Mux(about.half, word[: WORD_BITS // 2], word)),
            ]
        with m.Switch(about.port):
            for index, port in enumerate(self.o):
                with m.Case(index):
                    m.d.comb += taken.eq(here & port.ready)
        return m
