# SPDX-License-Identifier: Apache-2.0
"""Builds the compiled simulation of a chip: Amaranth -> Verilog -> Verilator -> shared library, each step cached.

The Verilog is cached under the sources and the configuration it comes from, the library under the Verilog. So a second run
builds nothing, and a change of a comment in the RTL costs the Verilog, not the compilation.
"""

import json
from dataclasses import asdict
from pathlib import Path

import tepin
from tepin import verilator
from tepin_host.simulation.compile import Harness, compile_library

__all__ = ["build_simulator", "cached_verilog", "chip_verilog"]

_HERE = Path(__file__).parent


def _sources():
    """Contents of every file that the hardware's Verilog depends on."""
    root = Path(tepin.__file__).parent
    return [[str(path.relative_to(root)), path.read_bytes()] for path in sorted(root.rglob("*.py"))]


def cached_verilog(name, description, make, *, clock_gates=False, progress=None):
    """Verilog text of a component as module `name`, from the cache if nothing has changed.

    Parameters
    ----------
    name : str
    description : JSON value
        All that the component is made from, besides the sources.
    make : callable
        Returns the component.
    clock_gates : bool
        As in `tepin.verilog.convert`.
    progress : callable(str), optional
        Called if the text has to be generated.
    """
    key = verilator.content_key(_sources(), name, json.dumps([description, clock_gates], sort_keys=True))

    def build(directory):
        from tepin import verilog

        if progress:
            progress("generating Verilog")
        (directory / f"{name}.v").write_text(verilog.convert(make(), name=name, clock_gates=clock_gates))

    return (verilator.cached_build("chip", key, build) / f"{name}.v").read_text()


def chip_verilog(config, *, serial=False, clock_gates=False, progress=None):
    """Verilog text of the chip with module name `tepin`, from the cache if nothing has changed.

    If `serial`, with a serial link at each of its ports (`tepin.linked_chip`).
    With `clock_gates`, the same with the clocks stopped of what rests, see `tepin.clock`: it simulates more quickly.
    `progress(message)` is called if it has to be generated.
    """

    def make():
        from tepin.chip import Chip
        from tepin.linked_chip import LinkedChip

        return LinkedChip(config) if serial else Chip(config)

    description = asdict(config) | ({"serial": True} if serial else {})
    return cached_verilog("tepin", description, make, clock_gates=clock_gates, progress=progress)


def build_simulator(config, *, serial=False, text=None, progress=None):
    """Path of the shared library that simulates the chip.

    Parameters
    ----------
    config : ChipConfig
    serial : bool
        Simulate the serial links between chips, too.
    text : str, optional
        Verilog to use instead of the configuration's own: a mutant.
    progress : callable(str), optional
        Told what is being done, if it takes long.

    Raises
    ------
    UserError
        If a tool is missing or the build fails.
    """
    files, defines = {}, {"PORT_BYTES": config.port_bytes}
    if config.links:
        defines["LINKS"] = config.links
        files["link_ports.svh"] = _lane_ports(config.links) if serial else _link_ports(config.links)
    if serial:
        defines["SERIAL"] = 1
    harness = Harness(
        top="harness",
        wrapper=_HERE / "harness.sv",
        source=_HERE / "harness.cpp",
        parameters={"WIDTH": config.port_width},
        defines=defines,
        headers=(_HERE / "links.h",),
        files=files,
    )
    text = text or chip_verilog(config, serial=serial, clock_gates=True, progress=progress)
    return compile_library(text, harness, progress=progress)


def _link_ports(count):
    """Connections of the chip's links in the harness, where each signal is one vector for all of them."""
    lines = []
    for index in range(count):
        for direction in "io":
            port, signal = f"link_{direction}__{index}__", f"link_{direction}_"
            lines.append(f"    .{port}valid({signal}valid[{index}]),")
            lines.append(f"    .{port}ready({signal}ready[{index}]),")
            lines.append(f"    .{port}payload({signal}payload[{64 * index}+:64]),")
    return "\n".join(lines) + "\n"


def _lane_ports(count):
    """The same for a chip with serial links."""
    lines = []
    for index in range(count):
        for name in ("tx", "rx"):
            lines.append(f"    .{name}__{index}__data({name}_data[{16 * index}+:16]),")
            lines.append(f"    .{name}__{index}__strobe({name}_strobe[{index}]),")
        port = f".link_status__{index}__"
        lines += [f"    {port}up(),", f"    {port}broken(),"]
        for place, name in enumerate(("errors", "replays", "retrains")):
            lines.append(f"    {port}{name}(link_status[{48 * index + 16 * place}+:16]),")
    return "\n".join(lines) + "\n"
