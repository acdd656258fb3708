# SPDX-License-Identifier: Apache-2.0
"""The SDRAM controller: share of the pins' bandwidth over the time in which every row has to be refreshed."""

from tepin_host.bench.row import CheckFailed, Row
from tepin_host.simulation.sdram import SdramMemory
from tepin_host.simulation.sdram_traffic import SdramTraffic, build_sdram_traffic

__all__ = ["sdram"]

_PARTS = ("ulx3s", "colorlight")
_BURSTS = (16, 64, 256)
_MIX_PERIOD = 1024
_SETTLE = 2_000
_TRAFFIC = {
    "reading": {},
    "writing": {"write": True},
    "decode mix": {"period": _MIX_PERIOD},
}


def sdram(say):
    """RTL of the controller and a model of the part that objects to every violation; all data compared."""
    for part in _PARTS:
        memory = SdramMemory(part)
        library = build_sdram_traffic(memory, progress=say)
        cycles = memory.timing.refresh_window
        clock = f"{memory.clock_hz / 1e6:g} MHz"
        for what, traffic in _TRAFFIC.items():
            for burst in _BURSTS:
                case = f"{part} {memory.part.data_width} bit at {clock}, {what}, bursts of {burst}, {cycles:,} cycles"
                say(case)
                yield from _case(case, memory, library, cycles, {"burst": burst} | traffic)


def _case(case, memory, library, cycles, traffic):
    simulation = SdramTraffic(memory, library)
    before = simulation.run(_SETTLE, **traffic)
    after = simulation.run(cycles, **traffic)
    refreshes = after.refreshes - before.refreshes
    end = simulation.finish()
    if end.wrong or end.violations:
        names = [name for bit, name in enumerate(memory.violations) if end.violations >> bit & 1]
        raise CheckFailed(f"{case}: {end.wrong} wrong beats or words; the part objects to {names}")
    beats = after.read + after.written - before.read - before.written
    # A beat per cycle is all that the pins can carry; refreshes take what they take.
    yield Row("sdram", case, "share of the pins", 100 * beats / cycles, "%", 100 * memory.timing_share)
    debt = memory.refreshes_due(cycles) - refreshes
    yield Row("sdram", case, "refreshes postponed at the end", max(0, debt), "", memory.postponed)
