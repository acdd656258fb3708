# SPDX-License-Identifier: Apache-2.0
"""Matrix products behind each other, with all operands and results through the DMA: what is loaded, computed and stored when.

A job is computed in *pieces*, a matmul command each: some rows by some column tiles. Pieces that use the same rows of
activations are a *block*. Activations, weights and results of several pieces are under way at a time.
"""

import numpy as np

from tepin.isa import Engine
from tepin_host.bench.matmul_jobs import Program, aligned
from tepin_host.bench.row import CheckFailed

__all__ = ["Streamed", "blocks"]

_BURST_BEATS = 16
_FLIGHT_BEATS = 128  # that come while a request is on its way


def _writes_all_the_time(job, config):
    """Whether results take as long to store as to compute.

    Then stores never catch up with what the first one has cost, nor with what any one has that is larger than the one before
    it: pieces are small, and all alike.
    """
    return job.sums.nbytes / config.port_bytes >= job.cycles(config)


def blocks(job, config, *, first, last, rows=None):
    """Divide the rows of a job: (first row, rows) of each block, of at most `rows` (all that have accumulators) rows.

    The array waits for the `first` block of all to be loaded, so that is as small as it may be if its weights and the other
    rows are to come while it is computed; and the memory for the `last` one of all to be stored, so towards the end each
    block is half of what is left, but not so small that the port cannot bring its weights as quickly.
    """
    most, least = rows or config.accumulator_rows, config.rows
    smallest = least
    while smallest < most and job.cycles(config, smallest) * config.port_bytes < 1.25 * len(job.stream):
        smallest += least
    if _writes_all_the_time(job, config):
        most = smallest
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
        if last and size == left and left > smallest:
            size = max(smallest, aligned(left // 2, least))
            size = left if left - size < smallest else size
        sizes.append(size)
        left -= size
    starts = np.cumsum([0, *sizes])[:-1].tolist()
    return list(zip(starts, sizes, strict=True))


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
            following = aligned(end)
        needed = 0
        for index in reversed(range(len(result))):
            needed = max(needed - 1, result[index][1])
            result[index] = result[index][0], needed
        return result


class Streamed(Program):
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
        rows_of = [
            (number, row, rows) for number, blocks_of in enumerate(schedule) for row, rows in blocks_of
        ]
        block_list = [jobs[number].stride * rows for number, _, rows in rows_of]
        for block, (number, row, rows) in enumerate(rows_of):
            job, share = jobs[number], 1
            if _writes_all_the_time(job, config):
                share = 4
            elif block == 0 and len(block_list) > 1:
                share = self._first_share(job, rows, block_list[1])
            if block + 1 == len(rows_of):
                share = 32  # Nothing is computed beside the store of the last piece.
            width = max(1, piece_bytes // (4 * rows * config.columns)) * config.columns
            width = min(job.n, width, max(config.columns, aligned(job.n // share, config.columns)))
            for column in range(0, job.n, width):
                division.append((number, row, rows, column, min(width, job.n - column), block))
        block_bytes = aligned(max(block_list))
        begin = aligned(block_slots * block_bytes, config.bank_bytes)
        largest = max(4 * rows * columns for _, _, rows, _, columns, _ in division)
        if begin + 2 * largest > config.scratchpad_bytes:
            raise ValueError(
                f"{block_slots} blocks of {block_bytes} bytes and pieces of {largest} do not fit the scratchpad"
            )
        self._division = division
        self._emit(division, block_list, block_slots, _Ring(begin, config.scratchpad_bytes))

    def _pieces_of(self, number):
        return [piece[1:-1] for piece in self._division if piece[0] == number]

    def _under_way(self, job):
        """The share of a job's weights that may be under way."""
        return min(1, (self.config.outstanding - 1) * _BURST_BEATS * self.config.port_bytes / len(job.stream))

    def _first_share(self, job, rows, load_bytes):
        """Into how many pieces the first block is divided: a load awaits the first one's weights, the others await it."""
        cycles, load = job.cycles(self.config, rows), load_bytes / self.config.port_bytes
        # What is left of them when they have come, and what is under way behind them.
        left, more = cycles - len(job.stream) / self.config.port_bytes, self._under_way(job) * cycles
        return next((share for share in (4, 2) if left / share + more >= load), 1)

    def _delays(self, job, rows, load_bytes):
        """Whether a load takes longer than the weights that are under way keep the array busy with so many rows."""
        return load_bytes / self.config.port_bytes > self._under_way(job) * job.cycles(self.config, rows)

    def _emit(self, division, block_list, block_slots, ring):
        a, config = self._assembler, self.config
        loaded, consumed, fetched = (a.semaphore(name) for name in ("loaded", "consumed", "fetched"))
        computed, stored = a.semaphore("computed"), a.semaphore("stored")
        last_of = {piece[-1]: index for index, piece in enumerate(division)}
        begun, awaited, late = -1, 0, False
        stored_bytes = [0] * len(self.jobs)
        in_flight = _FLIGHT_BEATS * config.port_bytes
        outputs = ring.places([4 * rows * columns for _, _, rows, _, columns, _ in division])
        for index, (number, row, rows, column, columns, block) in enumerate(division):
            job, place = self.jobs[number], self.places[number]
            local = block % block_slots * aligned(max(block_list))
            begins = block != begun
            begun = block
            if begins:
                if block >= block_slots:
                    a.nop(Engine.LOADS, wait=consumed)
                address, length, done = place["rows"] + row * job.stride, rows * job.stride, 0
                if not block and length > 4 * in_flight:
                    # The port belongs to the very first load until weights that are asked for then come behind it.
                    done = length - in_flight
                    a.load(address, local, done, signal=fetched)
                wait = fetched if late else 0
                a.load(address + done, local + done, length - done, wait=wait, signal=loaded)
                wait = fetched if done else 0
                # Behind the load of the second block comes that of the third.
                loads = 2 if block else 1
                late = block + 1 < len(block_list) and self._delays(job, rows, loads * block_list[block + 1])
            begin, length = job.weight_range(config.columns, column, columns)
            a.weights(
                place["stream"] + begin, length, wait=wait if begins else 0,
                signal=fetched if begins and late else 0,
            )  # fmt: skip
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
