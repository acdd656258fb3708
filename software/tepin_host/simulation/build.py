# SPDX-License-Identifier: Apache-2.0
"""Builds the compiled simulation of a chip: Amaranth -> Verilog -> Verilator -> shared library, each step cached.

The Verilog is cached under the sources and the configuration it comes from, the library under the Verilog. So a second run
builds nothing, and a change of a comment in the RTL costs the Verilog, not the compilation.
"""

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path

import tepin
from tepin import verilator
from tepin_host.errors import UserError

__all__ = ["build_simulator", "chip_verilog"]

_HARNESS = Path(__file__).with_name("harness.cpp")
_WRAPPER = Path(__file__).with_name("harness.sv")
_VERILATOR_FLAGS = ["-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "--noassert"]
_COMPILER_FLAGS = ["-O2", "-fPIC", "-std=c++17"]


def _sources():
    """Contents of every file that the chip's Verilog depends on."""
    root = Path(tepin.__file__).parent
    return [[str(path.relative_to(root)), path.read_bytes()] for path in sorted(root.rglob("*.py"))]


def chip_verilog(config, *, progress=None):
    """Verilog text of the chip with module name `tepin`, from the cache if nothing has changed.

    `progress(message)` is called if it has to be generated.
    """
    key = verilator.content_key(_sources(), json.dumps(asdict(config), sort_keys=True))

    def build(directory):
        from tepin import verilog
        from tepin.chip import Chip

        if progress:
            progress("generating Verilog")
        (directory / "tepin.v").write_text(verilog.convert(Chip(config), name="tepin"))

    return (verilator.cached_build("chip", key, build) / "tepin.v").read_text()


def build_simulator(config, *, text=None, progress=None):
    """Path of the shared library that simulates the chip.

    Parameters
    ----------
    config : ChipConfig
    text : str, optional
        Verilog to use instead of the configuration's own: a mutant.
    progress : callable(str), optional
        Told what is being done, if it takes long.

    Raises
    ------
    UserError
        If a tool is missing or the build fails.
    """
    say = progress or (lambda message: None)
    text = text or chip_verilog(config, progress=progress)
    key = verilator.content_key(
        text,
        _HARNESS.read_bytes(),
        _WRAPPER.read_bytes(),
        _VERILATOR_FLAGS,
        _COMPILER_FLAGS,
        str(config.port_bytes),
    )

    def build(directory):
        say("compiling the simulation (once for each chip; takes a minute or two)")
        _compile(directory, text, config.port_bytes)

    try:
        return verilator.cached_build("simulation", key, build) / "libtepin.so"
    except verilator.ToolError as error:
        raise UserError(str(error)) from error


def _compile(directory, text, port_bytes):
    """Fill `directory` with libtepin.so."""
    (directory / "tepin.v").write_text(text)
    environment = verilator.environment()
    jobs = str(os.cpu_count() or 1)
    flags = " ".join(_COMPILER_FLAGS)
    environment["MAKEFLAGS"] += " OPT_FAST=-O2 OPT_GLOBAL=-O2 OPT_SLOW=-O0"
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
                "-CFLAGS",
                flags,
                "-j",
                jobs,
                "--top-module",
                "harness",
                f"-GWIDTH={8 * port_bytes}",
                "--Mdir",
                str(objects),
                str(_WRAPPER),
                str(directory / "tepin.v"),
            ],
            environment,
        )
    include = Path(environment["VERILATOR_ROOT"]) / "include"
    _call(
        [
            "g++",
            "-shared",
            *_COMPILER_FLAGS,
            f"-DPORT_BYTES={port_bytes}",
            f"-I{objects}",
            f"-I{include}",
            f"-I{include}/vltstd",
            str(_HARNESS),
            str(objects / "libVharness.a"),
            str(objects / "libverilated.a"),
            "-lpthread",
            "-o",
            str(directory / "libtepin.so"),
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
