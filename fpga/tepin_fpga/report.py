# SPDX-License-Identifier: Apache-2.0
"""What place and route made of a design: resources used and free, clocks asked and met."""

import re
from dataclasses import asdict, dataclass, field

from tepin_host.errors import UserError

__all__ = [
    "RESOURCES",
    "BuildFailed",
    "Clock",
    "Resource",
    "Usage",
    "check_fits",
    "check_timing",
    "parse_report",
]

_MARGIN = 0.95  # what is left of a clock that was met, in a placement for another one


class BuildFailed(UserError):
    """The design is wrong for the device: it does not fit, misses timing, or lost something on the way."""

    exit_status = 1


@dataclass(frozen=True)
class Resource:
    """How many of a kind are used, and how many there are."""

    used: int
    available: int

    @property
    def free(self):
        """How many are left."""
        return self.available - self.used


@dataclass(frozen=True)
class Clock:
    """A clock domain: MHz asked, MHz that paths reach, and MHz met, which no primitive's limit is below."""

    asked: float
    reached: float
    met: float


@dataclass(frozen=True)
class Usage:
    """What a placed and routed design uses.

    Members
    -------
    resources : dict from str to Resource
        "LUT4" (with those that are carry chains or distributed memory), "FF", "DSP", "block RAM".
    clocks : dict from str to Clock
        By the name of the net.
    slowest : dict from str to str
        Where the slowest path within a clock domain begins and ends, in words.
    """

    resources: dict
    clocks: dict
    slowest: dict = field(default_factory=dict)

    def as_dict(self):
        """For JSON."""
        return {
            "resources": {
                name: asdict(resource) | {"free": resource.free} for name, resource in self.resources.items()
            },
            "clocks_mhz": {name: asdict(clock) for name, clock in self.clocks.items()},
        }


RESOURCES = {
    "LUT4": ("TRELLIS_COMB",),
    "FF": ("TRELLIS_FF",),
    "DSP": ("MULT18X18D",),
    "block RAM": ("DP16KD",),
}
"""Cells of an ECP5 by what they are."""


def parse_report(report, limits_hz, cells=RESOURCES):
    """`Usage` from nextpnr's JSON report.

    Parameters
    ----------
    report : dict
    limits_hz : dict from str to int
        The fastest clock of primitives. It bounds every clock of a design that uses them.
    cells : dict from str to tuple of str
        Resources by name: the types of cells that count.
    """
    used = report["utilization"]
    resources = {
        name: Resource(
            *(sum(used[kind][count] for kind in kinds if kind in used) for count in ("used", "available"))
        )
        for name, kinds in cells.items()
    }
    limit = min(
        (hz / 1e6 for cell, hz in limits_hz.items() if used.get(cell, {}).get("used")), default=float("inf")
    )
    clocks = {}
    for net, figures in report["fmax"].items():
        reached = figures["achieved"]
        clocks[_clean(net)] = Clock(figures["constraint"], reached, min(reached, limit))
    slowest = {}
    for path in report["critical_paths"]:
        edge, _, net = path["from"].partition(" ")
        if path["from"] == path["to"] and edge in ("posedge", "negedge"):
            first, last = path["path"][0]["from"]["cell"], path["path"][-1]["to"]["cell"]
            slowest[_clean(net)] = f"from {_register(first)} to {_register(last)}"
    return Usage(resources, clocks, slowest)


def _clean(net):
    """Name of a clock net without what the tool adds."""
    return re.sub(r"(\$TRELLIS_IO_IN|\$SB_IO_IN|_\$glb_clk)+$", "", net.removeprefix("$glbnet$"))


def _register(cell):
    """Name of the signal that a flip-flop or memory holds, without what synthesis appends."""
    return re.sub(r"_(TRELLIS_FF|SB_DFF|DFF).*$", "", cell)


def check_fits(cells, device):
    """Raise `BuildFailed` if synthesised cells are too many for a device, with each that is.

    Parameters
    ----------
    cells : dict from str to int
        Number of cells by type, from Yosys.
    device : Device
    """
    count = {kind: cells.get(kind, 0) for kind in ("LUT4", "CCU2C", "TRELLIS_DPR16X4")}
    needs = {
        # A carry cell is two LUTs, 16 x 4 bits of memory four, and the logic that writes them takes the place of two more.
        "LUT4": (count["LUT4"] + 2 * count["CCU2C"] + 6 * count["TRELLIS_DPR16X4"], device.luts),
        "flip-flops": (cells.get("TRELLIS_FF", 0), device.luts),
        "DSPs": (cells.get("MULT18X18D", 0), device.dsps),
        "block RAMs": (cells.get("DP16KD", 0) + cells.get("PDPW16KD", 0), device.block_rams),
    }
    over = [f"{need:,} {name} of {there:,}" for name, (need, there) in needs.items() if need > there]
    if over:
        raise BuildFailed(f"the design does not fit: it needs {', '.join(over)}")


def check_timing(usage):
    """Raise `BuildFailed` if a clock is not met, with the path that is too slow and a clock that is likely to be met."""
    missed = {name: clock for name, clock in usage.clocks.items() if clock.met < clock.asked}
    if missed:
        clocks = ", ".join(
            f"{name} {clock.met:.1f} of {clock.asked:.1f} MHz {usage.slowest.get(name, '')}".rstrip()
            for name, clock in missed.items()
        )
        within_reach = int(_MARGIN * min(clock.met for clock in missed.values()))
        raise BuildFailed(f"timing is not met: {clocks}; try another --seed, or --clock {within_reach}")
