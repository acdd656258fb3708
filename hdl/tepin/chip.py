# SPDX-License-Identifier: Apache-2.0
"""The chip: engines, scratchpad and controller, wired to each other.

s_axil -- Controller -- commands --> DmaEngine, MatmulEngine, VectorEngine
              |                          |           |           |
              |            m_axi --------+           |           |
              |                          |           |           |
              +---------------------- Scratchpad ----+-----------+
"""

from amaranth.hdl import Cat, Module, ResetInserter, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from tepin.clock import add_clock_gated
from tepin.config import ChipConfig
from tepin.control.controller import ENGINES, Controller
from tepin.dma.axi import AXI4LiteSignature, AXI4Signature
from tepin.dma.engine import DmaEngine
from tepin.isa import Engine
from tepin.link.engine import LinkEngine
from tepin.matmul.engine import MatmulEngine
from tepin.memory.scratchpad import Scratchpad
from tepin.vector.engine import VectorEngine

__all__ = ["Chip", "dma_engine", "link_engine", "matmul_engine", "vector_engine"]


def dma_engine(config):
    """The DMA engine of a chip of this configuration."""
    return DmaEngine(
        data_width=config.port_width,
        address_width=32,
        line_bytes=config.line_bytes,
        fifo_word_bytes=config.fifo_word_bytes,
        weight_fifo_bytes=config.weight_fifo_bytes,
        outstanding=config.outstanding,
    )


def matmul_engine(config):
    """The matmul engine of a chip of this configuration."""
    return MatmulEngine(
        rows=config.rows,
        columns=config.columns,
        activation_width=config.activation_width,
        accumulator_rows=config.accumulator_rows,
        line_bytes=config.line_bytes,
        fifo_word_bytes=config.fifo_word_bytes,
        drain_width=config.drain_width,
    )


def vector_engine(config):
    """The vector engine of a chip of this configuration."""
    return VectorEngine(lanes=config.lanes, line_bytes=config.line_bytes)


def link_engine(config):
    """The link engine of a chip of this configuration, which must have links."""
    return LinkEngine(
        links=config.links, line_bytes=config.line_bytes, scratchpad_bytes=config.scratchpad_bytes
    )


class Chip(Component):
    """A whole chip. One clock, one synchronous reset.

    Parameters
    ----------
    config : ChipConfig
    program : sequence of int
        First words of the program memory at power-up: a program that is there before a host is.

    Members
    -------
    s_axil : In(AXI4LiteSignature(addr_width=16))
        The host's registers, see `tepin.control.registers`.
    m_axi : Out(AXI4Signature)
        External memory.
    irq : Out(1)
    link_i, link_o : arrays of In and Out streams of 64-bit words
        To other chips; only with `config.links`.
    probe_valid, probe_data, probe_last : Out(1), Out(32), Out(1)
        Results of matmuls that ask to be observed, in order; for simulation. Nothing in the chip depends on them.
    """

    def __init__(self, config, *, program=()):
        if not isinstance(config, ChipConfig):
            raise TypeError(f"config must be a ChipConfig, not {config!r}")
        if len(program) > config.program_words:
            raise ValueError(f"program must have at most {config.program_words} words, not {len(program)}")
        self._config = config
        self._program = tuple(program)
        words = stream.Signature(64)
        links = {"link_i": In(words).array(config.links), "link_o": Out(words).array(config.links)}
        super().__init__(
            {
                "s_axil": In(AXI4LiteSignature(addr_width=16)),
                "m_axi": Out(AXI4Signature(addr_width=32, data_width=config.port_width, id_width=1)),
                "irq": Out(1),
                **(links if config.links else {}),
                "probe_valid": Out(1),
                "probe_data": Out(32),
                "probe_last": Out(1),
            }
        )

    @property
    def config(self):
        """What the chip was made from."""
        return self._config

    def elaborate(self, platform):
        m = Module()
        config = self._config
        line_bytes = config.line_bytes
        controller = Controller(
            program_words=config.program_words,
            queue_words=config.queue_words,
            tokens=config.token_fifo_depth,
            line_bytes=line_bytes,
            config_hash=config.hash,
            program=self._program,
            links=config.links > 0,
            parity=config.parity == 1,
        )
        dma, matmul, vector = dma_engine(config), matmul_engine(config), vector_engine(config)
        readers = [
            controller.read,
            dma.index,
            dma.read,
            matmul.activations,
            matmul.scratch_weights,
            vector.a,
            vector.b,
            vector.c,
        ]
        writers = [controller.write, dma.write, matmul.o, vector.d, vector.result]
        if config.links:
            link = link_engine(config)
            readers.append(link.read)
            writers.append(link.write)
        scratchpad = Scratchpad(
            size=config.scratchpad_bytes,
            banks=config.scratchpad_banks,
            line_bytes=line_bytes,
            readers=len(readers),
            writers=len(writers),
            parity=config.parity == 1,
        )
        m.submodules.controller = controller
        # The reset reaches one engine after the other, each from a register of its own: thousands of flip-flops hang on it.
        resets = Signal(3)
        m.d.sync += resets.eq(Cat(controller.reset | controller.renew, resets))
        m.submodules.dma = ResetInserter(resets[0])(dma)
        m.submodules.matmul = ResetInserter(resets[1])(matmul)
        # The others are hardly ever at rest: weights come in every cycle.
        add_clock_gated(
            m,
            platform,
            "vector",
            ResetInserter(resets[2])(vector),
            resting=vector.control.resting & ~resets[2],
        )
        m.submodules.scratchpad = scratchpad

        connect(m, flipped(self.s_axil), controller.s_axil)
        connect(m, dma.m_axi, flipped(self.m_axi))
        connect(m, dma.weights, matmul.weights)
        for port, place in zip(readers, scratchpad.readers, strict=True):
            connect(m, port, place)
        for port, place in zip(writers, scratchpad.writers, strict=True):
            connect(m, port, place)
        engines = {
            Engine.WEIGHTS: dma.weights_control,
            Engine.LOADS: dma.loads_control,
            Engine.STORES: dma.stores_control,
            Engine.MATMUL: matmul.control,
            Engine.VECTOR: vector.control,
        }
        assert tuple(engines) == ENGINES
        if config.parity:
            m.d.comb += controller.parity_errors.eq(scratchpad.parity_errors)
        if config.links:
            link_resets = Signal(3)
            m.d.sync += link_resets.eq(Cat(controller.reset, link_resets))
            m.submodules.link = ResetInserter(link_resets[-1])(link)
            m.d.comb += link.timeout.eq(controller.timeout)
            engines[Engine.LINK] = link.control
            for index in range(config.links):
                connect(m, flipped(self.link_i[index]), link.i[index])
                connect(m, link.o[index], flipped(self.link_o[index]))
        for name, port in zip(engines, controller.engines, strict=True):
            connect(m, engines[name], port)

        m.d.comb += [
            self.irq.eq(controller.irq),
            dma.read_base.eq(controller.read_base),
            dma.read_limit.eq(controller.read_limit),
            dma.write_base.eq(controller.write_base),
            dma.write_limit.eq(controller.write_limit),
            dma.flush.eq(controller.flush),
            controller.flush_done.eq(dma.flush_done),
            scratchpad.clear.eq(controller.clear),
            matmul.clear.eq(controller.clear),
            controller.cleared.eq(scratchpad.cleared & matmul.cleared),
            dma.stop.eq(controller.stop),
            controller.idle.eq(dma.idle),
            controller.read_beat.eq(dma.read_beat),
            controller.write_beat.eq(dma.write_beat),
            controller.array_active.eq(matmul.array_active),
            self.probe_valid.eq(matmul.probe.valid),
            self.probe_data.eq(matmul.probe.payload.data),
            self.probe_last.eq(matmul.probe.payload.last),
        ]
        return m
