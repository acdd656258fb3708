# SPDX-License-Identifier: Apache-2.0
"""The dispatcher for proofs: any commands, parts that take their jobs and are done with them at any time.

Its queues only count. A command is done when every part has taken its job, and in the order of the commands.
"""

from amaranth.hdl import Assert, Assume, Module, Mux, Signal

from tepin.isa import WeightSource
from tepin.matmul.dispatcher import JOBS, Dispatcher
from tepin_testbench.formal import implies
from tepin_testbench.opened import Opened
from verification.formal.matmul.claims import Claims
from verification.formal.matmul.queues import Counted

__all__ = ["Dispatching"]

_QUEUES = ("weights", "addresses", "activations", "drain")


class Dispatching(Claims):
    """No queue ever refuses a job, so every part gets those of each command; no command waits while there is a slot."""

    BUGS = {
        "five": "a fifth command is taken while four are in progress",
        "kept": "a slot stays taken if a command is taken while another one is done",
    }
    COVERED = {"full": 16, "passed": 20}
    DEPTH, SEARCH = 3, 24

    def __init__(self, *, bug=None):
        takes = {f"take_{name}": 1 for name in _QUEUES}
        super().__init__({"valid": 1, "nop": 1, "scratchpad": 1, "zero": 1, "done": 1} | takes, bug=bug)

    def elaborate(self, platform):
        m = Module()
        dispatcher = Dispatcher(accumulator_rows=2)
        m.submodules.dispatcher = inside = Opened(dispatcher)
        queues = {name: Counted(m, inside.cut(name), name) for name in _QUEUES}
        command, taken = dispatcher.i.payload, self.valid & dispatcher.i.ready
        m.d.comb += [
            dispatcher.i.valid.eq(self.valid),
            dispatcher.nop.eq(self.nop),
            command.flags.source.eq(Mux(self.scratchpad, WeightSource.SCRATCHPAD, WeightSource.FIFO)),
            command.m.eq(~self.zero),
            command.k.eq(1),
            command.n.eq(1),
            dispatcher.done.eq(self.done),
        ]
        for name in _QUEUES:
            m.d.comb += getattr(dispatcher, f"o_{name}").ready.eq(getattr(self, f"take_{name}"))

        # A command that is offered stays as it is until it is taken.
        waits = Signal()
        for signal in (self.nop, self.scratchpad, self.zero):
            was = Signal.like(signal)
            m.d.sync += was.eq(signal)
            m.d.comb += Assume(~waits | (self.valid & (signal == was)))
        m.d.sync += waits.eq(self.valid & ~dispatcher.i.ready)

        used = Signal(range(2 * JOBS))  # commands in progress
        m.d.sync += used.eq(used + taken - self.done)
        # The jobs in a queue are of the latest commands, so the oldest one has been taken from it if it holds fewer.
        m.d.comb += [Assume(~self.done | (queue.level < used)) for queue in queues.values()]
        if self._bug is not None:
            lost = Signal(range(JOBS + 1))
            m.d.sync += lost.eq(lost + (taken & self.done & (lost != JOBS)))
            room = {"five": used <= JOBS, "kept": used + lost < JOBS}[self._bug]
            inside.release(inside["ready"])
            m.d.comb += inside["ready"].eq(self.valid & inside["checked"] & room)
        for queue in queues.values():
            m.d.comb += [implies(queue.queue.i.valid, queue.level != JOBS), Assert(queue.level <= used)]
        if self._bug is None:
            m.d.comb += [Assert(inside["used"] == used), Assert(used <= JOBS)]
            m.d.comb += implies(inside["checked"] & self.valid, inside["wrong"] == self.zero)
        # A cycle to look at it, then a command that is right, or does nothing, is taken if there is a slot.
        m.d.comb += implies(waits & (used != JOBS) & (self.nop | ~self.zero), taken)
        m.d.comb += [
            self.full.eq(waits & (used == JOBS)),
            self.passed.eq(taken & self.done & (used == JOBS - 1) & (queues["drain"].level == 2)),
        ]
        return m
