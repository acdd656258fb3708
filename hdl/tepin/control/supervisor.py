# SPDX-License-Identifier: Apache-2.0
"""Starts programs and ends them, in peace or with an error, and leaves the chip clean for the next one."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from tepin.control.engine import EngineError
from tepin.isa import ErrorCode

__all__ = ["Supervisor"]


class Supervisor(Component):
    """The life of a program: start, run, stop, reset.

    The first error ends a program; of several in one cycle the one with the lowest index counts, and a stop by the host
    counts last. From then on `halt` is high: the sequencer issues nothing, and the DMA finishes what the memory has
    accepted. When that is done, all engines are reset for `RESET_CYCLES` cycles, long enough that no scratchpad answer
    is under way any more. The same reset follows a program that ends well, so that every program finds empty queues,
    semaphores at zero and an empty weight FIFO.

    Parameters
    ----------
    sources : int
        Sources of errors.

    Members
    -------
    start : In(1)
        Run the program; ignored while `busy`.
    stop : In(1)
        End it with `ErrorCode.STOPPED`; ignored unless it runs.
    ended : In(1)
        The program has come to its end.
    error_valid, errors : In(sources), array of In(EngineError)
    pc : In(15)
        For `STOPPED`.
    idle : In(1)
        After `halt`: no bus transaction is open.
    launch : Out(1)
        One cycle: the sequencer starts.
    running, halt, reset : Out(1)
        `halt` and `reset` reach many places, and come straight from flip-flops.
    busy : Out(1)
        From the cycle after `start` until the chip is ready for the next program.
    done, failed : Out(1)
        How the last program ended. Low after `start`; `failed` rises as soon as an error is known.
    error : Out(EngineError)
        The first error. Kept until the next start.
    """

    RESET_CYCLES = 8

    def __init__(self, sources):
        self._sources = sources
        super().__init__(
            {
                "start": In(1),
                "stop": In(1),
                "ended": In(1),
                "error_valid": In(sources),
                "errors": In(EngineError).array(sources),
                "pc": In(15),
                "idle": In(1),
                "launch": Out(1),
                "running": Out(1),
                "halt": Out(1),
                "reset": Out(1),
                "busy": Out(1),
                "done": Out(1),
                "failed": Out(1),
                "error": Out(EngineError),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Errors come from all over the chip. The end and a stop are as late as they are, so that they overtake none.
        error_valid, ended, stop = Signal(self._sources), Signal(), Signal()
        errors = [Signal(EngineError, name=f"source_{index}") for index in range(self._sources)]
        m.d.sync += [error_valid.eq(self.error_valid), ended.eq(self.ended), stop.eq(self.stop)]
        m.d.sync += [error.eq(source) for error, source in zip(errors, self.errors, strict=True)]
        countdown = Signal(range(self.RESET_CYCLES), init=self.RESET_CYCLES - 1)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [self.launch.eq(1), self.done.eq(0), self.failed.eq(0), self.error.eq(0)]
                    m.d.sync += self.busy.eq(1)
                    m.next = "RUNNING"
            with m.State("RUNNING"):
                m.d.sync += self.launch.eq(0)
                with m.If(error_valid.any() | stop):
                    m.d.sync += [
                        self.failed.eq(1),
                        self.error.code.eq(ErrorCode.STOPPED),
                        self.error.pc.eq(self.pc),
                    ]
                    # The last assignment counts, so the first source comes last.
                    for index in reversed(range(self._sources)):
                        with m.If(error_valid[index]):
                            m.d.sync += self.error.eq(errors[index])
                    m.d.sync += self.halt.eq(1)
                    m.next = "HALT"
                with m.Elif(ended):
                    m.d.sync += [self.halt.eq(1), self.reset.eq(1)]
                    m.next = "RESET"
            with m.State("HALT"):
                with m.If(self.idle):
                    m.d.sync += self.reset.eq(1)
                    m.next = "RESET"
            with m.State("RESET"):
                m.d.sync += countdown.eq(Mux(countdown == 0, self.RESET_CYCLES - 1, countdown - 1))
                with m.If(countdown == 0):
                    m.d.sync += [self.done.eq(~self.failed), self.busy.eq(0)]
                    m.d.sync += [self.halt.eq(0), self.reset.eq(0)]
                    m.next = "IDLE"
        m.d.comb += self.running.eq(fsm.ongoing("RUNNING"))
        return m
