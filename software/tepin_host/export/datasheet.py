# SPDX-License-Identifier: Apache-2.0
"""A page about a design: what its manifest says, for people, and what has been measured of the chips of presets."""

import json
from importlib.resources import files

from tepin.config import PRESETS, ChipConfig

__all__ = ["datasheet"]


def datasheet(manifest):
    """Markdown text of the page."""
    memories = manifest["memories"]
    macros = [memory for memory in memories if memory["writes"] and memory["clocked"]]
    clock, reset = manifest["clock"], manifest["reset"]
    lines = [
        f"# {manifest['module']}",
        "",
        f"Made by {manifest['generator']}; configuration {manifest['config_hash']:08x}, instruction set "
        f"{manifest['isa_version']}.",
        "",
        f"* Latency: {manifest['latency']}.",
        f"* Clock `{clock['port']}`, {clock['edge']} edge. Reset `{reset['port']}`, active {reset['active']}, "
        f"{reset['kind']}, at least {reset['cycles']} cycle. Clock domains crossed: {len(manifest['crossings'])}.",
        f"* {sum(memory['bytes'] for memory in macros):,} bytes in {sum(memory['count'] for memory in macros)} memories that "
        "SRAM macros can replace.",
        *_gates(manifest),
        "",
        "## Configuration",
        "",
        *_table(("parameter", "value"), manifest["config"].items()),
        "",
        "## Size",
        "",
        "Multipliers are products of two variables, of any width; bytes are those of all memories that can be written.",
        "",
        *_logic(manifest["logic"]),
        "",
        *_measured(manifest),
        "## Ports",
        "",
    ]
    for group in manifest["ports"]:
        lines += [f"**{group['name']}** ({_handshake(group)}): {group['meaning']}.", ""]
        rows = ((f"`{port['name']}`", port["direction"], port["width"]) for port in group["ports"])
        lines += [*_table(("port", "direction", "bits"), rows), ""]
    lines += ["## Memories", ""]
    header = ("module", "count", "words", "bits", "reads", "writes", "bytes in all", "read while written")
    rows = (
        (
            f"`{m['module']}`",
            m["count"],
            m["depth"],
            m["width"],
            m["reads"],
            m["writes"],
            f"{m['bytes']:,}",
            m["collision"],
        )
        for m in memories
    )
    lines += _table(header, rows) if memories else ["None."]
    return "\n".join(lines) + "\n"


def _gates(manifest):
    if gates := manifest.get("clock gates"):
        yield f"* {gates['count']} clocks are stopped while nothing would change: instances of `{gates['module']}`."


def _logic(blocks):
    names = ("flip_flops", "multipliers", "memory_bytes")
    rows = [
        (f"`{block['block']}`" if block["block"] else "top", *(block[name] for name in names))
        for block in blocks
    ]
    rows.append(("all", *(sum(block[name] for block in blocks) for name in names)))
    numbers = ((row[0], *(f"{value:,}" for value in row[1:])) for row in rows)
    return _table(("module", "flip-flops", "multipliers", "bytes of memory"), numbers)


def _measured(manifest):
    """Area, clock, speed and energy, as far as they are known of this chip; the figures are package data."""
    if manifest["top"] != "chip":
        return
    config = ChipConfig(**manifest["config"])
    preset = next((name for name, other in PRESETS.items() if other == config), None)
    recorded = json.loads((files("tepin_host.data") / "figures.json").read_text(encoding="utf-8"))
    figures = recorded.get(preset, {})
    yield from (
        "## Measured",
        "",
        "When scripts of the repository were last run: a chip made today may differ a little.",
        "",
    )
    if not figures:
        yield from ("Nothing: this configuration is no preset.", "")
        return
    for figure in ("speed", "fpga", "cells", "energy"):
        if figure in figures:
            yield from _FIGURES[figure](figures[figure])
        else:
            yield f"{_MISSING[figure]}: not measured for this preset."
        yield ""


def _speed(speed):
    yield f"**Speed**: {speed['what']}, a text at a time, memory of {speed['latency']} cycles of latency:"
    yield ""
    rows = ((name, f"{cycles:,.0f}") for name, cycles in speed["cycles"].items())
    yield from _table(("weights", "cycles per token"), rows)


def _fpga(fpga):
    yield f"**FPGA**, {fpga['what']}:"
    yield ""
    rows = ((name, f"{value:,}") for name, value in fpga["resources"].items())
    yield from _table(("resource", "used"), [*rows, ("clock, MHz", f"{fpga['mhz']:.1f}")])


def _cells(cells):
    yield f"**Standard cells**, {cells['library']}; memories and wires apart:"
    yield ""
    rows = [(name, f"{block['cells']:,}", f"{block['mm2']:.3f}") for name, block in cells["blocks"].items()]
    total = (sum(block[key] for block in cells["blocks"].values()) for key in ("cells", "mm2"))
    count, area = total
    yield from _table(("block", "cells", "mm2"), [*rows, ("all", f"{count:,}", f"{area:.2f}")])
    yield ""
    yield f"Slowest path: {cells['path_ns']:.1f} ns, of them {cells['net_ns']:.1f} ns in one net that is not buffered."


def _energy(energy):
    yield f"**Energy** of a token of {energy['what']}, nJ by block:"
    yield ""
    cases = energy["cases"]
    rows = [
        (block, *(f"{case['blocks'][block] / 1e3:,.0f}" for case in cases.values()))
        for block in next(iter(cases.values()))["blocks"]
    ]
    for title, key in (("all", "total"), ("all, `--clock-gates`", "gates")):
        if all(key in case for case in cases.values()):
            rows.append((title, *(f"{case[key] / 1e3:,.0f}" for case in cases.values())))
    rows.append(("pJ per MAC", *(f"{case['total'] / case['macs']:,.1f}" for case in cases.values())))
    yield from _table(("block", *cases), rows)


_FIGURES = {"speed": _speed, "fpga": _fpga, "cells": _cells, "energy": _energy}
_MISSING = {"speed": "Speed", "fpga": "FPGA", "cells": "Standard cells", "energy": "Energy"}


def _handshake(group):
    return "no handshake" if group["handshake"] == "none" else group["handshake"]


def _table(header, rows):
    yield "| " + " | ".join(header) + " |"
    yield "|" + " --- |" * len(header)
    for row in rows:
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |"
