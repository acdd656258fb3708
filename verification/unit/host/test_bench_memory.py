# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of copies and of the SDRAM's arithmetic: what they find wrong, and what limits say."""

import pytest

from tepin.dma import copier
from tepin_host.bench import CheckFailed
from tepin_host.bench.dma import copy_cycles
from tepin_host.simulation.sdram import SdramMemory


def test_copy_against_its_limit():
    assert 256 // 8 + 2 * 5 <= copy_cycles(256, latency=5) <= 256 // 8 + 2 * 5 + 1


def test_wrong_bytes_are_found(monkeypatch):
    monkeypatch.setattr(copier, "rotated", lambda value, shift: value)
    with pytest.raises(CheckFailed, match="copy of 256 bytes from 3 to 65541: wrong bytes"):
        copy_cycles(256, latency=5, source=3, destination=65541)


@pytest.mark.parametrize("part", ["ulx3s", "colorlight"])
def test_what_refreshes_leave(part):
    """8192 (4096) bundled refreshes in 64 ms, of tRFC each and a tRP per bundle."""
    memory = SdramMemory(part)
    timing, refreshes = memory.timing, memory.part.refreshes
    assert memory.refreshes_due(timing.refresh_window) == refreshes
    lost = refreshes * timing.rfc + refreshes / memory.postponed * timing.rp
    assert memory.timing_share == pytest.approx(1 - lost / timing.refresh_window, abs=3e-5)
