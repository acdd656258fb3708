# SPDX-License-Identifier: Apache-2.0
"""Verilog for other people: equal modules once, memories by name, nothing unused, and clear refusals."""

import re

import pytest
from amaranth.hdl import ClockDomain, Module, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from tepin import verilog
from tepin.export.convert import convert
from tepin.export.memories import Memory as MemoryModule
from verification.unit.test_verilog import Chain, Master


class Store(Component):
    """A memory that is written in parts and read twice, or has contents."""

    address: In(4)
    data: In(16)
    enable: In(2)
    first: Out(16)
    second: Out(16)

    def __init__(
        self, *, depth=16, init=(), write=True, domains=("sync", "sync"), transparent=(False, False)
    ):
        self._arguments = depth, init, write, domains, transparent
        super().__init__()

    def elaborate(self, platform):
        depth, init, write, domains, transparent = self._arguments
        m = Module()
        m.submodules.memory = memory = Memory(shape=16, depth=depth, init=init)
        writer = memory.write_port(granularity=8) if write else None
        if write:
            m.d.comb += [writer.addr.eq(self.address), writer.data.eq(self.data), writer.en.eq(self.enable)]
        for output, domain, sees in zip((self.first, self.second), domains, transparent, strict=True):
            port = memory.read_port(domain=domain, transparent_for=[writer] if sees else [])
            m.d.comb += [port.addr.eq(self.address), output.eq(port.data)]
        return m


class Wasteful(Component):
    """Has an input that only something unused reads, and registers that nobody sees."""

    used: In(4)
    idle: In(4)
    o: Out(3)

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Inner()
        lost = Signal(8)
        m.d.sync += lost.eq(lost + self.idle)
        m.d.comb += [inner.used.eq(self.used), inner.idle.eq(lost), self.o.eq(inner.o[1:])]
        return m


class Inner(Component):
    used: In(4)
    idle: In(8)
    o: Out(4)
    spare: Out(9)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [self.o.eq(self.used + 1), self.spare.eq(self.idle + 1)]
        return m


def test_equal_modules_are_one():
    design = convert(Chain(), name="chain")
    cells = [name for name in design.modules if re.fullmatch(r"chain_cell(_\d+)?", name)]
    # Tables of zeros but for four words: one module for each content.
    assert len(cells) == 3 and sum(name.startswith("tepin_rom_1r_4x8_") for name in design.modules) == 2
    assert design.counts()[cells[0]] == 64
    assert list(design.modules)[0] == "chain"


def test_ports_are_those_of_the_other_verilog():
    assert convert(Master(), name="master").ports == {
        "clk": (1, "input"),
        "rst": (1, "input"),
        **verilog.ports(Master()),
    }


def test_what_nobody_needs_is_gone():
    design = convert(Wasteful(), name="wasteful")
    assert "lost" not in design.text() and "spare" not in design.text()
    (inner,) = (text for name, text in design.modules.items() if name != "wasteful")
    assert "idle" not in inner
    top = design.modules["wasteful"]
    assert "idle};" in top  # A port of the top stays, used or not.


@pytest.mark.parametrize(
    "arguments, name",
    [
        ({}, "tepin_ram_2r1w_16x16_m2"),
        ({"transparent": (True, True), "write": True, "depth": 8}, None),
        ({"domains": ("comb", "comb"), "depth": 5}, "tepin_regs_2r1w_5x16_m2"),
    ],
)
def test_memories_are_called_after_their_shape(arguments, name):
    if name is None:  # New contents in both halves, each if it is written: more than a name can say.
        with pytest.raises(
            ValueError, match="has ports that read while it is written, and others that do not"
        ):
            convert(Store(**arguments), name="store")
        return
    design = convert(Store(**arguments), name="store")
    assert list(design.memories) == [name]
    assert f"module {name} (" in design.modules[name] and "initial" in design.modules[name]
    assert "initial" not in re.sub("`ifdef.*?`endif", "", design.text(), flags=re.DOTALL)


def test_memory_without_a_writer_is_a_table():
    design = convert(Store(init=[3, 5], write=False), name="store")
    (name,) = design.memories
    assert name.startswith("tepin_rom_2r_16x16_")
    assert "4'd1: r0_word = 16'h0005;" in design.modules[name]


def test_contents_at_power_up_are_refused():
    with pytest.raises(
        ValueError, match=r"^memory \\memory of store is written but has contents at power-up"
    ):
        convert(Store(init=[1]), name="store")


def test_mixed_reads_are_refused():
    with pytest.raises(ValueError, match="is read both with and without a clock$"):
        convert(Store(domains=("sync", "comb")), name="store")


def test_words_of_verilog_are_refused():
    class Case(Component):
        case: In(1)
        o: Out(1)

        def elaborate(self, platform):
            m = Module()
            m.d.comb += self.o.eq(self.case)
            return m

    with pytest.raises(ValueError, match="^Verilog keeps the name of port case for itself$"):
        convert(Case(), name="top")
    assert convert(Case(), name="top", port_names={"case": "which"}).ports["which"] == (1, "input")


def test_falling_edges_are_refused():
    class Falling(Component):
        i: In(1)
        o: Out(1)

        def elaborate(self, platform):
            m = Module()
            m.domains.falling = domain = ClockDomain(clk_edge="neg", local=True)
            m.d.comb += [domain.clk.eq(self.i), domain.rst.eq(0)]
            m.d.falling += self.o.eq(~self.o)
            return m

    with pytest.raises(ValueError, match="has a register at the falling edge$"):
        convert(Falling(), name="top")


def test_memory_says_what_a_collision_gives():
    memory = MemoryModule(width=8, depth=16, parts=(1,), reads=1, clocked=True)
    assert (memory.name, memory.collision) == ("tepin_ram_1r1w_16x8", "the old contents")
    through = MemoryModule(width=8, depth=16, parts=(1,), reads=1, clocked=True, through=True)
    assert (through.name, through.collision) == ("tepin_ram_1r1w_16x8_wf", "the new contents")
