# SPDX-License-Identifier: Apache-2.0
"""RMSNorm and LayerNorm of rows that come and leave as streams.

    i -+-> rows ------------------> centre: c = x - mean -+-> rows -----------> scale: c * s + t -> * gain + bias -> o
       +-> sum --> mean ---------------^                  +-> sums of c, c**2 --> s, t -^

Each of the two queues holds a row, so three rows are under way: one that comes, one that is centred and summed up, one that
leaves. s is 1 / sqrt(mean(c**2) + epsilon); t takes out what is left of the mean, for which a float32 has no room beside a
large one. Nothing is squared before the mean is subtracted, so nothing cancels.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from tepin.float.add import FloatAdd
from tepin.float.multiply import FloatMultiply
from tepin.float.pipeline import delay, stage
from tepin.float.special import SpecialFunction, SpecialOperation
from tepin.stream import StreamFifo
from tepin.units.rows import LandingQueue, RowUnit, beat_number, follow, row_layout
from tepin.vector.sum import SumReducer, tree_latency

__all__ = ["NormUnit", "parameter_layout"]

_MINUS_ZERO = 0x8000_0000
"""What leaves every number as it is when it is added."""


def parameter_layout(lanes):
    """Payload of a stream of gains and biases: `gain` and `bias`, a float32 for each lane, and `last`."""
    words = data.ArrayLayout(32, lanes)
    return data.StructLayout({"gain": words, "bias": words, "last": 1})


def _negated(value):
    return Cat(value[:31], ~value[31])


class _Pace(wiring.Component):
    """When beats may go to a `SumReducer`: not closer than its interval, and none while its tree is at work.

    Members
    -------
    sums : In(1)
        There is a sum; otherwise it is always ready.
    go, last : In(1)
        A beat goes; it ends its row.
    ready : Out(1)
    """

    sums: In(1)
    go: In(1)
    last: In(1)
    ready: Out(1)

    def __init__(self, reducer, lanes):
        self._interval, self._tree = reducer.interval, tree_latency(lanes)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        pause = Signal(range(self._tree + 1))
        m.d.comb += self.ready.eq(pause == 0)
        with m.If(self.go & self.sums):
            m.d.sync += pause.eq(Mux(self.last, self._tree, self._interval - 1))
        with m.Elif(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        return m


class NormUnit(RowUnit):
    """Normalises every row of a stream of float32.

    LayerNorm if `centre` is high: (x - mean) / sqrt(variance + epsilon) * gain + bias; otherwise RMSNorm:
    x / sqrt(mean(x**2) + epsilon) * gain. Every bit is that of the kernels `tepin_host.kernels.rows.layer_norm` and
    `rms_norm` on the chip, whatever `lanes` is. An element that is NaN or infinite makes its row NaN, but in RMSNorm an
    infinite one turns the finite ones into zeros.

    A row takes ceil(n / lanes) cycles plus those of a tree of sums, `row_overhead`, while its neighbours are under way.
    Costs 12 DSP blocks per lane and 14 for the row on ECP5, and 4 * `max_length` words of memory.

    Parameters
    ----------
    lanes : int
        Elements per cycle: 1, 2, 4, 8 or 16.
    max_length : int
        Elements of the longest row, a multiple of `lanes`.
    architecture : str or None
        Form of the multipliers, see :class:`tepin.float.multiplier.IntegerMultiplier`.

    Members
    -------
    centre : In(1)
    share, epsilon : In(32)
        float32 of 1 / n, and what is added to the mean of the squares. These three stay while there are rows in the unit.
    i_parameters : In stream of `parameter_layout(lanes)`
        Gains and biases, up to `last`; again for others, while there are no rows in the unit. RMSNorm takes no biases.
    i, o : In and Out streams of `row_layout(lanes)`
    overflow : Out(1)
        High for good after a row of more than `max_length` elements. The unit takes no more; it has to be reset.
    """

    def __init__(self, *, lanes, max_length=8192, architecture=None):
        rows = stream.Signature(row_layout(lanes))
        super().__init__(
            {
                "centre": In(1),
                "share": In(32),
                "epsilon": In(32),
                "i_parameters": In(stream.Signature(parameter_layout(lanes))),
                "i": In(rows),
                "o": Out(rows),
            },
            lanes=lanes,
            max_length=max_length,
            architecture=architecture,
        )

    @property
    def row_overhead(self):
        """Cycles that a row takes besides a cycle for each of its beats, in a series of rows."""
        return tree_latency(self.lanes)

    def elaborate(self, platform):
        m = Module()
        # Rows that come, and their means. RMSNorm waits for neither.
        m.submodules.arrived = arrived = StreamFifo(shape=row_layout(self.lanes), depth=self.max_beats)
        m.submodules.first_sum = first_sum = SumReducer(lanes=self.lanes)
        m.submodules.first_pace = first_pace = _Pace(first_sum, self.lanes)
        taken = Signal()
        m.d.comb += [
            self.i.ready.eq(arrived.i.ready & first_pace.ready & ~self.overflow),
            taken.eq(self.i.valid & self.i.ready),
            arrived.i.valid.eq(self.i.valid & first_pace.ready & ~self.overflow),
            arrived.i.payload.eq(self.i.payload),
            first_pace.sums.eq(self.centre),
            first_pace.go.eq(taken),
            first_pace.last.eq(self.i.payload.last),
        ]
        self._arriving(m, "count", taken=taken)
        self._feed(m, first_sum, taken & self.centre, self.i.payload, self.i.payload.data)
        m.submodules.first_multiply = first_multiply = FloatMultiply(architecture=self._architecture)
        m.submodules.means = means = StreamFifo(shape=32, depth=4)
        m.d.comb += [
            first_multiply.i.a.eq(first_sum.o.value),
            first_multiply.i.b.eq(self.share),
            means.i.valid.eq(follow(m, "mean", first_multiply.latency, first_sum.o_valid)),
            means.i.payload.eq(first_multiply.o),
        ]

        self._scale(m, *self._centre(m, arrived, means))
        return m

    def _feed(self, m, reducer, valid, beat, words):
        """Drive the inputs of a reducer."""
        m.d.comb += [
            reducer.i_valid.eq(valid),
            reducer.i_beat.mask.eq(beat.keep),
            reducer.i_beat.last.eq(beat.last),
        ]
        m.d.comb += [reducer.i[lane].eq(words[lane]) for lane in range(self.lanes)]

    def _centre(self, m, arrived, means):
        """Subtract the mean, sum up, and return the queues of centred rows and of factors, one pair for each row."""
        layout = row_layout(self.lanes)
        adders = [FloatAdd() for _ in range(self.lanes)]
        squares = [FloatMultiply(architecture=self._architecture) for _ in range(self.lanes)]
        m.submodules.sum, m.submodules.square_sum = total, square_total = [
            SumReducer(lanes=self.lanes) for _ in range(2)
        ]
        m.submodules.pace = pace = _Pace(total, self.lanes)
        m.submodules.landing = landing = LandingQueue(shape=layout, latency=adders[0].latency)
        m.submodules.centred = centred = StreamFifo(shape=layout, depth=self.max_beats)
        connect(m, landing.o, centred.i)
        beat = arrived.o.payload
        go = Signal()
        addend = Mux(self.centre, _negated(means.o.payload), _MINUS_ZERO)
        m.d.comb += [
            go.eq(arrived.o.valid & (means.o.valid | ~self.centre) & landing.room & pace.ready),
            arrived.o.ready.eq(go),
            means.o.ready.eq(go & beat.last & self.centre),
            landing.claim.eq(go),
            pace.sums.eq(1),
            pace.go.eq(go),
            pace.last.eq(beat.last),
        ]
        for lane, (adder, square) in enumerate(zip(adders, squares, strict=True)):
            m.submodules[f"centre_{lane}"], m.submodules[f"square_{lane}"] = adder, square
            m.d.comb += [
                adder.i.a.eq(beat.data[lane]),
                adder.i.b.eq(addend),
                landing.i.data[lane].eq(adder.o),
                square.i.a.eq(adder.o),
                square.i.b.eq(adder.o),
            ]
        valid, keep, last = follow(m, "centred", adders[0].latency, go, keep=beat.keep, last=beat.last)
        m.d.comb += [landing.i_valid.eq(valid), landing.i.keep.eq(keep), landing.i.last.eq(last)]
        self._feed(m, total, valid, landing.i, [adder.o for adder in adders])
        valid, keep, last = follow(m, "square", squares[0].latency, valid, keep=keep, last=last)
        at_square = Signal(layout)
        m.d.comb += [at_square.keep.eq(keep), at_square.last.eq(last)]
        self._feed(m, square_total, valid, at_square, [square.o for square in squares])
        return centred, self._factors(m, total, square_total)

    def _factors(self, m, total, square_total):
        """Return the queue of s and t: 1 / sqrt(share * sum(c**2) + epsilon) and -share * sum(c) * s.

        One multiplier does it all: the two sums come a few cycles after each other, and s is there much later.
        """
        m.submodules.multiply = multiply = FloatMultiply(architecture=self._architecture)
        m.submodules.add = add = FloatAdd()
        m.submodules.root = root = SpecialFunction(
            operations=[SpecialOperation.RSQRT], architecture=self._architecture
        )
        m.submodules.factors = factors = StreamFifo(
            shape=data.StructLayout({"scale": 32, "shift": 32}), depth=4
        )
        rest, scale = Signal(32, reset_less=True), Signal(32, reset_less=True)
        mean_valid = follow(m, "mean_of_squares", multiply.latency, square_total.o_valid)
        root_valid = follow(m, "root", add.latency + root.latency, mean_valid)
        m.d.comb += [add.i.a.eq(multiply.o), add.i.b.eq(self.epsilon), root.i.a.eq(add.o)]
        with m.If(total.o_valid):
            m.d.comb += [multiply.i.a.eq(total.o.value), multiply.i.b.eq(self.share)]
        with m.Elif(square_total.o_valid):
            m.d.comb += [multiply.i.a.eq(square_total.o.value), multiply.i.b.eq(self.share)]
        with m.Else():
            m.d.comb += [multiply.i.a.eq(rest), multiply.i.b.eq(root.o)]
        with m.If(follow(m, "rest", multiply.latency, total.o_valid)):
            m.d.sync += rest.eq(multiply.o)
        with m.If(root_valid):
            m.d.sync += scale.eq(root.o)
        m.d.comb += [
            factors.i.valid.eq(follow(m, "shift", multiply.latency, root_valid)),
            factors.i.payload.scale.eq(scale),
            factors.i.payload.shift.eq(Mux(self.centre, _negated(multiply.o), _MINUS_ZERO)),
        ]
        return factors

    def _scale(self, m, centred, factors):
        """Beats from `centred` to `o`: (c * s + t) * gain + bias."""
        lanes, layout = self.lanes, row_layout(self.lanes)
        words = data.ArrayLayout(32, lanes)
        pair = data.StructLayout({"gain": words, "bias": words})
        m.submodules.parameters = parameters = Memory(shape=pair, depth=self.max_beats, init=[])
        write_port, read_port = parameters.write_port(), parameters.read_port()
        new = self.i_parameters.payload
        write_address = beat_number(
            m, "write_address", self.max_beats, go=self.i_parameters.valid, last=new.last
        )
        m.d.comb += [
            self.i_parameters.ready.eq(1),
            write_port.en.eq(self.i_parameters.valid),
            write_port.addr.eq(write_address),
            write_port.data.gain.eq(new.gain),
            write_port.data.bias.eq(new.bias),
        ]

        def units(make):
            return [make() for _ in range(lanes)]

        multiply = lambda: FloatMultiply(architecture=self._architecture)  # noqa: E731
        columns = list(zip(units(multiply), units(FloatAdd), units(multiply), units(FloatAdd), strict=True))
        scale_unit, shift_unit, gain_unit, bias_unit = columns[0]
        to_gain = scale_unit.latency + shift_unit.latency
        latency = to_gain + gain_unit.latency + bias_unit.latency
        m.submodules.queue = queue = LandingQueue(shape=layout, latency=latency)
        connect(m, queue.o, flipped(self.o))

        beat, go = centred.o.payload, Signal()
        m.d.comb += [
            go.eq(centred.o.valid & factors.o.valid & queue.room),
            centred.o.ready.eq(go),
            factors.o.ready.eq(go & beat.last),
            queue.claim.eq(go),
        ]
        shift = delay(m, scale_unit.latency, "shift", word=factors.o.payload.shift)
        # The parameters are read, and registered, just before they are needed.
        reading, ends = follow(m, "reading", to_gain - 2, go, last=beat.last)
        read_address = beat_number(m, "read_address", self.max_beats, go=reading, last=ends)
        m.d.comb += read_port.addr.eq(read_address)
        row = stage(m, "row", **{name: read_port.data[name].as_value() for name in ("gain", "bias")})
        bias = delay(m, gain_unit.latency, "bias", word=row.bias).word
        for lane, (scale, add_shift, gain, add_bias) in enumerate(columns):
            for name, unit in zip(("scale", "shift", "gain", "bias"), columns[lane], strict=True):
                m.submodules[f"{name}_{lane}"] = unit
            m.d.comb += [
                scale.i.a.eq(beat.data[lane]),
                scale.i.b.eq(factors.o.payload.scale),
                add_shift.i.a.eq(scale.o),
                add_shift.i.b.eq(shift.word),
                gain.i.a.eq(add_shift.o),
                gain.i.b.eq(row.gain.word_select(lane, 32)),
                add_bias.i.a.eq(gain.o),
                add_bias.i.b.eq(Mux(self.centre, bias.word_select(lane, 32), _MINUS_ZERO)),
                queue.i.data[lane].eq(add_bias.o),
            ]
        valid, keep, last = follow(m, "result", latency, go, keep=beat.keep, last=beat.last)
        m.d.comb += [queue.i_valid.eq(valid), queue.i.keep.eq(keep), queue.i.last.eq(last)]
