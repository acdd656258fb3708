# SPDX-License-Identifier: Apache-2.0
"""Special functions: exponential, logarithms, reciprocal and reciprocal square root on one datapath.

The operand becomes an address of a coefficient table and a distance d from the start of a segment, then::

    p      = c0 + d * (c1 + d * c2)
    value  = |e| * ln(2) +- factor * p        e is 0 and the factor 1 except for logarithms
    result = +- value * 2**exponent           rounded once, to nearest even

all in integers; `tepin_reference.special` is the same in numpy. Tables and units: :mod:`tepin.float.tables`. The scheme,
a table of quadratics after an exact range reduction, is the usual one: J.-M. Muller, Elementary Functions, chapters 3-5.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tepin.float import tables
from tepin.float.format import FLOAT32
from tepin.float.multiplier import IntegerMultiplier, check_architecture
from tepin.float.pipeline import delay, deliver, normalise, shift_steps, stage
from tepin.float.round import round_and_pack
from tepin.float.special_arguments import ARGUMENT_LATENCY, LogarithmArgument, PowerArgument

__all__ = ["SpecialFunction", "SpecialOperation"]

_MULTIPLIER_LATENCY, _SCALE_LATENCY = 3, 4
_P_FRACTION = 32
_FACTOR_FRACTION = 26
_VALUE_WIDTH = 39


class SpecialOperation(enum.Enum, shape=3):
    """What :class:`SpecialFunction` computes of its operand a."""

    EXPM = 0
    """2**(a * log2(e) - b), where b holds an integer: a step of a softmax, and with b = 0, e**a."""
    LN = 1
    """The natural logarithm."""
    LOG1P = 2
    """ln(1 + a), as accurate for small a as for large ones."""
    RECIPROCAL = 3
    """1 / a."""
    RSQRT = 4
    """1 / sqrt(a)."""


_SEGMENTS = {
    SpecialOperation.EXPM: (tables.POWER, tables.LOGARITHM),
    SpecialOperation.LN: (tables.LOGARITHM, 512),
    SpecialOperation.LOG1P: (tables.LOGARITHM, 512),
    SpecialOperation.RECIPROCAL: (tables.RECIPROCAL, tables.ROOT_EVEN),
    SpecialOperation.RSQRT: (tables.ROOT_EVEN, tables.POWER),
}
"""First row of the table that an operation needs, and the one behind the last."""


class SpecialFunction(wiring.Component):
    """Computes special functions of float32 numbers. One result per cycle, each of any function; no stall.

    Results are within 1 ulp of the exact value and the same on every platform. Subnormals are read as zero, results below
    2**-126 are zero, every NaN is the canonical one. Where a function has a pole it gives infinity, where it is not
    defined NaN, as IEEE 754 says; EXPM gives 0 for a = -inf whatever b is, NaN if both are +inf. Costs a table of 512
    rows of 72 bits and multipliers of 24 x 36, 18 x 16, 24 x 28 and 26 x 33 bits (13 DSP blocks on ECP5).

    Parameters
    ----------
    operations : iterable of SpecialOperation
        What it has to compute; what no operation needs is left out. Without logarithms there is one multiplier less, and
        5 cycles of latency; without EXPM another one, and 6 cycles.
    shared : bool
        EXPM's first multiplication is done outside, see :class:`tepin.float.special_arguments.PowerArgument`.
    corner : int
        Of the multiplier of 24 x 28 bits, see :class:`tepin.float.multiplier.IntegerMultiplier`.
    architecture : str or None
        Form of the multipliers, see :class:`tepin.float.multiplier.IntegerMultiplier`.

    Members
    -------
    i : In(StructLayout)
        `a` and `b`, float32 encodings (`b` is for EXPM only), and `operation`.
        With a single operation it is ignored.
    product : In(60), if `shared`
        `POWER_FACTOR` times the significand of `a`, 3 cycles after it.
    o : Out(32)
        Encoding of the result, `latency` cycles later.
    """

    def __init__(self, *, operations=SpecialOperation, shared=False, corner=0, architecture=None):
        check_architecture(architecture)
        self._architecture = architecture
        self._corner = corner
        self._operations = frozenset(operations)
        if not self._operations:
            raise ValueError("A SpecialFunction needs at least one operation")
        self._powers = SpecialOperation.EXPM in self._operations
        self._logarithms = bool(self._operations & {SpecialOperation.LN, SpecialOperation.LOG1P})
        if shared and not self._powers:
            raise ValueError("Only EXPM has a multiplication that can be shared")
        self._shared = shared
        self._argument_latency = ARGUMENT_LATENCY if self._powers or self._logarithms else 1
        super().__init__(
            {
                "i": In(data.StructLayout({"a": 32, "b": 32, "operation": SpecialOperation})),
                **({"product": In(60)} if shared else {}),
                "o": Out(32),
            }
        )

    @property
    def latency(self):
        """Cycles from operands to result."""
        combine = _SCALE_LATENCY + 1 if self._logarithms else 0
        return self._argument_latency + _MULTIPLIER_LATENCY + 8 + combine

    def elaborate(self, platform):
        m = Module()
        arguments = self._arguments(m)
        p, carried = self._polynomial(m, arguments)
        if self._logarithms:
            value, carried = self._combine(m, p, carried)
            width, steps = _VALUE_WIDTH, shift_steps(8)
        else:
            value, width, steps = p, _P_FRACTION + 1, [1]

        # The leading one of a value is between 2**6 and 2**-2 (if there are logarithms; otherwise it is that of 1 or 1/2):
        # bring it to the top, then round. The exponent follows in the last stage, since what it loses is known last.
        value, taken = normalise(m, "normalise", value, steps)
        normalised = stage(
            m,
            "normalised",
            value=value,
            taken=taken,
            exponent=carried.exponent + (FLOAT32.bias + width - 1 - _P_FRACTION),
            sign=carried.sign,
            zero=carried.zero,
            infinity=carried.infinity,
            nan=carried.nan,
        )
        result = round_and_pack(
            m,
            FLOAT32,
            sign=normalised.sign,
            exponent=normalised.exponent - normalised.taken,
            value=normalised.value,
            zero=normalised.zero,
            infinity=normalised.infinity,
            nan=normalised.nan,
        )
        deliver(m, self.o, result)
        return m

    def _arguments(self, m):
        """Reduce the range: return address, distance, factor, |e| and so on, as many cycles later as that takes.

        They are not registered but go straight to the registers of table and pipeline.
        """
        Operation = SpecialOperation
        if self._powers:
            m.submodules.power = power = PowerArgument(shared=self._shared, architecture=self._architecture)
            m.d.comb += [power.i.a.eq(self.i.a), power.i.b.eq(self.i.b)]
            if self._shared:
                m.d.comb += power.product.eq(self.product)
        if self._logarithms:
            m.submodules.logarithm = logarithm = LogarithmArgument()
            m.d.comb += logarithm.i.x.eq(self.i.a)
            m.d.comb += logarithm.i.plus_one.eq(self.i.operation == Operation.LOG1P)

        # Results that no arithmetic gives are settled at once, in two cycles.
        a, b = FLOAT32.decode(self.i.a), FLOAT32.decode(self.i.b)
        known = stage(
            m,
            "known",
            one=a.magnitude == FLOAT32.bias << FLOAT32.fraction_width,
            zero=a.zero,
            infinity=a.infinity,
            nan=a.nan,
            negative=a.sign,
            at_least_one=a.exponent >= FLOAT32.bias,
            b_nan=b.nan,
            b_top=b.infinity & ~b.sign,
            operation=self.i.operation
            if len(self._operations) > 1
            else Const(next(iter(self._operations)).value, 3),
            fraction=a.fraction,
            exponent=(a.exponent - FLOAT32.bias).as_signed(),
        )
        zero, infinity, undefined = Signal(), Signal(), Signal()
        with m.Switch(known.operation):
            with m.Case(Operation.EXPM):
                m.d.comb += zero.eq(known.infinity & known.negative)
                m.d.comb += infinity.eq(known.infinity & ~known.negative)
                m.d.comb += undefined.eq(known.b_nan | (known.infinity & ~known.negative & known.b_top))
            with m.Case(Operation.LN):
                m.d.comb += zero.eq(known.one)
                m.d.comb += infinity.eq(known.zero | known.infinity)
                m.d.comb += undefined.eq(known.negative & ~known.zero)
            with m.Case(Operation.LOG1P):
                m.d.comb += zero.eq(known.zero)
                m.d.comb += infinity.eq(known.infinity | (known.negative & known.one))
                m.d.comb += undefined.eq(known.negative & known.at_least_one & ~known.one)
            with m.Case(Operation.RECIPROCAL, Operation.RSQRT):
                m.d.comb += zero.eq(known.infinity)
                m.d.comb += infinity.eq(known.zero)
                m.d.comb += undefined.eq((known.operation == Operation.RSQRT) & known.negative & ~known.zero)
        operand = delay(
            m,
            self._argument_latency - 1,
            "operand",
            fraction=known.fraction,
            exponent=known.exponent,
            negative=known.negative,
            operation=known.operation,
            zero=zero,
            infinity=infinity,
            nan=undefined | known.nan,
        )

        results = {
            "address": 9,
            "distance": tables.DISTANCE_WIDTH,
            "factor": _FACTOR_FRACTION + 1,
            "e": 8,
            "subtract": 1,
            "exponent": signed(9),
            "sign": 1,
            "zero": 1,
            "infinity": 1,
            "nan": 1,
        }
        o = Signal(data.StructLayout(results), name="arguments")
        m.d.comb += [
            o.factor.eq(1 << _FACTOR_FRACTION),
            o.zero.eq(operand.zero),
            o.infinity.eq(operand.infinity),
            o.nan.eq(operand.nan),
        ]
        fraction = operand.fraction
        with m.Switch(operand.operation):
            if self._powers:
                with m.Case(Operation.EXPM):
                    # An exact 2**-126 is the least result; what infinite operands give stays.
                    integer = power.o.integer
                    m.d.comb += [
                        o.address.eq(Cat(power.o.fraction[24:], Const(tables.POWER >> 6, 3))),
                        o.distance.eq(power.o.fraction[:24]),
                        o.exponent.eq(integer),
                        o.zero.eq(operand.zero | (~operand.infinity & (integer < -126))),
                        o.infinity.eq(operand.infinity | (~operand.zero & (integer > 127))),
                    ]
            if self._logarithms:
                with m.Case(Operation.LN, Operation.LOG1P):
                    t, e = logarithm.o.t, logarithm.o.e
                    m.d.comb += [
                        o.address.eq(Cat(t[23:30], Const(tables.LOGARITHM >> 7, 2))),
                        o.distance.eq(t[:23]),
                        o.factor.eq(logarithm.o.factor),
                        o.e.eq(Mux(e < 0, -e, e)),
                        o.subtract.eq(~logarithm.o.small & ((t < 0) ^ (e < 0))),
                        o.exponent.eq(logarithm.o.exponent),
                        o.sign.eq(Mux(logarithm.o.small, t < 0, e < 0)),
                    ]
                    with m.If(operand.operation == Operation.LOG1P):
                        m.d.comb += o.sign.eq(operand.negative)
            with m.Case(Operation.RECIPROCAL):
                m.d.comb += [
                    o.address.eq(Cat(fraction[16:], Const(tables.RECIPROCAL >> 7, 2))),
                    o.distance.eq(Cat(Const(0, 7), fraction[:16])),
                    o.exponent.eq(-operand.exponent),
                    o.sign.eq(operand.negative),
                ]
            with m.Case(Operation.RSQRT):
                m.d.comb += [
                    o.address.eq(Cat(fraction[16:], Const(tables.ROOT_EVEN >> 7, 2))),
                    o.distance.eq(Cat(Const(0, 7), fraction[:16])),
                    o.exponent.eq(-(operand.exponent >> 1)),
                ]
                with m.If(operand.exponent[0]):
                    m.d.comb += [
                        o.address.eq(Cat(fraction[17:], Const(tables.ROOT_ODD >> 6, 3))),
                        o.distance.eq(Cat(Const(0, 7), fraction[:17])),
                    ]
        return o

    def _polynomial(self, m, arguments):
        """Return p with 32 fraction bits, and the arguments that are still needed beside it."""
        row = data.StructLayout({"c0": tables.C0_WIDTH, "c1": signed(tables.C1_WIDTH), "c2": tables.C2_WIDTH})
        first, count = self._window()
        rows = tables.coefficients()[first : first + count]
        init = [{"c0": c0, "c1": c1, "c2": c2} for c0, c1, c2 in rows]
        m.submodules.table = table = Memory(shape=row, depth=len(init), init=init)
        port = table.read_port()
        m.d.comb += port.addr.eq(arguments.address[: len(port.addr)])
        read = stage(m, "read", distance=arguments.distance)
        # A block RAM is so slow that there are registers behind it.
        read = stage(m, "row", distance=read.distance, c0=port.data.c0, c1=port.data.c1, c2=port.data.c2)

        # c2 * d, with 40 fraction bits; the lowest six bits of d do not matter here.
        m.submodules.curve = curve = IntegerMultiplier(
            tables.DISTANCE_WIDTH - 6, tables.C2_WIDTH, latency=2, architecture=self._architecture
        )
        m.d.comb += [curve.a.eq(read.distance[6:]), curve.b.eq(read.c2)]
        beside = delay(m, curve.latency, "curve", c0=read.c0, c1=read.c1, distance=read.distance)

        # c1 + c2 * d, with 26 fraction bits.
        slope = stage(
            m,
            "slope",
            slope=Cat(Const(0, 2), beside.c1).as_signed() + curve.o[14:],
            distance=beside.distance,
            c0=beside.c0,
        )

        # d * slope, with 56 fraction bits, and c0.
        m.submodules.line = line = IntegerMultiplier(
            tables.DISTANCE_WIDTH,
            signed(28),
            latency=_MULTIPLIER_LATENCY,
            corner=self._corner,
            architecture=self._architecture,
        )
        m.d.comb += [line.a.eq(slope.distance), line.b.eq(slope.slope)]
        c0 = delay(m, line.latency, "line", c0=slope.c0).c0
        p = stage(m, "p", p=(Cat(Const(0, 3), c0) + line.o[24:].as_signed())[: _P_FRACTION + 1]).p

        kept = {
            name: arguments[name] for name in arguments.shape().members if name not in ("address", "distance")
        }
        return p, delay(m, 2 + curve.latency + 1 + line.latency + 1, "kept", **kept)

    def _window(self):
        """First row and number of rows of the part of the table that is needed.

        It is the smallest one with all segments of the operations that starts at a multiple of its size, a power of two.
        """
        spans = [_SEGMENTS[operation] for operation in self._operations]
        low, high = min(start for start, _ in spans), max(end for _, end in spans)
        size = 1
        while low // size != (high - 1) // size:
            size *= 2
        return low // size * size, size

    def _combine(self, m, p, carried):
        """Return |e| * ln(2) +- factor * p, which is positive, with 32 fraction bits, and what is carried beside it."""
        m.submodules.scale = scale = IntegerMultiplier(
            _FACTOR_FRACTION + 1,
            _P_FRACTION + 1,
            latency=_SCALE_LATENCY,
            architecture=self._architecture,
        )
        m.d.comb += [scale.a.eq(carried.factor), scale.b.eq(p)]
        beside = delay(
            m,
            scale.latency,
            "beside",
            **{name: value for name, value in vars(carried).items() if name != "factor"},
        )

        # The multiple of ln(2) is the sum of two entries of tables so small that they are logic.
        early = delay(m, scale.latency - 2, "early", e=carried.e)
        entries = {}
        for name, init, address in zip(
            ("ones", "sixteens"), tables.ln2_multiples(), (early.e[:4], early.e[4:]), strict=True
        ):
            m.submodules[name] = table = Memory(shape=40, depth=16, init=init)
            port = table.read_port(domain="comb")
            m.d.comb += port.addr.eq(address)
            entries[name] = port.data
        looked_up = stage(m, "looked_up", **entries)
        multiple = stage(m, "multiple", multiple=looked_up.ones + looked_up.sixteens).multiple

        product = scale.o[_FACTOR_FRACTION:]
        total = multiple + Mux(beside.subtract, ~product, product).as_signed() + beside.subtract
        combined = stage(
            m,
            "combined",
            value=total[:_VALUE_WIDTH],
            exponent=beside.exponent,
            sign=beside.sign,
            zero=beside.zero,
            infinity=beside.infinity,
            nan=beside.nan,
        )
        return combined.value, combined
