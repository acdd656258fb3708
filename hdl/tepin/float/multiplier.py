# SPDX-License-Identifier: Apache-2.0
"""Integer multiplication: the one place of the project where a multiplier is made.

On ECP5 the operand and product registers must lie inside the DSP block for the clock to be worth having, and synthesis
never moves registers in there. So the block is instantiated, and wide products are put together from 18 x 18 parts.
Everywhere else the product is written as such, between registers that a synthesiser may move.
"""

from amaranth.hdl import (
    Cat,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    Module,
    Mux,
    Shape,
    Signal,
    signed,
    unsigned,
)
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tepin.float.pipeline import stage

__all__ = ["ARCHITECTURES", "IntegerMultiplier", "choose_architecture"]

ARCHITECTURES = ("generic", "ecp5", "ecp5-model")
"""The forms a multiplier has. `ecp5-model` is `ecp5` with the DSP block described instead of instantiated."""

_PART_WIDTH = 18


def choose_architecture(architecture, platform):
    """Return `architecture`, or if that is None, the one that fits `platform` (which may be None as well)."""
    if architecture is not None:
        return architecture
    return "ecp5" if getattr(platform, "device", "").upper().startswith("LFE5U") else "generic"


def check_architecture(architecture):
    """Raise a ValueError unless `architecture` is None or one of `ARCHITECTURES`."""
    if architecture is not None and architecture not in ARCHITECTURES:
        raise ValueError(
            f"Architecture must be None or one of {', '.join(ARCHITECTURES)}, not {architecture!r}"
        )


class _Part(Elaboratable):
    """An 18 x 18 multiplier with registered operands and product, as one ECP5 DSP block has it. Latency 2.

    Shift inputs and the clocks, enables and resets that are not used stay unconnected: tied to anything, they cost
    routing or move the block's registers out of reach.
    """

    def __init__(self, *, a_signed, b_signed, instantiate):
        self._signed = a_signed, b_signed
        self._instantiate = instantiate
        self.a = Signal(_PART_WIDTH)
        self.b = Signal(_PART_WIDTH)
        self.product = Signal(2 * _PART_WIDTH)

    def elaborate(self, platform):
        m = Module()
        if not self._instantiate:
            a, b = (
                value.as_signed() if is_signed else value
                for value, is_signed in zip((self.a, self.b), self._signed, strict=True)
            )
            operands = stage(m, "operands", a=a, b=b)
            m.d.sync += self.product.eq(operands.a * operands.b)
            return m

        ports = {f"i_A{bit}": self.a[bit] for bit in range(_PART_WIDTH)}
        ports |= {f"i_B{bit}": self.b[bit] for bit in range(_PART_WIDTH)}
        ports |= {f"o_P{bit}": self.product[bit] for bit in range(2 * _PART_WIDTH)}
        m.submodules.dsp = Instance(
            "MULT18X18D",
            p_REG_INPUTA_CLK="CLK0",
            p_REG_INPUTB_CLK="CLK0",
            p_REG_OUTPUT_CLK="CLK0",
            i_CLK0=ClockSignal(),
            i_SIGNEDA=Const(self._signed[0], 1),
            i_SIGNEDB=Const(self._signed[1], 1),
            i_SOURCEA=Const(0, 1),
            i_SOURCEB=Const(0, 1),
            **ports,
        )
        return m


class _Corner(Elaboratable):
    """A multiplier of narrow integers made of adders, in the place of a `_Part`. Latency 2. `a` is unsigned."""

    def __init__(self, a, b):
        self._a, self._b = a, b
        self.product = Signal(2 * _PART_WIDTH)

    def elaborate(self, platform):
        m = Module()
        operands = stage(m, "operands", a=self._a, b=self._b)
        rows = [Mux(operands.a[bit], operands.b << bit, 0) for bit in range(len(operands.a))]
        while len(rows) > 1:
            rows = [sum(rows[index : index + 2]) for index in range(0, len(rows), 2)]
        product = rows[0].as_signed() if self._b.shape().signed else rows[0]
        m.d.sync += self.product.eq(product)
        return m


class IntegerMultiplier(wiring.Component):
    """Multiplies two integers. Takes new operands in every cycle; no reset, no stall.

    On ECP5 it costs ceil(a_width / 18) * ceil(b_width / 18) DSP blocks, and adders for what lies beyond one block.

    Parameters
    ----------
    a_shape, b_shape : shape-like
        Shapes of the operands: an int for unsigned, or `signed(width)`. Mixed signs are fine.
    latency : int
        Cycles from operands to product, at least 2, and 3 if an operand is wider than 18 bits. More cycles than that
        spread the adders of a wide product over pipeline stages, then register the product again.
    corner : int
        On ECP5, parts of operands that have no more bits than this together are multiplied by adders: of 24 by 28 bits the
        corner of 6 by 10, which costs about 70 LUT4 instead of a DSP block. `a_shape` has to be unsigned then.
    architecture : str or None
        One of `ARCHITECTURES`; None decides by the platform.

    Members
    -------
    a, b : In(a_shape), In(b_shape)
        Operands.
    o : Out
        Their product, as many bits as both together, signed if one of them is.
    """

    def __init__(self, a_shape, b_shape, *, latency=3, corner=0, architecture=None):
        a_shape, b_shape = Shape.cast(a_shape), Shape.cast(b_shape)
        if not a_shape.width or not b_shape.width:
            raise ValueError(f"Operands must have at least one bit, not {a_shape!r} and {b_shape!r}")
        least = 2 if max(a_shape.width, b_shape.width) <= _PART_WIDTH else 3
        if latency < least:
            raise ValueError(f"Latency must be at least {least} for these operands, not {latency!r}")
        if corner and a_shape.signed:
            raise ValueError(f"With a corner the first operand must be unsigned, not {a_shape!r}")
        check_architecture(architecture)
        self._latency = latency
        self._corner = corner
        self._architecture = architecture
        product = signed if a_shape.signed or b_shape.signed else unsigned
        super().__init__(
            {"a": In(a_shape), "b": In(b_shape), "o": Out(product(a_shape.width + b_shape.width))}
        )

    @property
    def latency(self):
        """Cycles from operands to product."""
        return self._latency

    def elaborate(self, platform):
        m = Module()
        architecture = choose_architecture(self._architecture, platform)
        if architecture == "generic":
            operands = stage(m, "operands", a=self.a, b=self.b)
            terms, cycles = [operands.a * operands.b], 1
        else:
            terms, cycles = self._partial_products(m, instantiate=architecture == "ecp5"), 2

        while cycles < self.latency:
            # One level of the adder tree per remaining cycle; the last one takes all that is left.
            pairs = [sum(terms[index : index + 2]) for index in range(0, len(terms), 2)]
            terms = [sum(terms)] if cycles == self.latency - 1 else pairs
            sums = stage(m, f"sums_{cycles}", **{f"s{index}": term for index, term in enumerate(terms)})
            terms = list(vars(sums).values())
            cycles += 1
        m.d.comb += self.o.eq(terms[0])
        return m

    def _partial_products(self, m, *, instantiate):
        """Instantiate the parts; return their products in place, those that do not overlap put side by side."""
        diagonals = {}
        for a_index, (a, a_signed) in enumerate(_cut(self.a)):
            for b_index, (b, b_signed) in enumerate(_cut(self.b)):
                if len(a) + len(b) <= self._corner:
                    part = _Corner(a, b)
                else:
                    part = _Part(a_signed=a_signed, b_signed=b_signed, instantiate=instantiate)
                    m.d.comb += [part.a.eq(a), part.b.eq(b)]
                m.submodules[f"part_{a_index}_{b_index}"] = part
                product = part.product.as_signed() if a_signed or b_signed else part.product
                diagonals.setdefault(a_index - b_index, []).append((a_index + b_index, product))

        terms = []
        for products in diagonals.values():
            # Along a diagonal the places rise by two parts, the width of a product. Only the last, highest one can be
            # negative: the top parts of both operands meet there, or the top part of the shorter with any other.
            run = []
            for place, product in products:
                run.append((place, product))
                if product.shape().signed:
                    terms.append(_join(run))
                    run = []
            if run:
                terms.append(_join(run))
        return terms


def _cut(operand):
    """Cut an operand into 18-bit parts from the bottom, the last one extended; yield each with its signedness."""
    for start in range(0, len(operand), _PART_WIDTH):
        last = start + _PART_WIDTH >= len(operand)
        part = operand[start : start + _PART_WIDTH]
        is_signed = last and operand.shape().signed
        yield (part.as_signed() if is_signed else part), is_signed


def _join(run):
    """Put neighbouring partial products side by side, at their place."""
    value = Cat(Const(0, run[0][0] * _PART_WIDTH), *(product for _, product in run))
    return value.as_signed() if run[-1][1].shape().signed else value
