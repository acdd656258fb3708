# SPDX-License-Identifier: Apache-2.0
"""What drives every stream unit: a source of rows and a sink."""

from tepin_testbench.runner import parameters
from tepin_testbench.stream import StreamSink, StreamSource, start

__all__ = ["UnitBench"]


class UnitBench:
    """A started unit.

    Attributes
    ----------
    dut : handle
    lanes : int
        Of the unit, from the parameters of the test.
    source : StreamSource
        For `i`.
    sink : StreamSink
        For `o`.
    """

    def __init__(self, dut, *, pause):
        self.dut = dut
        self.lanes = parameters()["lanes"]
        self.source = StreamSource(dut, "i", pause=pause)
        self.sink = StreamSink(dut, "o", pause=pause)

    @classmethod
    async def create(cls, dut, *, pause=0.0):
        """The bench of a unit that has just been reset; `pause` as of source and sink."""
        await start(dut)
        return cls(dut, pause=pause)
