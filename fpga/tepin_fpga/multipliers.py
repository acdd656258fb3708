# SPDX-License-Identifier: Apache-2.0
"""Gives a chip's multipliers their places, before everything else is placed around them.

Multipliers lie in a few rows of an ECP5, and each has 70 wires or more, so where they are decides where the rest of
an engine is. The placer spreads them as they fit. Sometimes it tears the array apart, and then partial sums cross the device.
Here each column of the array stands in a group of its own, four multipliers of it in each row of the device, so that sums
go down and activations go across; the scaling of results lies beside the end of the columns, and the vector engine's
lanes in the middle of the next row.
"""

import re

__all__ = ["array_multipliers", "place_multipliers", "sites"]

_IN_A_GROUP = (0, 1, 4, 5)
"""Tiles of a group in which a multiplier begins; the place in the tile has the same number."""

_ARRAY = re.compile(r"\b(?:matmul|block)\.array\.multiplier_(\d+)_(\d+)\.")
_RESULTS = re.compile(r"\b(?:matmul|block)\.drain\.")
_LANES = re.compile(r"\bvector\.lane_\d+\.")


def sites(device):
    """Places of multipliers, as place and route names them: a list for each row of the device, from left to right."""
    return [
        [f"X{x + tile}/Y{y}/MULT18_{tile}" for x in device.multiplier_groups for tile in _IN_A_GROUP]
        for y in device.multiplier_rows
    ]


def array_multipliers(module):
    """{(row, column): name} of the multipliers of an array, in a chip or an engine by itself."""
    names = (name for name, cell in module["cells"].items() if cell["type"] == "MULT18X18D")
    return {tuple(map(int, match.groups())): name for name in sorted(names) if (match := _ARRAY.search(name))}


def place_multipliers(module, device):
    """Fix the multipliers of array, drain and lanes, unless the device is too small for that.

    Parameters
    ----------
    module : dict
        The flattened top module of a netlist in Yosys' JSON; changed in place.
    device : Device

    Returns
    -------
    int
        How many have a place now: all of them or none.
    """
    names = sorted(name for name, cell in module["cells"].items() if cell["type"] == "MULT18X18D")
    array = array_multipliers(module)
    results = [name for name in names if _RESULTS.search(name)]
    lanes = [name for name in names if _LANES.search(name)]
    try:
        places = _plan(array, results, lanes, sites(device))
    except IndexError:
        return 0
    for name, site in places.items():
        module["cells"][name]["attributes"]["BEL"] = site
    return len(places)


def _plan(array, results, lanes, rows):
    """Sites by name. Raises `IndexError` if there are too few."""
    if not array:
        return {}
    group = len(_IN_A_GROUP)
    height = 1 + max(row for row, _ in array)
    places = {
        name: rows[row // group][column * min(height, group) + row % group]
        for (row, column), name in array.items()
    }
    taken = set(places.values())
    free = [[site for site in row if site not in taken] for row in rows]
    last = (height - 1) // group
    beside = free[last] + sum(free[last + 1 :], [])
    places |= {name: beside[index] for index, name in enumerate(results)}
    behind = [site for site in free[last + 1] if site not in places.values()]
    start = max(len(behind) - len(lanes), 0) // 2
    return places | {name: behind[start + index] for index, name in enumerate(lanes)}
