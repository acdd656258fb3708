# SPDX-License-Identifier: Apache-2.0
"""Testbenches in plain Verilog that check themselves: stimuli and expected results are files for `$readmemh`.

What is expected comes from the numpy models (`tepin_reference`), to the bit. The chip runs the program of the boards' self
test: matmul engine, vector unit and memory port, which check their results themselves, and a token for each part.
"""

from dataclasses import dataclass

import numpy as np

from tepin.control.registers import register
from tepin_host.export.engines import ENGINE_TOPS
from tepin_host.export.memories import MEMORY_TOPS
from tepin_host.export.plan import bench_files
from tepin_host.export.streams import STREAM_TOPS
from tepin_host.export.templates import template
from tepin_host.selftest import Part, self_test_program
from tepin_reference import float32, units

__all__ = ["Bench", "available", "bench", "system_files"]

_MEMORY_BYTES = 1 << 16

_PLANS = STREAM_TOPS | ENGINE_TOPS | MEMORY_TOPS

_LENGTHS = (1, 2, 3, 8, 13, 32)
"""Of the rows for stream units."""


@dataclass(frozen=True)
class Bench:
    """A testbench: the name of its top module, and its files by name."""

    top: str
    files: dict


def available(top):
    """Whether there is a testbench for a top."""
    return top in ("chip", *_STREAMS, *_PLANS)


def bench(config, top, design):
    """The `Bench` of a design, or None if its configuration has more ports than the testbench."""
    if top == "chip":
        if config.links:
            return None
        program = _self_test(config)
        windows = (0, _MEMORY_BYTES)
        files = system_files(
            config,
            program,
            bytes(_MEMORY_BYTES),
            read=windows,
            write=windows,
            tokens=list(Part),
            cycles=1_000_000,
        )
        places = {name: f"{register(name).offset:04x}" for name in ("STATUS", "TOKEN")}
        return Bench("tepin_system_tb", files | _cocotb("test_chip.py", **places))
    if top in _PLANS:
        name, files = bench_files(design, _PLANS[top](config, design))
        if top == "array":
            files |= _cocotb("test_array.py")
        return Bench(name, files)
    return _stream_bench(config, top, design)


def _cocotb(name, **words):
    """A testbench for cocotb, and what it imports."""
    return {f"tb/{file}": template(file, **words) for file in ("tepin_cocotb.py", name)}


def _self_test(config):
    """The self test that goes through as little memory as it can."""
    for bits in range(10, _MEMORY_BYTES.bit_length()):
        try:
            return self_test_program(config, memory_bytes=_MEMORY_BYTES, span=1 << bits)
        except ValueError:
            continue
    return self_test_program(config, memory_bytes=_MEMORY_BYTES)


def system_files(config, program, memory, *, read, write, tokens=None, cycles=2**31 - 1):
    """A system of chip, host and memory, as files by name.

    Parameters
    ----------
    config : ChipConfig
    program : list of int
        For the program memory, from word 0 on, where it is started.
    memory : bytes
        Contents of the memory; it is made as large as the next power of two.
    read, write : (int, int)
        First byte and first byte behind of what the program may read and write.
    tokens : list of int, optional
        What it is expected to push; without, tokens are only printed.
    cycles : int
        After which the testbench gives up.
    """
    port = config.port_bytes
    size = 1 << max((len(memory) - 1).bit_length(), port.bit_length())
    words = np.frombuffer(bytes(memory).ljust(size, b"\0"), np.uint8).reshape(-1, port)[:, ::-1]
    writes = [("PROGRAM_ADDRESS", 0), *(("PROGRAM_DATA", word) for word in program)]
    for name, (first, end) in (("READ", read), ("WRITE", write)):
        writes += [(f"{name}_BASE", first), (f"{name}_LIMIT", end - 1)]
    writes += [("START_PC", 0), ("CONTROL", 1)]
    result = {
        "tb/tepin_system_tb.v": template(
            "tepin_system_tb.v",
            MEMORY_WORDS=len(words),
            WRITES=len(writes),
            EXPECTED=len(tokens or ()),
            CYCLES=cycles,
            WIDTH=config.port_width,
            SCRIPT="tb/script.hex",
            IMAGE="tb/memory.hex",
            TOKENS="tb/tokens.hex",
        ),
        "tb/tepin_host.v": template(
            "tepin_host.v",
            STATUS=f"{register('STATUS').offset:04x}",
            TOKEN=f"{register('TOKEN').offset:04x}",
        ),
        "tb/tepin_axi_ram.v": template("tepin_axi_ram.v"),
        "tb/script.hex": "".join(f"{register(name).offset:04x}{value:08x}\n" for name, value in writes),
        "tb/memory.hex": "".join(f"{row.tobytes().hex()}\n" for row in words),
    }
    if tokens:
        result["tb/tokens.hex"] = "".join(f"{token:08x}\n" for token in tokens)
    return result


def _rows():
    generator = np.random.default_rng(1)
    rows = [(4 * generator.standard_normal(length)).astype("<f4") for length in _LENGTHS]
    return [*rows, np.array([0, -0.0, 1e30, -1e30, 1e-40], "<f4"), np.zeros(4, "<f4")]


def _activations():
    return {"select": 0}, [], [(row, units.silu(row)) for row in _rows()]


def _softmax():
    return {}, [], [(row, units.softmax(row)) for row in _rows()]


def _norm():
    length = 24
    generator = np.random.default_rng(2)
    rows = generator.standard_normal((4, length)).astype("<f4")
    gain = (1 + 0.2 * generator.standard_normal(length)).astype("<f4")
    bias = generator.standard_normal(length).astype("<f4")
    share, epsilon = np.float32(1 / length), np.float32(1e-5)
    settings = {
        "centre": 1,
        "share": int(float32.bits(share)),
        "epsilon": int(float32.bits(epsilon)),
    }
    return settings, [(gain, bias)], [(row, units.layer_norm(row, gain, bias, epsilon)) for row in rows]


_STREAMS = {"softmax": _softmax, "norm": _norm, "activation": _activations}


def _beats(row, lanes):
    """(elements as words, the first one lowest; how many) of each beat of a row."""
    words = [int(word) for word in float32.bits(row)]
    for start in range(0, len(words), lanes):
        part = words[start : start + lanes]
        yield part, len(part), start + lanes >= len(words)


def _number(words):
    return sum(word << 32 * index for index, word in enumerate(words))


def _stream_bench(config, top, design):
    lanes = config.lanes
    with np.errstate(all="ignore"):
        settings, parameters, rows = _STREAMS[top]()
    width = 32 * lanes
    user = lanes if "s_axis_tuser" in design.ports else 0

    def line(words, count, last):
        """tuser, tlast, tkeep, tdata of a beat, as one number; lanes without an element hold ones."""
        data = _number([*words, *[0xFFFF_FFFF] * (lanes - count)])
        return last << (width + 4 * lanes) | ((1 << 4 * count) - 1) << width | data

    bits = width + 4 * lanes + 1
    sent = [line(*beat) for row, _ in rows for beat in _beats(row, lanes)]
    expected = [line(*beat) for _, row in rows for beat in _beats(row, lanes)]
    given = [
        last << 2 * width
        | _number([*biases, *[0] * (lanes - count)]) << width
        | _number([*gains, *[0] * (lanes - count)])
        for gain, bias in parameters
        for (gains, count, last), (biases, _, _) in zip(_beats(gain, lanes), _beats(bias, lanes), strict=True)
    ]
    name = f"{design.top}_tb"
    connections = {"clk": "clk", "rst": "rst"}
    for port, (size, direction) in design.ports.items():
        stem, _, field = port.rpartition("_t")
        if port in settings:
            connections[port] = f"{size}'h{settings[port]:x}"
        elif stem == "s_axis":
            connections[port] = {
                "valid": "sending", "ready": "s_ready", "user": f"{user}'d0", "last": f"beat[{bits - 1}]",
                "keep": f"beat[{bits - 2}:{width}]", "data": f"beat[{width - 1}:0]",
            }[field]  # fmt: skip
        elif stem == "s_axis_parameters":
            connections[port] = {
                "valid": "giving", "ready": "p_ready", "last": f"parameter_beat[{2 * width}]",
                "keep": f"{{{8 * lanes}{{1'b1}}}}", "data": f"parameter_beat[{2 * width - 1}:0]",
            }[field]  # fmt: skip
        elif stem == "m_axis":
            connections[port] = {
                "valid": "m_valid", "ready": "m_ready", "last": "m_last", "keep": "m_keep", "data": "m_data",
            }[field]  # fmt: skip
        elif direction == "output":
            connections[port] = ""
    text = template(
        "tepin_stream_tb.v",
        NAME=name,
        TOP=design.top,
        LANES=lanes,
        BITS=bits,
        SENT=len(sent),
        EXPECTED=len(expected),
        GIVEN=len(given),
        CONNECTIONS=",\n".join(f"    .{port}({wire})" for port, wire in connections.items()),
    )
    digits = -(-bits // 4)
    result = {
        f"tb/{name}.v": text,
        "tb/rows.hex": "".join(f"{beat:0{digits}x}\n" for beat in sent),
        "tb/expected.hex": "".join(f"{beat:0{digits}x}\n" for beat in expected),
    }
    if given:
        result["tb/parameters.hex"] = "".join(f"{beat:0{-(-(2 * width + 1) // 4)}x}\n" for beat in given)
    return Bench(name, result)
