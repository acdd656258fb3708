# SPDX-License-Identifier: Apache-2.0
"""Yosys maps the Verilog that `tepin verilog` writes to the cells of a Liberty file, every distinct module once.

RAM, and ROM that is read with a clock, stay what they are, instances for macros. The rest becomes gates and D flip-flops; a
module's borders stay, so nothing is optimised across them.
"""

import importlib.metadata
import json
import shutil
import subprocess
import sys

from tepin import verilator, yosys
from tepin.clock import CLOCK_GATE
from tepin.export.convert import convert
from tepin.tops import TOPS

__all__ = ["PERIOD", "Mapped", "synthesise"]

PERIOD = 10.0
"""Nanoseconds of a clock cycle that gates are sized for."""

_SCRIPT = """\
read_liberty -lib -ignore_miss_func cells.lib
read_verilog design.v
{macros}
hierarchy -check -top {top}
proc -norom
synth -nofsm -noshare -noabc -top {top}
dfflibmap -liberty cells.lib
abc -liberty cells.lib -D {period:.0f} -script {abc}
clean
setattr -unset src
write_json mapped.json
splitnets
clean
write_verilog -noattr mapped.v
"""
"""The Verilog is for OpenSTA, which knows no assignments to concatenations."""

# Without the sweeps for equal logic of Yosys' own script, which take minutes for multipliers and find little.
_ABC = "+strash;dch;map,-B,0.9,{D};topo;buffer,-c;topo;upsize,{D};dnsize,{D}"


class Mapped:
    """A design in gates.

    Attributes
    ----------
    top : str
        Name of the top module.
    modules : dict
        Of each module that is not a cell: what Yosys writes as JSON.
    memories : dict from str to Memory
        Those that stay instances, by the name of their module.
    verilog : dict from str to str
        Text of each module that it was made from.
    netlist : Path
        Verilog of the gates.
    """

    def __init__(self, design, directory, library):
        self.top = design.top
        self.verilog = design.modules
        self.memories = {name: memory for name, memory in design.memories.items() if memory.clocked}
        self.netlist = directory / "mapped.v"
        modules = json.loads((directory / "mapped.json").read_text())["modules"]
        self.modules = {
            name: module
            for name, module in modules.items()
            if name not in library.cells and name not in self.memories and name != CLOCK_GATE
        }

    def clock_gates(self):
        """Paths of the gates of clocks, with slashes."""
        found = []

        def visit(name, path):
            for instance, cell in self.modules[name]["cells"].items():
                if cell["type"] == CLOCK_GATE:
                    found.append("/".join([*path, instance]))
                elif cell["type"] in self.modules:
                    visit(cell["type"], [*path, instance])

        visit(self.top, [])
        return found


def synthesise(config, top, library, progress=None, *, clock_gates=False):
    """The `Mapped` design of a top; from the cache, if it has been made before. Minutes, for a chip.

    With `clock_gates`, those are instances of a black box, too.

    Raises `tepin.verilator.ToolError` if Yosys is missing or fails.
    """
    yosys.share()  # Raises if there is no Yosys.
    entry = TOPS[top]
    design = convert(
        entry.make(config), name=entry.module, port_names=entry.port_names, clock_gates=clock_gates
    )
    text = "\n".join(design.modules.values())
    macros = [name for name, memory in design.memories.items() if memory.clocked]
    macros += [CLOCK_GATE] if CLOCK_GATE in design.modules else []
    script = _SCRIPT.format(
        top=entry.module,
        macros=f"blackbox {' '.join(macros)}" if macros else "",
        period=1000 * PERIOD,
        abc=_ABC,
    )
    key = verilator.content_key(text, script, library.path.read_bytes(), importlib.metadata.version("pyosys"))

    def build(directory):
        if progress:
            progress(f"mapping {entry.module} to cells of {library.name}")
        shutil.copy(library.path, directory / "cells.lib")
        (directory / "design.v").write_text(text)
        (directory / "script.ys").write_text(script)
        command = [sys.executable, "-m", yosys.__name__, "script.ys"]
        process = subprocess.run(command, cwd=directory, text=True, capture_output=True)
        if process.returncode:
            said = (process.stdout + process.stderr).splitlines()[-20:]
            raise verilator.ToolError("Yosys could not map " + "\n".join([f"{top}:", *said]))

    return Mapped(design, verilator.cached_build("silicon", key, build), library)
