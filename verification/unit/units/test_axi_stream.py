# SPDX-License-Identifier: Apache-2.0
"""The stream units through AXI4-Stream ports."""

import numpy as np
import pytest

from tepin import verilog
from tepin.config import PRESETS
from tepin.tops import TOPS
from tepin.units.activation import ActivationUnit
from tepin.units.axi_stream import AXI4StreamUnit
from tepin.units.norm import NormUnit
from tepin.units.softmax import SoftmaxUnit
from tepin_reference import float32, units
from tepin_testbench.pysim import simulate

LANES = 4


def words(values):
    """Words of up to `LANES` float32 numbers, the first one lowest."""
    return sum(int(word) << 32 * lane for lane, word in enumerate(float32.bits(values)))


def run(dut, beats, *, settings=(), parameters=()):
    """Send beats, dictionaries of the fields of t; return (data, keep, last) of those that come out until a last one."""
    found = []

    async def send(ctx):
        for name, value in dict(settings).items():
            ctx.set(getattr(dut, name), value)
        for name, items in (("s_axis_parameters", parameters), ("s_axis", beats)):
            for fields in items:
                port = getattr(dut, name).t
                ctx.set(port.payload, fields)
                ctx.set(port.valid, 1)
                await ctx.tick().until(port.ready)
                ctx.set(port.valid, 0)

    async def receive(ctx):
        ctx.set(dut.m_axis.t.ready, 1)
        while not found or not found[-1][2]:
            (beat,) = await ctx.tick().sample(dut.m_axis.t.payload).until(dut.m_axis.t.valid)
            found.append((beat.data, beat.keep, beat.last))

    simulate(dut, send, receive, cycles=2000)
    return found


def test_softmax_masks_by_user_and_keeps_bytes():
    x = np.array([1, 50, 3, 2, 5], "<f4")
    beats = [
        {"data": words(x[:4]), "keep": 0xFFFF, "last": 0, "user": 0b0010},
        {"data": words(x[4:]), "keep": 0x000F, "last": 1, "user": 0},
    ]
    expected = units.softmax(np.where(x == 50, np.float32(-np.inf), x))
    first, (data, keep, last) = run(AXI4StreamUnit(SoftmaxUnit(lanes=LANES, max_length=8)), beats)
    assert first == (words(expected[:4]), 0xFFFF, 0)
    assert (data & 0xFFFF_FFFF, keep, last) == (words(expected[4:]), 0x000F, 1)


def test_int8_has_a_byte_for_each_element():
    x = np.array([1, 3, 2], "<f4")
    expected = units.softmax(x, levels=127).view(np.uint8)
    dut = AXI4StreamUnit(SoftmaxUnit(lanes=LANES, max_length=8, levels=127))
    ((data, keep, last),) = run(dut, [{"data": words(x), "keep": 0x0FFF, "last": 1, "user": 0}])
    assert (data & 0xFF_FFFF, keep, last) == (int.from_bytes(expected.tobytes(), "little"), 0b0111, 1)


def test_norm_takes_gains_below_biases():
    x, gain, bias = np.array([[1, 2, 4, 8], [1, -1, 2, 3], [5, 6, 7, 8]], "<f4")
    parameters = [{"data": words(gain) | words(bias) << 32 * LANES, "keep": -1, "last": 1}]
    share, epsilon = (int(float32.bits(np.float32(number))) for number in (0.25, 1e-5))
    dut = AXI4StreamUnit(NormUnit(lanes=LANES, max_length=8))
    settings = {"centre": 1, "share": share, "epsilon": epsilon}
    beats = [{"data": words(x), "keep": 0xFFFF, "last": 1}]
    found = run(dut, beats, settings=settings, parameters=parameters)
    assert found == [(words(units.layer_norm(x, gain, bias, 1e-5)), 0xFFFF, 1)]


def test_activation_has_its_function():
    x = np.array([1, -2, 4, 8], "<f4")
    beats = [{"data": words(x), "keep": 0xFFFF, "last": 1}]
    found = run(AXI4StreamUnit(ActivationUnit(lanes=LANES)), beats, settings={"function": 2})
    assert found == [(words(units.gelu(x)), 0xFFFF, 1)]


@pytest.mark.parametrize("top", ["softmax", "norm", "activation"])
def test_ports_are_called_as_in_the_specification(top):
    ports = verilog.ports(TOPS[top].make(PRESETS["tiny"]))
    for name in ("s_axis", "m_axis"):
        assert {f"{name}_t{part}" for part in ("data", "keep", "last", "valid", "ready")} <= set(ports)
    assert ports["s_axis_tdata"] == (64, "input") and ports["m_axis_tkeep"] == (8, "output")
    assert ("s_axis_tuser" in ports) == (top == "softmax")
    assert ("s_axis_parameters_tdata" in ports) == (top == "norm")
