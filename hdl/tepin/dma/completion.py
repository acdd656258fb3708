# SPDX-License-Identifier: Apache-2.0
"""Completion: signals commands in order, each when all its runs are done."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tepin.stream import StreamFifo

__all__ = ["Completion"]


class Completion(wiring.Component):
    """Remembers after which run each command is complete.

    Runs are done in the order in which they are issued. A command enters with its last run (or without any). Its signal
    leaves 2 to 5 cycles after that run is done.

    Parameters
    ----------
    runs : int
        Most runs that are issued and not yet done.
    depth : int
        Commands that wait; the queue has four places more.

    Members
    -------
    accepted : In, a command is on its way here (for `busy` only)
    issued : In, a run is issued in this cycle
    room : Out, commands may enter in this cycle and in the next
    enter, number : In(1), In(4), a command enters, in the cycle of its last run; semaphore that it signals
    done : In, the oldest run is done in this cycle
    signal_valid, signal : Out, as in `EngineSignature`
    busy : Out, a command has been accepted and not signalled
    """

    def __init__(self, *, runs, depth=12):
        self.runs = runs
        self.depth = depth
        super().__init__(
            {
                "accepted": In(1),
                "issued": In(1),
                "room": Out(1, init=1),
                "enter": In(1),
                "number": In(4),
                "done": In(1),
                "signal_valid": Out(1),
                "signal": Out(4),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Counters wrap; the distance between `done` and a waiting command is less than half their range.
        bits = (self.runs + self.depth + 4).bit_length() + 1
        entry = data.StructLayout({"signal": 4, "run": bits})
        # Whether a command comes is decided late in the cycle, so it enters the queue in the next one.
        entered, entered_number = Signal(), Signal(4)
        m.submodules.queue = queue = StreamFifo(shape=entry, depth=self.depth + 4)
        issued, done = Signal(bits), Signal(bits)
        commands = Signal(range(self.depth + 16))
        reached = Signal(bits)
        accepted = Signal()
        m.d.sync += [issued.eq(issued + self.issued), done.eq(done + self.done)]
        m.d.comb += [
            queue.i.valid.eq(entered),
            queue.i.payload.signal.eq(entered_number),
            queue.i.payload.run.eq(issued),
            reached.eq(done - queue.o.payload.run),
            queue.o.ready.eq(~reached[-1]),
            self.busy.eq(commands.any() | accepted),
        ]
        m.d.sync += [
            entered.eq(self.enter),
            entered_number.eq(self.number),
            # Up to four more may come before one that enters now is counted here.
            self.room.eq(queue.level < self.depth),
            self.signal_valid.eq(queue.o.valid & queue.o.ready),
            self.signal.eq(queue.o.payload.signal),
            accepted.eq(self.accepted),
            commands.eq(commands + accepted - self.signal_valid),
        ]
        return m
