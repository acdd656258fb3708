# SPDX-License-Identifier: Apache-2.0
"""A component as a solver sees it: what registers are in the next cycle, made of gates, and which gates must be high.

Yosys makes an AIGER file of the component (Biere, Heljanko, Wieringa: AIGER 1.9 and Beyond, 2011): latches, inputs and
two-input AND gates, each signal a number, and that number plus one its inverse.
"""

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module, Value

from tepin import yosys

__all__ = ["Transitions"]

_SCRIPT = """
read_rtlil design.il
hierarchy -top top
proc
flatten
memory_map
async2sync
chformal -lower
opt -full
techmap
opt -full
dffunmap
setundef -zero -undriven
aigmap
opt_clean
tee -q -o claims.txt dump t:$assert
write_aiger -ascii -zinit -symbols design.aag
"""


class Transitions:
    """What a component does in a cycle.

    Parameters
    ----------
    component : Component
        With `Assert` and `Assume` in it; not elaborated before. There is no reset.

    Attributes
    ----------
    inputs : list of int
        Literals: all that is free.
    latches : list of (int, int, int)
        Literal, that of the next value, and the initial value (or the literal again if there is none).
    gates : list of (int, int, int)
        Output and both inputs, in an order in which inputs come first.
    failures : list of (int, str)
        High if an assertion fails, and where that stands; by line.
    assumptions : list of int
        Always high.
    ports : dict of str to dict of int to int
        Literals of the bits of each port.
    """

    def __init__(self, component):
        m = Module()
        m.domains.sync = domain = ClockDomain(reset_less=True)
        m.submodules.component = component
        members = component.signature.flatten(component)
        ports = {"__".join(map(str, path)): (Value.cast(member), None) for path, _, member in members}
        ports["clk"] = (domain.clk, None)
        text = rtlil.convert(m, name="top", ports=ports)
        with tempfile.TemporaryDirectory(prefix="tepin-formal-") as name:
            folder = Path(name)
            (folder / "design.il").write_text(text)
            (folder / "script.ys").write_text(_SCRIPT)
            command = [sys.executable, "-m", yosys.__name__, "script.ys"]
            process = subprocess.run(command, cwd=folder, text=True, capture_output=True)
            if process.returncode:
                said = (process.stdout + process.stderr).splitlines()
                raise RuntimeError("Yosys failed:\n" + "\n".join(said[-20:]))
            self._read((folder / "design.aag").read_text(), (folder / "claims.txt").read_text())

    def _read(self, text, claims):
        lines = iter(text.splitlines())
        _, _, inputs, latches, outputs, gates, bad, constraints = next(lines).split()[:8]

        def numbers(count):
            return [tuple(map(int, next(lines).split())) for _ in range(int(count))]

        self.inputs = [literal for (literal,) in numbers(inputs)]
        self.latches = [(row[0], row[1], row[2] if len(row) > 2 else 0) for row in numbers(latches)]
        outputs = [literal for (literal,) in numbers(outputs)]
        places = re.findall(
            r'attribute \\src "[^"\n]*?([^/"|\n]*:\d+)"\n +(?:attribute .*\n +)*cell ', claims
        )
        failures = [
            (literal, place) for (literal,), place in zip(numbers(bad), reversed(places), strict=True)
        ]
        self.failures = sorted(failures, key=lambda failure: int(failure[1].split(":")[1]))
        self.assumptions = [literal for (literal,) in numbers(constraints)]
        self.gates = numbers(gates)
        self.ports = defaultdict(dict)
        literals = {"i": self.inputs, "o": outputs}
        for line in lines:
            found = re.fullmatch(r"([io])(\d+) (\S+?)(?:\[(\d+)\])?", line)
            if found:
                kind, index, port, bit = found.groups()
                self.ports[port][int(bit or 0)] = literals[kind][int(index)]
