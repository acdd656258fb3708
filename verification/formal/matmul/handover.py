# SPDX-License-Identifier: Apache-2.0
"""The array for proofs: weight tiles and passes of any number at any time, and the claim that they meet their own.

A weight is the number of its tile, modulo 4. A pass has the activation 1 in any one row of its tile and 0 in the others, so
its sum is the number of the tile whose weight it has met. Since it may be any row of any pass, that is so for all.

Of a tile that says that it is certain, a row comes in every cycle; of any other, whenever it likes.
"""

from amaranth.hdl import Array, Assert, Assume, Cat, Module, Mux, Signal

from tepin.matmul.array import SystolicArray
from tepin_testbench.formal import implies
from tepin_testbench.opened import Opened
from verification.formal.matmul.claims import Claims

__all__ = ["HandOver"]

_ROWS = 3

_TILES = 4
"""Numbers of tiles: the one in use, the one that waits or loads, and those whose last passes are on their way down."""


def _if(condition, claim):
    return ~condition | claim


class HandOver(Claims):
    """Weight rows, passes, and what comes out."""

    BUGS = {
        "overwrite": "weights of a tile are taken although another one waits",
        "early": "a first pass does not wait for its tile",
        "missed": "a first pass that enters as soon as its tile is complete does not change the weights",
        "again": "a tile that loads behind its first pass lets another first pass enter",
        "waits": "the rows of a tile behind its first one wait for a pass, and that for them",
        "uncertain": "the rows of a tile that is certain come whenever they like",
    }
    COVERED = {"met": 10, "second": 16, "short": 16, "streaming": 16, "behind": 12}
    DEPTH, SEARCH = 11, 16

    def __init__(self, *, bug=None):
        flags = ("weights_valid", "certain", "pass_valid", "first")
        sizes = {"row": range(_ROWS), "size": range(_ROWS + 1)}
        super().__init__(dict.fromkeys(flags, 1) | sizes, bug=bug)

    def elaborate(self, platform):
        m = Module()
        array = SystolicArray(rows=_ROWS, columns=1, activation_width=2, tag=range(_TILES), tiles=True)
        m.submodules.array = inside = Opened(array)
        self._seed(m, array, inside)

        # Tiles: `loading` is the one whose rows come, `place` how many have come; `current` that of the last first pass.
        loading, current = Signal(range(_TILES), init=1), Signal(range(_TILES))
        place, promised = Signal(range(_ROWS)), Signal()
        begun = Signal()
        last, taken = Signal(), self.weights_valid & array.i_weights.ready
        sizes = Array(Signal(range(_ROWS + 1), name=f"size_{number}") for number in range(_TILES))
        m.d.comb += [
            last.eq(Mux(place == 0, self.size, sizes[loading]) == place + 1),
            array.i_weights.valid.eq(self.weights_valid),
            array.i_weights.payload.weights[0].eq(loading),
            array.i_weights.payload.last.eq(last),
            array.i_weights.payload.certain.eq(self.certain),
            Assume((self.size != 0) & (self.size <= _ROWS)),
        ]
        if self._bug != "uncertain":
            m.d.comb += Assume(_if(promised, self.weights_valid))
        with m.If(taken):
            m.d.sync += [place.eq(place + 1), promised.eq(Mux(place == 0, self.certain, promised) & ~last)]
            with m.If(place == 0):
                m.d.sync += sizes[loading].eq(self.size)
            with m.If(last):
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
        m.d.comb += [array.i.payload.activations[row].eq(self.row == row) for row in range(_ROWS)]
        with m.If(enters):
            m.d.sync += [current.eq(tile), begun.eq(1)]

        # What is claimed: its sum is that of its own tile, for every pass that comes out.
        m.d.comb += implies(array.o.valid, array.o.payload.sums[0] == array.o.payload.tag)
        # Weights and passes never wait for each other.
        m.d.comb += Assert(array.i.ready | array.i_weights.ready)
        if self._bug is None:
            self._help(m, inside, loading, current, place, promised, sizes, begun)
        self._cover(m, array, inside, enters, taken, place, last)
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
        elif self._bug == "waits":
            right = inside.release(array.i_weights.ready)
            enters = valid & array.i.ready
            m.d.comb += array.i_weights.ready.eq(right & (inside["load_row"][0] | enters))
        elif self._bug == "missed":
            right = inside.release(inside["start"])
            m.d.comb += inside["start"].eq(right & ~(inside["complete"] & inside["load"].any()))
        elif self._bug == "again":
            inside.release(array.i.ready)
            right = inside.release(inside["start"])
            m.d.comb += [
                array.i.ready.eq(~first | inside["complete"] | inside["certain"] | inside["begun"]),
                inside["start"].eq(right | (valid & first & inside["begun"])),
            ]

    def _help(self, m, inside, loading, current, place, promised, sizes, begun):
        """What the induction needs to know: where the rows of the next tile and of the present one are."""
        complete, load, swaps = inside["complete"], inside["load"], inside["swaps"]
        certain, behind = inside["certain"], inside["begun"]
        following = Signal(range(_TILES))
        come = Signal(range(_ROWS + 1))  # rows of the next tile
        here = Signal(range(_ROWS + 1))  # rows of the present tile
        m.d.comb += [
            following.eq(current + 1),
            come.eq(Mux(complete, sizes[following], Mux(behind, 0, place))),
            here.eq(Mux(behind, place, sizes[current])),
            Assert(~(complete & certain) & ~(complete & behind) & ~(certain & behind)),
            implies(complete, (loading == (current + 2)[:2]) & (place == 0) & (come != 0)),
            implies(behind, (loading == current) & begun),
            implies(~complete & ~behind, loading == following),
            implies(certain | behind, promised & (place != 0)),
            implies(promised, place != 0),
            implies(place != 0, (sizes[loading] > place) & (sizes[loading] <= _ROWS)),
            Assert(inside["load_row"] == 1 << place),
            Assert(come <= _ROWS),
            implies(begun, (sizes[current] != 0) & (sizes[current] <= _ROWS)),
            implies(~begun, swaps == 0),
        ]
        # First passes on their way down: whose they are.
        owners = [Signal(range(_TILES), name=f"owner_{row}") for row in range(_ROWS)]
        for owner, before in zip(owners, [current + self.first, *owners], strict=False):
            m.d.sync += owner.eq(before)
        own = [Signal(name=f"own_{row}") for row in range(_ROWS)]  # the first pass of the present tile
        m.d.comb += [own[row].eq(swaps[row] & (owners[row] == current)) for row in range(_ROWS)]
        # While the present tile loads, its first pass is at least two rows behind what has come.
        m.d.comb += implies(behind, Cat(own[row] & (row + 2 <= place) for row in range(_ROWS)).any())
        for row in range(_ROWS):
            shadow, weight = inside[f"shadow_{row}_0"], inside[f"weight_{row}_0"]
            # Whether the first pass of the present tile has still to reach the row.
            upstream = Signal(name=f"upstream_{row}")
            m.d.comb += [
                upstream.eq(Cat(own[: row + 1]).any()),
                implies(
                    load[row],
                    Mux(
                        behind
                        | ((come == 0) & (here == row + 1) & ~complete & (inside["weights"] == current)),
                        (here == row + 1) & (inside["weights"] == current) & upstream,
                        (come == row + 1) & (inside["weights"] == following),
                    ),
                ),
                implies((row < come) & ~load[row], shadow == following),
                implies(
                    begun & (row < here) & ~(load[row] & upstream & (inside["weights"] == current)),
                    Mux(upstream, shadow == current, weight == current),
                ),
                implies(begun & behind & (row >= here), upstream),
                # As many rows have come since the present tile began as cycles have passed.
                implies(own[row] & ~behind, (come <= row) | ((come == row + 1) & load[row])),
            ]

    def _cover(self, m, array, inside, enters, taken, place, last):
        met = array.o.valid & (array.o.payload.sums[0] != 0)
        m.d.comb += [
            self.met.eq(met),
            self.second.eq(met & (array.o.payload.tag == 2)),
            self.short.eq(met & (array.o.payload.tag == 2) & enters & last & taken & (place == 0)),
            self.streaming.eq(met & enters & self.first & taken),
            self.behind.eq(inside["begun"] & taken & last),
        ]
