# SPDX-License-Identifier: Apache-2.0
"""Shapes of the DMA engine that the testbenches run on, few because each is a build."""

import pytest

from tepin.dma.engine import DmaEngine
from tepin_testbench.runner import run_cocotb

SHAPES = {
    # A small board: beats much smaller than lines and FIFO words.
    "narrow": {
        "data_width": 16, "line_bytes": 16, "fifo_word_bytes": 8, "weight_fifo_bytes": 512, "outstanding": 4,
        "burst_beats": 16,
    },
    "middle": {
        "data_width": 64, "line_bytes": 16, "fifo_word_bytes": 16, "weight_fifo_bytes": 2048, "outstanding": 16,
        "burst_beats": 16,
    },
    # Beats as large as lines; the weight FIFO holds only two of the longest bursts.
    "wide": {
        "data_width": 128, "line_bytes": 16, "fifo_word_bytes": 16, "weight_fifo_bytes": 512, "outstanding": 8,
        "burst_beats": 16,
    },
}  # fmt: skip

CLOCK_GATES = {"wide"}
"""Shapes whose engines lose their clock while they rest; the cycles are the same."""

# The extremes always; the one in the middle, which is that of whole-chip tests as well, when there is time.
USUAL_SHAPES = ["narrow", "wide", pytest.param("middle", marks=pytest.mark.slow)]


def run(shape, test_module, *, form=None, **parameters):
    """Runs the cocotb tests of a module on a shape, which they find in `parameters()`; `form` are options of `run_cocotb`."""
    settings = SHAPES[shape]
    run_cocotb(
        DmaEngine(**settings),
        top="dma",
        test_module=test_module,
        parameters={**settings, **parameters, "shape": shape},
        **{"clock_gates": shape in CLOCK_GATES, **(form or {})},
    )
