# SPDX-License-Identifier: Apache-2.0
"""``tepin bench fmax``: what it makes of the figures of five seeds. Place and route itself takes too long for a test."""

import importlib
import tomllib
from pathlib import Path

from tepin_fpga import fmax
from tepin_fpga.harness import BlockFigures

ROOT = Path(__file__).resolve().parents[3]


def test_rows(monkeypatch):
    asked = []

    def measure_block(block, *, seeds, clock_hz, say, **options):
        asked.append((block.rows, block.columns, list(seeds), options))
        count = block.rows * block.columns
        for seed in seeds:
            say("placing")
            yield BlockFigures(
                9000 + count, 8000, count + 8, count, 0, (90.0, 130.0, 110.0, 100.0, 95.0)[seed - 1], 1.0
            )

    monkeypatch.setattr(fmax, "measure_block", measure_block)
    said = []
    rows = list(fmax.fmax(said.append))
    device = {"device": "LFE5U-85F", "speed": 6}
    assert asked == [(8, 8, [1, 2, 3, 4, 5], device), (8, 16, [1, 2, 3, 4, 5], device)]
    small, large = rows[:7], rows[7:]
    assert [row.value for row in small] == [100.0, 90.0, 130.0, 64, 8, 9064, 8000]
    assert [row.value for row in large] == [100.0, 90.0, 130.0, 128, 8, 9128, 8000]
    assert [row.limit for row in large] == [None, None, None, 128, None, None, None]
    assert {row.case for row in large} == {"matmul engine array=8x16 alone on LFE5U-85F grade 6"}
    assert "matmul engine array=8x8 alone on LFE5U-85F grade 6: seed 2: 130.0 MHz" in said


def test_entry_point():
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["tepin.benches"]
    module, _, name = entries["fmax"].partition(":")
    assert getattr(importlib.import_module(module), name) is fmax.fmax
