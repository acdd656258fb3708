# SPDX-License-Identifier: Apache-2.0
"""Millions of operands through the compiled Verilog of a pipeline: where Amaranth's own simulator would take days."""

import ctypes
from pathlib import Path

import numpy as np
from amaranth.hdl import Module, Shape, Signal
from amaranth.lib.wiring import Component, In, Out

from tepin import verilog
from tepin_host.simulation.compile import Harness, compile_library

__all__ = ["CompiledPipeline"]

_HERE = Path(__file__).parent


def _words(width):
    return -(-width // 32)


class _Pipeline(Component):
    """A pipeline with plain ports, and a bit that goes along with every operand."""

    def __init__(self, dut):
        self._dut = dut
        self.i_width, self.o_width = (Shape.cast(dut.signature.members[port].shape).width for port in "io")
        super().__init__({"i": In(self.i_width), "i_valid": In(1), "o": Out(self.o_width), "o_valid": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self._dut
        valid = Signal(dut.latency)
        m.d.sync += valid.eq(valid << 1 | self.i_valid)
        m.d.comb += [
            dut.i.as_value().eq(self.i) if hasattr(dut.i, "as_value") else dut.i.eq(self.i),
            self.o.eq(dut.o.as_value() if hasattr(dut.o, "as_value") else dut.o),
            self.o_valid.eq(valid[-1]),
        ]
        return m


class CompiledPipeline:
    """The compiled Verilog of a component that takes one operand per cycle and never stalls.

    Parameters
    ----------
    component : Component
        With ports `i` and `o` and a property `latency` of at least 1. Not elaborated before.
    """

    def __init__(self, component):
        top = _Pipeline(component)
        self._i_words, self._o_words = _words(top.i_width), _words(top.o_width)
        harness = Harness(
            top="pipeline_harness",
            wrapper=_HERE / "pipeline.sv",
            source=_HERE / "pipeline.cpp",
            parameters={"I_WIDTH": top.i_width, "O_WIDTH": top.o_width},
            defines={"I_WORDS": self._i_words, "O_WORDS": self._o_words},
        )
        self._run = ctypes.CDLL(compile_library(verilog.convert(top, name="pipeline"), harness)).pipeline_run
        self._run.restype = ctypes.c_uint64

    def run(self, operands):
        """Results of many operands.

        Parameters
        ----------
        operands : uint32 array [count, words of i]
            Each the bits of `i`, the lowest word first. Between them there are cycles of noise.

        Returns
        -------
        uint32 array [count, words of o]
        """
        operands = np.ascontiguousarray(operands, np.uint32)
        if operands.ndim != 2 or operands.shape[1] != self._i_words:
            raise ValueError(f"operands must be [count, {self._i_words}], not {operands.shape}")
        count = len(operands)
        results = np.empty((count, self._o_words), np.uint32)
        arrays = (array.ctypes.data_as(ctypes.c_void_p) for array in (operands, results))
        limit = 2 * count + 1000
        received = self._run(*arrays, ctypes.c_uint64(count), ctypes.c_uint64(limit))
        if received != count:
            raise RuntimeError(f"{received} of {count} results came out of the pipeline in {limit} cycles")
        return results
