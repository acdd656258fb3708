# SPDX-License-Identifier: Apache-2.0
"""Softmax of rows that come and leave as streams.

    i --+--> row buffer <-----------------+       M = floor(max * log2(e)) + 1
        +--> maximum --> M                |       e = 2**(x * log2(e) - M)
             row buffer --> exponentials -+--> fixed-point sum --> 1 / sum
             row buffer --> products ---------------------------------------> queue --> o

Three passes over a row in one buffer: it is loaded, replaced by exponentials, and multiplied. The first pass of a row runs
in the shadow of the last one of the row before. Exponentials and products use the same multiplier, one of them at a time.
"""

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tepin.float.add import FloatAdd
from tepin.float.compare import FloatFloor
from tepin.float.convert import FloatToInt, IntFormat
from tepin.float.format import FLOAT32
from tepin.float.multiplier import IntegerMultiplier, check_architecture
from tepin.float.multiply import FloatMultiply
from tepin.float.special import SpecialFunction, SpecialOperation
from tepin.float.special_arguments import POWER_FACTOR
from tepin.units.rows import LandingQueue, RowUnit, beat_number, follow, row_layout
from tepin.vector.reduce import FixedSumReducer, MaximumReducer

__all__ = ["SoftmaxLane", "SoftmaxUnit"]

_MINUS_INFINITY = 0xFF80_0000
_LOG2_E = 0x3FB8_AA3B
"""log2(e)"""
_ONE = 0x3F80_0000
_LEAST = 0x0D80_0000
"""2**-100, for a sum of 0."""
_CORNER = 16
_MULTIPLIER_LATENCY = 3


class SoftmaxLane(wiring.Component):
    """2**(a * log2(e) - b) or a * b, one per cycle, with one multiplier of significands. No stall.

    Costs 8 DSP blocks on ECP5: 4 for either product, 4 for the exponential's polynomial.

    Members
    -------
    a, b : In(32)
    multiply : In(1)
        The product is wanted; otherwise the exponential.
    exponential : Out(32)
        `exponential_latency` cycles later.
    product : Out(32)
        `product_latency` cycles later.
    """

    a: In(32)
    b: In(32)
    multiply: In(1)
    exponential: Out(32)
    product: Out(32)

    def __init__(self, *, architecture=None):
        check_architecture(architecture)
        self._architecture = architecture
        self._power = SpecialFunction(
            operations=[SpecialOperation.EXPM], shared=True, corner=_CORNER, architecture=architecture
        )
        self._product = FloatMultiply(
            multiplier_latency=_MULTIPLIER_LATENCY, shared=True, architecture=architecture
        )
        super().__init__()

    @property
    def exponential_latency(self):
        """Cycles from operands to exponential."""
        return self._power.latency

    @property
    def product_latency(self):
        """Cycles from operands to product."""
        return self._product.latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = IntegerMultiplier(
            FLOAT32.precision,
            POWER_FACTOR.bit_length(),
            latency=_MULTIPLIER_LATENCY,
            architecture=self._architecture,
        )
        m.submodules.power = power = self._power
        m.submodules.product = product = self._product
        b = FLOAT32.decode(self.b)
        m.d.comb += [
            multiplier.a.eq(FLOAT32.decode(self.a).significand),
            multiplier.b.eq(Mux(self.multiply, b.significand, POWER_FACTOR)),
            power.i.a.eq(self.a),
            power.i.b.eq(self.b),
            power.product.eq(multiplier.o),
            product.i.a.eq(self.a),
            product.i.b.eq(self.b),
            product.product.eq(multiplier.o),
            self.exponential.eq(power.o),
            self.product.eq(product.o),
        ]
        return m


class SoftmaxUnit(RowUnit):
    """Softmax of every row of a stream: float32 in, float32 or int8 out.

    Every bit is that of the kernel `tepin_host.kernels.rows.softmax` on the chip, whatever `lanes` is. A masked element
    counts as -inf and becomes 0. A row that is masked as a whole, or -inf, becomes zeros. An element that is NaN or +inf
    makes the whole row NaN (0 in int8, as every NaN). Rows leave in the order in which they came; the unit takes the
    elements of a row while those of the row before leave.

    A row of n elements takes ceil(n / lanes) cycles three times: to come in, to be exponentiated, to leave. The two last
    ones take 2 * ceil(n / lanes) + 64 cycles at most with what is between them, if `o` is always ready.

    Costs 8 DSP blocks per lane and 4 for the reciprocal on ECP5, and `max_length` words of memory.

    Parameters
    ----------
    lanes : int
        Elements per cycle: 1, 2, 4, 8 or 16.
    max_length : int
        Elements of the longest row, a multiple of `lanes`.
    levels : int or None
        None: the output is float32. 1 to 127: it is int8, the probability times this, rounded to nearest even.
    architecture : str or None
        Form of the multipliers, see :class:`tepin.float.multiplier.IntegerMultiplier`.

    Members
    -------
    i : In stream of `row_layout(lanes, mask=True)`
        `mask` names the masked elements.
    o : Out stream of `row_layout(lanes)`, or with `width=8`
    overflow : Out(1)
        High for good after a row of more than `max_length` elements. The unit takes no more; it has to be reset.
    """

    def __init__(self, *, lanes, max_length=8192, levels=None, architecture=None):
        if levels is not None and levels not in range(1, 128):
            raise ValueError(f"Levels must be 1 to 127, or None for float32, not {levels!r}")
        self._levels = levels
        super().__init__(
            {
                "i": In(stream.Signature(row_layout(lanes, mask=True))),
                "o": Out(stream.Signature(row_layout(lanes, width=32 if levels is None else 8))),
            },
            lanes=lanes,
            max_length=max_length,
            architecture=architecture,
        )

    def elaborate(self, platform):
        m = Module()
        lanes, beats = self.lanes, self.max_beats
        lane_array = [SoftmaxLane(architecture=self._architecture) for _ in range(lanes)]
        address = range(beats)

        m.submodules.buffer = buffer = Memory(shape=32 * lanes, depth=beats, init=[])
        write_port, read_port = buffer.write_port(), buffer.read_port()

        # Load: the elements go into the buffer and to the reducer.
        i = self.i.payload
        loading, trailing, loaded = Signal(), Signal(), Signal()
        load_keep, load_last = Signal(lanes), Signal(address)
        taken = Signal()
        elements = Signal(data.ArrayLayout(32, lanes))
        m.d.comb += [
            self.i.ready.eq(~loaded & ~self.overflow & (loading | trailing)),
            taken.eq(self.i.valid & self.i.ready),
        ]
        m.d.comb += [
            elements[lane].eq(Mux(i.mask[lane], _MINUS_INFINITY, i.data[lane])) for lane in range(lanes)
        ]
        m.submodules.maximum = maximum = MaximumReducer(lanes=lanes)
        m.d.comb += [
            maximum.i_valid.eq(taken),
            maximum.i_beat.mask.eq(i.keep),
            maximum.i_beat.last.eq(i.last),
        ]
        m.d.comb += [maximum.i[lane].eq(_flushed(elements[lane])) for lane in range(lanes)]
        load_address = self._arriving(m, "load_address", taken=taken)
        with m.If(taken & i.last):
            m.d.sync += [loaded.eq(1), load_last.eq(load_address), load_keep.eq(i.keep)]
        best, best_known = Signal(32), Signal()
        with m.If(maximum.o_valid):
            m.d.sync += [best.eq(maximum.o.value), best_known.eq(1)]

        # Passes over the buffer: the element that is read in a cycle is an operand two cycles later.
        reads, shares = Signal(), Signal()
        read_address, row_last, row_keep = Signal(address), Signal(address), Signal(lanes)
        read_last = read_address == row_last
        m.d.comb += read_port.addr.eq(read_address)
        m.d.sync += trailing.eq(shares & (read_address > load_address + 1))
        with m.If(reads):
            m.d.sync += read_address.eq(Mux(read_last, 0, read_address + 1))
        beside = {"multiply": shares, "last": read_last, "keep": Mux(read_last, row_keep, ~0)}
        coming, *beside = follow(m, "read", 1, reads, **beside)
        valid, multiply, last, keep = follow(
            m, "operand", 1, coming, **dict(zip(("multiply", "last", "keep"), beside, strict=True))
        )
        operands = Signal(data.ArrayLayout(32, lanes), reset_less=True)
        m.d.sync += operands.eq(read_port.data)
        exponent, share = Signal(32), Signal(32)

        # The lowest lane multiplies for the row, too, when nothing else is under way.
        scalar_valid, scalar_a, scalar_b = Signal(), Signal(32), Signal(32)
        for number, lane in enumerate(lane_array):
            m.submodules[f"lane_{number}"] = lane
            m.d.comb += [
                lane.a.eq(operands[number]),
                lane.b.eq(Mux(multiply, share, exponent)),
                lane.multiply.eq(multiply),
            ]
        first = lane_array[0]
        with m.If(scalar_valid):
            m.d.comb += [first.a.eq(scalar_a), first.b.eq(scalar_b), first.multiply.eq(1)]
        product_valid = follow(m, "scalar", first.product_latency, scalar_valid)

        # Exponentials go back to where their operands were, and into the sum.
        m.submodules.fixed_sum = fixed_sum = FixedSumReducer(lanes=lanes)
        power_valid, power_last, power_keep = follow(
            m, "power", first.exponential_latency, valid & ~multiply, last=last, keep=keep
        )
        write_address = beat_number(m, "write_address", beats, go=power_valid, last=power_last)
        powers = Cat(lane.exponential for lane in lane_array)
        m.d.comb += [
            write_port.en.eq(taken | power_valid),
            write_port.addr.eq(Mux(power_valid, write_address, load_address)),
            write_port.data.eq(Mux(power_valid, powers, elements.as_value())),
            fixed_sum.i_valid.eq(power_valid),
            fixed_sum.i_beat.mask.eq(power_keep),
            fixed_sum.i_beat.last.eq(power_last),
            fixed_sum.i.as_value().eq(powers),
        ]

        # Products go out.
        m.submodules.queue = queue = LandingQueue(
            shape=self.o.payload.shape(), latency=first.product_latency + 10
        )
        product_valid_o, product_last, product_keep = follow(
            m, "product", first.product_latency, valid & multiply, last=last, keep=keep
        )
        results = [lane.product for lane in lane_array]
        if self._levels is not None:
            converters = [FloatToInt() for _ in range(lanes)]
            for number, (lane, converter) in enumerate(zip(lane_array, converters, strict=True)):
                m.submodules[f"to_int_{number}"] = converter
                m.d.comb += [converter.i.x.eq(lane.product), converter.i.format.eq(IntFormat.INT8)]
            product_valid_o, product_last, product_keep = follow(
                m, "integer", converters[0].latency, product_valid_o, last=product_last, keep=product_keep
            )
            results = [converter.o[:8] for converter in converters]
        m.d.comb += [
            queue.claim.eq(reads & shares),
            queue.i_valid.eq(product_valid_o),
            queue.i.data.as_value().eq(Cat(results)),
            queue.i.keep.eq(product_keep),
            queue.i.last.eq(product_last),
            self.o.valid.eq(queue.o.valid),
            self.o.payload.as_value().eq(queue.o.payload.as_value()),
            queue.o.ready.eq(self.o.ready),
        ]

        # From the maximum to the exponent. Reading begins so early that the first operand comes with it.
        m.submodules.floor = floor = FloatFloor()
        m.submodules.add = add = FloatAdd()
        m.d.comb += [floor.i.eq(first.product), add.i.a.eq(floor.o), add.i.b.eq(_ONE)]
        finding_exponent = Signal()
        exponent_soon = follow(m, "floor", floor.latency + add.latency - 2, product_valid & finding_exponent)
        with m.If(follow(m, "exponent", 2, exponent_soon)):
            m.d.sync += exponent.eq(add.o)

        # From the sum to what the exponentials are multiplied with.
        m.submodules.reciprocal = reciprocal = SpecialFunction(
            operations=[SpecialOperation.RECIPROCAL], corner=_CORNER, architecture=self._architecture
        )
        total = fixed_sum.o.value
        m.d.comb += reciprocal.i.a.eq(Mux(total == 0, _LEAST, total))
        share_soon = follow(m, "reciprocal", reciprocal.latency - 2, fixed_sum.o_valid)
        reciprocal_valid = follow(m, "share", 2, share_soon)
        if self._levels is None:
            with m.If(reciprocal_valid):
                m.d.sync += share.eq(reciprocal.o)
        else:
            share_soon = follow(m, "levels", first.product_latency - 2, reciprocal_valid)
            with m.If(product_valid & ~finding_exponent):
                m.d.sync += share.eq(first.product)
            with m.If(reciprocal_valid):
                m.d.comb += [scalar_valid.eq(1), scalar_a.eq(reciprocal.o), scalar_b.eq(_float(self._levels))]

        with m.FSM():
            with m.State("LOAD"):
                m.d.comb += loading.eq(1)
                with m.If(best_known & ~coming & ~valid):
                    m.d.comb += [scalar_valid.eq(1), scalar_a.eq(best), scalar_b.eq(_LOG2_E)]
                    m.d.sync += [best_known.eq(0), loaded.eq(0), finding_exponent.eq(1)]
                    m.d.sync += [row_last.eq(load_last), row_keep.eq(load_keep)]
                    m.next = "EXPONENT"
            with m.State("EXPONENT"):
                with m.If(exponent_soon):
                    m.d.sync += finding_exponent.eq(0)
                    m.next = "EXPONENTIALS"
            with m.State("EXPONENTIALS"):
                m.d.comb += reads.eq(1)
                with m.If(read_last):
                    m.next = "SUM"
            with m.State("SUM"):
                with m.If(share_soon):
                    m.next = "SHARES"
            with m.State("SHARES"):
                m.d.comb += [shares.eq(1), reads.eq(queue.room)]
                with m.If(queue.room & read_last):
                    m.next = "LOAD"
        return m


def _float(number):
    """Encoding of a number."""
    return int(np.float32(number).view(np.uint32))


def _flushed(value):
    """`value` as the reducers expect numbers: without subnormals, and with one NaN only."""
    x = FLOAT32.decode(value)
    return Mux(x.nan, FLOAT32.nan, Mux(x.zero, 0, value))
