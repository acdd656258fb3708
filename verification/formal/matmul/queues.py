# SPDX-License-Identifier: Apache-2.0
"""Queues for proofs: in the place of a `StreamFifo` that was cut out, one that only counts, so that a proof sees its state.

When it takes and offers items is exactly as in the queue itself (the latencies of `tepin.stream.StreamFifo`); what they are
is for the proof to say.
"""

from amaranth.hdl import Assert, Signal

from tepin_testbench.formal import implies

__all__ = ["Counted"]


class Counted:
    """A queue of which only the number of items is known.

    Parameters
    ----------
    m : Module
    queue : StreamFifo
        What `Opened.cut` returned.
    name : str

    Attributes
    ----------
    queue : StreamFifo
    level : Signal
        Items held.
    push, pop : Value
        An item comes, leaves, in this cycle.
    """

    def __init__(self, m, queue, name):
        depth, self.queue = queue.depth, queue
        self.level = Signal(range(depth + 1), name=f"{name}_level")
        self.push = queue.i.valid & queue.i.ready
        self.pop = queue.o.valid & queue.o.ready
        came = Signal(
            name=f"{name}_came"
        )  # in the cycle before: not to be offered yet, where the latency is 2
        assert queue.latency in (1, 2)
        m.d.comb += [
            queue.i.ready.eq(self.level != depth),
            queue.o.valid.eq(self.level > (came if queue.latency == 2 else 0)),
            Assert(self.level <= depth),
            implies(came, self.level != 0),
        ]
        m.d.sync += [came.eq(self.push), self.level.eq(self.level + self.push - self.pop)]

    def follow(self, m, value, name):
        """One bit of each item that is held, the oldest one first: `value` when it came."""
        bits = [Signal(name=f"{name}_{age}") for age in range(self.queue.depth)]
        with m.If(self.pop):
            m.d.sync += [bit.eq(behind) for bit, behind in zip(bits, bits[1:], strict=False)]
        with m.If(self.push):
            for age, bit in enumerate(bits):
                with m.If(self.level == age + self.pop):
                    m.d.sync += bit.eq(value)
        return bits
