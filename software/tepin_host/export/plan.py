# SPDX-License-Identifier: Apache-2.0
"""The form of testbench for tops with decoupled ports: a `Plan` of what goes in and what has to come out, and its Verilog.

Every stream has a source or a sink of its own, with a file of words. Memories hold an image at the start, and have to hold
another one at the end.
"""

from dataclasses import dataclass

import numpy as np

from tepin_host.export.templates import template

__all__ = ["Memory", "Plan", "Stream", "bench_files", "packed", "stream"]


@dataclass(frozen=True)
class Stream:
    """Words that pass a stream.

    Members
    -------
    wires : tuple of str
        Payload (a wire, or several in braces), valid, ready (None if it is always ready).
    width : int
    words : list of int
        With groups, those of each one after the other.
    groups : int
    low : int
        Bits of a word from here on tell its group.
    after : tuple of int
        Of a source: sinks, by index, that have to have all of their words before it begins.
    """

    wires: tuple
    width: int
    words: list
    groups: int = 1
    low: int = 0
    after: tuple = ()


@dataclass(frozen=True)
class Memory:
    """A memory beside the design, an instance of a module that keeps it in an array `words`.

    Members
    -------
    module, name : str
        Module and instance.
    file : str
        Of the module, a template.
    parameters : dict
        Of the instance; IMAGE is added.
    ports : dict
        Of the instance, with wires.
    image, expected : uint8 array
        Contents at the start and at the end.
    word_bytes : int
    """

    module: str
    name: str
    file: str
    parameters: dict
    ports: dict
    image: np.ndarray
    expected: np.ndarray
    word_bytes: int


@dataclass(frozen=True)
class Plan:
    """Sources, sinks, memories, instances of the design (connections by port), and how many cycles suffice.

    `parts` are (module, instance, parameters, ports, file) of what else is there; `errors` are wires that are never high.
    """

    sources: list
    sinks: list
    instances: list
    cycles: int
    memories: tuple = ()
    parts: tuple = ()
    wires: tuple = ()
    errors: tuple = ()


def stream(design, name, words, **more):
    """Of a port that is called NAME__payload, or NAME_tdata."""
    if f"{name}__payload" in design.ports:
        wires = tuple(f"{name}__{part}" for part in ("payload", "valid", "ready"))
    else:
        wires = tuple(f"{name}_t{part}" for part in ("data", "valid", "ready"))
    payload, valid, ready = wires
    ready = ready if ready in design.ports else None
    return Stream((payload, valid, ready), design.ports[payload][0], words, **more)


def packed(values, bits):
    """Numbers of so many bits in one, the first one lowest."""
    return sum((int(value) & ((1 << bits) - 1)) << bits * index for index, value in enumerate(values))


def bench_files(design, plan):
    """Name of the testbench that plays a `Plan`, and its files by name."""
    name = f"{design.top}_tb"
    files, instances, wires, checks = {}, [], dict(plan.wires), []
    for index, source in enumerate(plan.sources):
        path = f"tb/source_{index}.hex"
        files[path] = _hex(source.words, source.width)
        payload, valid, ready = source.wires
        parameters = {
            "WIDTH": source.width,
            "COUNT": len(source.words),
            "SEED": 1 + index,
            "FILE": f'"{path}"',
        }
        held = " && ".join(f"done[{sink}]" for sink in source.after)
        ports = {"clk": "clk", "rst": f"rst || !({held})" if held else "rst"}
        ports |= {"ready": ready, "valid": valid, "payload": payload}
        instances.append(_instance("tepin_source", f"source_{index}", ports, parameters))
    for index, sink in enumerate(plan.sinks):
        path = f"tb/expected_{index}.hex"
        files[path] = _hex(sink.words, sink.width)
        payload, valid, ready = sink.wires
        parameters = {
            "WIDTH": sink.width,
            "COUNT": len(sink.words) // sink.groups,
            "GROUPS": sink.groups,
            "LOW": sink.low,
            "SEED": 101 + index,
            "ALWAYS": int(ready is None),
            "FILE": f'"{path}"',
        }
        ports = {"clk": "clk", "rst": "rst", "valid": valid, "payload": payload, "ready": ready or ""}
        ports |= {"done": f"done[{index}]", "failed": f"failed[{index}]"}
        instances.append(_instance("tepin_sink", f"sink_{index}", ports, parameters))
    for memory in plan.memories:
        paths = {kind: f"tb/{memory.name}_{kind}.hex" for kind in ("image", "expected")}
        for kind, path in paths.items():
            words = getattr(memory, kind).reshape(-1, memory.word_bytes)[:, ::-1]
            files[path] = "".join(f"{word.tobytes().hex()}\n" for word in words)
        parameters = memory.parameters | {"IMAGE": f'"{paths["image"]}"'}
        instances.append(_instance(memory.module, memory.name, memory.ports, parameters))
        files[f"tb/{memory.file}"] = template(memory.file)
        count = len(memory.image) // memory.word_bytes
        words = {
            "NAME": memory.name,
            "BITS": 8 * memory.word_bytes,
            "COUNT": count,
            "FILE": paths["expected"],
        }
        checks.append(template("check_memory.v", **words))
    for module, instance, parameters, ports, file in plan.parts:
        instances.append(_instance(module, instance, ports, parameters))
        files[f"tb/{file}"] = template(file)
    for instance, renamed in plan.instances:
        ports = {port: port if port in ("clk", "rst") else renamed.get(port, port) for port in design.ports}
        instances.append(_instance(design.top, instance, {"clk": "clk", "rst": "rst"} | ports))
        for port, (width, _) in design.ports.items():
            if port not in ("clk", "rst") and ports[port].isidentifier():
                wires[ports[port]] = width
    files[f"tb/{name}.v"] = template(
        "tepin_ports_tb.v",
        NAME=name,
        TOP=design.top,
        CYCLES=plan.cycles,
        SINKS=len(plan.sinks),
        WORDS=sum(len(sink.words) for sink in plan.sinks),
        ERRORS=" || ".join(plan.errors) or "1'b0",
        WIRES="\n".join(
            f"  wire {f'[{width - 1}:0] ' if width > 1 else ''}{wire};" for wire, width in wires.items()
        ),
        INSTANCES="\n\n".join(instances),
        CHECKS="\n".join(checks),
        CALLS="".join(f"      check_{memory.name};\n" for memory in plan.memories),
    )
    files["tb/tepin_streams.v"] = template("tepin_streams.v")
    return name, files


def _hex(words, width):
    return "".join(f"{word:0{-(-width // 4)}x}\n" for word in words)


def _instance(module, name, ports, parameters=None):
    given = ", ".join(f".{parameter}({value})" for parameter, value in (parameters or {}).items())
    connections = ",\n".join(f"    .{port}({wire})" for port, wire in ports.items())
    return f"  {module} {f'#({given}) ' if given else ''}{name} (\n{connections}\n  );"
