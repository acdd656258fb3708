# SPDX-License-Identifier: Apache-2.0
"""Splits matmul commands into the jobs of the parts, and reports them as done."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..control.engine import EngineError, command_layout
from ..isa import Engine, ErrorCode, OutputType, WeightSource
from ..stream import StreamFifo
from .activations import ActivationJob
from .drain import DrainJob
from .requests import WeightJob
from .weight_reader import WeightAddress

__all__ = ["JOBS", "K_MAXIMUM", "Dispatcher"]

K_MAXIMUM = 131_071
"""Largest inner dimension whose sums fit into the accumulator."""

JOBS = 4
"""Commands in progress at most."""


def _exceeds(value, limit):
    """`value` > `limit`, without a carry through all of its bits."""
    bits = limit.bit_length()
    return value[bits:].any() | (value[:bits] > limit)


class Dispatcher(wiring.Component):
    """Checks commands and queues their jobs; up to four are between here and their last write.

    A command in progress has a *slot*, 0 to 3 in turn, that its jobs carry with them. There are as many places in every queue
    as slots.

    Parameters
    ----------
    accumulator_rows : int
        Largest m.

    Members
    -------
    i : In stream of `command_layout(Engine.MATMUL)`
    nop : In, as `CommandReader.nop`
    o_weights : Out stream of `WeightJob`
    o_addresses : Out stream of `WeightAddress`
    o_activations : Out stream of `ActivationJob`
    o_drain : Out stream of `DrainJob`
    done : In, high for one cycle when the command in `done_slot` is done
    done_slot : In
    signal_valid, signal : Out
        As in `EngineSignature`; one cycle after `done`.
    pcs : Out, program counter of the command in each slot
    busy : Out, there are commands in progress
    error_valid, error : Out
        A command has a wrong parameter. It is not taken; `error_valid` stays high.
    """

    def __init__(self, *, accumulator_rows):
        self.accumulator_rows = accumulator_rows
        super().__init__(
            {
                "i": In(stream.Signature(command_layout(Engine.MATMUL))),
                "nop": In(1),
                "o_weights": Out(stream.Signature(WeightJob)),
                "o_addresses": Out(stream.Signature(WeightAddress)),
                "o_activations": Out(stream.Signature(ActivationJob)),
                "o_drain": Out(stream.Signature(DrainJob)),
                "done": In(1),
                "done_slot": In(2),
                "signal_valid": Out(1),
                "signal": Out(4),
                "pcs": Out(data.ArrayLayout(15, JOBS)),
                "busy": Out(1),
                "error_valid": Out(1),
                "error": Out(EngineError),
            }
        )

    def elaborate(self, platform):
        m = Module()
        command = self.i.payload
        flags = command.flags
        is_float = flags.output == OutputType.FLOAT32
        in_scratchpad = flags.source == WeightSource.SCRATCHPAD

        # Checks, in the order of the fields; a stage of its own, since a command stays where it is until it is taken. What is
        # wrong with it is looked up in another one.
        checks = [
            (command.m, (command.m == 0) | _exceeds(command.m, self.accumulator_rows)),
            (command.k, (command.k == 0) | _exceeds(command.k, K_MAXIMUM)),
            (command.n, command.n == 0),
            (flags.as_value(), ~is_float & flags.maximum),
        ]
        failed, wrong = Signal(len(checks)), Signal()
        checked = Signal()
        take = Signal()
        conditions = Cat(condition for _, condition in checks)
        m.d.sync += [
            checked.eq(self.i.valid & ~take),
            failed.eq(conditions),
            wrong.eq(conditions.any()),
            self.error_valid.eq(self.i.valid & checked & wrong & ~self.nop),
            self.error.code.eq(ErrorCode.PARAMETER),
            self.error.pc.eq(command.pc),
        ]
        for index, (value, _) in reversed(list(enumerate(checks))):
            with m.If(failed[index]):
                m.d.sync += self.error.info.eq(value)

        # Slots.
        slot = Signal(2)
        used = Signal(range(JOBS + 1))
        ready = Signal()
        m.d.comb += [
            ready.eq(self.i.valid & checked & ~used[-1]),
            take.eq(ready & (self.nop | ~wrong)),
            self.i.ready.eq(take),
            self.busy.eq(used != 0),
        ]
        signals = Array(Signal(4, name=f"signal_{number}") for number in range(JOBS))
        with m.If(take):
            m.d.sync += [
                slot.eq(slot + 1),
                signals[slot].eq(command.signal),
                self.pcs[slot].eq(command.pc),
            ]
        with m.If(take & ~self.done):
            m.d.sync += used.eq(used + 1)
        with m.Elif(self.done & ~take):
            m.d.sync += used.eq(used - 1)
        m.d.sync += [self.signal_valid.eq(self.done), self.signal.eq(signals[self.done_slot])]

        # Jobs.
        run = take & ~self.nop
        queues = {
            "weights": (WeightJob, self.o_weights, run),
            "addresses": (WeightAddress, self.o_addresses, run & in_scratchpad),
            "activations": (ActivationJob, self.o_activations, run),
            "drain": (DrainJob, self.o_drain, take),
        }
        jobs = {}
        for name, (shape, o, enable) in queues.items():
            m.submodules[name] = queue = StreamFifo(shape=shape, depth=JOBS)
            m.d.comb += queue.i.valid.eq(enable)
            wiring.connect(m, queue.o, wiring.flipped(o))
            jobs[name] = queue.i.payload
        weights, activations, drain = jobs["weights"], jobs["activations"], jobs["drain"]
        m.d.comb += [
            weights.source.eq(flags.source),
            weights.weights.eq(flags.weights),
            weights.scales.eq(flags.scales),
            weights.k.eq(command.k),
            weights.n.eq(command.n),
            jobs["addresses"].address.eq(command.weights),
            jobs["addresses"].slot.eq(slot),
            activations.activations.eq(flags.activations),
            activations.has_scales.eq(is_float),
            activations.slot.eq(slot),
            activations.m.eq(command.m),
            activations.k.eq(command.k),
            activations.n.eq(command.n),
            activations.address.eq(command.activations),
            activations.stride.eq(command.activation_stride),
            activations.scale_address.eq(command.scale),
            drain.nop.eq(self.nop),
            drain.slot.eq(slot),
            drain.scales.eq(flags.scales),
            drain.output.eq(flags.output),
            drain.maximum.eq(flags.maximum),
            drain.observe.eq(flags.observe),
            drain.m.eq(command.m),
            drain.n.eq(command.n),
            drain.address.eq(command.output),
            drain.stride.eq(command.output_stride),
            drain.maximum_address.eq(command.maximum),
        ]
        return m
