# SPDX-License-Identifier: Apache-2.0
"""Area and clock of a block by itself, out of the context of a chip.

    pin --> shift register --> inputs of the block     outputs --> flip-flops --> xor chain --> pin

Every input of the block comes from a flip-flop and every output goes into one, as between neighbours in a chip, and two pins
are enough for any block. What the harness itself takes is known, and subtracted.
"""

import json
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from tepin_fpga import flow
from tepin_fpga.ecp5 import DEVICES, LIMITS_HZ
from tepin_fpga.multipliers import array_multipliers
from tepin_fpga.report import parse_report

__all__ = ["BlockFigures", "Harness", "measure_block"]

_MODULE = "harness"


class Harness(Component):
    """A block between two shift registers.

    Parameters
    ----------
    block : `amaranth.lib.wiring.Component`

    Members
    -------
    i : In(1)
        Shifted through the inputs of the block.
    o : Out(1)
        What has come out of the block, all bits and cycles folded into one.
    """

    def __init__(self, block):
        self._block = block
        self._inputs, self._outputs = [], []
        for _, member, value in block.signature.flatten(block):
            wires = Value.cast(value)
            if isinstance(wires, Signal):  # and no constant, such as `ready` of a stream that is always ready
                (self._inputs if member.flow == In else self._outputs).append(wires)
        super().__init__({"i": In(1), "o": Out(1)})

    @property
    def input_bits(self):
        """Bits of the block's inputs; each costs the harness a flip-flop."""
        return sum(map(len, self._inputs))

    @property
    def output_bits(self):
        """Bits of the block's outputs; each costs the harness two flip-flops and a LUT."""
        return sum(map(len, self._outputs))

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = self._block
        # Without a reset, so that no tool turns the chain into something else.
        chain = Signal(max(self.input_bits, 1), reset_less=True)
        m.d.sync += chain.eq(Cat(self.i, chain[:-1]))
        m.d.comb += Cat(self._inputs).eq(chain)
        captured = Signal(max(self.output_bits, 1), reset_less=True)
        folded = Signal(len(captured), reset_less=True)
        m.d.sync += [captured.eq(Cat(self._outputs)), folded.eq(captured ^ Cat(chain[-1], folded[:-1]))]
        m.d.comb += self.o.eq(folded[-1])
        return m


@dataclass(frozen=True)
class BlockFigures:
    """What a block takes, without its harness.

    Members
    -------
    luts, ffs, dsps, block_rams : int
    array_dsps : int
        Those of `dsps` that are multipliers of a systolic array.
    mhz : float
        Of the clock, never above the primitives' own limits.
    seconds : float
        That place and route took; of the first seed, synthesis, too.
    """

    luts: int
    ffs: int
    dsps: int
    array_dsps: int
    block_rams: int
    mhz: float
    seconds: float


def measure_block(
    block,
    *,
    device="LFE5U-85F",
    package="CABGA381",
    speed=6,
    clock_hz=120_000_000,
    seeds=(1,),
    say=None,
):
    """Synthesise a block by itself, and place and route it with each seed; yields `BlockFigures`.

    Parameters
    ----------
    block : `amaranth.lib.wiring.Component`
        Not elaborated before. Everything in domain `sync`.
    device, package, speed : str, str, int
    clock_hz : int
        What the tools aim at. They stop trying once they are there, so it should be out of reach, but not by far.
    seeds : iterable of int
        Of the placement.
    say : callable(str), optional
    """
    from amaranth.hdl import UnusedElaboratable

    from tepin import verilog

    warnings.filterwarnings("ignore", category=UnusedElaboratable)
    assert device in DEVICES
    harness = Harness(block)
    with tempfile.TemporaryDirectory(prefix="tepin-block-") as scratch:
        directory = Path(scratch)
        text = verilog.convert(harness, name=_MODULE, device=device)
        (directory / f"{_MODULE}.v").write_text(text)
        start = time.monotonic()
        flow.synthesise(directory, [f"{_MODULE}.v"], top=_MODULE, device=device, say=say)
        multipliers = array_multipliers(
            json.loads((directory / "design.json").read_text())["modules"][_MODULE]
        )
        for seed in seeds:
            report = flow.route(
                directory, device=device, package=package, speed=speed, seed=seed, clock_hz=clock_hz, say=say
            )
            usage = parse_report(report, LIMITS_HZ[speed])
            used = {name: resource.used for name, resource in usage.resources.items()}
            yield BlockFigures(
                luts=used["LUT4"] - harness.output_bits,
                ffs=used["FF"] - harness.input_bits - 2 * harness.output_bits,
                dsps=used["DSP"],
                array_dsps=len(multipliers),
                block_rams=used["block RAM"],
                mhz=min(clock.met for clock in usage.clocks.values()),
                seconds=time.monotonic() - start,
            )
            start = time.monotonic()
