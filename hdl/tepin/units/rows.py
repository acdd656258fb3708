# SPDX-License-Identifier: Apache-2.0
"""What the stream units share: beats of rows, valid bits beside pipelines, and queues at their ends."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tepin.vector.buffer import ReservedFifo

__all__ = ["LandingQueue", "check_lanes", "check_length", "follow", "row_layout"]


def row_layout(lanes, *, width=32, mask=False):
    """Payload of a stream of rows: up to `lanes` neighbouring elements, lane 0 first.

    Members: `data`, the elements, `width` bits each; `keep`, which lanes hold one: all of them, but for the last beat of a
    row, where there is at least one and they begin at lane 0; `last`, the row ends with this beat; with `mask`, a bit
    for each lane.
    """
    fields = {"data": data.ArrayLayout(width, lanes), "keep": lanes, "last": 1}
    return data.StructLayout(fields | ({"mask": lanes} if mask else {}))


def check_lanes(lanes):
    """Raise a ValueError unless `lanes` is a number of lanes that the units can have."""
    if lanes not in (1, 2, 4, 8, 16):
        raise ValueError(f"Lanes must be 1, 2, 4, 8 or 16, not {lanes!r}")


def check_length(max_length, lanes):
    """Raise unless `max_length` is a multiple of `lanes`, and at least two beats."""
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
