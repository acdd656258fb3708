# SPDX-License-Identifier: Apache-2.0
"""What linters have to say about Verilog files: Verilator, Icarus, Yosys and slang, each with all of its warnings on.

Each function takes the files and the top module, and returns the complaints, one line each; none if all is well.
"""

import shutil
import subprocess
import sys

from tepin import verilator

__all__ = ["LINTERS", "icarus", "slang", "verilator_lint", "yosys"]


def verilator_lint(files, top):
    """`verilator --lint-only -Wall`."""
    command = [verilator.root() / "bin" / "verilator", "--lint-only", "-Wall", "--top-module", top, *files]
    return _complaints(
        subprocess.run(command, env=verilator.environment(), capture_output=True, text=True), "%"
    )


def icarus(files, top):
    """`iverilog -Wall`, as Verilog-2005. Without Icarus, nothing."""
    if shutil.which("iverilog") is None:
        return []
    # What it says of time scales is that there are none.
    command = ["iverilog", "-g2005", "-Wall", "-Wno-timescale", "-t", "null", "-s", top, *files]
    return _complaints(subprocess.run(command, capture_output=True, text=True), "")


_CHECKS = """\
read_verilog {files}
hierarchy -check -top {top}
select -assert-none a:init
proc
select -assert-none t:$dlatch t:$adlatch t:$dlatchsr t:$adff t:$aldff t:$dffsr
check -assert
flatten
opt_clean
check -assert
"""
"""No module missing, no initial value, no latch, no asynchronous reset, no wire with two drivers or none, no loop."""


def yosys(files, top):
    """`check -assert`, and what `_CHECKS` says."""
    script = _CHECKS.format(files=" ".join(map(str, files)), top=top)
    command = [sys.executable, "-c", "import sys; from pyosys import libyosys; d = libyosys.Design()\n"
               "for line in sys.stdin: libyosys.run_pass(line.strip(), d)"]  # fmt: skip
    result = subprocess.run(command, input=script, capture_output=True, text=True)
    lines = [
        line for line in (result.stdout + result.stderr).splitlines() if line.startswith(("Warning", "ERROR"))
    ]
    return lines or ([f"Yosys ended with status {result.returncode}"] if result.returncode else [])


def slang(files, top):
    """`slang -Weverything`, as SystemVerilog, for a netlist and not for a simulation."""
    arguments = ["slang", "-Weverything", "--top", top, *map(str, files)]
    script = (
        "import sys; from pyslang.driver import Driver; d = Driver(); d.addStandardArgs()\n"
        "ok = d.parseCommandLine(' '.join(sys.argv[1:])) and d.processOptions() and d.parseAllSources()\n"
        "d.reportCompilation(d.createCompilation(), True)\n"
        "sys.exit(not ok)"
    )
    result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    lines = [line for line in result.stderr.splitlines() if ": warning:" in line or ": error:" in line]
    return lines or ([result.stderr] if result.returncode else [])


LINTERS = {"verilator": verilator_lint, "icarus": icarus, "yosys": yosys, "slang": slang}


def _complaints(result, start):
    lines = [line for line in result.stderr.splitlines() if line.startswith(start) and line.strip()]
    return lines or ([f"status {result.returncode}"] if result.returncode else [])
