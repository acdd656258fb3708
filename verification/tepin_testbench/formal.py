# SPDX-License-Identifier: Apache-2.0
"""Proofs about components, by Yosys' SAT solver: k-induction for what always holds, and traces to what can happen.

A proof is about a component with `Assert` and `Assume` in it, usually a small one around the design. Its inputs are free:
they have any values in any cycle that the assumptions allow. In the first cycle registers have their initial values, and
there is no reset.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from amaranth.back import rtlil

from tepin import yosys

__all__ = ["Refuted", "prove", "reach"]

_PREPARE = "read_rtlil design.il; hierarchy -top top; proc; flatten; memory_map; async2sync; chformal -lower; opt -full"

_PROVEN = "Induction step proven: SUCCESS!"
_COUNTEREXAMPLE = "model found for base case: FAIL!"


class Refuted(AssertionError):
    """Something that should always hold does not; the message has the values of the ports, cycle by cycle."""


def prove(component, *, depth):
    """Prove that no assertion of a component ever fails.

    By induction: none fails in the first `k` cycles, and none in a cycle that is preceded by `k` cycles, of whatever
    state, in which none failed.

    Parameters
    ----------
    component : Component
        Not elaborated before.
    depth : int
        The largest `k` to try.

    Raises
    ------
    Refuted
        An assertion can fail.
    RuntimeError
        Neither that nor a proof was found up to `depth`.
    """
    said = _sat(component, f"-prove-asserts -tempinduct -maxsteps {depth}")
    if _PROVEN in said:
        return
    if _COUNTEREXAMPLE in said:
        raise Refuted(_trace(said))
    raise RuntimeError(f"no proof by induction over {depth} cycles:\n{_trace(said)}")


def reach(component, output, *, depth):
    """Show that a one-bit output of a component can be high, within `depth` cycles: what is proven is about something.

    Raises `RuntimeError` if it cannot.
    """
    said = _sat(component, f"-prove {output} 0 -tempinduct-baseonly -maxsteps {depth}")
    if _COUNTEREXAMPLE not in said:
        raise RuntimeError(f"{output} is never high in the first {depth} cycles")


def _sat(component, options):
    """What the solver says."""
    text = rtlil.convert(component, name="top", emit_src=False)
    reset = "-set rst 0 " if re.search(r"^  wire .*input \d+ +\\rst$", text, re.MULTILINE) else ""
    with tempfile.TemporaryDirectory(prefix="tepin-formal-") as folder:
        (Path(folder) / "design.il").write_text(text)
        script = [*_PREPARE.split("; "), f"sat -set-assumes {reset}-show-ports {options} top"]
        (Path(folder) / "script.ys").write_text("\n".join(script) + "\n")
        command = [sys.executable, "-m", yosys.__name__, "script.ys"]
        process = subprocess.run(command, cwd=folder, text=True, capture_output=True)
    said = process.stdout + process.stderr
    if process.returncode:
        raise RuntimeError("Yosys failed:\n" + "\n".join(said.splitlines()[-20:]))
    return said


def _trace(said):
    """The table of values in what the solver said."""
    start = said.rfind("  Time Signal Name")
    return said[start:].split("\n\n")[0] if start >= 0 else "\n".join(said.splitlines()[-20:])
