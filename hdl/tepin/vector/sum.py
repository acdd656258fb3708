# SPDX-License-Identifier: Apache-2.0
"""The float32 sum of a row: 64 partial sums, then a fixed tree.

Element i is added to partial i mod 64; then partial j takes in partial j + 32, j + 16, and so on to j + 1. That order is part
of the instruction set, so a sum has the same bits for any number of lanes. Lane l keeps the partials j with j mod lanes = l.
"""

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tepin.float.add import FloatAdd
from tepin.float.pipeline import stage
from tepin.vector.reduce import reducer_ports

__all__ = ["SumReducer", "tree_latency"]

_PARTIALS = 64
_LATENCY = 9
"""Cycles from the operands of an addition to its sum: two registers, and a `FloatAdd`."""


def _levels(lanes):
    """The levels of the tree: additions in each lane's own partials, then 0 for each level across lanes; and waits.

    A wait is the number of cycles between the last addition of a level and the first of the next one, which needs the
    sum at half of that level only.
    """
    halves = [_PARTIALS >> level for level in range(1, _PARTIALS.bit_length())]
    additions = [half // lanes for half in halves]
    waits = [max(_LATENCY - max(half // 2, 1), 1) for half in additions]
    waits[-1] = _LATENCY
    return additions, waits


def tree_latency(lanes):
    """Cycles from the last beat of a row to its sum."""
    additions, waits = _levels(lanes)
    return _LATENCY + sum(max(count, 1) for count in additions) + sum(waits)


class _PartialSums(wiring.Component):
    """The partial sums of one lane, and the adder that works on them.

    Every cycle may add: partial `slot` and either `addend`, or with `fold` partial `other_slot`, or with `cross` what
    `neighbour` is in the next cycle. The sum is written to partial `slot` after `latency` cycles if `enable` was high.

    Parameters
    ----------
    depth : int
        Partials. If they are fewer than `latency`, a sum goes straight into the addition that begins `latency` - 1 cycles
        after its own.

    Members
    -------
    clear : In(1)
        All partials are +0 from the next cycle on.
    enable, slot, fold, other_slot, cross, addend : In
    neighbour : In(32)
    head : Out(32)
        Partial `slot` of the last cycle, as it is.
    sum : Out(32)
        The sum that is being written.
    """

    def __init__(self, *, depth):
        self._depth = depth
        self._add = FloatAdd()
        assert self.latency == _LATENCY
        super().__init__(
            {
                "clear": In(1),
                "enable": In(1),
                "slot": In(range(depth)),
                "fold": In(1),
                "other_slot": In(range(depth)),
                "cross": In(1),
                "neighbour": In(32),
                "addend": In(32),
                "head": Out(32),
                "sum": Out(32),
            }
        )

    @property
    def latency(self):
        """Cycles from the operands of an addition to its sum."""
        return self._add.latency + 2

    @property
    def _forwards(self):
        return self._depth < self.latency

    @property
    def distance(self):
        """Cycles from one addition to a partial to the next one."""
        return self.latency - self._forwards

    def elaborate(self, platform):
        m = Module()
        asked = stage(
            m,
            "asked",
            slot=self.slot,
            other_slot=self.other_slot,
            fold=self.fold,
            cross=self.cross,
            addend=self.addend,
        )
        m.submodules.memory = memory = Memory(shape=32, depth=self._depth, init=[])
        write_port = memory.write_port()
        own, other = memory.read_port(domain="comb"), memory.read_port(domain="comb")
        written = Signal(self._depth, reset_less=True)  # Others are +0. `clear` is high after a reset.
        m.d.comb += [
            own.addr.eq(asked.slot),
            other.addr.eq(asked.other_slot),
            self.head.eq(Mux(written.bit_select(asked.slot, 1), own.data, 0)),
        ]
        m.submodules.add = add = self._add
        head = Value.cast(self.head)
        fresh = Signal()  # Partial `asked.slot` is being written.
        if self._forwards:
            head = Mux(fresh, add.o, head)
        second = Mux(written.bit_select(asked.other_slot, 1), other.data, 0)
        operands = stage(
            m,
            "operands",
            a=head,
            b=Mux(asked.fold, second, Mux(asked.cross, self.neighbour, asked.addend)),
        )
        m.d.comb += [add.i.a.eq(operands.a), add.i.b.eq(operands.b), self.sum.eq(add.o)]

        enable, slot = self.enable, self.slot
        for cycle in range(self.latency):
            enable_before, slot_before = enable, slot
            enable = Signal(name=f"enable_{cycle}")
            slot = Signal(range(self._depth), name=f"slot_{cycle}", reset_less=True)
            m.d.sync += [enable.eq(enable_before), slot.eq(slot_before)]
            if self._forwards and cycle == self.latency - 1:
                m.d.sync += fresh.eq(enable_before & (slot_before == self.slot))
        m.d.comb += [write_port.en.eq(enable), write_port.addr.eq(slot), write_port.data.eq(add.o)]
        with m.If(self.clear):
            m.d.sync += written.eq(0)
        with m.Elif(enable):
            m.d.sync += written.bit_select(slot, 1).eq(1)
        return m


class SumReducer(wiring.Component):
    """Sums the elements of a row.

    Beats come at least `interval` cycles apart, and after the last of a row none until the sum is there, `tree_latency`
    cycles later: 64 / lanes additions in the tree and seven times the latency of one, of which levels share some.

    Parameters
    ----------
    lanes : int
        A power of two, at most 32.

    Members
    -------
    slow : In(1)
        Beats have one element.
    clear, i_valid, i, i_beat, o_valid, o
        See `reducer_ports`.
    """

    def __init__(self, *, lanes):
        self._lanes = lanes
        self._partials = [_PartialSums(depth=_PARTIALS // lanes) for _ in range(lanes)]
        super().__init__({"slow": In(1), **reducer_ports(lanes)})

    @property
    def interval(self):
        """Cycles between beats: a partial sum must be complete before its next element comes."""
        return -(-self._partials[0].distance // (_PARTIALS // self._lanes))

    def elaborate(self, platform):
        m = Module()
        lanes, lane_bits = self._lanes, ceil_log2(self._lanes)
        depth = _PARTIALS // lanes
        partials, latency = self._partials, self._partials[0].latency
        for lane, partial in enumerate(partials):
            m.submodules[f"lane_{lane}"] = partial

        additions, waits = _levels(lanes)
        level = Signal(range(len(additions)))
        clear = Signal(init=1)
        m.d.sync += clear.eq(self.clear | self.o_valid)
        half = Array(additions)[level]
        position = Signal(range(depth))
        fold, cross = Signal(), Signal()
        element = Signal(range(_PARTIALS))
        settle = Signal(range(latency + 1))

        for lane, partial in enumerate(partials):
            m.d.comb += [
                partial.clear.eq(clear),
                partial.enable.eq((self.i_valid & self.i_beat.mask[lane]) | fold | cross),
                partial.slot.eq(Mux(fold | cross, position, element[lane_bits:])),
                partial.fold.eq(fold),
                partial.other_slot.eq(position + half),
                partial.cross.eq(cross),
                partial.addend.eq(self.i[lane]),
            ]
            with m.Switch(level):
                for number, count in enumerate(additions):
                    distance = _PARTIALS >> number + 1
                    if count == 0 and lane + distance < lanes:
                        with m.Case(number):
                            m.d.comb += partial.neighbour.eq(partials[lane + distance].head)
        m.d.comb += self.o.value.eq(partials[0].sum)

        final = level == len(additions) - 1
        with m.FSM():
            with m.State("ACCUMULATE"):
                m.d.sync += [level.eq(0), position.eq(0), settle.eq(latency - 1)]
                with m.If(self.i_valid):
                    m.d.sync += element.eq(element + Mux(self.slow, 1, lanes))
                    with m.If(self.i_beat.last):
                        m.d.sync += element.eq(0)
                        m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += settle.eq(settle - 1)
                with m.If(settle == 1):
                    m.next = "FOLD"
            with m.State("FOLD"):
                m.d.comb += [cross.eq(half == 0), fold.eq(half != 0)]
                m.d.sync += [position.eq(position + 1), settle.eq(Array(waits)[level])]
                with m.If(cross | (position + 1 == half)):
                    m.d.sync += position.eq(0)
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.sync += settle.eq(settle - 1)
                with m.If(settle == 1):
                    m.d.sync += level.eq(level + 1)
                    m.next = "FOLD"
                    with m.If(final):
                        m.d.comb += self.o_valid.eq(1)
                        m.next = "ACCUMULATE"
        return m
