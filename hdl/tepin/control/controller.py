# SPDX-License-Identifier: Apache-2.0
"""Everything that controls the engines: program, sequencer, queues, semaphores, host registers, watchdog, counters."""

from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.control.counters import Counters
from tepin.control.engine import EngineSignature
from tepin.control.fetch import Fetch
from tepin.control.host import HostRegisters
from tepin.control.queue import CommandQueues
from tepin.control.registers import COUNTERS
from tepin.control.semaphores import Semaphores
from tepin.control.sequencer import Sequencer
from tepin.control.supervisor import Supervisor
from tepin.control.watchdog import Watchdog
from tepin.dma.axi import AXI4LiteSignature
from tepin.isa import Engine, ErrorCode
from tepin.memory.ports import ReadPort, WritePort
from tepin.stream import StreamFifo

__all__ = ["ENGINES", "Controller"]

ENGINES = (Engine.WEIGHTS, Engine.LOADS, Engine.STORES, Engine.MATMUL, Engine.VECTOR)
"""The engines in the order of `Controller.engines`; a link engine comes behind them."""


class Controller(Component):
    """Runs programs on engines. The engines' ports are those of `EngineSignature`, whatever stands behind them.

    Errors of one cycle count in this order: engines in the order of `ENGINES`, semaphores, sequencer, watchdog, host.

    Parameters
    ----------
    program_words, queue_words, tokens : int
        Words of the program memory and of each command queue, and depth of the token FIFO.
    line_bytes : int
        Bytes of a scratchpad line.
    config_hash : int
        What the register CONFIG_HASH shows.
    program : sequence of int
        First words of the program memory at power-up, as of `Fetch`.
    links : bool
        Whether there is a link engine.
    parity : bool
        Whether the scratchpad has parity bits.

    Members
    -------
    s_axil : In(AXI4LiteSignature)
        The host.
    irq : Out(1)
    engines : array of In(EngineSignature())
    read, write : Out(ReadPort), Out(WritePort)
        The sequencer's own access to the scratchpad.
    read_base, read_limit, write_base, write_limit : Out(32)
        What the DMA may touch.
    flush, flush_done : Out(1), In(1)
        Held until the weight engine has dropped everything; its queue is empty before.
    clear, cleared : Out(1), In(1)
        Held until scratchpad and accumulators are zero.
    stop, idle : Out(1), In(1)
        After an error `stop` is high until `idle` and the reset.
    reset : Out(1)
        Resets all engines.
    renew : Out(1)
        Resets all engines but the link engine, which holds what other chips have sent ahead.
    read_beat, write_beat, array_active : In(1)
        Events to count. The first two also count as progress.
    parity_errors : In(5)
        To count. Only with `parity`.
    timeout : Out(1)
        The watchdog ends the program; an engine that knows more of the reason may fail in the same cycle. Only with `links`.
    """

    def __init__(
        self,
        *,
        program_words,
        queue_words,
        tokens,
        line_bytes,
        config_hash,
        program=(),
        links=False,
        parity=False,
    ):
        self._program_words = program_words
        self._queue_words = queue_words
        self._tokens = tokens
        self._line_bytes = line_bytes
        self._config_hash = config_hash
        self._program = program
        self._links = links
        self._parity = parity
        self._names = (*ENGINES, Engine.LINK) if links else ENGINES
        super().__init__(
            {
                "s_axil": In(AXI4LiteSignature(addr_width=16)),
                "irq": Out(1),
                "engines": In(EngineSignature()).array(len(self._names)),
                "read": Out(ReadPort(line_bytes=line_bytes)),
                "write": Out(WritePort(line_bytes=line_bytes)),
                "read_base": Out(32),
                "read_limit": Out(32),
                "write_base": Out(32),
                "write_limit": Out(32),
                "flush": Out(1),
                "flush_done": In(1),
                "clear": Out(1),
                "cleared": In(1),
                "stop": Out(1),
                "idle": In(1),
                "reset": Out(1),
                "renew": Out(1),
                "read_beat": In(1),
                "write_beat": In(1),
                "array_active": In(1),
                **({"parity_errors": In(5)} if parity else {}),
                **({"timeout": Out(1)} if links else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = len(self._names)
        # Sources of errors and clients of semaphores: the engines, then these.
        semaphore_error, sequencer_error, watchdog_error = range(count, count + 3)
        supervisor = Supervisor(sources=count + 3)
        host = HostRegisters(
            config_hash=self._config_hash,
            program_words=self._program_words,
            tokens=self._tokens,
            parity=self._parity,
        )
        fetch = Fetch(self._program_words, self._program)
        sequencer = Sequencer(program_words=self._program_words, engines=count, line_bytes=self._line_bytes)
        queues = CommandQueues(engines=count, words=self._queue_words)
        semaphores = Semaphores(count + 1)
        watchdog = Watchdog()
        counters = Counters(len(COUNTERS))
        m.submodules.host = host
        m.submodules.supervisor = supervisor
        m.submodules.fetch = fetch
        m.submodules.sequencer = ResetInserter(supervisor.halt)(sequencer)
        m.submodules.queues = ResetInserter(supervisor.reset)(queues)
        forget = Signal()
        m.d.sync += forget.eq(supervisor.reset | sequencer.renew)
        m.submodules.semaphores = ResetInserter(forget)(semaphores)
        m.submodules.watchdog = watchdog
        m.submodules.counters = counters
        m.submodules.tokens = tokens = StreamFifo(shape=32, depth=self._tokens)

        # Host
        connect(m, flipped(self.s_axil), host.s_axil)
        connect(m, tokens.o, host.tokens)
        m.d.comb += [
            self.irq.eq(host.irq),
            host.token_level.eq(tokens.level),
            supervisor.start.eq(host.start),
            supervisor.stop.eq(host.stop),
            host.busy.eq(supervisor.busy),
            host.done.eq(supervisor.done),
            host.failed.eq(supervisor.failed),
            host.error.eq(supervisor.error),
            self.read_base.eq(host.read_base),
            self.read_limit.eq(host.read_limit),
            self.write_base.eq(host.write_base),
            self.write_limit.eq(host.write_limit),
            fetch.host_address.eq(host.program_address),
            fetch.host_write.eq(host.program_write),
            fetch.host_data.eq(host.program_data),
            host.program_word.eq(fetch.host_word),
        ]

        # Sequencer
        connect(m, fetch.o, sequencer.words)
        connect(m, sequencer.o, queues.i)
        connect(m, sequencer.tokens, tokens.i)
        connect(m, sequencer.read, flipped(self.read))
        connect(m, sequencer.write, flipped(self.write))
        connect(m, sequencer.wait, semaphores.waits[count])
        busy = Cat(engine.busy for engine in self.engines)
        m.d.sync += sequencer.quiet.eq(queues.empty & ~busy.any())
        m.d.comb += [
            fetch.run.eq(supervisor.running),
            fetch.redirect.eq(sequencer.redirect),
            fetch.redirect_valid.eq(sequencer.redirect_valid),
            sequencer.start.eq(supervisor.launch),
            sequencer.start_pc.eq(host.start_pc),
            semaphores.signal_valid[count].eq(sequencer.signal_valid),
            semaphores.signals[count].eq(sequencer.signal),
            # Words for the weight engine that wait for a place in its queue are dropped on their way into it.
            queues.clear[ENGINES.index(Engine.WEIGHTS)].eq(sequencer.flush),
            self.flush.eq(sequencer.flush & ~queues.pending),
            sequencer.flush_done.eq(self.flush & self.flush_done),
            self.renew.eq(sequencer.renew),
            self.clear.eq(sequencer.clear),
            sequencer.cleared.eq(self.cleared),
        ]

        # Engines
        for index, engine in enumerate(self.engines):
            connect(m, queues.o[index], flipped(engine.commands))
            connect(m, flipped(engine.wait), semaphores.waits[index])
            m.d.comb += [
                semaphores.signal_valid[index].eq(engine.signal_valid),
                semaphores.signals[index].eq(engine.signal),
                supervisor.error_valid[index].eq(engine.error_valid),
                supervisor.errors[index].eq(engine.error),
            ]

        # Errors
        m.d.comb += [
            supervisor.ended.eq(sequencer.done),
            supervisor.pc.eq(sequencer.pc),
            supervisor.idle.eq(self.idle),
            self.stop.eq(supervisor.halt),
            self.reset.eq(supervisor.reset),
            supervisor.error_valid[semaphore_error].eq(semaphores.overflow),
            supervisor.errors[semaphore_error].code.eq(ErrorCode.SEMAPHORE),
            supervisor.errors[semaphore_error].pc.eq(sequencer.pc),
            supervisor.errors[semaphore_error].info.eq(semaphores.overflow_number),
            supervisor.error_valid[sequencer_error].eq(sequencer.error_valid),
            supervisor.errors[sequencer_error].eq(sequencer.error),
            supervisor.error_valid[watchdog_error].eq(watchdog.timeout),
            supervisor.errors[watchdog_error].code.eq(ErrorCode.TIMEOUT),
            supervisor.errors[watchdog_error].pc.eq(sequencer.pc),
            supervisor.errors[watchdog_error].info.eq(busy),
        ]

        # Watchdog
        transfers = [sequencer.words, *queues.o, *(engine.wait for engine in self.engines)]
        m.d.comb += [
            # Clearing takes as long as the memories are deep, which the host need not know.
            watchdog.enable.eq(supervisor.running & ~sequencer.clear),
            watchdog.limit.eq(host.watchdog),
            watchdog.progress.eq(
                Cat(
                    *(transfer.valid & transfer.ready for transfer in transfers),
                    *(engine.signal_valid for engine in self.engines),
                    self.read_beat,
                    self.write_beat,
                ).any()
            ),
        ]

        if self._parity:
            m.d.comb += host.parity_errors.eq(self.parity_errors)
        if self._links:
            m.d.comb += self.timeout.eq(watchdog.timeout)

        # Counters
        events = {
            "CYCLES": 1,
            **{f"{name.name}_BUSY": busy[index] for index, name in enumerate(self._names)},
            "SEQUENCER_STALLED": sequencer.stalled,
            "READ_BEATS": self.read_beat,
            "WRITE_BEATS": self.write_beat,
            "ARRAY_ACTIVE": self.array_active,
        }
        m.d.comb += [
            counters.enable.eq(supervisor.running),
            counters.clear.eq(supervisor.launch),
            counters.events.eq(Cat(events[name] & 1 for name, _ in COUNTERS)),
        ]
        m.d.comb += [shown.eq(counter) for shown, counter in zip(host.counters, counters.o, strict=True)]
        return m
