# SPDX-License-Identifier: Apache-2.0
"""Matrix products as programs of the chip: operands that are random, the schedule of their pieces, and a run with a
stopwatch.

A *job* is one product. It is computed in *pieces*, a matmul command each: some rows by some column tiles. Pieces that use
the same rows of activations are a *block*. Activations, weights and results of several pieces are under way at a time.
"""

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

__all__ = ["Job", "Resident", "Run", "Streamed", "blocks", "random_job"]

_MOST_CYCLES = 1 << 40
_BURST_BEATS = 16
_ALIGNMENT = 64
_ACTIVATIONS = {
    "int8": (ActivationType.INT8, np.int8, -128, 127),
    "int16": (ActivationType.INT16, np.dtype("<i2"), -32768, 32639),
}


def _aligned(size, to=_ALIGNMENT):
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
        return _aligned(self.activations.itemsize * self.k, 4)

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


def blocks(job, config, *, first, last, rows=None):
    """Divide the rows of a job: (first row, rows) of each block, of at most `rows` (all that have accumulators) rows.

    The array waits for the `first` block of all to be loaded, so that is as small as it may be if its weights and the other
    rows are to come while it is computed; and the memory for the `last` one of all to be stored, so towards the end each
    block is half of what is left.
    """
    most, least = rows or config.accumulator_rows, config.rows
    sizes, left = [], job.m
    if first and left > least:
        size = least
        while size < min(left, most):
            others = (left - size) * job.stride
            if job.cycles(config, size) * config.port_bytes >= len(job.stream) + others:
                break
            size = min(size + least, left)
        sizes, left = [size], left - size
    while left:
        size = min(left, most)
        if last and size == left and left > least:
            size = max(least, _aligned(left // 2, least))
        sizes.append(size)
        left -= size
    starts = np.cumsum([0, *sizes])[:-1].tolist()
    return list(zip(starts, sizes, strict=True))


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


class _Program:
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
        self._size = _aligned(address + content.nbytes)
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


class Resident(_Program):
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
                pad["rows"] = _aligned(pad["rows"], bank)
            spots.append(dict(pad))
            pad = {name: _aligned(pad[name] + size, 2 * config.line_bytes) for name, size in sizes.items()}
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
        return _aligned(4 * job.n, self.config.line_bytes)

    def run(self, library, *, latency):
        """From the last word of the first command to the last signal."""
        trace = self._execute(library, latency)
        products = [command for command in trace.commands if command.engine == Engine.MATMUL]
        return self._measure(trace, products[0].read, products[-1].ended)


class _Ring:
    """Places for results, one behind the other and around again."""

    def __init__(self, begin, end):
        self._begin, self._end = begin, end

    def places(self, sizes):
        """(address, how many of the pieces have to be stored before this one may be written) of each piece.

        Those numbers rise by one from piece to piece, earlier than they must if need be: each wait beyond one is a command.
        """
        following, taken, result = self._begin, [], []
        for index, size in enumerate(sizes):
            begin = following if following + size <= self._end else self._begin
            end = begin + size
            in_the_way = [place for place in taken if place[0] < end and begin < place[1]]
            taken = [place for place in taken if place not in in_the_way] + [(begin, end, index)]
            result.append((begin, max((place[2] + 1 for place in in_the_way), default=0)))
            following = _aligned(end)
        needed = 0
        for index in reversed(range(len(result))):
            needed = max(needed - 1, result[index][1])
            result[index] = result[index][0], needed
        return result


class Streamed(_Program):
    """Jobs behind each other, all operands and results through the DMA.

    Blocks of activations are loaded to slots, results stored from a ring of pieces, weights stream through the FIFO. Loads go
    first on the port, so a long one waits until the weights of the block before it have been fetched. A command waits
    for one semaphore and signals one; where it takes more, a NOP of the same engine has the others. Results lie in memory
    piece by piece.

    Parameters
    ----------
    schedule : list of list of (first row, rows)
        Blocks of each job.
    piece_bytes : int
        Most bytes of results of a piece.
    block_slots : int
        Blocks that are in the scratchpad at a time.
    """

    def __init__(self, config, jobs, schedule, *, piece_bytes, block_slots=2):
        super().__init__(config, jobs)
        division = []  # (job, row, rows, column, columns, block) of each piece
        block_list = []
        for number, (job, rows_of) in enumerate(zip(jobs, schedule, strict=True)):
            for row, rows in rows_of:
                width = min(job.n, max(1, piece_bytes // (4 * rows * config.columns)) * config.columns)
                # Nothing is stored beside the computation of the first piece, nor computed beside the store of the last; and
                # where stores take as long as products, they never catch up with them.
                hurries = not block_list or (number, row + rows) == (len(jobs) - 1, job.m)
                if hurries or job.sums.nbytes / config.port_bytes >= job.cycles(config):
                    width = min(width, max(config.columns, _aligned(job.n // 4, config.columns)))
                for column in range(0, job.n, width):
                    division.append((number, row, rows, column, min(width, job.n - column), len(block_list)))
                block_list.append(job.stride * rows)
        block_bytes = _aligned(max(block_list))
        begin = _aligned(block_slots * block_bytes, config.bank_bytes)
        largest = max(4 * rows * columns for _, _, rows, _, columns, _ in division)
        if begin + 2 * largest > config.scratchpad_bytes:
            raise ValueError(
                f"{block_slots} blocks of {block_bytes} bytes and pieces of {largest} do not fit the scratchpad"
            )
        self._division = division
        self._emit(division, block_list, block_slots, _Ring(begin, config.scratchpad_bytes))

    def _pieces_of(self, number):
        return [piece[1:-1] for piece in self._division if piece[0] == number]

    def _delays(self, job, rows, load_bytes):
        """Whether a load takes longer than the weights that are under way before it keep the array busy with `rows` rows."""
        config = self.config
        under_way = (config.outstanding - 1) * _BURST_BEATS * config.port_bytes
        share = min(1, under_way / len(job.stream))
        return load_bytes / config.port_bytes > share * job.cycles(config, rows)

    def _emit(self, division, block_list, block_slots, ring):
        a, config = self._assembler, self.config
        loaded, consumed, fetched = (a.semaphore(name) for name in ("loaded", "consumed", "fetched"))
        computed, stored = a.semaphore("computed"), a.semaphore("stored")
        last_of = {piece[-1]: index for index, piece in enumerate(division)}
        begun, awaited, late = -1, 0, False
        stored_bytes = [0] * len(self.jobs)
        outputs = ring.places([4 * rows * columns for _, _, rows, _, columns, _ in division])
        for index, (number, row, rows, column, columns, block) in enumerate(division):
            job, place = self.jobs[number], self.places[number]
            local = block % block_slots * _aligned(max(block_list))
            begins = block != begun
            begun = block
            if begins:
                if block >= block_slots:
                    a.nop(Engine.LOADS, wait=consumed)
                address = place["rows"] + row * job.stride
                a.load(address, local, rows * job.stride, wait=fetched if late else 0, signal=loaded)
                late = block + 1 < len(block_list) and self._delays(job, rows, block_list[block + 1])
            begin, length = job.weight_range(config.columns, column, columns)
            a.weights(place["stream"] + begin, length, signal=fetched if begins and late else 0)
            size, (output, needed) = 4 * rows * columns, outputs[index]
            waits = [stored] * (needed - awaited) + [loaded] * begins or [0]
            for semaphore in waits[:-1]:
                a.nop(Engine.MATMUL, wait=semaphore)
            awaited = max(awaited, needed)
            a.matmul(
                m=rows, k=job.k, n=columns, activations=local, activation_stride=job.stride,
                output=output, output_stride=4 * columns, weights=job.weights, activation_type=job.kind,
                scales=False, wait=waits[-1], signal=computed,
            )  # fmt: skip
            if last_of[block] == index:
                a.nop(Engine.MATMUL, signal=consumed)
            a.store(output, place["sums"] + stored_bytes[number], size, wait=computed, signal=stored)
            stored_bytes[number] += size
        a.end()

    def run(self, library, *, latency):
        """From the last word of the first descriptor to the last write response.

        Checked to have moved all operands and results.
        """
        trace = self._execute(library, latency)
        first = min(command.read for command in trace.commands if command.engine != Engine.MATMUL)
        run = self._measure(trace, first, trace.last_response)
        operands = sum(job.m * job.stride + len(job.stream) for job in self.jobs)
        results = sum(job.sums.nbytes for job in self.jobs)
        if run.read_bytes < operands or run.written_bytes < results:
            raise CheckFailed(
                f"{run.read_bytes} bytes read of {operands}, {run.written_bytes} written of {results}"
            )
        return run
