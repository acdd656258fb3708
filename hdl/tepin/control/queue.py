# SPDX-License-Identifier: Apache-2.0
"""The engines' command queues."""

from amaranth.hdl import Cat, Module
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.stream import StreamFifo

__all__ = ["CommandQueues", "QueueWord"]


class QueueWord(data.Struct):
    """A word on its way to an engine; `engine` is an index of `CommandQueues.o`."""

    word: 32
    engine: 4


class CommandQueues(Component):
    """One queue per engine, and a short one in front of all of them.

    Words pass in order, one per cycle; a word whose queue is full holds up those behind it. Latency 3 cycles.

    Cost: one memory of `words` x 32 bits for each engine.

    Parameters
    ----------
    engines : int
        Number of engines, 1 to 16.
    words : int
        Words that each queue holds.

    Members
    -------
    i : In stream of QueueWord
    o : array of Out stream of 32-bit words
    clear : In(engines)
        Empties a queue, and drops the words for it that arrive meanwhile.
    pending : Out(1)
        Some words have not yet reached their queue.
    empty : Out(1)
        No queue holds anything, nor is anything pending.
    """

    def __init__(self, *, engines, words):
        if not isinstance(engines, int) or not 1 <= engines <= 16:
            raise ValueError(f"engines must be 1 to 16, not {engines!r}")
        self._engines = engines
        self._words = words
        super().__init__(
            {
                "i": In(stream.Signature(QueueWord)),
                "o": Out(stream.Signature(32)).array(engines),
                "clear": In(engines),
                "pending": Out(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.arrivals = arrivals = StreamFifo(shape=QueueWord, depth=2)
        connect(m, flipped(self.i), arrivals.i)
        m.d.comb += self.pending.eq(arrivals.level != 0)

        queues = []
        for index, output in enumerate(self.o):
            queue = StreamFifo(shape=32, depth=self._words)
            m.submodules[f"queue_{index}"] = queue
            queues.append(queue)
            m.d.comb += [
                queue.clear.eq(self.clear[index]),
                queue.i.payload.eq(arrivals.o.payload.word),
                output.payload.eq(queue.o.payload),
                output.valid.eq(queue.o.valid & ~self.clear[index]),
                queue.o.ready.eq(output.ready),
            ]
        with m.Switch(arrivals.o.payload.engine):
            for index, queue in enumerate(queues):
                with m.Case(index):
                    m.d.comb += [
                        queue.i.valid.eq(arrivals.o.valid),
                        arrivals.o.ready.eq(queue.i.ready | self.clear[index]),
                    ]
        levels = [arrivals.level, *(queue.level for queue in queues)]
        m.d.comb += self.empty.eq(~Cat(level.any() for level in levels).any())
        return m
