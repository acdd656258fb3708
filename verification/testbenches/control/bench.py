# SPDX-License-Identifier: Apache-2.0
"""The controller in a testbench: a real scratchpad, engines whose work is done by the test, and a host on AXI4-Lite."""

import logging

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from tepin.control.controller import ENGINES, Controller
from tepin.control.engine import CommandReader, EngineError, EngineSignature, command_layout
from tepin.control.registers import register
from tepin.dma.axi import AXI4LiteSignature
from tepin.isa import Engine, ErrorCode
from tepin.memory.scratchpad import Scratchpad
from tepin_testbench.stream import StreamSink, check_streams, start

__all__ = ["Bench", "ControllerBench", "EngineModel", "performed_layout"]

SCRATCHPAD_BYTES = 4096


def performed_layout(engine):
    """What an `EngineModel` tells about a command."""
    return data.StructLayout({"nop": 1, "command": command_layout(engine)})


class EngineModel(Component):
    """An engine that does nothing: a command leaves through `performed`, and is signalled when somebody takes it.

    `fail` makes it report the error on `error`.
    """

    def __init__(self, engine):
        self._engine = engine
        super().__init__(
            {
                "control": Out(EngineSignature()),
                "performed": Out(stream.Signature(performed_layout(engine))),
                "fail": In(1),
                "error": In(EngineError),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = CommandReader(self._engine)
        connect(m, flipped(self.control.commands), reader.words)
        connect(m, reader.wait, flipped(self.control.wait))
        m.d.comb += [
            self.performed.valid.eq(reader.o.valid),
            self.performed.payload.nop.eq(reader.nop),
            self.performed.payload.command.eq(reader.o.payload),
            reader.o.ready.eq(self.performed.ready),
            self.control.signal_valid.eq(self.performed.valid & self.performed.ready),
            self.control.signal.eq(reader.o.payload.signal),
            self.control.busy.eq(reader.busy),
            self.control.error_valid.eq(self.fail | reader.error_valid),
            self.control.error.eq(self.error),
        ]
        with m.If(reader.error_valid):
            m.d.comb += [
                self.control.error.code.eq(ErrorCode.ILLEGAL_INSTRUCTION),
                self.control.error.pc.eq(reader.error_pc),
                self.control.error.info.eq(0),
            ]
        return m


class ControllerBench(Component):
    """Controller, scratchpad and an `EngineModel` for each engine."""

    def __init__(self, *, program_words, queue_words, tokens, line_bytes, config_hash, parity=False):
        self._parameters = {
            "program_words": program_words,
            "queue_words": queue_words,
            "tokens": tokens,
            "line_bytes": line_bytes,
            "config_hash": config_hash,
            "parity": parity,
        }
        super().__init__(
            {
                "s_axil": In(AXI4LiteSignature(addr_width=16)),
                "irq": Out(1),
                **{
                    engine.name.lower(): Out(stream.Signature(performed_layout(engine))) for engine in ENGINES
                },
                "fail": In(len(ENGINES)),
                "error": In(EngineError),
                "idle": In(1),
                "flush_done": In(1),
                "read_beat": In(1),
                "write_beat": In(1),
                "array_active": In(1),
                "flush": Out(1),
                "weights_dropped": Out(1),
                "stop": Out(1),
                "reset": Out(1),
                "read_base": Out(32),
                "read_limit": Out(32),
                "write_base": Out(32),
                "write_limit": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller = controller = Controller(**self._parameters)
        m.submodules.scratchpad = scratchpad = Scratchpad(
            size=SCRATCHPAD_BYTES,
            banks=4,
            line_bytes=self._parameters["line_bytes"],
            readers=1,
            writers=1,
            parity=self._parameters["parity"],
        )
        connect(m, flipped(self.s_axil), controller.s_axil)
        connect(m, controller.read, scratchpad.readers[0])
        connect(m, controller.write, scratchpad.writers[0])
        m.d.comb += [scratchpad.clear.eq(controller.clear), controller.cleared.eq(scratchpad.cleared)]
        if self._parameters["parity"]:
            m.d.comb += controller.parity_errors.eq(scratchpad.parity_errors)
        for index, engine in enumerate(ENGINES):
            model = EngineModel(engine)
            reset = self.weights_dropped if engine == Engine.WEIGHTS else self.reset
            m.submodules[engine.name.lower()] = ResetInserter(reset)(model)
            connect(m, model.control, controller.engines[index])
            connect(m, model.performed, flipped(getattr(self, engine.name.lower())))
            m.d.comb += [model.fail.eq(self.fail[index]), model.error.eq(self.error)]
        m.d.comb += [
            self.reset.eq(controller.reset | controller.renew),
            self.weights_dropped.eq(self.reset | controller.flush),
        ]
        for name in ("idle", "flush_done", "read_beat", "write_beat", "array_active"):
            m.d.comb += getattr(controller, name).eq(getattr(self, name))
        for name in (
            *("irq", "flush", "stop"),
            *("read_base", "read_limit", "write_base", "write_limit"),
        ):
            m.d.comb += getattr(self, name).eq(getattr(controller, name))
        return m


class Bench:
    """Everything around the design in a simulation.

    Attributes
    ----------
    engines : dict from Engine to StreamSink
        Commands that engines were given. Set `pause` to make an engine slow; 1 stops it.
    """

    def __init__(self, dut):
        self.dut = dut
        logging.getLogger(f"cocotb.{dut._name}.s_axil").setLevel(logging.WARNING)
        self.axil = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        dropped = {engine.name.lower(): dut.reset for engine in ENGINES}
        check_streams(dut, unless=dropped | {"weights": dut.weights_dropped})
        self.engines = {
            engine: StreamSink(dut, engine.name.lower(), shape=performed_layout(engine)) for engine in ENGINES
        }

    @classmethod
    async def start(cls, dut):
        await start(dut)
        dut.idle.value = 1
        dut.flush_done.value = 1
        return cls(dut)

    async def read(self, name):
        """Value of a register."""
        answer = await self.axil.read(register(name).offset, 4)
        assert answer.resp == 0, f"reading {name}: {answer.resp!r}"
        return int.from_bytes(answer.data, "little")

    async def write(self, name, value):
        """Set a register."""
        answer = await self.axil.write(register(name).offset, value.to_bytes(4, "little"))
        assert answer.resp == 0, f"writing {name}: {answer.resp!r}"

    async def counter(self, name):
        """Value of a performance counter."""
        low = await self.read(f"{name}_LO")
        return low | await self.read(f"{name}_HI") << 32

    async def status(self):
        """Fields of STATUS."""
        value = await self.read("STATUS")
        return {field.name: (value & field.mask) >> field.low for field in register("STATUS").fields}

    async def load(self, words):
        """Put a program into the program memory, from word 0 on."""
        await self.write("PROGRAM_ADDRESS", 0)
        for word in words:
            await self.write("PROGRAM_DATA", word)

    async def launch(self, words=None):
        """Load a program and start it."""
        if words is not None:
            await self.load(words)
        await self.write("CONTROL", 1)

    async def finish(self, *, limit=20_000):
        """Wait until the chip is idle; returns the error as `EngineError` constant, code NONE if there was none."""
        for _ in range(limit):
            await RisingEdge(self.dut.clk)
            if self.dut.irq.value == 1:
                break
        else:
            raise AssertionError(f"no interrupt within {limit} cycles")
        await self.write("IRQ_STATUS", 0b011)
        while (status := await self.status())["busy"]:
            pass
        assert status["done"] != status["error"]
        return await self.error()

    async def error(self):
        """What the error registers say, as `(ErrorCode, pc, info)`."""
        return (
            ErrorCode(await self.read("ERROR")),
            await self.read("ERROR_PC"),
            await self.read("ERROR_INFO"),
        )

    async def run(self, words, **options):
        """Load, start, finish."""
        await self.write("IRQ_ENABLE", 0b011)
        await self.launch(words)
        return await self.finish(**options)

    async def tokens(self):
        """Everything in the token FIFO."""
        result = []
        while (value := await self.read("TOKEN")) >> 31:
            result.append(value & 0x7FFF_FFFF)
        return result
