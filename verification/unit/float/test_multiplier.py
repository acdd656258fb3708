# SPDX-License-Identifier: Apache-2.0
"""The integer multiplier: every form, with operands of all cuts and signs."""

import pytest
from amaranth.back import verilog
from amaranth.hdl import Cat, Module, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tepin.float.multiplier import IntegerMultiplier, choose_architecture
from verification.unit.float.helpers import pack, run_pipeline


class Joined(wiring.Component):
    """A multiplier whose operands come in through one port."""

    def __init__(self, multiplier):
        self.multiplier = multiplier
        self.latency = multiplier.latency
        width = len(multiplier.a) + len(multiplier.b)
        super().__init__({"i": In(width), "o": Out(multiplier.o.shape())})

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = self.multiplier
        m.d.comb += [Cat(self.multiplier.a, self.multiplier.b).eq(self.i), self.o.eq(self.multiplier.o)]
        return m


def edges(shape):
    if shape.signed:
        half = 1 << (shape.width - 1)
        return [-half, -half // 2, -1, 0, half // 2, half - 1]
    return [0, 1, (1 << shape.width) - 1, 1 << (shape.width - 1)]


@pytest.mark.parametrize("architecture", ["generic", "ecp5-model"])
@pytest.mark.parametrize(
    ("a_shape", "b_shape", "latency"),
    [
        (unsigned(1), signed(1), 2),
        (signed(8), signed(16), 2),
        (signed(18), signed(18), 2),
        (unsigned(18), unsigned(18), 3),
        (unsigned(24), unsigned(24), 3),
        (signed(19), unsigned(37), 3),
        (unsigned(24), signed(28), 4),
        (signed(40), signed(20), 5),
        (signed(54), signed(55), 7),
    ],
    ids=str,
)
def test_product(architecture, a_shape, b_shape, latency, rng):
    pairs = [(a, b) for a in edges(a_shape) for b in edges(b_shape)]
    for _ in range(150):
        a, b = (int.from_bytes(rng.bytes(8), "little") >> (64 - shape.width) for shape in (a_shape, b_shape))
        a -= a >> (a_shape.width - 1) << a_shape.width if a_shape.signed else 0
        b -= b >> (b_shape.width - 1) << b_shape.width if b_shape.signed else 0
        pairs.append((a, b))
    dut = Joined(IntegerMultiplier(a_shape, b_shape, latency=latency, architecture=architecture))
    operands = pack(([a for a, _ in pairs], a_shape.width), ([b for _, b in pairs], b_shape.width))
    assert run_pipeline(dut, operands) == [a * b for a, b in pairs]


@pytest.mark.parametrize("b_shape", [signed(28), unsigned(28)], ids=str)
def test_corner_of_adders(b_shape, rng):
    """24 by 28 bits in three DSP blocks and a corner of 6 by 10 bits."""
    pairs = [(a, b) for a in (*edges(unsigned(24)), 63 << 18) for b in edges(b_shape)]
    low = -(1 << 27) if b_shape.signed else 0
    pairs += [(int(rng.integers(1 << 24)), int(rng.integers(1 << 28)) + low) for _ in range(200)]
    operands = pack(([a for a, _ in pairs], 24), ([b for _, b in pairs], 28))
    for architecture in ("generic", "ecp5-model"):
        dut = Joined(IntegerMultiplier(24, b_shape, corner=16, architecture=architecture))
        assert run_pipeline(dut, operands) == [a * b for a, b in pairs]
    dut = IntegerMultiplier(24, b_shape, corner=16, architecture="ecp5")
    assert verilog.convert(dut, emit_src=False, strip_internal_attrs=True).count("MULT18X18D #(") == 3
    with pytest.raises(ValueError, match="^With a corner the first operand must be unsigned, not signed"):
        IntegerMultiplier(signed(24), b_shape, corner=16)


@pytest.mark.parametrize(("width", "blocks"), [(8, 1), (18, 1), (24, 4), (40, 9)])
def test_ecp5_instantiates_registered_blocks(width, blocks):
    dut = IntegerMultiplier(signed(width), signed(width), architecture="ecp5")
    text = verilog.convert(dut, emit_src=False, strip_internal_attrs=True)
    instances = text.count("MULT18X18D #(")
    assert instances == blocks
    for register in ("INPUTA", "INPUTB", "OUTPUT"):
        assert text.count(f'.REG_{register}_CLK("CLK0")') == blocks
    assert "SRI" not in text and "CLK1" not in text


def test_architecture_follows_platform():
    class Platform:
        device = "LFE5U-85F"

    assert choose_architecture(None, None) == "generic"
    assert choose_architecture(None, Platform()) == "ecp5"
    assert choose_architecture("generic", Platform()) == "generic"


def test_init_wrong_latency():
    with pytest.raises(ValueError, match="^Latency must be at least 2 for these operands, not 1$"):
        IntegerMultiplier(18, 18, latency=1)
    with pytest.raises(ValueError, match="^Latency must be at least 3 for these operands, not 2$"):
        IntegerMultiplier(19, 8, latency=2)


def test_init_wrong_architecture():
    with pytest.raises(
        ValueError, match="^Architecture must be None or one of generic, ecp5, ecp5-model, not 'asic'$"
    ):
        IntegerMultiplier(8, 8, architecture="asic")


def test_init_wrong_shape():
    with pytest.raises(ValueError, match="^Operands must have at least one bit"):
        IntegerMultiplier(0, 8)
