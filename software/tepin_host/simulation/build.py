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
from tepin.control.controller import ENGINES
from tepin.isa import Engine
from tepin_host.simulation.compile import Harness, compile_library

__all__ = ["build_simulator", "cached_verilog", "chip_verilog", "traced_engines"]

_HERE = Path(__file__).parent

_READERS = {
    Engine.WEIGHTS: "dma.weights.front.reader",
    Engine.LOADS: "dma.loads.front.reader",
    Engine.STORES: "dma.stores.front.reader",
    Engine.MATMUL: "matmul.commands",
    Engine.VECTOR: "vector.reader",
    Engine.LINK: "link.reader",
}
"""Where in the chip the `CommandReader` of each engine is."""


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


def build_simulator(config, *, serial=False, trace=False, sdram=None, text=None, progress=None):
    """Path of the shared library that simulates the chip.

    Parameters
    ----------
    config : ChipConfig
    serial : bool
        Simulate the serial links between chips, too.
    trace : bool
        Record what the chip does, see `tepin_host.simulation.trace`.
    sdram : SdramMemory, optional
        The memory, instead of one with a constant latency.
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
    if trace:
        defines |= {"TRACE": 1, "ENGINES": len(traced_engines(config))}
        files["trace_signals.svh"] = _traced_signals(config)
    models = ()
    if sdram:
        defines |= sdram.defines
        files |= sdram.files
        models = sdram.models
    harness = Harness(
        top="harness",
        wrapper=_HERE / "harness.sv",
        source=_HERE / "harness.cpp",
        parameters={"WIDTH": config.port_width},
        defines=defines,
        headers=(_HERE / "links.h", *((_HERE / "trace.h",) if trace else ())),
        models=models,
        files=files,
    )
    text = text or chip_verilog(config, serial=serial, clock_gates=True, progress=progress)
    if sdram:
        text += sdram.verilog(progress)
    return compile_library(text, harness, progress=progress)


def traced_engines(config):
    """The engines of a trace, in the order of its numbers."""
    return ENGINES + ((Engine.LINK,) if config.links else ())


def _traced_signals(config):
    """Verilog: what a trace looks at in each engine's command reader, and where the engine signals."""
    lines = []
    for index, engine in enumerate(traced_engines(config)):
        reader = f"chip.{_READERS[engine]}"
        taken = {
            "words": f"{reader}.words__valid & {reader}.words__ready",
            "started": f"{reader}.o__valid & {reader}.o__ready",
            "waits": f"{reader}.wait__valid",
            "granted": f"{reader}.wait__ready",
            "signalled": f"chip.controller.engines__{index}__signal_valid",
        }
        lines += [f"  assign trace_{name}[{index}] = {value};" for name, value in taken.items()]
        lines.append(f"  assign trace_word[{32 * index}+:32] = {reader}.words__payload;")
    return "\n".join(lines) + "\n"


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
