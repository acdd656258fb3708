# SPDX-License-Identifier: Apache-2.0
"""Testbenches in plain Verilog for tops that have nothing but streams: systolic array, serial link, switch.

Every stream has a source or a sink of its own, with a file of words. A link has another one of its kind at its lanes.
"""

from dataclasses import dataclass

import numpy as np

from tepin_host.export.templates import template

__all__ = ["STREAM_TOPS", "stream_files"]

_TILES = 6
_LINK_WORDS = 40
_SWITCH_WORDS = 12
"""From each port to each other one."""


@dataclass(frozen=True)
class _Stream:
    """Words that pass a stream.

    Members
    -------
    wires : tuple of str
        Payload, valid, ready (None if it is always ready).
    width : int
    words : list of int
        With groups, those of each one after the other.
    groups : int
    low : int
        Bits of a word from here on tell its group.
    """

    wires: tuple
    width: int
    words: list
    groups: int = 1
    low: int = 0


@dataclass(frozen=True)
class _Plan:
    """Sources, sinks, instances of the design (connections by port), and how many cycles suffice."""

    sources: list
    sinks: list
    instances: list
    cycles: int


def _stream(design, name, words, **more):
    """Of a port that is called NAME__payload, or NAME_tdata."""
    if f"{name}__payload" in design.ports:
        wires = tuple(f"{name}__{part}" for part in ("payload", "valid", "ready"))
    else:
        wires = tuple(f"{name}_t{part}" for part in ("data", "valid", "ready"))
    payload, valid, ready = wires
    ready = ready if ready in design.ports else None
    return _Stream((payload, valid, ready), design.ports[payload][0], words, **more)


def _array(config, design):
    """Whole tiles of weights, each with some passes; every sum from numpy."""
    rng = np.random.default_rng(3)
    rows, columns, bits = config.rows, config.columns, config.activation_width
    width = next(width for name, (width, _) in design.ports.items() if name == "o__payload") // columns
    weights, passes, sums = [], [], []
    for _ in range(_TILES):
        tile = rng.integers(-128, 128, (rows, columns))
        tile[0] = rng.choice([-128, 127], columns)
        weights += [_packed(row, 8) | (k == rows - 1) << 8 * columns for k, row in enumerate(tile)]
        for index in range(int(rng.integers(1, rows + 4))):
            activations = rng.integers(-(1 << bits - 1), 1 << bits - 1, rows)
            passes.append(_packed(activations, bits) | (index == 0) << bits * rows)
            sums.append(_packed(activations @ tile, width))
    return _Plan(
        [_stream(design, "i_weights", weights), _stream(design, "i", passes)],
        [_stream(design, "o", sums)],
        [("dut", {})],
        20 * (len(weights) + len(passes)) + 1000,
    )


def _link(config, design):
    """Two links, lane to lane; different words in both directions."""
    rng = np.random.default_rng(4)
    sources, sinks = [], []
    instances = []
    for name, other in (("a", "b"), ("b", "a")):
        words = [int(word) for word in rng.integers(0, 1 << 64, _LINK_WORDS, np.uint64)]
        sent, received = _stream(design, "s_axis", words), _stream(design, "m_axis", words)
        sources.append(_Stream(tuple(f"{name}_{wire}" for wire in sent.wires), sent.width, words))
        sinks.append(_Stream(tuple(f"{other}_{wire}" for wire in received.wires), received.width, words))
        wires = {port: f"{name}_{port}" for port in design.ports}
        wires |= {
            port: f"{other}_{port.replace('rx', 'tx', 1)}" for port in design.ports if port.startswith("rx_")
        }
        instances.append((name, wires))
    return _Plan(sources, sinks, instances, 100_000)


def _switch(config, design):
    """From every port to every port; at an output, the words from one input keep their order."""
    rng = np.random.default_rng(5)
    ports = sum(1 for name in design.ports if name.startswith("i__") and name.endswith("__valid"))
    width, _ = design.ports["i__0__payload"]
    low = width - (ports - 1).bit_length()
    sent = rng.integers(0, 1 << 63, (ports, ports, _SWITCH_WORDS))  # from, to
    sources, sinks = [], []
    for port in range(ports):
        order = rng.permutation(np.repeat(np.arange(ports), _SWITCH_WORDS))
        places, words = [0] * ports, []
        for to in map(int, order):
            words.append(int(sent[port, to, places[to]]) | to << low)
            places[to] += 1
        sources.append(_stream(design, f"i__{port}", words))
        expected = [int(word) | came << low for came in range(ports) for word in sent[came, port]]
        sinks.append(_stream(design, f"o__{port}", expected, groups=ports, low=low))
    return _Plan(sources, sinks, [("dut", {})], 20_000)


STREAM_TOPS = {"array": _array, "link": _link, "switch": _switch}


def _packed(values, bits):
    return sum((int(value) & ((1 << bits) - 1)) << bits * index for index, value in enumerate(values))


def stream_files(config, top, design):
    """Name of the testbench of a top in `STREAM_TOPS`, and its files by name."""
    plan = STREAM_TOPS[top](config, design)
    name = f"{design.top}_tb"
    files, instances, wires = {}, [], {}
    for index, stream in enumerate(plan.sources):
        path = f"tb/source_{index}.hex"
        files[path] = _hex(stream)
        payload, valid, ready = stream.wires
        parameters = {
            "WIDTH": stream.width,
            "COUNT": len(stream.words),
            "SEED": 1 + index,
            "FILE": f'"{path}"',
        }
        ports = {"clk": "clk", "rst": "rst", "ready": ready, "valid": valid, "payload": payload}
        instances.append(_instance("tepin_source", f"source_{index}", ports, parameters))
    for index, stream in enumerate(plan.sinks):
        path = f"tb/expected_{index}.hex"
        files[path] = _hex(stream)
        payload, valid, ready = stream.wires
        parameters = {
            "WIDTH": stream.width,
            "COUNT": len(stream.words) // stream.groups,
            "GROUPS": stream.groups,
            "LOW": stream.low,
            "SEED": 101 + index,
            "ALWAYS": int(ready is None),
            "FILE": f'"{path}"',
        }
        ports = {"clk": "clk", "rst": "rst", "valid": valid, "payload": payload, "ready": ready or ""}
        ports |= {"done": f"done[{index}]", "failed": f"failed[{index}]"}
        instances.append(_instance("tepin_sink", f"sink_{index}", ports, parameters))
    for instance, renamed in plan.instances:
        ports = {port: port if port in ("clk", "rst") else renamed.get(port, port) for port in design.ports}
        instances.append(_instance(design.top, instance, {"clk": "clk", "rst": "rst"} | ports))
        for port, (width, _) in design.ports.items():
            if port not in ("clk", "rst"):
                wires[ports[port]] = width
    files[f"tb/{name}.v"] = template(
        "tepin_ports_tb.v",
        NAME=name,
        TOP=design.top,
        CYCLES=plan.cycles,
        SINKS=len(plan.sinks),
        WORDS=sum(len(stream.words) for stream in plan.sinks),
        WIRES="\n".join(
            f"  wire {f'[{width - 1}:0] ' if width > 1 else ''}{wire};" for wire, width in wires.items()
        ),
        INSTANCES="\n\n".join(instances),
    )
    files["tb/tepin_streams.v"] = template("tepin_streams.v")
    if top == "array":
        files["tb/test_array.py"] = template("test_array.py")
    return name, files


def _hex(stream):
    return "".join(f"{word:0{-(-stream.width // 4)}x}\n" for word in stream.words)


def _instance(module, name, ports, parameters=None):
    given = ", ".join(f".{parameter}({value})" for parameter, value in (parameters or {}).items())
    connections = ",\n".join(f"    .{port}({wire})" for port, wire in ports.items())
    return f"  {module} {f'#({given}) ' if given else ''}{name} (\n{connections}\n  );"
