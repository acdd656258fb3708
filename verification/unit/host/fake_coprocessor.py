# SPDX-License-Identifier: Apache-2.0
"""A coprocessor made of Python at the end of a pseudo-terminal: the protocol, memory, and jobs as numpy does them."""

from types import SimpleNamespace

import numpy as np

from tepin.coprocessor.job import JOB, JOB_ADDRESS, Job
from tepin.io.protocol import Status
from tepin_reference.coprocessor import execute
from verification.unit.host.fake_device import FakeDevice

__all__ = ["FakeCoprocessor"]


class FakeCoprocessor(FakeDevice):
    """A device with memory and jobs, and without registers.

    Parameters
    ----------
    shape : Shape
    identity : int, optional
        What it says in the place of a hash, instead of the shape's.

    Attributes
    ----------
    jobs : int
        That it has done.
    """

    def __init__(self, shape, *, identity=None, **others):
        self.jobs = 0
        self._columns = shape.columns
        config = SimpleNamespace(hash=shape.hash if identity is None else identity)
        memory = np.zeros(shape.memory_bytes, np.uint8)
        super().__init__(SimpleNamespace(config=config, memory=memory), **others)

    def _read_registers(self, count, address, payload):
        return Status.DECERR, b""

    def _write_registers(self, count, address, payload):
        return Status.DECERR, b""

    def _write_memory(self, count, address, payload):
        if address != JOB_ADDRESS:
            return super()._write_memory(count, address, payload)
        assert count == JOB.size
        job = Job(*JOB.unpack(payload))
        assert job.groups and job.tiles
        execute(job, self.chip.memory, self._columns)
        self.jobs += 1
        return Status.OKAY, b""
