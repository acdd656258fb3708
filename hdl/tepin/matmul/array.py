# SPDX-License-Identifier: Apache-2.0
"""The systolic array: weight-stationary, every row's next weight waiting behind its present one."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..float.multiplier import IntegerMultiplier, choose_architecture
from .dequantiser import weight_row

__all__ = ["SystolicArray", "array_pass", "array_sums", "sum_width"]


_MULTIPLIER_LATENCY = 2
"""The same for every form of the multiplier, so that a simulation takes as many cycles as a board."""


def sum_width(*, rows, activation_width):
    """Bits of an exact signed sum of `rows` products of an activation and an int8 weight."""
    return activation_width + 8 + (rows - 1).bit_length()


def array_pass(*, rows, activation_width, tag):
    """One pass of activations. Members: `activations`, one per row; `first`, the first one of its weight tile; `tag`."""
    activations = data.ArrayLayout(signed(activation_width), rows)
    return data.StructLayout({"activations": activations, "first": 1, "tag": tag})


def array_sums(*, rows, columns, activation_width, tag):
    """What becomes of a pass. Members: `sums`, one per column; `tag`, that of the pass."""
    sums = data.ArrayLayout(signed(sum_width(rows=rows, activation_width=activation_width)), columns)
    return data.StructLayout({"sums": sums, "tag": tag})


class SystolicArray(wiring.Component):
    """Multiplies rows of activations by a tile of weights: sums[c] = sum over r of activations[r] * weights[r][c].

    A *weight tile* is up to `rows` weight rows, the last one marked `last`; it belongs to the passes from one that is
    marked `first` to the next. A tile loads into shadow registers while the passes of the one before it are under way.
    Its first pass waits until all of it is there; the first row of the next tile may enter in the very cycle in
    which that pass does. So passes flow without a gap if a tile has at least as many passes as rows, and weight
    rows flow without a gap if it has at most as many. A tile of fewer than `rows` rows leaves weights from earlier on in
    the rest, so the activations of those rows have to be 0.

    With `tiles`, a tile may promise in its first row that it is `certain`: the others follow in the cycles after it. Its
    first pass may then enter in the cycle after that row, and meets each other row just when it has come.

    A pass is broadcast to the columns, row r `r` cycles after row 0, so that partial sums move down one row per cycle. A
    pass that has entered cannot be held up: `o` has no `ready`, and no signal reaches across the array but clocks.

    Latency from pass to sums `rows` + 4 cycles, one pass per cycle. Cost: `rows` x `columns` multipliers, each with two
    weight registers, two registers inside or behind the multiplier, and a sum register.

    Parameters
    ----------
    rows, columns : int
        Shape, at least 1 x 1.
    activation_width : int
        Bits of a signed activation, 2 to 18.
    tag : shape-like
        What accompanies a pass to its sums.
    tiles : bool
        Tiles may be certain.
    architecture : str or None
        Form of the multipliers, see :class:`tepin.float.multiplier.IntegerMultiplier`.

    Members
    -------
    i_weights : In stream of `weight_row(columns, tiles=tiles)`
    i : In stream of `array_pass(...)`
        `ready` is high but for a first pass whose tile is neither complete nor certain.
    o : Out stream of `array_sums(...)`, always ready
    """

    def __init__(self, *, rows, columns, activation_width, tag=0, tiles=False, architecture=None):
        if rows < 1 or columns < 1:
            raise ValueError(f"rows and columns must be at least 1, not {rows} and {columns}")
        if not 2 <= activation_width <= 18:
            raise ValueError(f"activation_width must be 2 to 18, not {activation_width}")
        self.rows = rows
        self.columns = columns
        self.activation_width = activation_width
        self.tiles = tiles
        self.sum_width = sum_width(rows=rows, activation_width=activation_width)
        self._architecture = architecture
        passes = array_pass(rows=rows, activation_width=activation_width, tag=tag)
        sums = array_sums(rows=rows, columns=columns, activation_width=activation_width, tag=tag)
        super().__init__(
            {
                "i_weights": In(stream.Signature(weight_row(columns, tiles=tiles))),
                "i": In(stream.Signature(passes)),
                "o": Out(stream.Signature(sums, always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        architecture = choose_architecture(self._architecture, platform)

        # Entry. A tile is complete from the cycle after its last row came; its first pass makes room for the next.
        complete = Signal()
        start = Signal()
        weights_taken = Signal()
        load_row = Signal(self.rows, init=1)  # one-hot
        present = complete
        if self.tiles:
            certain = Signal()
            present = complete | certain
        m.d.comb += [
            self.i.ready.eq(~self.i.payload.first | present),
            start.eq(self.i.valid & self.i.payload.first & present),
            self.i_weights.ready.eq(~complete | start),
            weights_taken.eq(self.i_weights.valid & self.i_weights.ready),
        ]
        with m.If(weights_taken):
            m.d.sync += complete.eq(self.i_weights.payload.last)
            m.d.sync += load_row.eq(Mux(self.i_weights.payload.last, 1, load_row << 1))
        with m.Elif(start):
            m.d.sync += complete.eq(0)
        if self.tiles:
            self._start_early(m, complete, certain, start, weights_taken & load_row[0], weights_taken)

        # One register for the fan-out of weights to the rows and of activations to the columns.
        load = Signal(self.rows)
        weights = Signal.like(self.i_weights.payload.weights)
        m.d.sync += load.eq(Mux(weights_taken, load_row, 0))
        with m.If(weights_taken):
            m.d.sync += weights.eq(self.i_weights.payload.weights)

        # `valids` and `swaps`: bit r belongs to the pass whose activation reaches row r in the next cycle.
        length = self.rows + _MULTIPLIER_LATENCY + 1
        valids = Signal(length)
        swaps = Signal(self.rows)
        m.d.sync += [valids.eq(Cat(self.i.valid & self.i.ready, valids)), swaps.eq(Cat(start, swaps))]
        tags = self._delay_tags(m, length)

        sums = [None] * self.columns
        for row in range(self.rows):
            activation = self._delay_activation(m, row)
            for column in range(self.columns):
                name = f"{row}_{column}"
                shadow = Signal(signed(8), name=f"shadow_{name}", reset_less=True)
                weight = Signal(signed(8), name=f"weight_{name}", reset_less=True)
                with m.If(load[row]):
                    m.d.sync += shadow.eq(weights[column])
                with m.If(swaps[row]):
                    m.d.sync += weight.eq(shadow)
                product = self._multiply(m, activation, weight, valids[row + 1 : row + 3], name, architecture)
                partial = Signal(
                    signed(sum_width(rows=row + 1, activation_width=self.activation_width)),
                    name=f"sum_{name}",
                    reset_less=True,
                )
                with m.If(valids[row + _MULTIPLIER_LATENCY + 1]):
                    m.d.sync += partial.eq(product if row == 0 else product + sums[column])
                sums[column] = partial

        last = Signal()
        m.d.sync += last.eq(valids[-1])
        m.d.comb += [self.o.valid.eq(last), self.o.payload.tag.eq(tags)]
        m.d.comb += [self.o.payload.sums[column].eq(value) for column, value in enumerate(sums)]
        return m

    def _start_early(self, m, complete, certain, start, first_taken, taken):
        """A tile is certain from its first row until it is complete, or its first pass has entered: then it never is."""
        begun = Signal()  # the tile that loads has its first pass
        row = self.i_weights.payload
        with m.If(first_taken):
            m.d.sync += [certain.eq(row.certain & ~row.last), begun.eq(0)]
        with m.Elif(start & certain):
            m.d.sync += [certain.eq(0), begun.eq(1)]
        with m.If(taken & ~first_taken & row.last):
            m.d.sync += [certain.eq(0), begun.eq(0), complete.eq(~(begun | (start & certain)))]

    def _delay_activation(self, m, row):
        """The activation of `row`, `row` + 2 cycles after its pass entered."""
        width = self.activation_width
        line = Signal((row + 2) * width, name=f"line_{row}", reset_less=True)
        m.d.sync += line.eq(Cat(self.i.payload.activations[row], line))
        return line[-width:].as_signed()

    def _delay_tags(self, m, cycles):
        """The tag, `cycles` + 1 cycles after its pass entered."""
        width = len(self.i.payload.as_value()) - self.rows * self.activation_width - 1
        if not width:
            return 0
        line = Signal((cycles + 1) * width, name="line_tags", reset_less=True)
        tag = self.i.payload.as_value()[-width:]
        m.d.sync += line.eq(Cat(tag, line))
        return line[-width:]

    def _multiply(self, m, activation, weight, enables, name, architecture):
        """The product; what is multiplied while the first of `enables` is low, and the second later, is never looked at."""
        if architecture == "generic":
            value = activation * weight
            for prefix, enable in zip(("early_", ""), enables, strict=True):
                width = self.activation_width + 8
                product = Signal(signed(width), name=f"{prefix}product_{name}", reset_less=True)
                with m.If(enable):
                    m.d.sync += product.eq(value)
                value = product
            return value
        multiplier = IntegerMultiplier(
            signed(self.activation_width), signed(8), latency=_MULTIPLIER_LATENCY, architecture=architecture
        )
        m.submodules[f"multiplier_{name}"] = multiplier
        m.d.comb += [multiplier.a.eq(activation), multiplier.b.eq(weight)]
        return multiplier.o
