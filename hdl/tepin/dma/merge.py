# SPDX-License-Identifier: Apache-2.0
"""Merger: the beats of a run at one alignment, turned into those at another one. `rotated` is the first half of that."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.stream import StreamFifo

__all__ = ["BeatMerger", "merged_beat", "rotated"]


def merged_beat(beat_bytes):
    """A beat to write: `data`, `mask` of its bytes, and whether it is the `last` one of its burst."""
    return data.StructLayout({"data": 8 * beat_bytes, "mask": beat_bytes, "last": 1})


def rotated(value, shift):
    """Bytes of `value`, each `shift` places up; what leaves at the top comes in at the bottom."""
    for bit in range(len(shift)):
        value = Mux(shift[bit], value.rotate_left(8 << bit), value)
    return value


class BeatMerger(wiring.Component):
    """Puts the bytes of each run together that have been moved by a number of places, the same for the whole run.

    A beat of the output takes bytes of one beat of the input and of the one before. If the bytes of a run begin further into
    their beat than they shall, its first two input beats are taken for its first output beat, which costs a cycle. If
    the last output beat has bytes of the one before only, it leaves without an input.

    Latency 1 cycle, a beat per cycle.

    Parameters
    ----------
    beat_bytes : int
        Bytes per beat: a power of two.

    Members
    -------
    i : In stream of {data, last}
        Beats as they come, but `rotated` by the run's shift; `last` of their run.
    places : In stream of {mask, shift, last_of_run, last}
        Beats to be: bytes that belong to the run, and by how many places the run's bytes move up, modulo a beat.
    o : Out stream of `merged_beat(beat_bytes)`
    dry : In(1)
        Beats leave without any bytes, and no input is waited for. For good.
    """

    def __init__(self, *, beat_bytes):
        self.beat_bytes = beat_bytes
        beat_bits = (beat_bytes - 1).bit_length()
        place = {"mask": beat_bytes, "shift": beat_bits, "last_of_run": 1, "last": 1}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"data": 8 * beat_bytes, "last": 1}))),
                "places": In(stream.Signature(data.StructLayout(place))),
                "o": Out(stream.Signature(merged_beat(beat_bytes))),
                "dry": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = StreamFifo(shape=self.o.payload.shape(), depth=2)
        connect(m, queue.o, flipped(self.o))

        place = self.places.payload
        # The same for all beats of a run; known a cycle before the first one is needed.
        m.submodules.prepared = prepared = StreamFifo(
            shape=data.StructLayout({**place.shape().members, "earlier": self.beat_bytes, "late": 1}), depth=2
        )
        earlier = Cat(place.shift > byte for byte in range(self.beat_bytes))
        m.d.comb += [
            prepared.i.valid.eq(self.places.valid),
            self.places.ready.eq(prepared.i.ready),
            *(prepared.i.payload[name].eq(place[name]) for name, _ in place.shape()),
            prepared.i.payload.earlier.eq(earlier),
            prepared.i.payload.late.eq((place.mask & earlier).any()),
        ]

        now = prepared.o.payload
        incoming = self.i.payload
        before = Signal(8 * self.beat_bytes)
        # Within a run; the first input of a late run has been taken; the last input of the run has been taken.
        inside, complete = Signal(), Signal()
        fill = ~inside & now.late & ~self.dry
        sends, takes = Signal(), Signal()
        m.d.comb += [
            sends.eq(prepared.o.valid & ~fill & (self.i.valid | complete | self.dry)),
            takes.eq(prepared.o.valid & ~complete & ~self.dry & (queue.i.ready | fill)),
            queue.i.valid.eq(sends),
            prepared.o.ready.eq(sends & queue.i.ready),
            self.i.ready.eq(takes),
            queue.i.payload.data.eq(
                Cat(
                    Mux(now.earlier[byte], before.word_select(byte, 8), incoming.data.word_select(byte, 8))
                    for byte in range(self.beat_bytes)
                )
            ),
            queue.i.payload.mask.eq(Mux(self.dry, 0, now.mask)),
            queue.i.payload.last.eq(now.last),
        ]
        with m.If(takes & self.i.valid):
            m.d.sync += [before.eq(incoming.data), complete.eq(incoming.last), inside.eq(1)]
        with m.If(prepared.o.ready & now.last_of_run):
            m.d.sync += [complete.eq(0), inside.eq(0)]
        return m
