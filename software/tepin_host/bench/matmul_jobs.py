# SPDX-License-Identifier: Apache-2.0
"""Matrix products as programs of the chip: operands that are random, and a run with a stopwatch. A *job* is one product."""

from dataclasses import dataclass

import numpy as np

from tepin.isa import ActivationType, Engine, WeightType
from tepin_host.assembler import Assembler
from tepin_host.bench.row import CheckFailed
from tepin_host.driver import ChipDriver
from tepin_host.layout import pack_matrix
from tepin_host.quantize import QuantizedMatrix
from tepin_host.simulation import ChipSimulator
from tepin_reference.weights import GROUP, tile_bytes, unpack

__all__ = ["Job", "Program", "Resident", "Run", "aligned", "random_job"]

_MOST_CYCLES = 1 << 40
_ALIGNMENT = 64
_ACTIVATIONS = {
    "int8": (ActivationType.INT8, np.int8, -128, 127),
    "int16": (ActivationType.INT16, np.dtype("<i2"), -32768, 32639),
}


def aligned(size, to=_ALIGNMENT):
    return -(-size // to) * to


@dataclass(frozen=True)
class Job:
    """A product of `activations` [m, k] and a weight stream, with its exact sums.

    Members
    -------
    activations : int8 or int16 array [m, k]
    stream : uint8 array
        Weights for an array of so many columns, padded to FIFO words, without scales.
    sums : int32 array [m, n]
    weights : WeightType
    """

    activations: np.ndarray
    stream: np.ndarray
    sums: np.ndarray
    weights: WeightType

    @property
    def m(self):
        return self.sums.shape[0]

    @property
    def k(self):
        return self.activations.shape[1]

    @property
    def n(self):
        return self.sums.shape[1]

    @property
    def stride(self):
        """Bytes from row to row of the activations."""
        return aligned(self.activations.itemsize * self.k, 4)

    @property
    def rows(self):
        """The activations as bytes, rows `stride` apart."""
        row_bytes = self.activations.itemsize * self.k
        padded = np.zeros((self.m, self.stride), np.uint8)
        padded[:, :row_bytes] = self.activations.view(np.uint8).reshape(self.m, row_bytes)
        return padded.ravel()

    @property
    def kind(self):
        """Of the activations."""
        return ActivationType.INT8 if self.activations.itemsize == 1 else ActivationType.INT16

    def weight_range(self, columns, first, count):
        """(begin, length) in the stream of `count` channels from `first` on, which starts a column tile."""
        begin = first // columns * tile_bytes(self.k, columns, self.weights, False)
        if first + count == self.n:
            return begin, len(self.stream) - begin
        return begin, count // columns * tile_bytes(self.k, columns, self.weights, False)

    def cycles(self, config, rows=None):
        """Cycles in which the array can compute it (or so many of its rows).

        A weight tile takes as many as it has rows, or passes if those are more.
        """
        split = self.kind == ActivationType.INT16 and config.activation_width == 8
        passes = (rows or self.m) * (2 if split else 1)
        full, ragged = divmod(self.k, config.rows)
        per_column_tile = full * max(config.rows, passes) + (max(ragged, passes) if ragged else 0)
        return -(-self.n // config.columns) * per_column_tile


def random_job(rng, config, m, k, n, *, weights="int8", activations="int8"):
    """A `Job` whose operands are any value that their type has."""
    _, dtype, low, high = _ACTIVATIONS[activations]
    a = rng.integers(low, high, (m, k), dtype=np.int32, endpoint=True).astype(dtype)
    if weights == "int8":
        codes = rng.integers(-128, 128, (n, k), dtype=np.int16).astype(np.int8)
        matrix = QuantizedMatrix(codes=codes, scale=np.ones(n, np.float32))
    else:
        groups = -(-k // GROUP)
        matrix = QuantizedMatrix(
            codes=rng.integers(0, 16, (n, k), dtype=np.uint8),
            scale=np.ones(n, np.float32),
            zero=rng.integers(0, 16, (n, groups), dtype=np.uint8),
            group_scale=rng.integers(1, 17, (n, groups), dtype=np.uint8),
        )
    kind = WeightType[weights.upper()]
    stream = np.frombuffer(
        pack_matrix(matrix, config.columns, config.fifo_word_bytes, scales=False), np.uint8
    )
    w8, _ = unpack(stream, k, n, config.columns, kind, False)
    # float64 holds every sum exactly, so that the quick product is an integer product.
    sums = (a.astype(np.float64) @ w8.astype(np.float64)).astype(np.int64).astype(np.int32)
    return Job(a, stream, sums, kind)


@dataclass(frozen=True)
class Run:
    """What a run took.

    Members
    -------
    commands : list of TracedCommand
    cycles : int
        From the first descriptor, or the first matmul command, that its engine has read, to the last write response, or
        the last signal.
    read_bytes, written_bytes : int
        Through the memory port.
    """

    commands: list
    cycles: int
    read_bytes: int
    written_bytes: int


class Program:
    """A program with its memory, and where in it the results of each job are."""

    def __init__(self, config, jobs):
        self.config, self.jobs = config, jobs
        self._assembler = Assembler()
        self._size = 0
        self._pieces = []
        self.places = [
            {
                "rows": self._place(job.rows),
                "stream": self._place(job.stream),
                "sums": self._place(np.zeros(job.sums.nbytes, np.uint8)),
            }
            for job in jobs
        ]

    def _pieces_of(self, number):
        """(row, rows, column, columns) of each piece of a job, in the order in which they lie in memory, each row by row."""
        job = self.jobs[number]
        return [(0, job.m, 0, job.n)]

    def _place(self, content):
        address = self._size
        self._pieces.append((address, content))
        self._size = aligned(address + content.nbytes)
        return address

    def memory(self):
        """External memory before the start, uint8."""
        memory = np.zeros(self._size, np.uint8)
        for address, content in self._pieces:
            memory[address : address + content.nbytes] = content.view(np.uint8)
        return memory

    def _execute(self, library, latency):
        """(trace, simulator) of a run whose results are right; `CheckFailed` otherwise."""
        simulator = ChipSimulator(self.config, self.memory(), latency=latency, library=library)
        driver = ChipDriver(simulator)
        driver.identify(self.config)
        words = self._assembler.assemble()
        if len(words) > self.config.program_words:
            raise ValueError(
                f"the program has {len(words)} words, the chip takes {self.config.program_words}"
            )
        driver.load_program(words)
        everything = (0, len(simulator.memory))
        driver.start(read=everything, write=everything)
        for _ in driver.tokens(lambda: simulator.run(_MOST_CYCLES)):
            pass
        if error := driver.error():
            raise CheckFailed(f"the program stopped with {error}")
        for number, (job, place) in enumerate(zip(self.jobs, self.places, strict=True)):
            found = np.empty_like(job.sums)
            begin = place["sums"]
            for row, rows, column, columns in self._pieces_of(number):
                piece = simulator.memory[begin : begin + 4 * rows * columns].copy().view("<i4")
                found[row : row + rows, column : column + columns] = piece.reshape(rows, columns)
                begin += piece.nbytes
            if (found != job.sums).any():
                wrong = int((found != job.sums).sum())
                raise CheckFailed(
                    f"job {number} of {len(self.jobs)}: {wrong} of {job.sums.size} sums are wrong"
                )
        return simulator.trace()

    def _measure(self, trace, begin, end):
        def moved(*names):
            return int(sum(trace.windows[name].sum() for name in names)) * self.config.port_bytes

        return Run(trace.commands, end - begin, moved("weights", "loads"), moved("stores"))


class Resident(Program):
    """Jobs whose activations are in the scratchpad when the clock starts; the weights, too, unless they are `streamed`.

    The results stay there and are stored after the clock has stopped. Commands follow each other without a semaphore.
    """

    def __init__(self, config, jobs, *, streamed=False):
        super().__init__(config, jobs)
        a, bank = self._assembler, config.bank_bytes
        # Activations, weights and results are in banks of their own; no job's activations are in two.
        half = config.scratchpad_bytes // 2
        limits = {"rows": half // 2, "stream": half, "sums": config.scratchpad_bytes}
        pad = {"rows": 0, "stream": half // 2, "sums": half}
        spots = []
        for job in jobs:
            sizes = {
                "rows": job.m * job.stride + config.line_bytes,
                "stream": 0 if streamed else len(job.stream),
                "sums": job.m * self._local_stride(job),
            }
            if pad["rows"] % bank + sizes["rows"] > bank:
                pad["rows"] = aligned(pad["rows"], bank)
            spots.append(dict(pad))
            pad = {name: aligned(pad[name] + size, 2 * config.line_bytes) for name, size in sizes.items()}
        if any(pad[name] > limits[name] for name in pad):
            raise ValueError(f"the jobs end at {pad} in the scratchpad, places end at {limits}")
        for job, place, spot in zip(jobs, self.places, spots, strict=True):
            a.load(place["rows"], spot["rows"], job.m * job.stride)
            if not streamed:
                a.load(place["stream"], spot["stream"], len(job.stream))
        a.fence()
        for job, place, spot in zip(jobs, self.places, spots, strict=True):
            if streamed:
                a.weights(place["stream"], len(job.stream))
            a.matmul(
                m=job.m, k=job.k, n=job.n, activations=spot["rows"], activation_stride=job.stride,
                output=spot["sums"], output_stride=self._local_stride(job),
                scratch_weights=None if streamed else spot["stream"], weights=job.weights,
                activation_type=job.kind, scales=False,
            )  # fmt: skip
        a.fence()
        for job, place, spot in zip(jobs, self.places, spots, strict=True):
            local = self._local_stride(job)
            a.store(spot["sums"], place["sums"], 4 * job.n, repeat=(job.m, 4 * job.n, local))
        a.end()

    def _local_stride(self, job):
        return aligned(4 * job.n, self.config.line_bytes)

    def run(self, library, *, latency):
        """From the last word of the first command to the last signal."""
        trace = self._execute(library, latency)
        products = [command for command in trace.commands if command.engine == Engine.MATMUL]
        return self._measure(trace, products[0].read, products[-1].ended)
