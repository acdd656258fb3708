# SPDX-License-Identifier: Apache-2.0
"""Verilog export: equal modules become one, different ones do not, names hold, and the behaviour stays."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cocotb
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, Signature
from cocotb.triggers import RisingEdge

from tepin import verilog
from tepin.float.multiplier import IntegerMultiplier
from tepin_testbench.pysim import simulate
from tepin_testbench.runner import parameters, run_cocotb
from tepin_testbench.stream import start


class Scrambler(Component):
    """Mixes its input with a table that `key` fills: a module below the cells."""

    i: In(8)
    o: Out(8)

    def __init__(self, key):
        self._key = key
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.table = table = Memory(shape=8, depth=4, init=[self._key * n for n in range(4)])
        port = table.read_port(domain="comb")
        m.d.comb += [port.addr.eq(self.i), self.o.eq(port.data ^ self.i)]
        return m


class Cell(Component):
    """Adds up what its scrambler gives, from `init` on, and skips a sum when that has its top bit set."""

    i: In(8)
    o: Out(8)

    def __init__(self, init=1, key=37):
        self._init = init
        self._key = key
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.scrambler = scrambler = Scrambler(self._key)
        total = Signal(8, init=self._init)
        m.d.comb += [scrambler.i.eq(self.i), self.o.eq(total)]
        with m.FSM():
            with m.State("ADD"):
                m.d.sync += total.eq(total + scrambler.o)
                with m.If(total[7]):
                    m.next = "SKIP"
            with m.State("SKIP"):
                m.next = "ADD"
        return m


class Chain(Component):
    """Equal cells in a row, then one with another initial value, and one with another table."""

    i: In(8)
    o: Out(8)

    def __init__(self, cells=64):
        self._cells = cells
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        value = self.i
        for index in range(self._cells + 2):
            cell = (
                Cell(init=2) if index == self._cells else Cell(key=38) if index == self._cells + 1 else Cell()
            )
            m.submodules[f"cell_{index}"] = cell
            m.d.comb += cell.i.eq(value)
            value = cell.o
        m.d.comb += self.o.eq(value)
        return m


class Master(Component):
    """Ports of every kind: AXI channels, plain streams, an array, a stream that is always ready."""

    def __init__(self):
        address = data.StructLayout({"addr": 16, "len": 8})
        channels = Signature(
            {
                "aw": Out(stream.Signature(address)),
                "w": Out(stream.Signature(data.StructLayout({"data": 32, "last": 1}))),
                "b": In(stream.Signature(data.StructLayout({"resp": 2}))),
            }
        )
        super().__init__(
            {
                "m_axi": Out(channels),
                "i": In(stream.Signature(address)),
                "scale": In(4).array(2),
                "events": Out(stream.Signature(1, always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.m_axi.aw.payload.eq(self.i.payload)
        m.d.comb += [self.m_axi.w.payload.data.eq(self.m_axi.b.payload.resp), self.m_axi.w.payload.last.eq(1)]
        return m


def modules(text):
    return re.findall(r"^module (\S+)\(", text, re.MULTILINE)


def test_equal_modules_merge():
    """Of 66 cells and 66 scramblers there remain three and two."""
    text = verilog.convert(Chain(), name="chain")
    assert modules(text) == [
        "chain",
        "chain_cell",
        "chain_cell_64",
        "chain_cell_65",
        "chain_cell_scrambler",
        "chain_cell_65_scrambler",
    ]
    assert len(re.findall(r"^  chain_cell cell_\d+ \($", text, re.MULTILINE)) == 64
    assert len(re.findall(r"^  chain_cell_6[45] cell_\d+ \($", text, re.MULTILINE)) == 2


def test_same_behaviour(rng):
    """The merged Verilog does in Verilator what the design does in Amaranth's simulator."""
    inputs = [int(value) for value in rng.integers(256, size=300)]
    outputs = []
    dut = Chain(cells=6)

    async def testbench(ctx):
        for value in inputs:
            ctx.set(dut.i, value)
            outputs.append(ctx.get(dut.o))
            await ctx.tick()

    simulate(dut, testbench)
    assert len(set(outputs)) > 100
    run_cocotb(
        Chain(cells=6),
        top="chain",
        test_module=__name__,
        test_filter="outputs_match",
        parameters={"inputs": inputs, "outputs": outputs},
    )


@cocotb.test()
async def outputs_match(dut):
    await start(dut)
    for cycle, (value, expected) in enumerate(
        zip(parameters()["inputs"], parameters()["outputs"], strict=True)
    ):
        dut.i.value = value
        await RisingEdge(dut.clk)
        assert int(dut.o.value) == expected, f"cycle {cycle}"


def test_same_bytes():
    """The text depends neither on the process, nor on hash seeds, nor on where the sources lie."""
    here = Path(__file__)
    script = f"import sys; sys.path.insert(0, {str(here.parent)!r})\n"
    script += f"from {here.stem} import Chain, verilog\nprint(verilog.convert(Chain(), name='chain'), end='')"
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    text = texts.pop()
    assert not texts
    assert text.startswith("// SPDX-License-Identifier: Apache-2.0\n// chain: generated by Tepin from ")
    assert str(here.parents[2]) not in text and "(* src" not in text


def test_port_names():
    """AXI channels have the names of the specification; all else is joined by two underscores, in order."""
    text = verilog.convert(Master(), name="master", port_names={"i__payload": "i_address"})
    header = re.search(r"^module master\((.*)\);$", text, re.MULTILINE)[1].split(", ")
    assert header == [
        *("clk", "rst"),
        *("m_axi_awaddr", "m_axi_awlen", "m_axi_awvalid", "m_axi_awready"),
        *("m_axi_wdata", "m_axi_wlast", "m_axi_wvalid", "m_axi_wready"),
        *("m_axi_bresp", "m_axi_bvalid", "m_axi_bready"),
        *("i_address", "i__valid", "i__ready"),
        *("scale__0", "scale__1"),
        *("events__payload", "events__valid"),
    ]
    ports = verilog.ports(Master(), {"i__payload": "i_address"})
    assert list(ports) == header[2:]
    assert ports["m_axi_awaddr"] == (16, "output")
    assert ports["m_axi_bresp"] == (2, "input")
    assert ports["i_address"] == (24, "input")


def test_split_payload(rng):
    """A field of an AXI channel is the same bits outside as inside, in both directions."""
    run_cocotb(Master(), top="master", test_module=__name__, test_filter="fields_pass")


@cocotb.test()
async def fields_pass(dut):
    await start(dut)
    dut.i__payload.value = 0x5A1234
    dut.m_axi_bresp.value = 2
    for _ in range(2):
        await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    assert (int(dut.m_axi_awlen.value), int(dut.m_axi_awaddr.value)) == (0x5A, 0x1234)
    assert (int(dut.m_axi_wdata.value), int(dut.m_axi_wlast.value)) == (2, 1)


def test_wrong_names():
    with pytest.raises(
        ValueError, match="^The name of the top module must be a Verilog identifier, not 'my chip'$"
    ):
        verilog.convert(Chain(), name="my chip")
    with pytest.raises(ValueError, match="^A port name must be a Verilog identifier, not 'a-b'$"):
        verilog.convert(Chain(), name="chain", port_names={"i": "a-b"})
    with pytest.raises(ValueError, match="^Two ports have the name 'o'$"):
        verilog.convert(Chain(), name="chain", port_names={"i": "o"})
    with pytest.raises(ValueError, match="^There is no port 'q', 'r' to rename$"):
        verilog.convert(Chain(), name="chain", port_names={"r": "s", "q": "t"})


@pytest.mark.parametrize("device, count", [(None, 0), ("LFE5U-85F", 4), ("GW2A-18", 0)])
def test_primitives_of_the_device(device, count):
    """A product of 24-bit integers takes four multipliers of an ECP5; no other device gets any of them."""
    text = verilog.convert(IntegerMultiplier(24, 24), name="top", device=device)
    assert text.count("MULT18X18D #(") == count
