# SPDX-License-Identifier: Apache-2.0
"""What the stream units share: beats of rows and their numbers, valid bits beside pipelines, and queues at their ends."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tepin.float.multiplier import check_architecture
from tepin.vector.buffer import ReservedFifo

__all__ = ["LandingQueue", "RowUnit", "beat_number", "follow", "row_layout"]


def row_layout(lanes, *, width=32, mask=False):
    """Payload of a stream of rows: up to `lanes` neighbouring elements, lane 0 first.

    Members: `data`, the elements, `width` bits each; `keep`, which lanes hold one: all of them, but for the last beat of a
    row, where there is at least one and they begin at lane 0; `last`, the row ends with this beat; with `mask`, a bit
    for each lane. Raises a ValueError unless `lanes` is 1, 2, 4, 8 or 16.
    """
    if lanes not in (1, 2, 4, 8, 16):
        raise ValueError(f"Lanes must be 1, 2, 4, 8 or 16, not {lanes!r}")
    fields = {"data": data.ArrayLayout(width, lanes), "keep": lanes, "last": 1}
    return data.StructLayout(fields | ({"mask": lanes} if mask else {}))


def _check_length(max_length, lanes):
    if not isinstance(max_length, int) or isinstance(max_length, bool):
        raise TypeError(f"Maximum length must be an integer, not {max_length!r}")
    if max_length < 2 * lanes or max_length % lanes:
        raise ValueError(
            f"Maximum length must be a multiple of the {lanes} lanes, at least twice that, not {max_length!r}"
        )


def follow(m, name, cycles, valid, **values):
    """Valid bit and values, `cycles` cycles later. The valid bit is reset, values are not."""
    for cycle in range(cycles):
        before, valid = valid, Signal(name=f"{name}_valid_{cycle}")
        m.d.sync += valid.eq(before)
        for key, value in values.items():
            value = Value.cast(value)
            values[key] = Signal(value.shape(), name=f"{name}_{key}_{cycle}", reset_less=True)
            m.d.sync += values[key].eq(value)
    return (valid, *values.values()) if values else valid


def beat_number(m, name, beats, *, go, last):
    """The number of a beat in its row, below `beats`: counts those that `go`, and is 0 again after the `last` one."""
    number = Signal(range(beats), name=name)
    with m.If(go):
        m.d.sync += number.eq(Mux(last, 0, number + 1))
    return number


class RowUnit(wiring.Component):
    """What units that hold whole rows have in common.

    Parameters
    ----------
    ports : dict
        Members of the signature besides `overflow`; `i` is the stream of rows that come.
    lanes : int
        Elements per cycle: 1, 2, 4, 8 or 16.
    max_length : int
        Elements of the longest row, a multiple of `lanes`, at least twice that.
    architecture : str or None
        Form of the multipliers, see :class:`tepin.float.multiplier.IntegerMultiplier`.

    Members
    -------
    overflow : Out(1)
        High for good after a row of more than `max_length` elements.
    """

    def __init__(self, ports, *, lanes, max_length, architecture):
        _check_length(max_length, lanes)
        check_architecture(architecture)
        self._lanes = lanes
        self._max_length = max_length
        self._architecture = architecture
        super().__init__({**ports, "overflow": Out(1)})

    @property
    def lanes(self):
        """Elements per cycle."""
        return self._lanes

    @property
    def max_length(self):
        """Elements of the longest row."""
        return self._max_length

    @property
    def max_beats(self):
        """Beats of the longest row."""
        return self._max_length // self._lanes

    def _arriving(self, m, name, *, taken):
        """The number of the beat of `i` that may be `taken`; raises `overflow` when it has to be the last one and is not."""
        last = self.i.payload.last
        number = beat_number(m, name, self.max_beats, go=taken, last=last)
        with m.If(taken & ~last & (number == self.max_beats - 1)):
            m.d.sync += self.overflow.eq(1)
        return number


class LandingQueue(wiring.Component):
    """The queue at the end of a pipeline that cannot stall, and the count of what is on its way to it.

    Parameters
    ----------
    shape : shape-like
    latency : int
        Most cycles between `claim` and `i_valid`; the queue is deep enough for an item per cycle.

    Members
    -------
    room : Out(1)
        An item may be started.
    claim : In(1)
        An item has been started; only while there is room.
    i_valid, i : In
        It has come.
    o : Out stream of items
    """

    def __init__(self, *, shape, latency):
        self._depth = 1 << ceil_log2(latency + 4)
        self._shape = shape
        super().__init__(
            {
                "room": Out(1),
                "claim": In(1),
                "i_valid": In(1),
                "i": In(shape),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = ReservedFifo(shape=self._shape, depth=self._depth)
        count = Signal(range(self._depth + 1))
        taken = self.o.valid & self.o.ready
        m.d.comb += [
            queue.i_valid.eq(self.i_valid),
            Value.cast(queue.i).eq(Value.cast(self.i)),
            self.o.valid.eq(queue.o.valid),
            Value.cast(self.o.payload).eq(Value.cast(queue.o.payload)),
            queue.o.ready.eq(self.o.ready),
        ]
        m.d.sync += count.eq(count + self.claim - taken)
        # A register: one place is kept for what is claimed in this cycle.
        m.d.sync += self.room.eq(count < self._depth - 1)
        return m
