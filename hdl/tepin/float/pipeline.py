# SPDX-License-Identifier: Apache-2.0
"""What the arithmetic pipelines are built of: ranks of registers, and shifters that can be cut into stages.

A pipeline here never stalls: it takes operands in every cycle and delivers each result a fixed number of cycles later.
Whoever uses it delays a valid bit by as many cycles.
"""

from types import SimpleNamespace

from amaranth.hdl import Cat, Const, Mux, Signal, Value

__all__ = [
    "delay",
    "deliver",
    "normalise",
    "shift_right",
    "shift_right_jam",
    "shift_steps",
    "split",
    "stage",
    "wire",
]


def stage(m, name, **values):
    """Register `values` and return a namespace of the registers. They have no reset: nothing looks at them early."""
    registers = {}
    for key, value in values.items():
        value = Value.cast(value)
        registers[key] = Signal(value.shape(), name=f"{name}_{key}", reset_less=True)
        m.d.sync += registers[key].eq(value)
    return SimpleNamespace(**registers)


def delay(m, cycles, name, **values):
    """Register `values` `cycles` times and return a namespace of the last registers."""
    for cycle in range(cycles):
        values = vars(stage(m, f"{name}_{cycle + 1}", **values))
    return SimpleNamespace(**values)


def deliver(m, port, value):
    """Register `value` as the result `port`; like the registers of `stage`, this one has no reset."""
    register = Signal(Value.cast(port).shape(), name="delivered", reset_less=True)
    m.d.sync += register.eq(value)
    m.d.comb += Value.cast(port).eq(register)


def wire(m, name, value):
    """Give a name to the expression `value`, so that using it several times does not copy it."""
    value = Value.cast(value)
    signal = Signal(value.shape(), name=name)
    m.d.comb += signal.eq(value)
    return signal


def shift_steps(limit):
    """The powers of two whose sums reach every distance in 0..`limit`, in falling order."""
    return [1 << bit for bit in reversed(range(limit.bit_length()))]


def split(steps, groups):
    """Cut a list of shift steps into `groups` lists, none longer than an even share rounded up."""
    share = -(-len(steps) // groups)
    return [steps[group * share : (group + 1) * share] for group in range(groups)]


def _shift_enable(distance, step):
    place = step.bit_length() - 1
    return distance[place] if place < len(distance) else Const(0, 1)


def shift_right(m, name, value, distance, steps):
    """Shift the unsigned `value` right by the bits of `distance` that `steps` names."""
    for step in steps:
        value = wire(m, f"{name}_{step}", Mux(_shift_enable(distance, step), value[step:], value))
    return value


def shift_right_jam(m, name, value, distance, steps):
    """Shift as :func:`shift_right` does; what falls off the end sticks in bit 0."""
    for step in steps:
        shifted = value[step:] if step < len(value) else Const(0, 1)
        jammed = Cat(shifted[0] | value[:step].any(), shifted[1:])
        value = wire(m, f"{name}_{step}", Mux(_shift_enable(distance, step), jammed, value))
    return value


def _shift_left(value, step):
    return Cat(Const(0, step), value[:-step])


def _leading_zeros(m, name, value, steps):
    """For every one of `steps`, whether the bits are zero that it shifts out, given that those before it were taken if so."""
    if not steps:
        return []
    first, *later = steps
    empty = wire(m, f"{name}_empty_{first}", ~value[-first:].any())
    if_taken = _leading_zeros(m, f"{name}_t", _shift_left(value, first), later)
    if_not = _leading_zeros(m, f"{name}_n", value, later)
    return [empty] + [
        wire(m, f"{name}_empty_{step}", Mux(empty, taken, not_taken))
        for step, taken, not_taken in zip(later, if_taken, if_not, strict=True)
    ]


def normalise(m, name, value, steps):
    """Shift `value` left by every one of `steps`, falling powers of two, that its leading zeros allow.

    Returns the shifted value and, as a number, which steps were taken: bit k for the step 2**k. With all steps from
    half the width down to 1, a value that is not zero ends with its leading one on top.

    Whether a step is taken does not wait for the step before: both possibilities are looked at meanwhile.
    """
    value = wire(m, f"{name}_in", value)
    taken = []
    for step, empty in zip(steps, _leading_zeros(m, name, value, steps), strict=True):
        value = wire(m, f"{name}_{step}", Mux(empty, _shift_left(value, step), value))
        taken.append(empty)
    low = steps[-1].bit_length() - 1 if steps else 0
    return value, Cat(Const(0, low), *reversed(taken))
