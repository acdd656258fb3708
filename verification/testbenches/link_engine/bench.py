# SPDX-License-Identifier: Apache-2.0
"""The link engine in a testbench: scratchpad, sequencer and links that take their time, beside the functional simulator."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from tepin.config import LINK_BYTES, PRESETS, ChipConfig
from tepin.control.engine import EngineError
from tepin.isa import EngineOp, QueueHeader
from tepin.program import decode
from tepin_reference.link import Port
from tepin_reference.simulator import FunctionalSimulator
from tepin_testbench.stream import StreamSink, StreamSource, check_streams, start
from verification.testbenches.matmul.bench import ScratchpadModel

__all__ = ["PAD", "Bench", "Expected", "queue_words"]

PAD = PRESETS["tiny"].scratchpad_bytes


def queue_words(program):
    """What the sequencer makes of a program of link commands without registers."""
    words, pc = [], 0
    while pc < len(program):
        instruction, length = decode(program, pc)
        fields = [operand.immediate & 0xFFFF_FFFF for operand in instruction.fields.values()]
        if instruction.op == EngineOp.RUN:
            fields.insert(0, instruction.flags)
        header = {
            "op": instruction.op,
            "wait": instruction.wait,
            "signal": instruction.signal,
            "length": len(fields),
            "pc": pc,
        }
        words += [QueueHeader.const(header).as_bits(), *fields]
        pc += length
    return words


class Expected:
    """What the functional simulator makes of a program.

    Parameters
    ----------
    program : list of int
        Ends with END.
    memory : bytes
        The scratchpad before.
    incoming : list of bytes
        What comes from each port, whole words.

    Attributes
    ----------
    memory : bytes
    sent : list of list of int
        Words to each port.
    left : list of int
        Words of each port that have not been taken.
    """

    def __init__(self, program, memory, incoming):
        config = ChipConfig(**{**vars(PRESETS["tiny"]), "links": len(incoming), "scratchpad_banks": 1})
        ends = [Port.pair() for _ in incoming]
        for (_, other), data in zip(ends, incoming, strict=True):
            other.send(data)
        simulator = FunctionalSimulator(config, np.zeros(64, np.uint8), ports=[own for own, _ in ends])
        simulator.scratchpad[:] = np.frombuffer(memory, np.uint8)
        simulator.semaphores = [100] * 16
        assert list(simulator.run(program)) == []
        self.memory = simulator.scratchpad.tobytes()
        self.sent = [
            np.frombuffer(other.receive(own.sent * LINK_BYTES), "<u8").tolist() for own, other in ends
        ]
        self.left = []
        for own, _ in ends:
            words = 0
            while own.holds(LINK_BYTES):
                own.receive(LINK_BYTES)
                words += 1
            self.left.append(words)


class Bench:
    """The engine with everything that it is connected to.

    Attributes
    ----------
    sources, sinks : lists of StreamSource, StreamSink
        One for each port.
    signals : list of int
    errors : list of (code, pc, info)
    cycle : int
    """

    def __init__(self, dut, memory, config, pause):
        self.dut, self.signals, self.errors, self.cycle, self.on_signal = dut, [], [], 0, None
        self.checkers = check_streams(dut)
        self.scratchpad = ScratchpadModel(
            dut, memory, reads=["read"], writes=["write"], line_bytes=config["line_bytes"], pause=pause
        )
        self.commands = StreamSource(dut, "control__commands", pause=pause)
        self.waits = StreamSink(dut, "control__wait", pause=pause)
        ports = range(config["links"])
        self.sources = [StreamSource(dut, f"i__{port}", pause=pause) for port in ports]
        self.sinks = [StreamSink(dut, f"o__{port}", pause=pause) for port in ports]
        cocotb.start_soon(self._monitor())

    @classmethod
    async def start(cls, dut, memory, config, *, pause=0.0):
        await start(dut)
        return cls(dut, memory, config, pause)

    async def idle(self, *, signals, limit=100_000):
        """Waits until so many semaphores have been signalled, and the engine is idle."""
        for _ in range(limit):
            await RisingEdge(self.dut.clk)
            assert not self.errors, self.errors
            if len(self.signals) >= signals and self.dut.control__busy.value == 0:
                return
        raise AssertionError(f"{len(self.signals)} of {signals} signals after {limit} cycles")

    async def error(self, limit=10_000):
        """Waits for an error and returns it."""
        for _ in range(limit):
            await RisingEdge(self.dut.clk)
            if self.errors:
                return self.errors[0]
        raise AssertionError(f"no error within {limit} cycles")

    async def _monitor(self):
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            self.cycle += 1
            if dut.control__signal_valid.value == 1 and int(dut.control__signal.value):
                self.signals.append(int(dut.control__signal.value))
                if self.on_signal:
                    self.on_signal(len(self.signals) - 1)
            if dut.control__error_valid.value == 1:
                error = EngineError.from_bits(int(dut.control__error.value))
                self.errors.append((error.code, error.pc, error.info))
