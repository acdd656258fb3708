# SPDX-License-Identifier: Apache-2.0
"""A switch for proofs: credits with queues of any speed, and the order of words with the queues that it has."""

from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.link.switch import Switch
from tepin_testbench.formal import implies
from tepin_testbench.opened import Opened

__all__ = ["Credits", "Order"]

PORTS, WIDTH, DEPTH = 3, 2, 4


class _Ports(Component):
    """A switch with all its ports free."""

    def __init__(self, inputs=None, outputs=None):
        self._switch = Switch(ports=PORTS, word_bits=WIDTH, depth=DEPTH)
        members = {name: self._switch.signature.members[name] for name in ("i", "o")}
        super().__init__({**members, **(inputs or {}), **(outputs or {})})

    def _connect(self, m):
        m.submodules.switch = opened = Opened(self._switch)
        for index in range(PORTS):
            connect(m, flipped(self.i[index]), self._switch.i[index])
            connect(m, self._switch.o[index], flipped(self.o[index]))
        return opened


class Credits(_Ports):
    """A word that leaves an input always finds room, and no credit is lost or made.

    Each queue keeps what a `StreamFifo` promises, no more: it may offer a word as late as it likes (`offers`).
    With `bug`, a queue has one place less than there are credits.
    """

    def __init__(self, *, bug=False):
        self._bug = bug
        super().__init__(
            inputs={"offers": In(PORTS * PORTS), "noise": In(WIDTH)},
            outputs={"full": Out(1), "waits": Out(1)},
        )

    def elaborate(self, platform):
        m = Module()
        opened = self._connect(m)
        for index in range(PORTS * PORTS):
            pair = f"{index // PORTS}_{index % PORTS}"
            queue = opened.cut(f"queue_{pair}")
            level, valid = Signal(range(DEPTH + 1), name=f"level_{pair}"), Signal(name=f"valid_{pair}")
            push, pop = queue.i.valid & queue.i.ready, queue.o.valid & queue.o.ready
            m.d.sync += [
                level.eq(level + push - pop),
                valid.eq((valid & ~pop) | (self.offers[index] & (level > pop))),
            ]
            m.d.comb += [
                queue.i.ready.eq(level < DEPTH - self._bug),
                queue.o.valid.eq(valid),
                queue.o.payload.eq(self.noise),
                implies(valid, level != 0),
                Assert(opened[f"credits_{pair}"] + level == DEPTH),
                Assert(opened[f"any_credit_{pair}"] == (opened[f"credits_{pair}"] != 0)),
                implies(queue.i.valid, queue.i.ready),
            ]
            if index == 0:
                m.d.comb += self.full.eq(level == DEPTH)
        m.d.comb += self.waits.eq(self.i[0].valid & ~self.i[0].ready)
        return m


class Order(_Ports):
    """A marked word from port 1 to port 0 comes out once, unchanged, after those before it and no others.

    All else is free. With `bug`, words are said to come from the port before.
    """

    def __init__(self, *, bug=False):
        self._bug = bug
        super().__init__(inputs={"mark": In(1)}, outputs={"delivered": Out(1), "between": Out(1)})

    def elaborate(self, platform):
        m = Module()
        self._connect(m)
        source, target = self.i[1], self.o[0]
        enters = source.valid & source.ready & (source.payload.port == 0)
        leaves = target.valid & target.ready & (target.payload.port == (0 if self._bug else 1))
        under_way, ahead = Signal(5), Signal(5)
        marked, value = Signal(), Signal(WIDTH)
        m.d.sync += under_way.eq(under_way + enters - leaves)
        with m.If(marked & leaves):
            m.d.sync += [ahead.eq(ahead - 1), marked.eq(ahead != 0)]
        with m.Elif(enters & self.mark & ~marked):
            m.d.sync += [marked.eq(1), ahead.eq(under_way - leaves), value.eq(source.payload.word)]
        m.d.comb += [
            implies(leaves, under_way != 0),
            implies(leaves & marked & (ahead == 0), target.payload.word == value),
            Assert(under_way <= DEPTH + 4),
            self.delivered.eq(leaves & marked & (ahead == 2)),
            self.between.eq(target.valid & (target.payload.port == 2) & marked),
        ]
        # Offered until accepted, unchanged: what the switch promises if its inputs do.
        for streams, kind in ((self.i, Assume), (self.o, Assert)):
            for index in range(PORTS):
                port = streams[index]
                waits, held = Signal(), Signal.like(port.payload.as_value())
                m.d.sync += [waits.eq(port.valid & ~port.ready), held.eq(port.payload)]
                m.d.comb += kind(~waits | (port.valid & (port.payload.as_value() == held)))
        return m
