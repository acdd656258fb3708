# SPDX-License-Identifier: Apache-2.0
"""Testbenches for engines: a scratchpad, a memory, queues of commands, and what the functional simulator leaves in both.

The commands are a program of the assembler's, of which each engine gets its own. They wait for each other nowhere, so
nothing that one writes is read or written by another one.
"""

from dataclasses import replace

import numpy as np

from tepin.isa import ActivationType, DataType, Engine, Function, QueueHeader, Reduction, WeightType
from tepin.program import CommandInstruction, decode
from tepin_host.assembler import Assembler, Scalar, Strided, Vector
from tepin_host.export.memories import AXI_RAM_PORTS
from tepin_host.export.plan import Memory, Plan, Stream, stream
from tepin_reference.simulator import FunctionalSimulator
from tepin_reference.weights import tile_bytes

__all__ = ["ENGINE_TOPS"]

_PAD = 1 << 14
"""Bytes of the scratchpad, one bank."""

_MEMORY = 1 << 13


class _Script:
    """A program in the making, and the contents of scratchpad and memory that it begins with.

    Attributes
    ----------
    a : Assembler
    rng : numpy Generator
    pad, memory : uint8 array
    config : ChipConfig
        With this scratchpad.
    """

    def __init__(self, config, seed):
        banked = {"scratchpad_bytes": _PAD, "scratchpad_banks": 1, "links": 0, "program_words": 4096}
        self.config = replace(config, **banked)
        self.a = Assembler()
        self.rng = np.random.default_rng(seed)
        self.pad = self.rng.integers(0, 256, _PAD, np.uint8)
        self.memory = self.rng.integers(0, 256, _MEMORY, np.uint8)
        self._next = 0
        self._commands = 0

    def take(self, size):
        """Address of so many bytes that nobody else has."""
        line = self.config.line_bytes
        address, self._next = self._next, self._next + -(-size // line) * line
        if self._next > _PAD:
            raise ValueError(f"the commands of the testbench need more than {_PAD} bytes of scratchpad")
        return address

    def put(self, values):
        """Address of values in the scratchpad."""
        data = np.ascontiguousarray(values).view(np.uint8).ravel()
        address = self.take(len(data))
        self.pad[address : address + len(data)] = data
        return address

    def floats(self, count, spread=6):
        """Of both signs and all sizes around one."""
        scale = 2.0 ** self.rng.integers(-spread, spread, count)
        return (self.rng.standard_normal(count) * scale).astype("<f4")

    def signal(self):
        """The next number of a semaphore."""
        self._commands += 1
        return 1 + self._commands % 15

    def run(self):
        """The functional simulator, after the program."""
        self.a.end()
        simulator = FunctionalSimulator(self.config, self.memory.copy())
        simulator.scratchpad[:] = self.pad
        with np.errstate(all="ignore"):
            list(simulator.run(self.a.assemble()))
        return simulator

    def commands(self, engine):
        """Those of an engine, as instructions."""
        words = self.a.assemble()
        place = 0
        while place < len(words):
            instruction, length = decode(words, place)
            if isinstance(instruction, CommandInstruction) and instruction.engine == engine:
                yield instruction
            place += length


def _control(design, name, script, engine):
    """Source of the commands of an engine, sinks of the semaphores that it waits for and signals, wire of its errors."""
    words, signals = [], []
    for number, command in enumerate(script.commands(engine)):
        body = [command.flags, *(operand.immediate & 0xFFFF_FFFF for operand in command.fields.values())]
        header = {"op": command.op, "wait": 0, "signal": command.signal, "length": len(body), "pc": number}
        words += [QueueHeader.const(header).as_bits(), *body]
        signals.append(command.signal)
    signal = Stream((f"{name}__signal", f"{name}__signal_valid", None), 4, signals)
    return stream(design, f"{name}__commands", words), signal, f"{name}__error_valid"


def _scratchpad(design, script, after, *, reads, writes):
    """The scratchpad on ports of these names."""

    def wires(names, end):
        return f"{{{', '.join(f'{name}__{end}' for name in reversed(names))}}}"

    ports = {"clk": "clk", "rst": "rst"}
    for port, end in {
        "read_valid": "request__valid",
        "read_address": "request__payload",
        "read_ready": "request__ready",
        "response_valid": "response_valid",
        "response": "response",
        "read_fault": "fault",
    }.items():
        ports[port] = wires(reads, end)
    for port, end in {
        "write_valid": "request__valid",
        "write_request": "request__payload",
        "write_ready": "request__ready",
        "write_fault": "fault",
    }.items():
        ports[port] = wires(writes, end)
    parameters = {
        "LINE": script.config.line_bytes,
        "BYTES": _PAD,
        "READS": len(reads),
        "WRITES": len(writes),
    }
    return Memory(
        "tepin_scratchpad",
        "scratchpad",
        "tepin_scratchpad.v",
        parameters,
        ports,
        script.pad,
        after.scratchpad,
        1,
    )


def _matmul(config, design):
    """All kinds of operands, tiles that are not full in each direction, weights from the FIFO and from the scratchpad."""
    script = _Script(config, 6)
    a, rng = script.a, script.rng
    rows, columns, word = config.rows, config.columns, script.config.fifo_word_bytes
    weights, place = [], 0
    for kind in range(8):
        from_pad, int4, int8 = kind & 1, kind & 2, kind & 4
        m = min(config.accumulator_rows, 1 + kind % 3)
        k, n = ((2 * rows + 3, columns + 1), (33, 5), (rows, columns), (1, 1))[kind % 4]
        weight_type = WeightType.INT4 if int4 else WeightType.INT8
        scaled = kind % 3 != 1
        parts = []
        for first in range(0, n, columns):
            width = min(columns, n - first)
            codes = tile_bytes(k, width, weight_type, False)
            parts.append(rng.integers(0, 256, codes, np.uint8))
            parts += [script.floats(width).view(np.uint8)] if scaled else []
        data = np.concatenate(parts)
        if from_pad:
            more = {"scratch_weights": script.put(data)}
        else:
            more = {}
            padded = -(-len(data) // word) * word
            script.memory[place : place + len(data)] = data
            a.weights(place, padded)
            weights += [
                int.from_bytes(script.memory[at : at + word], "little")
                for at in range(place, place + padded, word)
            ]
            place += padded
        stride = -(-k * (1 if int8 else 2) // 4) * 4
        output_stride = -(-4 * n // config.line_bytes) * config.line_bytes
        if kind != 5:
            more |= {"scale": script.put(script.floats(m)), "maximum": script.take(4 * m)}
        a.matmul(
            m=m,
            k=k,
            n=n,
            activations=script.put(rng.integers(0, 256, m * stride, np.uint8)),
            activation_stride=stride,
            output=script.take(m * output_stride),
            output_stride=output_stride,
            weights=weight_type,
            activation_type=ActivationType.INT8 if int8 else ActivationType.INT16,
            scales=scaled,
            observe=True,
            signal=script.signal(),
            **more,
        )
    after = script.run()
    source, signals, error = _control(design, "control", script, Engine.MATMUL)
    shown = []
    for y in after.observed:
        words = [
            word
            for first in range(0, y.shape[1], columns)
            for word in np.ascontiguousarray(y[:, first : first + columns]).view("<u4").ravel().tolist()
        ]
        shown += [*words[:-1], words[-1] | 1 << 32]
    pad = _scratchpad(design, script, after, reads=("activations", "scratch_weights"), writes=("o",))
    return Plan(
        [source, stream(design, "weights", weights)],
        [signals, stream(design, "probe", shown)],
        [("dut", {"control__wait__ready": "1'b1", "clear": "1'b0"})],
        100_000,
        memories=(pad,),
        errors=(error,),
    )


def _vector(config, design):
    """Every function, every reduction, every type into every type, and operands that are walked through in all ways."""
    script = _Script(config, 7)
    a, rng = script.a, script.rng
    specials = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -3e38, 1], "<f4")
    x = script.put(np.concatenate([specials, script.floats(150)]))
    y = script.put(script.floats(160))
    z = script.put(np.concatenate([script.floats(8), specials, script.floats(150)]))
    small = script.put(rng.integers(-4, 5, 32).astype("<f4"))
    whole = script.put(rng.integers(0, 256, 256, np.uint8))

    def command(function, n, *, out=0, **more):
        d = {"d": Vector(script.take(out))} if out else {}
        a.vector(function, n, signal=script.signal(), **d, **more)

    for function in Function:
        count = 13 if function != Function.RANDOM else 21
        operand = Scalar(small) if function == Function.RANDOM else Vector(x)
        command(function, count, out=4 * count, a=operand, b=Vector(y), c=Vector(z))
    for reduction in Reduction:
        if reduction != Reduction.NONE:
            result = (reduction, script.take(16))
            command(Function.MUL, 75, rows=2, a=Vector(y), b=Scalar(small + 4), reduce=result)
    for a_type in DataType:
        for d_type in DataType:
            command(
                Function.MADD, 11, rows=2, a=Vector(whole), b=Scalar(y), c=Scalar(z), a_type=a_type, d_type=d_type,
                out=4 * 22,
            )  # fmt: skip
    walks = {
        "a": Strided(y + 40, stride=-4, row_stride=12, abs=True),
        "b": Strided(x + 32, stride=8),
        "c": Strided(z, row_stride=4, negate=True),
    }
    command(Function.MADD, 7, rows=3, out=4 * 21, **walks)
    target = script.take(4 * 64)
    a.vector(
        Function.MAX,
        5,
        rows=2,
        a=Vector(y),
        b=Scalar(x),
        d=Strided(target, stride=12, row_stride=100),
        signal=script.signal(),
    )
    after = script.run()
    source, signals, error = _control(design, "control", script, Engine.VECTOR)
    # Reductions have a port of their own.
    pad = _scratchpad(design, script, after, reads=("a", "b", "c"), writes=("d", "result"))
    wires = {"control__wait__ready": "1'b1"}
    return Plan([source], [signals], [("dut", wires)], 100_000, memories=(pad,), errors=(error,))


def _dma(config, design):
    """Three engines at once: loads and stores of all alignments, in loops and by an index list, and weights for the FIFO."""
    script = _Script(config, 8)
    a, rng = script.a, script.rng
    word = script.config.fifo_word_bytes
    half = _MEMORY // 2  # loads read below it, stores write above it
    free = half
    stored = script.put(rng.integers(0, 256, 2048, np.uint8))
    places = script.put(rng.permutation(12).astype("<u4"))
    delivered = []
    for number in range(12):
        length = int(rng.integers(1, (7, 70, 300)[number % 3]))
        source = int(rng.integers(0, half - 4 * 340))
        if number % 4 == 3:
            loop = {"repeat": (5, 3 * length, length + 1), "repeat2": (2, 7, 6 * length)}
            length = min(length, 30)
            size = 11 * (length + 1) + 6 * 30
        elif number % 4 == 2:
            length = min(length, 40)
            loop = {"repeat": (12, length + 3, length), "index": places}
            size = 12 * length
        else:
            loop, size = {}, length
        target = script.take(size + 320) + number % 4
        a.load(source, target, length, signal=script.signal(), **loop)

        length = int(rng.integers(1, 90))
        a.store(stored + int(rng.integers(0, 900)), free + number % 5, length, signal=script.signal(),
                **({"repeat": (2, length + 2, 17)} if number % 2 else {}))  # fmt: skip
        free += 2 * length + 10

        count = int(rng.integers(1, 12))
        first = word * int(rng.integers(0, (half - 4 * 12 * word) // word))
        loops = {"repeat": (3, count * word)} if number % 3 == 2 else {}
        a.weights(first, count * word, signal=script.signal(), **loops)
        delivered.append(script.memory[first : first + count * word * (3 if loops else 1)])
    if free > _MEMORY:
        raise ValueError(f"the stores of the testbench need more than {_MEMORY} bytes of memory")
    after = script.run()
    names = {
        "weights_control": Engine.WEIGHTS,
        "loads_control": Engine.LOADS,
        "stores_control": Engine.STORES,
    }
    sources, sinks, errors = zip(
        *(_control(design, name, script, engine) for name, engine in names.items()), strict=True
    )
    stream_bytes = np.concatenate(delivered).tobytes()
    words = [
        int.from_bytes(stream_bytes[at : at + word], "little") for at in range(0, len(stream_bytes), word)
    ]
    pad = _scratchpad(design, script, after, reads=("read", "index"), writes=("write",))
    beat = config.port_bytes
    ram = Memory(
        "tepin_axi_ram",
        "ram",
        "tepin_axi_ram.v",
        {"DATA_WIDTH": config.port_width, "WORDS": _MEMORY // beat},
        {"clk": "clk", "rst": "rst"} | {port: f"m_axi_{port}" for port in AXI_RAM_PORTS},
        script.memory,
        after.memory,
        beat,
    )
    wires = {f"{name}__wait__ready": "1'b1" for name in names}
    wires |= {"read_base": "32'd0", "write_base": f"32'd{half}", "flush": "1'b0", "stop": "1'b0"}
    wires |= {"read_limit": f"32'd{half - 1}", "write_limit": f"32'd{_MEMORY - 1}"}
    return Plan(
        list(sources),
        [*sinks, stream(design, "weights", words)],
        [("dut", wires)],
        200_000,
        memories=(pad, ram),
        errors=errors,
    )


ENGINE_TOPS = {"matmul": _matmul, "vector": _vector, "dma": _dma}
"""Functions from configuration and design to a `Plan`."""
