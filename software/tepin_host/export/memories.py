# SPDX-License-Identifier: Apache-2.0
"""Testbenches for what stands at a memory: its controller, and the copier.

Through the controller go bursts of writes, then bursts of reads, into a model of the part and back. A channel of AXI is a
stream; reads begin when the last write has been answered. The copier has a memory, which holds all copies in the end.
"""

import numpy as np

from tepin.memory.sdram_parts import PARTS
from tepin_host.export.plan import Memory, Plan, Stream, packed, stream

__all__ = ["AXI_RAM_PORTS", "MEMORY_TOPS"]

AXI_RAM_PORTS = (
    *("awid", "awaddr", "awlen", "awvalid", "awready", "wdata", "wstrb", "wlast", "wvalid", "wready"),
    *("bid", "bresp", "bvalid", "bready", "arid", "araddr", "arlen", "arvalid", "arready"),
    *("rid", "rdata", "rresp", "rlast", "rvalid", "rready"),
)
"""Of `tepin_axi_ram`, for a design's `m_axi`."""

_BURSTS = 12
_ROWS = 4


class _Channel:
    """Ports of a channel of an AXI port; a word holds them in their order, the first one lowest."""

    def __init__(self, design, name):
        self._name = name
        flow = ("valid", "ready")
        self.ports = {
            port.removeprefix(name): width
            for port, (width, _) in design.ports.items()
            if port.startswith(name) and port.removeprefix(name) not in flow
        }
        self.width = sum(self.ports.values())

    def word(self, **values):
        """A word with these fields; the others are zero."""
        result, low = 0, 0
        for port, width in self.ports.items():
            result |= int(values.pop(port, 0)) << low
            low += width
        if values:
            raise ValueError(f"the channel {self._name} has no {', '.join(values)}")
        return result

    def stream(self, words, **more):
        payload = f"{{{', '.join(f'{self._name}{port}' for port in reversed(self.ports))}}}"
        return Stream((payload, f"{self._name}valid", f"{self._name}ready"), self.width, words, **more)


def _sdram(config, design):
    """Bursts of all lengths, some across rows and with masked bytes; what was never written is not read."""
    rng = np.random.default_rng(9)
    part = PARTS["ulx3s"]
    aw, w, b, ar, r = (_Channel(design, f"s_axi_{name}") for name in ("aw", "w", "b", "ar", "r"))
    beat = part.data_width // 8
    size = _ROWS * beat << part.column_bits + part.bank_bits
    memory = {}
    writes, data, reads, answers = [], [], [], []
    kind = {"size": beat.bit_length() - 1, "burst": 1}
    for number in range(_BURSTS):
        beats = (1, 2, 7, 40, 256)[number % 5]
        # Every other burst ends beyond a row; none crosses 4 KiB, which are several rows of all banks.
        row = beat << part.column_bits
        address = int(rng.integers(0, size // row - 1)) * row + int(rng.integers(0, row // beat)) * beat
        if address // 4096 != (address + beats * beat - 1) // 4096:
            address = (address // 4096 + 1) * 4096 - beats * beat
        writes.append(aw.word(addr=address, len=beats - 1, **kind))
        for index in range(beats):
            value, place = int(rng.integers(0, 1 << part.data_width)), address + beat * index
            strobe = (1 << beat) - 1 if place not in memory else int(rng.integers(0, 1 << beat))
            mask = sum(0xFF << 8 * byte for byte in range(beat) if strobe >> byte & 1)
            memory[place] = memory.get(place, 0) & ~mask | value & mask
            data.append(w.word(data=value, strb=strobe, last=index == beats - 1))
        reads.append((address, beats))
    # Again over half of them, a part of the bytes.
    for address, beats in reads[::2]:
        writes.append(aw.word(addr=address, len=beats - 1, **kind))
        for index in range(beats):
            value, strobe = int(rng.integers(0, 1 << part.data_width)), int(rng.integers(0, 1 << beat))
            mask = sum(0xFF << 8 * byte for byte in range(beat) if strobe >> byte & 1)
            place = address + beat * index
            memory[place] = memory[place] & ~mask | value & mask
            data.append(w.word(data=value, strb=strobe, last=index == beats - 1))
    asked = [ar.word(addr=address, len=beats - 1, **kind) for address, beats in reads]
    for address, beats in reads:
        answers += [r.word(data=memory[address + beat * n], last=n == beats - 1) for n in range(beats)]
    pins = ("cke", "cs_n", "ras_n", "cas_n", "we_n", "ba", "a", "dqm", "dq_o", "dq_oe", "dq_i")
    parameters = {
        "WIDTH": part.data_width,
        "BANK_BITS": part.bank_bits,
        "COLUMN_BITS": part.column_bits,
        "ADDRESS_BITS": part.address_width,
        "ROWS": _ROWS,
    }
    ports = {"clk": "clk"} | {pin: f"pins__{pin}" for pin in pins} | {"error": "part_error"}
    ports["cke"] = "!rst && pins__cke"  # before a reset, pins do anything
    return Plan(
        [aw.stream(writes), w.stream(data), ar.stream(asked, after=(0,))],
        [b.stream([b.word()] * len(writes)), r.stream(answers)],
        [("dut", {})],
        100_000,
        parts=(("tepin_sdram_part", "part", parameters, ports, "tepin_sdram_part.v"),),
        wires=(("part_error", 1),),
        errors=("part_error",),
    )


_COPIES = 40
_COPIED = 1 << 14


def _copier(config, design):
    """Copies of all alignments from the lower half of a memory to the upper one; the first one is of a few KiB."""
    rng = np.random.default_rng(11)
    before = rng.integers(0, 256, _COPIED, np.uint8)
    after, half, runs = before.copy(), _COPIED // 2, []
    place = half + 1
    for number in range(_COPIES):
        length = int(rng.integers(1, 90)) if number else 4150
        source = int(rng.integers(0, half - length))
        runs.append(packed((source, place, length), 32))
        after[place : place + length] = before[source : source + length]
        place += length + int(rng.integers(0, 5))
    if place > _COPIED:
        raise ValueError(f"the copies of the testbench need more than {_COPIED} bytes of memory")
    ram = Memory(
        "tepin_axi_ram",
        "ram",
        "tepin_axi_ram.v",
        {"DATA_WIDTH": config.port_width, "WORDS": _COPIED // config.port_bytes},
        {"clk": "clk", "rst": "rst"} | {port: f"m_axi_{port}" for port in AXI_RAM_PORTS},
        before,
        after,
        config.port_bytes,
    )
    wires = {"done": "copied", "stop": "1'b0", "read_base": "32'd0", "write_base": f"32'd{half}"}
    wires |= {"read_limit": f"32'd{half - 1}", "write_limit": f"32'd{_COPIED - 1}"}
    return Plan(
        [stream(design, "i", runs)],
        [Stream(("1'b1", "copied", None), 1, [1] * len(runs))],
        [("dut", wires)],
        100_000,
        memories=(ram,),
        errors=("error != 0",),
    )


MEMORY_TOPS = {"sdram": _sdram, "copier": _copier}
"""Functions from configuration and design to a `Plan`."""
