# SPDX-License-Identifier: Apache-2.0
"""Testbenches for tops that have nothing but streams: systolic array, serial link (with another one at its lanes), switch."""

import numpy as np

from tepin_host.export.plan import Plan, Stream, packed, stream

__all__ = ["STREAM_TOPS"]

_TILES = 6
_LINK_WORDS = 40
_SWITCH_WORDS = 12
"""From each port to each other one."""


def _array(config, design):
    """Whole tiles of weights, each with some passes; every sum from numpy."""
    rng = np.random.default_rng(3)
    rows, columns, bits = config.rows, config.columns, config.activation_width
    width = next(width for name, (width, _) in design.ports.items() if name == "o__payload") // columns
    weights, passes, sums = [], [], []
    for _ in range(_TILES):
        tile = rng.integers(-128, 128, (rows, columns))
        tile[0] = rng.choice([-128, 127], columns)
        weights += [packed(row, 8) | (k == rows - 1) << 8 * columns for k, row in enumerate(tile)]
        for index in range(int(rng.integers(1, rows + 4))):
            activations = rng.integers(-(1 << bits - 1), 1 << bits - 1, rows)
            passes.append(packed(activations, bits) | (index == 0) << bits * rows)
            sums.append(packed(activations @ tile, width))
    return Plan(
        [stream(design, "i_weights", weights), stream(design, "i", passes)],
        [stream(design, "o", sums)],
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
        sent, received = stream(design, "s_axis", words), stream(design, "m_axis", words)
        sources.append(Stream(tuple(f"{name}_{wire}" for wire in sent.wires), sent.width, words))
        sinks.append(Stream(tuple(f"{other}_{wire}" for wire in received.wires), received.width, words))
        wires = {port: f"{name}_{port}" for port in design.ports}
        wires |= {
            port: f"{other}_{port.replace('rx', 'tx', 1)}" for port in design.ports if port.startswith("rx_")
        }
        instances.append((name, wires))
    return Plan(sources, sinks, instances, 100_000)


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
        sources.append(stream(design, f"i__{port}", words))
        expected = [int(word) | came << low for came in range(ports) for word in sent[came, port]]
        sinks.append(stream(design, f"o__{port}", expected, groups=ports, low=low))
    return Plan(sources, sinks, [("dut", {})], 20_000)


STREAM_TOPS = {"array": _array, "link": _link, "switch": _switch}
"""Functions from configuration and design to a `Plan`."""
