# SPDX-License-Identifier: Apache-2.0
"""The engine for proofs, without its parts: passes come, tiles are drained, and a column tile enters if it has a bank."""

from amaranth.hdl import Assert, Assume, Module, Signal

from tepin.matmul.engine import MatmulEngine
from tepin_testbench.formal import implies
from tepin_testbench.opened import Opened
from verification.formal.matmul.claims import Claims

__all__ = ["Banks"]

_PARTS = ("commands", "dispatcher", "decoder", "reader", "array", "accumulator", "drain")


class Banks(Claims):
    """Column tiles alternate between two banks: a third one never enters before the oldest is drained; nothing else waits."""

    BUGS = {
        "third": "a column tile enters although both banks are taken",
        "held": "while both banks are taken, passes that open no column tile are held up, too",
    }
    COVERED = {"taken": 8, "again": 10}
    DEPTH, SEARCH = 4, 10

    def __init__(self, *, bug=None):
        super().__init__(dict.fromkeys(("valid", "opens", "ready", "released"), 1), bug=bug)

    def elaborate(self, platform):
        m = Module()
        engine = MatmulEngine(
            rows=2, columns=4, activation_width=8, accumulator_rows=2, line_bytes=4, fifo_word_bytes=4
        )
        m.submodules.engine = inside = Opened(engine)
        parts = {name: inside.cut(name) for name in _PARTS}
        passes, array = parts["reader"].o, parts["array"].i
        taken = Signal(range(4))  # column tiles that have entered and are not drained
        enters = array.valid & array.ready
        if self._bug is not None:
            inside.release(array.valid)
            inside.release(passes.ready)
            holds = {"third": 0, "held": inside["banks"] == 2}[self._bug]
            m.d.comb += [array.valid.eq(self.valid & ~holds), passes.ready.eq(self.ready & ~holds)]
        m.d.comb += [
            passes.valid.eq(self.valid),
            passes.payload.tag.open.eq(self.opens),
            array.ready.eq(self.ready),
            parts["drain"].released.eq(self.released),
            Assume(~self.released | (taken != 0)),
            implies(enters, self.valid & passes.ready),
            implies(passes.ready, enters | ~self.valid),
            implies(enters & self.opens, taken != 2),
            implies(self.valid & self.ready & ~(self.opens & (taken == 2)), enters),
        ]
        m.d.sync += taken.eq(taken + (enters & self.opens) - self.released)
        if self._bug is None:
            m.d.comb += Assert((inside["banks"] == taken) & (taken <= 2))
        m.d.comb += [
            self.taken.eq(self.valid & self.opens & self.ready & (taken == 2)),
            self.again.eq(enters & self.opens & self.released),
        ]
        return m
