# SPDX-License-Identifier: Apache-2.0
"""A picture of a placed design: which block lies where, and how much each of them is."""

import json
import re
from collections import Counter, defaultdict
from xml.sax.saxutils import escape

__all__ = ["BLOCKS", "draw_floorplan", "placed_cells"]

BLOCKS = {
    "vector engine": ("system.chip.vector.", "#4e79a7"),
    "matmul engine": ("system.chip.matmul.", "#f28e2b"),
    "DMA": ("system.chip.dma.", "#59a14f"),
    "controller": ("system.chip.controller.", "#e15759"),
    "scratchpad": ("system.chip.scratchpad.", "#edc948"),
    "SDRAM controller": ("system.controller.", "#76b7b2"),
    "host link": ("system.host.", "#b07aa1"),
    "all else": ("", "#9c755f"),
}
"""What is told apart: beginning of the cells' names, the first that fits, and colour."""

_KINDS = {"LUT4": "TRELLIS_COMB", "FF": "TRELLIS_FF", "DSP": "MULT18X18D", "block RAM": "DP16KD"}
_LARGE = ("MULT18X18D", "DP16KD")
_TILE, _LEFT, _TOP, _LEGEND = 7, 12, 40, 410
_FREE = "#f2f2f2"


def placed_cells(text):
    """Cells of a design that nextpnr wrote with ``--write``.

    Parameters
    ----------
    text : str
        JSON.

    Returns
    -------
    list of (str, str, int, int)
        Name, type, column and row of every cell that has a place.
    """

    def keep(pairs):
        # Nets and their routes are most of the file, and of no use here.
        return {
            key: value for key, value in pairs if key not in ("netnames", "connections", "port_directions")
        }

    (module,) = json.loads(text, object_pairs_hook=keep)["modules"].values()
    cells = []
    for name, cell in module["cells"].items():
        place = re.match(r"X(\d+)/Y(\d+)/", cell["attributes"].get("NEXTPNR_BEL", ""))
        if place:
            cells.append((name, cell["type"], int(place[1]), int(place[2])))
    return cells


def draw_floorplan(cells, title):
    """SVG: a square for every tile, in the colour of the block that most of its cells belong to; framed for multipliers
    and block RAMs.

    Parameters
    ----------
    cells : list
        As from `placed_cells`.
    title : str
    """
    tiles, framed, counts = defaultdict(Counter), {}, defaultdict(Counter)
    for name, kind, x, y in cells:
        if kind not in _KINDS.values():
            continue
        block = next(block for block, (prefix, _) in BLOCKS.items() if name.startswith(prefix))
        counts[block][kind] += 1
        if kind in _LARGE:
            framed[x, y] = block
        else:
            tiles[x, y][block] += 1
    columns = 1 + max((x for _, _, x, _ in cells), default=0)
    rows = 1 + max((y for _, _, _, y in cells), default=0)
    width, height = _LEFT + columns * _TILE + _LEGEND, _TOP + max(rows * _TILE, 260) + 12
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="24" font-size="15">{escape(title)}</text>',
        f'<g transform="translate({_LEFT} {_TOP}) scale({_TILE})">',
        f'<rect width="{columns}" height="{rows}" fill="{_FREE}"/>',
    ]
    for block, (_, colour) in BLOCKS.items():
        mine = {place for place, found in tiles.items() if found.most_common(1)[0][0] == block}
        large = {place for place, owner in framed.items() if owner == block}
        if mine:
            body.append(f'<path fill="{colour}" d="{_squares(mine)}"/>')
        if large:
            style = f'fill="{colour}" stroke="black" stroke-width="0.15"'
            body.append(f'<path {style} d="{_squares(large)}"/>')
    body.append("</g>")
    body += _legend(counts, _LEFT + columns * _TILE + 20)
    return "\n".join([*body, "</svg>"]) + "\n"


def _squares(places):
    """Path of unit squares; neighbours in a row are one rectangle."""
    parts = []
    for x, y in sorted(places, key=lambda place: (place[1], place[0])):
        if parts and parts[-1][1] == y and parts[-1][0] + parts[-1][2] == x:
            parts[-1][2] += 1
        else:
            parts.append([x, y, 1])
    return "".join(f"M{x} {y}h{length}v1h-{length}z" for x, y, length in parts)


def _legend(counts, left):
    """A line for each block: colour, name, and how many there are of each kind."""
    heads = [left + 190 + 60 * index for index in range(len(_KINDS))]
    for kind, x in zip(_KINDS, heads, strict=True):
        yield f'<text x="{x}" y="{_TOP + 10}" text-anchor="end" font-size="11">{kind}</text>'
    for line, (block, (_, colour)) in enumerate(BLOCKS.items()):
        y = _TOP + 32 + 22 * line
        yield f'<rect x="{left}" y="{y - 11}" width="13" height="13" fill="{colour}"/>'
        yield f'<text x="{left + 20}" y="{y}">{block}</text>'
        for cell, x in zip(_KINDS.values(), heads, strict=True):
            yield f'<text x="{x}" y="{y}" text-anchor="end">{counts[block][cell]:,}</text>'
