# SPDX-License-Identifier: Apache-2.0
"""The picture of a placed design: places are read, blocks are told apart and counted."""

import json
import xml.etree.ElementTree as ElementTree

from tepin_fpga.floorplan import BLOCKS, draw_floorplan, placed_cells

CELLS = {
    "system.chip.vector.a": ("TRELLIS_COMB", "X2/Y1/SLICEA.COMB0"),
    "system.chip.vector.b": ("TRELLIS_FF", "X2/Y1/SLICEA.FF0"),
    "system.chip.matmul.c": ("TRELLIS_COMB", "X2/Y1/SLICEB.COMB0"),
    "system.chip.vector.d": ("TRELLIS_COMB", "X3/Y1/SLICEB.COMB0"),
    "system.chip.matmul.e": ("MULT18X18D", "X9/Y4/MULT18_0"),
    "pll": ("EHXPLLL", "X0/Y4/EHXPLL_LL"),
    "system.host.unplaced": ("TRELLIS_FF", ""),
}


def written():
    cells = {
        name: {"type": kind, "attributes": {"NEXTPNR_BEL": bel} if bel else {}, "connections": {"Q": [1]}}
        for name, (kind, bel) in CELLS.items()
    }
    return json.dumps(
        {"modules": {"top": {"cells": cells, "netnames": {"n": {"attributes": {"ROUTING": "x"}}}}}}
    )


def test_places():
    assert placed_cells(written()) == [
        (name, kind, *(int(part[1:]) for part in bel.split("/")[:2]))
        for name, (kind, bel) in CELLS.items()
        if bel
    ]


def test_picture():
    root = ElementTree.fromstring(draw_floorplan(placed_cells(written()), "a < b"))
    space = "{http://www.w3.org/2000/svg}"
    paths = {path.get("fill"): path for path in root.iter(f"{space}path")}
    # The tile that two blocks share has the colour of the one with more cells in it, and makes one piece with its neighbour.
    assert paths[BLOCKS["vector engine"][1]].get("d") == "M2 1h2v1h-2z"
    assert paths[BLOCKS["matmul engine"][1]].get("d") == "M9 4h1v1h-1z"
    assert paths[BLOCKS["matmul engine"][1]].get("stroke") == "black"
    texts = [text.text for text in root.iter(f"{space}text")]
    assert texts[0] == "a < b"
    vector = texts.index("vector engine")
    assert texts[vector + 1 : vector + 5] == ["2", "1", "0", "0"]
    host = texts.index("host link")
    assert texts[host + 1 : host + 5] == ["0", "0", "0", "0"]
