# SPDX-License-Identifier: Apache-2.0
"""Several AXI4 masters on one slave."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.dma.axi import AXI4Signature
from tepin.stream import StreamFifo

__all__ = ["AddressArbiter", "AxiArbiter"]


class AddressArbiter(wiring.Component):
    """Merges address channels: the first master that has an address goes first, but nobody waits for ever.

    When `patience` addresses have gone past waiting ones, the next turn belongs to one master after the other: whoever waits
    is passed by at most `masters * (patience + 1)` addresses.

    An address is offered one cycle after it was accepted; one per cycle passes. `ready` of a master depends on `valid` of
    the others, which by contract do not depend on any `ready`.

    Parameters
    ----------
    masters : int
    shape : shape-like
    patience : int

    Members
    -------
    i : array of In streams of `shape`
    o : Out stream of `shape`
    enable : In(1)
        Addresses may be accepted.
    accepted : Out(1), owner : Out(range(masters))
        An address is accepted in this cycle, and whose it is.
    """

    def __init__(self, *, masters, shape, patience):
        self._masters = masters
        self._patience = patience
        self._shape = shape
        super().__init__(
            {
                "i": In(stream.Signature(shape)).array(masters),
                "o": Out(stream.Signature(shape)),
                "enable": In(1),
                "accepted": Out(1),
                "owner": Out(range(masters)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        free = Signal()
        passed = Signal(range(self._patience + 1))
        turn = Signal(range(self._masters))
        due = Signal()
        # Masters may be far from the slave.
        m.submodules.chosen = chosen = StreamFifo(shape=self._shape, depth=2)
        connect(m, chosen.o, flipped(self.o))
        m.d.comb += [
            free.eq(self.enable & chosen.i.ready),
            due.eq(passed == self._patience),
        ]

        # The last assignment holds: the first master that is valid, or the one whose turn it is.
        valid = Signal(self._masters)
        m.d.comb += valid.eq(sum(port.valid << number for number, port in enumerate(self.i)))
        for number in reversed(range(self._masters)):
            with m.If(valid[number]):
                m.d.comb += self.owner.eq(number)
        with m.If(due & valid.bit_select(turn, 1)):
            m.d.comb += self.owner.eq(turn)
        m.d.comb += self.accepted.eq(free & valid.any())
        for number, port in enumerate(self.i):
            mine = self.owner == number
            m.d.comb += port.ready.eq(free & valid[number] & mine)
            with m.If(mine):
                m.d.comb += chosen.i.payload.eq(port.payload)
        m.d.comb += chosen.i.valid.eq(self.accepted)

        with m.If(self.accepted):
            with m.If(due):
                last = turn == self._masters - 1
                m.d.sync += [passed.eq(0), turn.eq(Mux(last, 0, turn + 1))]
            with m.Elif((valid & (valid - 1)).any()):
                m.d.sync += passed.eq(passed + 1)
        return m


class AxiArbiter(wiring.Component):
    """AXI4 masters onto one slave that answers in order in each direction.

    Reads and writes are arbitrated on their own, burst by burst, by `AddressArbiter`: the first master has priority. The
    write data of a burst pass when its address has been accepted, in the order of the addresses. Answers go to the masters
    in the same order; IDs pass through and mean nothing here.

    Addresses and written data take one cycle. Answers pass without a register, and without a path from `ready` to `valid`. A
    master that does not take its data or answers holds up the others.

    Parameters
    ----------
    masters : int
        At least 2.
    addr_width, data_width, id_width : int
    outstanding : int
        Bursts on their way in each direction.
    patience : int
        Addresses that pass by waiting ones before a turn is given to one master after the other.

    Members
    -------
    s_axi : array of In(AXI4Signature)
        To the masters; the first one has priority.
    m_axi : Out(AXI4Signature)
        To the slave.
    """

    def __init__(self, *, masters=2, addr_width=32, data_width, id_width=1, outstanding=32, patience=16):
        if masters < 2:
            raise ValueError(f"There must be at least 2 masters, not {masters}")
        if outstanding < 1:
            raise ValueError(f"At least 1 burst must be on its way, not {outstanding}")
        if patience < 1:
            raise ValueError(f"Patience must be at least 1 address, not {patience}")
        self._masters = masters
        self._outstanding = outstanding
        self._patience = patience
        axi = AXI4Signature(addr_width=addr_width, data_width=data_width, id_width=id_width)
        super().__init__({"s_axi": In(axi).array(masters), "m_axi": Out(axi)})

    def elaborate(self, platform):
        m = Module()
        reads = self._addresses(m, "read", "ar", ["answers"])
        writes = self._addresses(m, "write", "aw", ["data", "answers"])

        self._answers(m, reads["answers"], "r", last=self.m_axi.r.payload.last)
        self._answers(m, writes["answers"], "b", last=1)

        m.submodules.words = words = StreamFifo(shape=self.m_axi.w.payload.shape(), depth=2)
        connect(m, words.o, flipped(self.m_axi.w))
        owner = writes["data"].o
        with m.Switch(owner.payload):
            for number, port in enumerate(self.s_axi):
                with m.Case(number):
                    m.d.comb += [
                        words.i.valid.eq(owner.valid & port.w.valid),
                        words.i.payload.eq(port.w.payload),
                        port.w.ready.eq(owner.valid & words.i.ready),
                    ]
        m.d.comb += owner.ready.eq(words.i.valid & words.i.ready & words.i.payload.last)
        return m

    def _addresses(self, m, direction, channel, uses):
        """Arbitrates an address channel; returns a queue of the bursts' owners for each use."""
        target = getattr(self.m_axi, channel)
        arbiter = AddressArbiter(masters=self._masters, shape=target.payload.shape(), patience=self._patience)
        m.submodules[f"{direction}_addresses"] = arbiter
        for port, source in zip(arbiter.i, self.s_axi, strict=True):
            stream_in = getattr(source, channel)
            m.d.comb += [
                port.valid.eq(stream_in.valid),
                port.payload.eq(stream_in.payload),
                stream_in.ready.eq(port.ready),
            ]
        m.d.comb += [
            target.valid.eq(arbiter.o.valid),
            target.payload.eq(arbiter.o.payload),
            arbiter.o.ready.eq(target.ready),
        ]
        queues = {}
        enable = 1
        for use in uses:
            queue = StreamFifo(shape=range(self._masters), depth=self._outstanding)
            m.submodules[f"{direction}_{use}"] = queues[use] = queue
            m.d.comb += [queue.i.valid.eq(arbiter.accepted), queue.i.payload.eq(arbiter.owner)]
            enable = enable & queue.i.ready
        m.d.comb += arbiter.enable.eq(enable)
        return queues

    def _answers(self, m, queue, channel, last):
        """Hands an answer channel of the slave to the owner of the oldest burst."""
        source = getattr(self.m_axi, channel)
        owner = queue.o
        with m.Switch(owner.payload):
            for number, port in enumerate(self.s_axi):
                target = getattr(port, channel)
                m.d.comb += target.payload.eq(source.payload)
                with m.Case(number):
                    m.d.comb += [
                        target.valid.eq(owner.valid & source.valid),
                        source.ready.eq(owner.valid & target.ready),
                    ]
        m.d.comb += owner.ready.eq(source.valid & source.ready & last)
