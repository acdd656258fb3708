# SPDX-License-Identifier: Apache-2.0
"""Netlists of designs for an FPGA, made of its cells, and models of these cells to simulate them with.

What Yosys makes of a design for a board is Verilog again, of look-up tables, flip-flops, carry chains, multipliers and
block RAMs. With it in the place of the design, a testbench checks the synthesis: that memories and multipliers have
become the right primitives in the right mode, that initial values have survived, that nothing depends on what is
undefined in hardware.

Models come from Yosys where it has them, which are those that it maps by; those of multiplier and block RAM are in `models/`.
"""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

from tepin import netlist, verilator, yosys
from tepin_testbench import models

__all__ = ["DEVICES", "FAMILIES", "cell_models", "cells", "synthesise"]

DEVICES = {"ecp5": "LFE5U-85F"}
"""By family: what `tepin.verilog.convert` takes as `device`."""

FAMILIES = tuple(DEVICES)

_MODELS = ("ecp5_multiplier.v", "ecp5_block_ram.v")
_LIBRARY = ("lattice/common_sim.vh", "lattice/ccu2c_sim.vh")  # Models that Yosys comes with.

_MODULE = re.compile(r"^module +(\w+).*?^endmodule", re.MULTILINE | re.DOTALL)
_CELL = re.compile(r"^\s*([A-Z]\w*) +(?:#\s*\(|\\\S|\w)", re.MULTILINE)
_SPECIFY = re.compile(r"^\s*specify\b.*?\bendspecify\b", re.MULTILINE | re.DOTALL)


def synthesise(text, top, part=None):
    """The netlist of a design for ECP5, as `tepin build` makes it for a board, and kept in the cache.

    Parameters
    ----------
    text : str
        What `tepin.verilog.convert` gives, with `device=DEVICES[family]`.
    top : str
        Name of the top module.
    part : str, optional
        Instance in the top module, which alone becomes a netlist; the rest is the testbench's. All by default.

    Returns
    -------
    str
        Verilog. Ports are those of `text`.

    Raises
    ------
    ValueError
        The top module has no such instance.
    tepin.verilator.ToolError
        Yosys is missing or fails.
    """
    modules = netlist.parse(text)
    module = top if part is None else _module_of(modules[top], part)
    yosys.share()  # Raises if there is no Yosys.
    key = verilator.content_key("gates 1", importlib.metadata.version("pyosys"), module, text)
    folder = verilator.cached_build("gates", key, lambda build: _run_yosys(build, text, module))
    # Cells have inputs that synthesis leaves open.
    result = "/* verilator lint_off PINMISSING */\n" + (folder / "netlist.v").read_text()
    if part is None:
        return result
    rest = [other.text() for name, other in modules.items() if name != module]
    return "\n\n".join([*rest, result])


def cells(text):
    """How many cells of each kind a netlist has: a dictionary from name to number."""
    result = {}
    for name in _CELL.findall(text):
        result[name] = result.get(name, 0) + 1
    return result


def cell_models(text):
    """Verilog of the cells that a netlist has, and of those that their models are made of."""
    known = {}
    ours = Path(models.__file__).parent
    for path in [*(yosys.share() / name for name in _LIBRARY), *(ours / name for name in _MODELS)]:
        for match in _MODULE.finditer(path.read_text()):
            # Delays are for timing analysis, and Verilator does not know all of their syntax.
            known[match[1]] = _SPECIFY.sub("", match[0])
    wanted, found = set(cells(text)), {}
    while wanted:
        name = wanted.pop()
        if name in known and name not in found:
            found[name] = known[name]
            wanted |= set(cells(known[name]))
    return "\n\n".join(found[name] for name in sorted(found)) + "\n"


def _module_of(top, instance):
    match = re.search(rf"^  (\\\S+|\w+) +\\?{re.escape(instance)} +\($", top.body, re.MULTILINE)
    if match is None:
        raise ValueError(f"{top.name} has no instance {instance!r}")
    return match[1]


def _run_yosys(build, text, module):
    (build / "design.v").write_text(text)
    # Vectors as single bits: otherwise simulators see loops from one bit of a vector to another.
    script = ["read_verilog design.v", f"synth_ecp5 -top {module}", "splitnets", "clean"]
    script += ["write_verilog -noattr netlist.v"]
    (build / "script.ys").write_text("\n".join(script) + "\n")
    command = [sys.executable, "-m", yosys.__name__, "script.ys"]
    process = subprocess.run(command, cwd=build, text=True, capture_output=True)
    if process.returncode:
        said = (process.stdout + process.stderr).splitlines()[-20:]
        raise verilator.ToolError("Yosys could not synthesise " + "\n".join([f"{module}:", *said]))
