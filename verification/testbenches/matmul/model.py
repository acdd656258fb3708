# SPDX-License-Identifier: Apache-2.0
"""Random matmul jobs: their weight streams, their commands, and what they leave in the scratchpad."""

from dataclasses import dataclass

import numpy as np

from tepin.isa import (
    ActivationType,
    Engine,
    EngineOp,
    MatmulFlags,
    OutputType,
    QueueHeader,
    WeightSource,
    WeightType,
)
from tepin.program import present_fields
from tepin_reference.matmul import matmul

__all__ = ["Job", "Layout", "command_words", "int4_weights", "nop_words", "pack", "random_matrix"]

GROUP = 32


def random_matrix(rng, k, n, kind, *, edges=0.2):
    """A matrix as `(w8, pieces)`: its int8 weights, and the codes and parameters that they are stored as.

    A share `edges` of the numbers are extremes, which for int4 makes many weights saturate.
    """
    if kind == WeightType.INT8:
        w8 = rng.integers(-128, 128, (k, n))
        w8 = np.where(rng.random((k, n)) < edges, rng.choice([-128, -1, 0, 127], (k, n)), w8)
        return w8.astype(np.int8), (w8.astype(np.int8).view(np.uint8), None, None)
    groups = -(-k // GROUP)
    q = rng.integers(0, 16, (k, n))
    z = rng.integers(0, 16, (groups, n))
    s = rng.integers(1, 17, (groups, n))
    q = np.where(rng.random((k, n)) < edges, rng.choice([0, 15], (k, n)), q)
    z = np.where(rng.random((groups, n)) < edges, rng.choice([0, 15], (groups, n)), z)
    s = np.where(rng.random((groups, n)) < edges, rng.choice([1, 16], (groups, n)), s)
    return int4_weights(q, z, s), (q, z, s)


def int4_weights(q, z, s):
    """Int8 weights of int4 codes `q` [k, n] with zero points `z` and steps `s` [groups, n]."""
    group = np.arange(len(q)) // GROUP
    return np.clip((q - z[group]) * s[group], -128, 127).astype(np.int8)


def pack(pieces, scale, columns, word_bytes):
    """Weight stream, padded to whole words with noise that nobody may look at."""
    codes, z, s = pieces
    k, n = codes.shape
    stream = bytearray()
    for start in range(0, n, columns):
        tile = slice(start, min(start + columns, n))
        for row in range(k):
            if z is not None and row % GROUP == 0:
                parameters = z[row // GROUP, tile] | (s[row // GROUP, tile] - 1) << 4
                stream += parameters.astype(np.uint8).tobytes()
            if z is None:
                stream += codes[row, tile].tobytes()
            else:
                row_codes = [*codes[row, tile], 0xA][: -(-(tile.stop - tile.start) // 2) * 2]
                stream += bytes(
                    low | high << 4 for low, high in zip(row_codes[::2], row_codes[1::2], strict=True)
                )
        if scale is not None:
            stream += scale[tile].astype("<f4").tobytes()
    return bytes(stream) + b"\xa5" * (-len(stream) % word_bytes)


def nop_words(*, wait=0, signal=0, pc=0):
    """Command that does nothing but wait and signal."""
    header = QueueHeader.const({"op": EngineOp.NOP, "wait": wait, "signal": signal, "length": 0, "pc": pc})
    return [header.as_bits()]


def command_words(flags, fields, *, wait=0, signal=0, pc=0):
    """Command with the given `MatmulFlags` members and fields, as the sequencer puts it into the queue."""
    flags = MatmulFlags.const(flags).as_bits()
    words = [flags] + [fields[name] % (1 << 32) for name in present_fields(Engine.MATMUL, flags)]
    header = {"op": EngineOp.RUN, "wait": wait, "signal": signal, "length": len(words), "pc": pc}
    return [QueueHeader.const(header).as_bits(), *words]


class Layout:
    """Hands out scratchpad space, with gaps of random size between the pieces."""

    def __init__(self, rng, size):
        self._rng = rng
        self._next = 0
        self._size = size

    def take(self, length):
        address = self._next + 4 * int(self._rng.integers(0, 5))
        self._next = -(-(address + length) // 4) * 4
        assert self._next <= self._size, "the jobs do not fit into the scratchpad"
        return address


@dataclass
class Job:
    """One matmul: `words` for the engine, `stream` for its FIFO (empty if the weights are in the scratchpad), and results."""

    flags: dict
    fields: dict
    words: list
    stream: bytes
    signal: int
    y: np.ndarray
    maximum: np.ndarray | None

    @classmethod
    def random(
        cls, rng, memory, layout, config, *, m, k, n, wait=0, signal=0, pc=0, wild=False, fill=None, align=4,
        **chosen,
    ):  # fmt: skip
        """Draws a job; members of `MatmulFlags` that are not `chosen` are random. Puts its operands into `memory`.

        `wild` scales are any float32 at all, NaN and infinity included. `fill` is an activation and an int8 weight that
        all of them are. Results and their rows begin at multiples of `align` bytes.
        """
        columns, word_bytes = config["columns"], config["fifo_word_bytes"]
        flags = {
            "source": WeightSource(int(rng.integers(2))),
            "weights": WeightType(int(rng.integers(2))),
            "activations": ActivationType(int(rng.integers(2))),
            "scales": int(rng.integers(2)),
            "output": OutputType(int(rng.random() < 0.2)),
            "observe": int(rng.integers(2)),
        } | chosen
        flags.setdefault("maximum", int(rng.integers(2)) if flags["output"] == OutputType.FLOAT32 else 0)

        def scales(count):
            if wild:
                return rng.integers(0, 1 << 32, count, dtype=np.uint32).view(np.float32)
            return (rng.uniform(-2, 2, count) * 2.0 ** rng.integers(-12, 12, count)).astype(np.float32)

        w8, pieces = random_matrix(rng, k, n, flags["weights"])
        if fill is not None:
            w8 = np.full((k, n), fill[1], np.int8)
            pieces = (w8.view(np.uint8), None, None)
        weight_scale = scales(n) if flags["scales"] else None
        activation_scale = scales(m)
        stream = pack(pieces, weight_scale, columns, word_bytes)
        if flags["activations"] == ActivationType.INT16:
            low, high, kind = -32768, 32639, "<i2"
        else:
            low, high, kind = -128, 127, "i1"
        a = rng.integers(low, high, (m, k), endpoint=True)
        a = np.where(rng.random((m, k)) < 0.1, rng.choice([low, -1, 0, high], (m, k)), a).astype(kind)
        if fill is not None:
            a = np.full((m, k), fill[0], kind)

        row_bytes = -(-a.itemsize * k // 4) * 4 + 4 * int(rng.integers(0, 3))
        output_bytes = -(-(4 * n + 4 * int(rng.integers(0, 3))) // align) * align
        fields = {
            "m": m,
            "k": k,
            "n": n,
            "activations": layout.take(m * row_bytes),
            "activation_stride": row_bytes,
            "output": -(-layout.take(m * output_bytes + align) // align) * align,
            "output_stride": output_bytes,
            "scale": layout.take(4 * m),
            "weights": layout.take(len(stream)) if flags["source"] == WeightSource.SCRATCHPAD else 0,
            "maximum": layout.take(4 * m),
        }
        if rng.random() < 0.2:
            # Rows from the last one up.
            fields["output"] += (m - 1) * output_bytes
            fields["output_stride"] = -output_bytes
        for row in range(m):
            _put(memory, fields["activations"] + row * row_bytes, a[row])
        _put(memory, fields["scale"], activation_scale)
        if flags["source"] == WeightSource.SCRATCHPAD:
            _put(memory, fields["weights"], np.frombuffer(stream, np.uint8))
            stream = b""

        y, maximum = matmul(MatmulFlags.const(flags), a, w8, weight_scale, activation_scale)
        words = command_words(flags, fields, wait=wait, signal=signal, pc=pc)
        return cls(flags, fields, words, stream, signal, y, maximum if flags["maximum"] else None)

    def apply(self, memory):
        """Stores the results, as the engine should."""
        for row in range(self.fields["m"]):
            _put(memory, self.fields["output"] + row * self.fields["output_stride"], self.y[row])
        if self.maximum is not None:
            _put(memory, self.fields["maximum"], self.maximum)

    def probe(self, columns):
        """Words that the probe shows, in order."""
        if not self.flags["observe"]:
            return []
        tiles = [self.y[:, start : start + columns] for start in range(0, self.y.shape[1], columns)]
        return [int(word) for tile in tiles for word in np.ascontiguousarray(tile).view(np.uint32).ravel()]


def _put(memory, address, values):
    content = np.ascontiguousarray(values).tobytes()
    memory[address : address + len(content)] = content
