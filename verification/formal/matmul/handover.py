# SPDX-License-Identifier: Apache-2.0
"""The array for proofs: weight tiles and passes of any number at any time, and the claim that they meet their own.

A weight is the number of its tile, modulo 4. A pass has the activation 1 in any one row of its tile and 0 in the others, so
its sum is the number of the tile whose weight it has met. Since it may be any row of any pass, that is so for all.
"""

from amaranth.hdl import Array, Assert, Assume, Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from tepin.matmul.array import SystolicArray
from tepin_testbench.formal import implies
from tepin_testbench.opened import Opened

__all__ = ["BUGS", "COVERED", "HandOver"]

_TILES = 4
"""Numbers of tiles: the one in use, the one that waits or loads, and those whose last passes are on their way down."""

BUGS = {
    "overwrite": "weights of a tile are taken although another one waits",
    "early": "a first pass does not wait for its tile",
    "missed": "a first pass that enters as soon as its tile is complete does not change the weights",
}

COVERED = {"met": 10, "second": 14, "short": 14, "streaming": 16}
"""What can happen, and within how many cycles from reset."""


def _if(condition, claim):
    return ~condition | claim


class HandOver(Component):
    """Weight rows, passes, and what comes out.

    Parameters
    ----------
    rows : int
    bug : str or None
        One of `BUGS`.
    """

    def __init__(self, *, rows, bug=None):
        self._rows, self._bug = rows, bug
        super().__init__(
            {
                "weights_valid": In(1),
                "last": In(1),
                "pass_valid": In(1),
                "first": In(1),
                "row": In(range(rows)),
                **{name: Out(1) for name in COVERED},
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows = self._rows
        array = SystolicArray(rows=rows, columns=1, activation_width=2, tag=range(_TILES))
        m.submodules.array = inside = Opened(array)
        self._seed(m, array, inside)

        # Tiles: `loading` is the one whose rows come, `place` how many have come; `current` that of the last first pass.
        loading, current = Signal(range(_TILES), init=1), Signal(range(_TILES))
        place = Signal(range(rows))
        begun = Signal()
        taken = self.weights_valid & array.i_weights.ready
        sizes = Array(Signal(range(rows + 1), name=f"size_{number}") for number in range(_TILES))
        m.d.comb += [
            array.i_weights.valid.eq(self.weights_valid),
            array.i_weights.payload.weights[0].eq(loading),
            array.i_weights.payload.last.eq(self.last),
            # A tile has `rows` rows at most.
            Assume(_if(self.weights_valid & (place == rows - 1), self.last)),
        ]
        with m.If(taken):
            m.d.sync += [place.eq(place + 1), sizes[loading].eq(place + 1)]
            with m.If(self.last):
                m.d.sync += [place.eq(0), loading.eq(loading + 1)]

        # Passes: a first one belongs to the next tile, every other one to that of the one before.
        enters = self.pass_valid & array.i.ready
        tile = Signal(range(_TILES))
        m.d.comb += [
            tile.eq(Mux(self.first, current + 1, current)),
            array.i.valid.eq(self.pass_valid),
            array.i.payload.first.eq(self.first),
            array.i.payload.tag.eq(tile),
            Assume(_if(self.pass_valid & ~begun, self.first)),
            Assume(_if(enters, self.row < sizes[tile])),
        ]
        m.d.comb += [array.i.payload.activations[row].eq(self.row == row) for row in range(rows)]
        with m.If(enters):
            m.d.sync += [current.eq(tile), begun.eq(1)]

        # What is claimed: its sum is that of its own tile, for every pass that comes out.
        m.d.comb += implies(array.o.valid, array.o.payload.sums[0] == array.o.payload.tag)
        if self._bug is None:
            self._help(m, inside, rows, loading, current, place, sizes, begun)
        self._cover(m, array, enters, taken, place)
        return m

    def _seed(self, m, array, inside):
        """Put the bug in."""
        valid, first = array.i.valid, array.i.payload.first
        if self._bug == "overwrite":
            inside.release(array.i_weights.ready)
            m.d.comb += array.i_weights.ready.eq(1)
        elif self._bug == "early":
            inside.release(array.i.ready)
            inside.release(inside["start"])
            m.d.comb += [array.i.ready.eq(1), inside["start"].eq(valid & first)]
        elif self._bug == "missed":
            inside.release(inside["start"])
            m.d.comb += inside["start"].eq(valid & first & inside["complete"] & ~inside["load"].any())

    def _help(self, m, inside, rows, loading, current, place, sizes, begun):
        """What the induction needs to know: where the rows of the next tile and of the present one are."""
        complete, load, swaps = inside["complete"], inside["load"], inside["swaps"]
        following = Signal(range(_TILES))
        come = Signal(range(rows + 1))  # rows of the next tile
        m.d.comb += [following.eq(current + 1), come.eq(Mux(complete, sizes[following], place))]
        m.d.comb += [
            implies(complete, (loading == (current + 2)[:2]) & (place == 0) & (come != 0)),
            implies(~complete, loading == following),
            implies(place != 0, sizes[loading] == place),
            Assert(inside["load_row"] == 1 << place),
            Assert(come <= rows),
            implies(begun, (sizes[current] != 0) & (sizes[current] <= rows)),
            implies(~begun, swaps == 0),
        ]
        # First passes on their way down: whose they are.
        owners = [Signal(range(_TILES), name=f"owner_{row}") for row in range(rows)]
        for owner, before in zip(owners, [current + self.first, *owners], strict=False):
            m.d.sync += owner.eq(before)
        for row in range(rows):
            shadow, weight = inside[f"shadow_{row}_0"], inside[f"weight_{row}_0"]
            # Whether the first pass of the present tile has still to reach the row.
            upstream = Signal(name=f"upstream_{row}")
            m.d.comb += [
                upstream.eq(Cat(swaps[stage] & (owners[stage] == current) for stage in range(row + 1)).any()),
                implies(load[row], (come == row + 1) & (inside["weights"] == following)),
                implies((row < come) & ~load[row], shadow == following),
                implies(
                    begun & (row < sizes[current]),
                    Mux(upstream, shadow == current, weight == current),
                ),
                # As many rows have come since the present tile began as cycles have passed.
                implies(
                    swaps[row] & (owners[row] == current),
                    (come <= row) | ((come == row + 1) & load[row]),
                ),
            ]

    def _cover(self, m, array, enters, taken, place):
        met = array.o.valid & (array.o.payload.sums[0] != 0)
        m.d.comb += [
            self.met.eq(met),
            self.second.eq(met & (array.o.payload.tag == 2)),
            self.short.eq(met & (array.o.payload.tag == 2) & enters & self.last & taken & (place == 0)),
            self.streaming.eq(met & enters & self.first & taken),
        ]
