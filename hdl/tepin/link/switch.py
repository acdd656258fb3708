# SPDX-License-Identifier: Apache-2.0
"""A switch: words from any of its ports to any other, for more chips than have links to each other.

    i[0] -- StreamFifo --+-- queue --+               +-- round robin -- StreamFifo -- o[0]
                         +-- queue --|-----+---------+
    i[1] -- StreamFifo --+-- queue --+     |
                         +-- queue --------+------------ round robin -- StreamFifo -- o[1]

Every pair of an input and an output has a queue of its own, and the input has a credit for each of its places. So a word
that leaves an input always has room, and nothing that an output does reaches an input within a cycle.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.stream import StreamFifo

__all__ = ["Switch", "switch_word"]


def switch_word(ports, word_bits):
    """A word with a port: at an input where it goes, at an output where it comes from."""
    return data.StructLayout({"word": word_bits, "port": max((ports - 1).bit_length(), 1)})


class Switch(Component):
    """Takes words from every port to the port that each of them names.

    Words from one port to another keep their order. Each output takes words of inputs that have some in turn, one of
    each, so an input waits for at most one word of every other one. An input whose next word finds no credit waits,
    and what is behind that word waits, too. A port may send to itself.

    Latency from `i` to `o`: 4 cycles. Every input and every output moves a word per cycle, whatever the others do, as
    long as the words are for different outputs. Cost: ports squared memories of `depth` words.

    Parameters
    ----------
    ports : int
        2 to 16.
    word_bits : int
        Of a word, without the port.
    depth : int
        Words in a queue, at least 4, so that credits are back in time.

    Members
    -------
    i : array of In stream of switch_word(ports, word_bits)
        `port` is where the word goes.
    o : array of Out stream of switch_word(ports, word_bits)
        `port` is where it comes from.
    refused : Out(ports)
        The input has dropped a word for a port that does not exist; never if `ports` is a power of two.
    """

    def __init__(self, *, ports, word_bits=64, depth=16):
        for name, value, least, most in (
            ("Ports of a switch", ports, 2, 16),
            ("Bits of a word", word_bits, 1, 1024),
            ("Words in a queue", depth, 4, 64),
        ):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if not least <= value <= most:
                raise ValueError(f"{name} must be {least} to {most}, not {value}")
        self._ports = ports
        self._depth = depth
        self._shape = switch_word(ports, word_bits)
        words = stream.Signature(self._shape)
        super().__init__({"i": In(words).array(ports), "o": Out(words).array(ports), "refused": Out(ports)})

    @property
    def ports(self):
        """How many there are."""
        return self._ports

    @property
    def depth(self):
        """Words in a queue."""
        return self._depth

    @property
    def shape(self):
        """Of a word with its port."""
        return self._shape

    def elaborate(self, platform):
        m = Module()
        ports = range(self._ports)
        width = self._shape["word"].width
        queues = [[StreamFifo(shape=width, depth=self._depth) for _ in ports] for _ in ports]
        credit_back = [
            [Signal(name=f"credit_back_{source}_{target}") for target in ports] for source in ports
        ]

        for source in ports:
            m.submodules[f"input_{source}"] = head = StreamFifo(shape=self._shape, depth=2)
            connect(m, flipped(self.i[source]), head.i)
            word = head.o.payload
            has_credit = []
            for target, queue in enumerate(queues[source]):
                m.submodules[f"queue_{source}_{target}"] = queue
                credits = Signal(range(self._depth + 1), init=self._depth, name=f"credits_{source}_{target}")
                takes = Signal(name=f"takes_{source}_{target}")
                any_credit = Signal(init=1, name=f"any_credit_{source}_{target}")
                left = (credits - takes + credit_back[source][target])[: len(credits)]
                m.d.sync += [credits.eq(left), any_credit.eq(left.any())]
                m.d.comb += [
                    takes.eq(head.o.valid & any_credit & (word.port == target)),
                    queue.i.valid.eq(takes),
                    queue.i.payload.eq(word.word),
                ]
                has_credit.append(any_credit)
            exists = word.port < self._ports
            m.d.comb += [
                head.o.ready.eq(Mux(exists, Array(has_credit)[word.port], 1)),
                self.refused[source].eq(head.o.valid & ~exists),
            ]

        for target in ports:
            m.submodules[f"output_{target}"] = tail = StreamFifo(shape=self._shape, depth=2)
            connect(m, tail.o, flipped(self.o[target]))
            mine = [queues[source][target] for source in ports]
            waiting = Cat(queue.o.valid for queue in mine)
            # Inputs behind the one that was served last, or all of them if these have nothing.
            behind = Signal(self._ports, name=f"behind_{target}")
            chosen = Signal(self._ports, name=f"chosen_{target}")
            candidates = Mux((waiting & behind).any(), waiting & behind, waiting)
            m.d.comb += [
                chosen.eq(candidates & ~(candidates - 1)),
                tail.i.valid.eq(waiting.any()),
            ]
            for source, queue in enumerate(mine):
                with m.If(chosen[source]):
                    m.d.comb += [tail.i.payload.word.eq(queue.o.payload), tail.i.payload.port.eq(source)]
                m.d.comb += [
                    queue.o.ready.eq(chosen[source] & tail.i.ready),
                    credit_back[source][target].eq(queue.o.valid & queue.o.ready),
                ]
            with m.If(tail.i.valid & tail.i.ready):
                m.d.sync += behind.eq(~(chosen | (chosen - 1)))
        return m
