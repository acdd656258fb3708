# SPDX-License-Identifier: Apache-2.0
"""Places of multipliers: each one exists, none twice, columns of the array together; or none at all."""

import pytest

from tepin_fpga.ecp5 import DEVICES
from tepin_fpga.multipliers import place_multipliers, sites


def netlist(rows, columns, lanes):
    names = [f"chip.matmul.array.multiplier_{r}_{c}.part.dsp" for r in range(rows) for c in range(columns)]
    names += [f"chip.matmul.drain.scale.part_{part}.dsp" for part in range(8)]
    names += [
        f"chip.vector.lane_{lane}.special.part_{part}.dsp" for lane in range(lanes) for part in range(17)
    ]
    names += ["chip.dma.indices.low.dsp"]
    cells = {name: {"type": "MULT18X18D", "attributes": {}} for name in names}
    cells["chip.matmul.array.multiplier_0_0.other"] = {"type": "LUT4", "attributes": {}}
    return {"cells": cells}


def places(module):
    return {name: cell["attributes"]["BEL"] for name, cell in module["cells"].items() if cell["attributes"]}


def position(site):
    x, y, _ = site.split("/")
    return int(x[1:]), int(y[1:])


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_as_many_sites_as_multipliers(device):
    found = [site for row in sites(device) for site in row]
    assert len(set(found)) == len(found) == device.dsps


@pytest.mark.parametrize(
    "name, rows, columns, lanes",
    [("LFE5U-85F", 8, 8, 2), ("LFE5U-85F", 6, 8, 1), ("LFE5U-45F", 4, 8, 1), ("LFE5U-45F", 2, 8, 1)],
)
def test_columns_stand_together(name, rows, columns, lanes):
    module = netlist(rows, columns, lanes)
    placed = place_multipliers(module, DEVICES[name])
    found = places(module)
    assert placed == len(found) == len(set(found.values())) == rows * columns + 8 + 17 * lanes
    assert set(found.values()) <= {site for row in sites(DEVICES[name]) for site in row}
    for column in range(columns):
        xs = [
            position(found[f"chip.matmul.array.multiplier_{row}_{column}.part.dsp"])[0] for row in range(rows)
        ]
        assert max(xs) - min(xs) <= 5
    bottom = max(position(site)[1] for cell, site in found.items() if ".array." in cell)
    assert all(position(site)[1] > bottom for cell, site in found.items() if ".vector." in cell)


@pytest.mark.parametrize("name, rows, columns, lanes", [("LFE5U-25F", 2, 8, 1), ("LFE5U-45F", 8, 12, 1)])
def test_none_if_there_is_no_room(name, rows, columns, lanes):
    module = netlist(rows, columns, lanes)
    assert place_multipliers(module, DEVICES[name]) == 0
    assert places(module) == {}


def test_without_an_array():
    module = {"cells": {"adder": {"type": "LUT4", "attributes": {}}}}
    assert place_multipliers(module, DEVICES["LFE5U-25F"]) == 0
