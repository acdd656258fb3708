# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: measured figures, each beside its physical limit.

A benchmark is a generator function of `Row`s, listed in `BENCHES` by name. It raises `CheckFailed` if what it measures is
not also correct. Other packages bring theirs by entry points of the group ``tepin.benches``::

    [project.entry-points."tepin.benches"]
    fmax = "tepin_fpga.fmax:fmax"
"""

from importlib.metadata import entry_points

from tepin_host.bench.accuracy import accuracy
from tepin_host.bench.batch import batch
from tepin_host.bench.chips import decode_on_chips
from tepin_host.bench.decode import decode
from tepin_host.bench.dma import dma
from tepin_host.bench.link import link
from tepin_host.bench.matmul import matmul
from tepin_host.bench.row import CheckFailed, Row
from tepin_host.bench.sdram import sdram
from tepin_host.bench.sizes import sizes
from tepin_host.bench.vector import vector

__all__ = ["BENCHES", "CheckFailed", "Row"]


def _imported_when_run(entry):
    return lambda say: entry.load()(say)


BENCHES = {
    "decode": decode,
    "dma": dma,
    "sdram": sdram,
    "sizes": sizes,
    "accuracy": accuracy,
    "vector": vector,
    "link": link,
    "chips": decode_on_chips,
    "batch": batch,
    "matmul": matmul,
    **{entry.name: _imported_when_run(entry) for entry in entry_points(group="tepin.benches")},
}
