# SPDX-License-Identifier: Apache-2.0
"""Activation functions of a stream of elements: SiLU, sigmoid and GELU in its usual form with tanh.

    x -> square -> * cubic + linear -> * x -+-> v = x, or that for GELU
    y = s * x, or s for the sigmoid itself;  s = 1 / (1 + exp(-v))

One pipeline, elements at one end, results at the other. GELU is x * sigmoid(sqrt(8 / pi) * (x + 0.044715 * x**3)), because
(1 + tanh(u)) / 2 is sigmoid(2 * u).
"""

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from tepin.float.add import FloatAdd
from tepin.float.multiplier import check_architecture
from tepin.float.multiply import FloatMultiply
from tepin.float.pipeline import delay
from tepin.float.special import SpecialFunction, SpecialOperation
from tepin.units.rows import LandingQueue, follow, row_layout
from tepin.vector.buffer import ReservedFifo

__all__ = ["CUBIC", "LINEAR", "Activation", "ActivationLane", "ActivationUnit"]

LINEAR = np.float32(np.sqrt(8 / np.pi))
CUBIC = np.float32(0.044715 * np.sqrt(8 / np.pi))
"""v = x * (CUBIC * x * x + LINEAR) for GELU."""

_ONE = 0x3F80_0000
_MINUS_INFINITY, _LEAST_FINITE = 0xFF80_0000, 0xFF7F_FFFF
_WAITING = 64
"""Elements between the operand of the exponential and the last product, at least."""


def _encoding(number):
    return int(np.float32(number).view(np.uint32))


class Activation(enum.Enum, shape=2):
    """What :class:`ActivationUnit` computes of x."""

    SILU = 0
    SIGMOID = 1
    GELU = 2


class ActivationLane(wiring.Component):
    """One activation per cycle, no stall. Every step is rounded, as by a command of the vector engine for each.

    Members
    -------
    i_valid, i, function : In
    o : Out(32)
        `latency` cycles later.
    """

    i_valid: In(1)
    i: In(32)
    function: In(Activation)
    o: Out(32)

    def __init__(self, *, architecture=None):
        check_architecture(architecture)
        multiplier = lambda: FloatMultiply(architecture=architecture)  # noqa: E731
        special = lambda operation: SpecialFunction(operations=[operation], architecture=architecture)  # noqa: E731
        self._units = {
            "square": multiplier(),
            "cubic": multiplier(),
            "linear": FloatAdd(),
            "argument": multiplier(),
            "power": special(SpecialOperation.EXPM),
            "denominator": FloatAdd(),
            "sigmoid": special(SpecialOperation.RECIPROCAL),
            "result": multiplier(),
        }
        super().__init__()

    @property
    def latency(self):
        """Cycles from element to activation."""
        return sum(unit.latency for unit in self._units.values())

    def elaborate(self, platform):
        m = Module()
        units = self._units
        for name, unit in units.items():
            m.submodules[name] = unit

        # v, and beside it what is needed later.
        m.d.comb += [units["square"].i.a.eq(self.i), units["square"].i.b.eq(self.i)]
        m.d.comb += [units["cubic"].i.a.eq(units["square"].o), units["cubic"].i.b.eq(_encoding(CUBIC))]
        m.d.comb += [units["linear"].i.a.eq(units["cubic"].o), units["linear"].i.b.eq(_encoding(LINEAR))]
        cycles = sum(units[name].latency for name in ("square", "cubic", "linear"))
        at_linear = delay(m, cycles, "at_linear", x=self.i, function=self.function)
        m.d.comb += [units["argument"].i.a.eq(units["linear"].o), units["argument"].i.b.eq(at_linear.x)]
        at_argument = delay(m, units["argument"].latency, "at_argument", **vars(at_linear))
        cycles += units["argument"].latency
        is_gelu = at_argument.function == Activation.GELU.value
        argument = Mux(is_gelu, units["argument"].o, at_argument.x)

        # The sigmoid. What is not needed before its end waits in a memory, in no register of its own for each cycle.
        m.d.comb += [
            units["power"].i.a.eq(Cat(argument[:31], ~argument[31])),
            units["denominator"].i.a.eq(units["power"].o),
            units["denominator"].i.b.eq(_ONE),
            units["sigmoid"].i.a.eq(units["denominator"].o),
        ]
        waiting_for = sum(units[name].latency for name in ("power", "denominator", "sigmoid"))
        assert waiting_for < _WAITING
        m.submodules.waiting = waiting = ReservedFifo(shape=34, depth=_WAITING)
        argument_valid = follow(m, "argument", cycles, self.i_valid)
        m.d.comb += [
            waiting.i_valid.eq(argument_valid),
            waiting.i.eq(Cat(at_argument.x, at_argument.function)),
            waiting.o.ready.eq(follow(m, "sigmoid", waiting_for, argument_valid)),
        ]
        x, function = waiting.o.payload[:32], waiting.o.payload[32:]

        # The sigmoid of -inf is 0; with the least finite number instead the product is -0, not NaN.
        m.d.comb += [
            units["result"].i.a.eq(units["sigmoid"].o),
            units["result"].i.b.eq(
                Mux(
                    function == Activation.SIGMOID.value,
                    _ONE,
                    Mux(x == _MINUS_INFINITY, _LEAST_FINITE, x),
                )
            ),
            self.o.eq(units["result"].o),
        ]
        return m


class ActivationUnit(wiring.Component):
    """Applies an activation function to every element of a stream of float32.

    One beat per cycle if `o` is always ready; `latency` cycles from beat to beat. Every bit is that of the vector engine's
    commands one after the other, but for -inf: SiLU and GELU give -0, their limit. NaN gives NaN, +inf gives +inf (1 for
    the sigmoid). Costs 30 DSP blocks per lane on ECP5.

    Parameters
    ----------
    lanes : int
        Elements per cycle: 1, 2, 4, 8 or 16.
    architecture : str or None
        Form of the multipliers, see :class:`tepin.float.multiplier.IntegerMultiplier`.

    Members
    -------
    function : In(Activation)
        Applied to the elements that are accepted in the same cycle.
    i, o : In and Out streams of `row_layout(lanes)`
        `keep` and `last` pass through.
    """

    def __init__(self, *, lanes, architecture=None):
        rows = stream.Signature(row_layout(lanes))
        self._lanes = lanes
        self._lane_array = [ActivationLane(architecture=architecture) for _ in range(lanes)]
        super().__init__({"function": In(Activation), "i": In(rows), "o": Out(rows)})

    @property
    def lanes(self):
        """Elements per cycle."""
        return self._lanes

    @property
    def latency(self):
        """Cycles from a beat to its result."""
        return self._lane_array[0].latency + 1

    def elaborate(self, platform):
        m = Module()
        latency = self._lane_array[0].latency
        m.submodules.queue = queue = LandingQueue(shape=row_layout(self.lanes), latency=latency)
        taken = Signal()
        m.d.comb += [self.i.ready.eq(queue.room), taken.eq(self.i.valid & queue.room), queue.claim.eq(taken)]
        for number, lane in enumerate(self._lane_array):
            m.submodules[f"lane_{number}"] = lane
            m.d.comb += [
                lane.i_valid.eq(taken),
                lane.i.eq(self.i.payload.data[number]),
                lane.function.eq(self.function),
                queue.i.data[number].eq(lane.o),
            ]
        valid, keep, last = follow(
            m, "beat", latency, taken, keep=self.i.payload.keep, last=self.i.payload.last
        )
        m.d.comb += [queue.i_valid.eq(valid), queue.i.keep.eq(keep), queue.i.last.eq(last)]
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        return m
