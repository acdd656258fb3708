# SPDX-License-Identifier: Apache-2.0
"""Verilog and a C++ harness to a shared library, by way of Verilator, cached under everything that goes in."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tepin import verilator
from tepin_host.errors import UserError

__all__ = ["LIBRARY", "Harness", "compile_library"]

LIBRARY = "libtepin.so"

_VERILATOR_FLAGS = ["-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "--noassert"]
_OPTIMISE = "-O2"
_COMPILER_FLAGS = ["-O2", "-fPIC", "-std=c++17"]


@dataclass(frozen=True, kw_only=True)
class Harness:
    """What is around a design in a simulation.

    Members
    -------
    top : str
        The top module.
    wrapper : Path
        SystemVerilog with that module, which instantiates the design.
    source : Path
        C++ that drives `V<top>`, with a C interface.
    models : tuple of Path
        Further Verilog that the wrapper needs.
    parameters : dict
        Parameters of the top module, integers.
    defines : dict
        Macros of the C++ source and of the wrapper.
    headers : tuple of Path
        What the C++ source includes from its own directory.
    files : dict
        Text of files that the wrapper includes, by name.
    optimise : str
        Of the design: how much the compiler does for its speed. Less is quicker to build.
    """

    top: str
    wrapper: Path
    source: Path
    models: tuple = ()
    parameters: dict = field(default_factory=dict)
    defines: dict = field(default_factory=dict)
    headers: tuple = ()
    files: dict = field(default_factory=dict)
    optimise: str = _OPTIMISE

    def key(self, text):
        """Name in the cache of the library for this design."""
        numbers = [f"{name}={value}" for name, value in {**self.parameters, **self.defines}.items()]
        sources = [path.read_bytes() for path in (self.wrapper, self.source, *self.models, *self.headers)]
        sources += [[name, text] for name, text in self.files.items()]
        sources += [self.optimise] if self.optimise != _OPTIMISE else []
        return verilator.content_key(text, self.top, sources, numbers, _VERILATOR_FLAGS, _COMPILER_FLAGS)


def compile_library(text, harness, *, progress=None):
    """Path of the shared library that simulates the design `text` in its harness.

    Parameters
    ----------
    text : str
        Verilog of the design.
    harness : Harness
    progress : callable(str), optional
        Told that it takes long, if it does.

    Raises
    ------
    UserError
        If a tool is missing or the build fails.
    """

    def build(directory):
        if progress:
            progress("compiling the simulation (once for each chip; takes a minute or two)")
        _compile(directory, text, harness)

    try:
        return verilator.cached_build("simulation", harness.key(text), build) / LIBRARY
    except verilator.ToolError as error:
        raise UserError(str(error)) from error


def _compile(directory, text, harness):
    """Fill `directory` with the library."""
    (directory / "design.v").write_text(text)
    for name, content in harness.files.items():
        (directory / name).write_text(content)
    environment = verilator.environment()
    jobs = str(os.cpu_count() or 1)
    flags = " ".join(_COMPILER_FLAGS)
    environment["MAKEFLAGS"] += f" OPT_FAST={harness.optimise} OPT_SLOW={harness.optimise} OPT_GLOBAL=-O2"
    objects = directory / "objects"
    with verilator.shared_runtime(_make(objects), *_VERILATOR_FLAGS, flags):
        _call(
            [
                "verilator",
                "--cc",
                "--build",
                *_VERILATOR_FLAGS,
                *verilator.warning_arguments(),
                "--output-split",
                "20000",
                "-CFLAGS",  # They come behind those above.
                " ".join(flag for flag in _COMPILER_FLAGS if not flag.startswith("-O")),
                "-j",
                jobs,
                "--top-module",
                harness.top,
                *(f"-G{name}={value}" for name, value in harness.parameters.items()),
                *(f"-D{name}={value}" for name, value in harness.defines.items()),
                f"-I{directory}",
                "--Mdir",
                str(objects),
                str(harness.wrapper),
                *map(str, harness.models),
                str(directory / "design.v"),
            ],
            environment,
        )
    include = Path(environment["VERILATOR_ROOT"]) / "include"
    _call(
        [
            "g++",
            "-shared",
            *_COMPILER_FLAGS,
            *(f"-D{name}={value}" for name, value in harness.defines.items()),
            f"-I{objects}",
            f"-I{harness.source.parent}",
            f"-I{include}",
            f"-I{include}/vltstd",
            str(harness.source),
            str(objects / f"libV{harness.top}.a"),
            str(objects / "libverilated.a"),
            "-lpthread",
            "-o",
            str(directory / LIBRARY),
        ],
        environment,
    )
    for path in objects.iterdir():
        path.unlink()
    objects.rmdir()


def _make(directory):
    directory.mkdir()
    return directory


def _call(command, environment):
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        tail = "\n".join((result.stdout + result.stderr).splitlines()[-20:])
        raise verilator.ToolError(f"{command[0]} failed:\n{tail}")
