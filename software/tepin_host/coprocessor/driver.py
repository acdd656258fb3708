# SPDX-License-Identifier: Apache-2.0
"""The host's end of a coprocessor: products of rows of activations with matrices that it knows, exact to the bit.

What goes over the line for a row: its activations, unless they are there from the matrix before, a job for each block, and
the sums. All of it is under way at the same time, since a job holds up what comes behind it. If the line loses something,
requests are done again; so within such an *exchange* no address is written twice.
"""

from dataclasses import dataclass

import numpy as np

from tepin.coprocessor.job import JOB_ADDRESS, SUM_BYTES, Job, Shape
from tepin.io.protocol import ANSWER_HEADER, PAYLOAD_BYTES, Request, encode_frame
from tepin_host.coprocessor.layout import Layout
from tepin_host.coprocessor.matrices import matrices
from tepin_host.errors import UserError
from tepin_host.serial.link import Command
from tepin_reference.coprocessor import pack_row
from tepin_reference.matmul import sums

__all__ = ["SerialCoprocessor", "Traffic", "find_coprocessor"]


@dataclass
class Traffic:
    """What the coprocessor has done so far.

    Members
    -------
    sent, received : int
        Bytes on the line, frames included.
    exchanges : int
        Times that the host has waited for the line.
    jobs : int
    products : int
        Of an activation and a weight; without those of zeros that fill up groups and tiles.
    cycles : int
        Of jobs, as `CoprocessorCore` says.
    """

    sent: int = 0
    received: int = 0
    exchanges: int = 0
    jobs: int = 0
    products: int = 0
    cycles: int = 0


def find_coprocessor(chip):
    """The `SerialCoprocessor` at the other end of a `SerialChip`, or None if that is a chip.

    Raises
    ------
    UserError
        It is a coprocessor of a shape that cannot be.
    """
    identity = chip.identity
    if not Shape.is_coprocessor(identity.config_hash):
        return None
    try:
        shape = Shape.identified(identity.config_hash, identity.memory_bytes)
    except ValueError as error:
        raise UserError(f"{chip.name}: {error}; load the bitstream of this release") from None
    return SerialCoprocessor(chip, shape)


class SerialCoprocessor:
    """A coprocessor behind a serial line.

    Parameters
    ----------
    chip : SerialChip
        Whose memory it works on.
    shape : Shape

    Attributes
    ----------
    layout : Layout
        Of the matrices that `load` has brought.
    traffic : Traffic
        Since then.
    """

    def __init__(self, chip, shape):
        self._chip, self._shape = chip, shape
        self._row = None  # activations that are there
        self.layout = Layout(shape, [])
        self.traffic = Traffic()

    @property
    def shape(self):
        """Of array and memory."""
        return self._shape

    @property
    def clock_hz(self):
        """Of the coprocessor."""
        return self._chip.identity.clock_hz

    @property
    def baud(self):
        """Of the line."""
        return self._chip.baud

    def load(self, executable, progress=None):
        """Bring the matrices of a model, as many as fit; returns how many bytes had to be sent.

        Raises `UserError` if a matrix is too long, or the line fails.
        """
        self.layout = Layout(self._shape, matrices(executable))
        self._row = None
        sent = self._chip.load(0, self.layout.resident, progress)
        self.traffic = Traffic()
        return sent

    def products(self, a, w8):
        """Sums of products int64 [M, N] of activations [M, K] and weights int8 [K, N].

        Matrices that `load` did not bring, those of the KV cache, are multiplied here.
        """
        blocks = self.layout.blocks(w8)
        if blocks is None:
            return sums(a, w8)
        result = np.zeros((len(a), w8.shape[1]), np.int64)
        for row, total in zip(a, result, strict=True):
            for some in self._exchanges(blocks):
                self._exchange(row, blocks, some, total)
        self.traffic.products += a.size * w8.shape[1]
        return result

    def _exchanges(self, blocks):
        """Blocks in lists, each as many as have room in the scratch; with the addresses of weights and sums."""
        some, at = [], self.layout.scratch.start
        for block in blocks:
            weights = 0 if block.address is not None else len(block.data)
            size = weights + block.tiles * self._shape.columns * SUM_BYTES
            if at + size > self.layout.scratch.stop:
                yield some
                some, at = [], self.layout.scratch.start
            some.append((block, block.address if block.address is not None else at, at + weights))
            at += size
        yield some

    def _exchange(self, row, blocks, some, total):
        """Multiply one row with some blocks, and add their sums to the row's total."""
        commands, reads = self._activations(row, blocks), []
        for block, weights, sums_at in some:
            if block.address is None:
                commands += _writes(weights, block.data)
            job = Job(weights, self.layout.activations + block.row_offset, sums_at, block.groups, block.tiles)
            commands += _writes(JOB_ADDRESS, job.encode())
            size = (block.n.stop - block.n.start) * SUM_BYTES
            reads.append((block, len(commands), size))
            commands += [
                Command(Request.READ_MEMORY, min(PAYLOAD_BYTES, size - at), sums_at + at)
                for at in range(0, size, PAYLOAD_BYTES)
            ]
        answers = self._chip.accesses(commands)
        for block, first, size in reads:
            count = -(-size // PAYLOAD_BYTES)
            words = np.frombuffer(b"".join(answers[first : first + count]), "<i4")
            total[block.n] += words
        self._count(commands, answers, some)

    def _activations(self, row, blocks):
        """Commands that bring the row, if it is not there."""
        pieces = {block.row_offset: row[block.k] for block in blocks}
        packed = b"".join(pack_row(piece, self._shape.rows) for piece in pieces.values())
        if packed == self._row:
            return []
        self._row = packed
        return _writes(self.layout.activations, packed)

    def _count(self, commands, answers, some):
        traffic = self.traffic
        traffic.exchanges += 1
        traffic.jobs += len(some)
        traffic.sent += sum(len(command.frame(0)) for command in commands)
        traffic.received += sum(len(encode_frame(ANSWER_HEADER.pack(0, 0) + answer)) for answer in answers)
        traffic.cycles += sum(self._shape.cycles(block.groups, block.tiles) for block, _, _ in some)


def _writes(address, data):
    """Commands that write `data`."""
    return [
        Command(Request.WRITE_MEMORY, len(piece), address + at, piece)
        for at in range(0, len(data), PAYLOAD_BYTES)
        for piece in (data[at : at + PAYLOAD_BYTES],)
    ]
